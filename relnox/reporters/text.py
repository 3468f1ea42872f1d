"""Plans, tables and results as lines of text, for all reporters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from relnox.core.escaping import escape_line, split_lines
from relnox.core.planning.changes import Edit
from relnox.core.planning.events import Event, Notice, Outcome, RunFinished, Status, StepFinished, Waiting
from relnox.core.planning.plan import Plan, Table
from relnox.core.planning.step import Step
from relnox.core.release.publication import are_all_verified, summary_lines
from relnox.core.text import format_count
from relnox.errors import ExitCode, Problem

MARKS = {Status.SUCCESS: "ok", Status.SKIPPED: "SKIPPED", Status.FAILED: "FAILED", Status.ABORTED: "ABORTED"}

MAX_ABORTED = 8
"""The maximum number of aborted steps to show one by one."""

_INDENT = " " * 8

_ENDINGS = {
    ExitCode.DONE: "done, verified",
    ExitCode.BLOCKED: "blocked; nothing was changed",
    ExitCode.FAILED: "failed; nothing is public",
    ExitCode.PARTLY_PUBLIC: "partly public: rerun the command to finish it",
    ExitCode.CONFLICT: "conflict: manual action required",
    ExitCode.TRY_LATER: "not done, or not verified yet: rerun the command later",
    ExitCode.INTERRUPTED: "interrupted: rerun the command to resume",
    ExitCode.TERMINATED: "terminated: rerun the command to resume",
}

_FAILED_AFTERWARDS = {
    **_ENDINGS,
    ExitCode.FAILED: "failed",
    ExitCode.CONFLICT: "published, but a check failed afterwards: manual action required",
    ExitCode.TRY_LATER: "published, but not completely verified: rerun the command later",
}


def aligned_lines(table: Table) -> Iterator[str]:
    """Yield the lines of a table, with columns as wide as their widest cell."""
    lines = [[escape_line(cell) for cell in line] for line in (table.columns, *table.rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(table.columns))]
    if table.title:
        yield table.title
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def aborted_lines(results: Sequence[StepFinished]) -> Iterator[str]:
    """Format many aborted steps as their number and the first step, with the reason it was aborted."""
    yield f"{MARKS[Status.ABORTED]} {format_count(len(results), 'step')}, the first is: {results[0].step.title}"
    yield from continuation_lines(results[0].detail, _INDENT)


def is_important(event: Event) -> bool:
    """Return whether to show an event in quiet mode, because it is a warning or a failure."""
    match event:
        case StepFinished(status=Status.FAILED | Status.ABORTED):
            return True
        case StepFinished(warnings=warnings):
            return bool(warnings)
        case Notice(fix=fix):
            return bool(fix)
        case RunFinished(outcome):
            return outcome.exit_code is not ExitCode.DONE or outcome.plan.skipped is not None
        case _:
            return False


def output_line(step: Step, line: str) -> str:
    """Format an output line of a program, with the key of its step if the step runs concurrently."""
    return f"{f'{step.key} ' if step.concurrent else ''}| {line.expandtabs()}"


def continuation_lines(text: str, indent: str) -> Iterator[str]:
    """Split text into lines, and indent all but the first more, so that untrusted text never begins a line."""
    first, *rest = split_lines(text) or [""]
    yield f"{indent}{first}"
    yield from (f"{indent}{line}" if line.startswith("  ") else f"{indent}  {line}" for line in rest)


def diff_lines(edit: Edit) -> Iterator[str]:
    """Format an edit as a unified diff."""
    return (line.expandtabs() for line in split_lines(edit.diff()))


def plan_lines(plan: Plan, convert: Callable[[str], str] = str) -> Iterator[str]:
    """Format a plan that is not run: its steps, diffs, notes and problems; `convert` is not applied to diffs."""
    yield f"Plan of {plan.task} ({plan.digest}): {format_count(len(plan.steps), 'step')}"
    for number, step in enumerate(plan.steps, 1):
        yield f"{number:>4}. {step.title}{'  [remote]' if step.remote else ''}"
    for step in plan.steps:
        for edit in step.previewed_edits:
            yield ""
            yield from diff_lines(edit)
    if plan.notes or plan.problems or plan.consent:
        yield ""
    for note in plan.notes:
        yield from continuation_lines(f"note: {convert(note)}", "")
    if plan.consent:
        yield f"would ask: {plan.consent}"
    for problem in plan.problems:
        yield from continuation_lines(f"blocked: {convert(with_code(problem.message, problem.code))}", "")
        yield from continuation_lines(f"fix: {convert(problem.fix)}", "  ")


def notice_lines(event: Notice | Waiting) -> Iterator[str]:
    """Yield the lines of a warning, a note, or a message that relnox is waiting."""
    if not isinstance(event, Notice):
        attempt, deadline = f"{event.next_attempt:%H:%M:%S %Z}", f"{event.deadline:%H:%M:%S %Z}"
        yield f"{'waiting':<8}{event.reason}; next try at {attempt}, gives up at {deadline}"
        return
    yield from continuation_lines(f"{'warning' if event.fix else 'note'}: {event.message}", "")
    if event.fix:
        yield from continuation_lines(f"fix: {event.fix}", "  ")


def finished_lines(event: StepFinished) -> Iterator[str]:
    """Format the result of a step: its status and title, and then its detail, fix and warnings."""
    seconds = f" ({event.seconds:.1f} s)" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - printed with one digit
    yield f"{MARKS[event.status]:<8}{event.step.title}{seconds}"
    if event.detail:
        yield from continuation_lines(detail_with_code(event), _INDENT)
    if event.error is not None and event.error.fix:
        yield from continuation_lines(f"fix: {event.error.fix}", _INDENT)
    for line in warning_lines(event):
        yield f"{_INDENT}{line}"


def detail_with_code(event: StepFinished) -> str:
    """Return the detail of the result of a step, with the code of its error if it failed."""
    return with_code(event.detail, event.error.code) if event.error is not None else event.detail


def with_code(message: str, code: str) -> str:
    """Append the code of a problem to the first line of its message, before a colon at the end."""
    first, *rest = split_lines(message) or [""]
    colon = ":" if rest and first.endswith(":") else ""
    return "\n".join([f"{first.removesuffix(colon)} [{code}]{colon}", *rest])


def warning_lines(event: StepFinished) -> Iterator[str]:
    """Format the warnings of a step about files."""
    for warning in event.warnings:
        yield from continuation_lines(f"warning: {warning.file}: {with_code(warning.message, warning.code)}", "")
        yield from continuation_lines(f"fix: {warning.fix}", "  ")


def error_lines(error: Problem) -> Iterator[str]:
    """Format an error that ends a run."""
    for label, text in (("error", with_code(error.message, error.code)), ("fix", error.fix)):
        if text:
            first, *rest = split_lines(text)
            yield f"{label}: {first}"
            yield from (f"  {line}" for line in rest)


def published_lines(outcome: Outcome) -> Iterator[str]:
    """Yield which files are public, not verified or not uploaded; nothing if the run succeeded."""
    if outcome.publication and outcome.exit_code is not ExitCode.DONE:
        yield from summary_lines(outcome.publication)


def ending_line(outcome: Outcome) -> str:
    """Format how a run ended, as one line."""
    result = _ENDINGS[outcome.exit_code]
    if outcome.exit_code is ExitCode.FAILED and not any(step.remote for step in outcome.plan.steps):
        result = "failed"  # nothing was to be published, so it says nothing about what is public
    if outcome.exit_code is not ExitCode.DONE and outcome.publication and are_all_verified(outcome.publication):
        result = f"{_FAILED_AFTERWARDS[outcome.exit_code]}; the uploaded files stay on the index"
    if outcome.plan.skipped is not None and outcome.exit_code is ExitCode.DONE:
        result = f"skipped; {outcome.plan.skipped}"
    until = f" before {outcome.deadline}" if outcome.deadline is not None else ""
    warnings = f", {format_count(outcome.warnings, 'warning')}" if outcome.warnings else ""
    return f"{outcome.plan.task}: {result}{until}{warnings} ({outcome.seconds:.1f} s)"
