"""Check everything about a release that can be decided now, and list what is wrong at once.

Each item is ok, failed, a warning, not checkable here (with the reason), or skipped; what a person has to do is
listed last. The profile says which items are checked: `laptop`, `ci`, or `before-publish`. With --fix, what is
mechanical is done, and nothing is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from relnox.commands.check.context import CheckContext, Finding, NotCheckable
from relnox.commands.options import CheckOptions as Options
from relnox.core.planning.checklist import CheckedItem, CheckStatus, problems_of_checklist
from relnox.core.planning.events import Outcome
from relnox.core.planning.plan import Plan, PlanBuilder, Table
from relnox.core.planning.step import Edit, Step
from relnox.core.records import replace
from relnox.core.settings.checklist import ITEMS, ChecklistItem, ManualItem
from relnox.core.text import split_lines
from relnox.errors import ExitCode, Problem
from relnox.project import Project
from relnox.steps.edit_files import EditFiles


def plan(options: Options, project: Project) -> Plan:
    """Check the items of the release checklist, and plan steps for those that only a step can check or fix.

    Each item is in `Plan.items`, with its status as far as it is known.
    """
    new = PlanBuilder("check", continue_on_error=True)
    context = CheckContext(options, project)
    new.notes += project.workspace.warnings
    items = []
    edits: dict[str, Edit] = {}
    for item in ITEMS.values():
        if options.only and item.name not in options.only:
            continue
        severity = project.config.check.severity.get(item.name, item.severity)
        if (reason := _reason_to_skip(item, severity, context)) is not None:
            items.append(_checked_item(item, "skipped", reason))
            continue
        findings, reason = _collect_findings(item, context)
        new.add(*(finding for finding in findings if isinstance(finding, Step)))
        edits |= {finding.file: finding for finding in findings if isinstance(finding, Edit)}
        items.append(_decide_item(item, severity, findings, reason))
    if edits:
        new.add(EditFiles(edits=tuple(edits.values())))
    new.problems += [problem for problem in problems_of_checklist(items) if problem.level == "error"]
    items += map(_manual_item, project.config.check.manual)
    if not new.steps:  # otherwise it is shown when they have ended
        new.tables.append(_checklist_table(items))
    return new.build(items=tuple(items))


def summarize(outcome: Outcome, directory: Path) -> tuple[Table, ...]:
    """Return the table of all checklist items."""
    del directory
    return (_checklist_table(outcome.checklist),)


def _checklist_table(items: Sequence[CheckedItem]) -> Table:
    """Return a table of checklist items, with the status and a description of each."""
    rows = tuple((item.name, item.status, _describe_item(item)) for item in items)
    return Table(title="Checklist", columns=("item", "result", ""), rows=rows)


def _manual_item(item: ManualItem) -> CheckedItem:
    """Return what a person has to do as an item of the checklist, with the status `by hand`."""
    link = f" ({item.link})" if item.link else ""
    title = f"{item.when} publishing: {item.title}{link}"
    return CheckedItem(name="manual", title=title, why="", status="by hand", detail=title)


def _describe_item(item: CheckedItem) -> str:
    """Describe an item in one line: its first problem, why it is not decided, or else its title."""
    if item.problems:
        more = f" (and {len(item.problems) - 1} more)" if len(item.problems) > 1 else ""
        return f"{split_lines(item.problems[0].message)[0].removesuffix(':')}{more}"
    return item.detail or item.title


def _reason_to_skip(item: ChecklistItem, severity: str, context: CheckContext) -> str | None:
    """Return why a checklist item is skipped, or None if it is not.

    `severity` is the configured one; an item with the severity `off` is skipped.
    """
    options = context.options
    if item.name in options.skip:
        return "--skip"
    if severity == "off":
        return "off in the settings"
    if not options.only and context.profile not in item.profiles:
        return f"not in the profile {context.profile}"
    return None


def _collect_findings(item: ChecklistItem, context: CheckContext) -> tuple[list[Finding], str]:
    """Run the function of a checklist item; return its findings, and why it cannot be decided ("" if it can).

    A problem that the function raises is a finding as well, unless a server did not answer: then it is the reason.
    """
    module: Any = import_module(f"relnox.commands.check.{item.topic}")
    findings: list[Finding] = []
    try:
        for finding in getattr(module, item.function_name)(context):
            findings.append(finding)  # noqa: PERF402 - those before an error count
    except NotCheckable as error:
        return findings, str(error)
    except Problem as error:
        if error.exit_code is ExitCode.TRY_LATER:  # a server that does not answer says nothing about the item
            return findings, error.message
        findings.append(error)
    return findings, ""


def _decide_item(item: ChecklistItem, severity: str, findings: Sequence[Finding], detail: str) -> CheckedItem:
    """Return a checklist item with its status before steps run; `detail` is why it cannot be decided, or empty.

    The status follows from `findings`. If `severity` is `warning`, all problems are warnings.
    """
    needed_steps = [finding for finding in findings if isinstance(finding, Step)]
    steps = tuple(step.key for step in needed_steps) + ("edit",) * any(
        isinstance(finding, Edit) for finding in findings
    )
    problems = tuple(
        problem.but(level="warning" if "warning" in (severity, problem.level) else "error", why=item.why, allow="")
        for problem in findings
        if isinstance(problem, Problem)
    )
    status: CheckStatus = "warning" if problems else "ok"
    if any(problem.level == "error" for problem in problems):
        status = "failed"
    elif detail or steps:
        status = "not checkable here"
        detail = detail or f"decided by: {', '.join(step.title for step in needed_steps) or 'the edit'}"
    return replace(_checked_item(item, status, detail), problems=problems, steps=steps)


def _checked_item(item: ChecklistItem, status: CheckStatus, detail: str) -> CheckedItem:
    """Return a checklist item with this status, and with the detail that explains it (may be empty)."""
    return CheckedItem(name=item.name, title=item.title, why=item.why, status=status, detail=detail)
