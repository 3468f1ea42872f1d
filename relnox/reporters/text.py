"""Plans, tables and endings as lines of text; what the reporters have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.escaping import escape_line, split_lines
from relnox.core.events import Notice, Status
from relnox.core.publication import all_proven, summary
from relnox.core.steps import EditFiles
from relnox.errors import ExitCode
from relnox.reporters import as_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from relnox.core.events import Outcome, StepFinished, Waiting
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Edit, Step
    from relnox.errors import RelnoxError

__all__ = [
    "MOST_ABORTED",
    "aborted",
    "columns",
    "detail",
    "diff_lines",
    "ending",
    "error_lines",
    "finished",
    "further_lines",
    "notice",
    "output_line",
    "plan_lines",
    "published",
    "waiting",
    "warning_lines",
    "with_code",
]

MARKS = {Status.SUCCESS: "ok", Status.SKIPPED: "SKIPPED", Status.FAILED: "FAILED", Status.ABORTED: "ABORTED"}

MOST_ABORTED = 8
"""How many steps that were not tried somebody reads."""

_INDENT = " " * 8

_ENDINGS = {
    ExitCode.DONE: "done and proven",
    ExitCode.BLOCKED: "refused; nothing was changed",
    ExitCode.FAILED: "failed; nothing is public",
    ExitCode.PARTLY_PUBLIC: "partly public: type the same command again to finish it",
    ExitCode.CONFLICT: "stopped: a person has to decide",
    ExitCode.TRY_LATER: "not done, or not proven yet: type the same command again later",
    ExitCode.INTERRUPTED: "interrupted: type the same command again to go on",
    ExitCode.TERMINATED: "terminated: type the same command again to go on",
}

_FAILED_AFTERWARDS = {
    **_ENDINGS,
    ExitCode.FAILED: "failed",
    ExitCode.CONFLICT: "published, but a check failed afterwards: manual action required",
    ExitCode.TRY_LATER: "published, but not checked to the end: rerun the command later",
}


def columns(table: Table) -> Iterator[str]:
    """A table in columns, as wide as their widest entry."""
    lines = [[escape_line(cell) for cell in line] for line in (table.columns, *table.rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(table.columns))]
    if table.title:
        yield table.title
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def aborted(results: Sequence[StepFinished]) -> Iterator[str]:
    """Steps that were not tried, at the end of a run: many of them in a line, with why the first was not."""
    if len(results) <= MOST_ABORTED:
        for result in results:
            yield from finished(result)
    else:
        yield f"{MARKS[Status.ABORTED]} {len(results)} steps, the first of them: {results[0].step.title}"
        yield from further_lines(results[0].detail, _INDENT)


def output_line(step: Step, line: str) -> str:
    """A line that a step's program prints, behind the name of the step where others print at the same time."""
    return f"{f'{step.key} ' if step.concurrent else ''}| {line.expandtabs()}"


def further_lines(told: str, indent: str) -> Iterator[str]:
    """The lines of a text, all but the first one indented further: foreign text begins none of relnox's lines."""
    first, *rest = split_lines(told) or [""]
    yield f"{indent}{first}"
    yield from (f"{indent}{line}" if line.startswith("  ") else f"{indent}  {line}" for line in rest)


def diff_lines(edit: Edit) -> Iterator[str]:
    """What a file would become, as a unified diff."""
    return (line.expandtabs() for line in split_lines(edit.diff()))


def plan_lines(plan: Plan, shown: Callable[[str], str] = as_written) -> Iterator[str]:
    """A plan that is not run: what it would do, what the files would become, what stands against it.

    Args:
        plan: The plan.
        shown: Gives commands the form in which they have to be typed; what files would hold stays as it is.
    """
    yield f"Plan of {plan.task} ({plan.digest[:12]}): {len(plan.steps)} steps"
    for number, step in enumerate(plan.steps, 1):
        yield f"{number:>4}. {step.title}{'  [remote]' if step.remote else ''}"
    for step in plan.steps:
        if isinstance(step, EditFiles):
            for edit in step.edits:
                yield ""
                yield from diff_lines(edit)
    if plan.notes or plan.problems or plan.consent:
        yield ""
    for note in plan.notes:
        yield from further_lines(f"note: {shown(note)}", "")
    if plan.consent:
        yield f"would ask: {plan.consent}"
    for problem in plan.problems:
        yield from further_lines(f"blocked: {shown(with_code(problem.message, problem.code))}", "")
        yield from further_lines(f"fix: {shown(problem.fix)}", "  ")


def waiting(event: Waiting) -> str:
    """What is waited for, and until when, in a line."""
    return f"{'waiting':<8}{event.why}; again at {event.again:%H:%M:%S %Z}, until {event.ends:%H:%M:%S %Z} at most"


def notice(event: Notice | Waiting) -> Iterator[str]:
    """What does not stop a run: a wait, a warning where something can be done about it, else a note."""
    if not isinstance(event, Notice):
        yield waiting(event)
        return
    yield from further_lines(f"{'warning' if event.fix else 'note'}: {event.message}", "")
    if event.fix:
        yield from further_lines(f"fix: {event.fix}", "  ")


def finished(event: StepFinished) -> Iterator[str]:
    """A step that ended: the mark, the title, the evidence or the reason."""
    seconds = f" ({event.seconds:.1f} s)" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - shown with one digit
    yield f"{MARKS[event.status]:<8}{event.step.title}{seconds}"
    if event.detail:
        yield from further_lines(detail(event), _INDENT)
    if event.error is not None and event.error.fix:
        yield from further_lines(f"fix: {event.error.fix}", _INDENT)
    for line in warning_lines(event):
        yield f"{_INDENT}{line}"


def detail(event: StepFinished) -> str:
    """The evidence or the reason; of an error with its code."""
    return with_code(event.detail, event.error.code) if event.error is not None else event.detail


def with_code(message: str, code: str) -> str:
    """A message with the code of the problem at the end of its first line, as linters print it."""
    first, *rest = split_lines(message) or [""]
    return "\n".join([f"{first} [{code}]", *rest])


def warning_lines(event: StepFinished) -> Iterator[str]:
    """What is most likely wrong with the files of a step, each with what helps."""
    for warning in event.warnings:
        yield from further_lines(f"warning: {warning.file}: {with_code(warning.message, warning.code)}", "")
        yield from further_lines(f"fix: {warning.fix}", "  ")


def error_lines(error: RelnoxError) -> Iterator[str]:
    """What stops a run."""
    for label, text in (("error", with_code(error.message, error.code)), ("fix", error.fix)):
        if text:
            first, *rest = split_lines(text)
            yield f"{label}: {first}"
            yield from (f"  {line}" for line in rest)


def published(outcome: Outcome) -> Iterator[str]:
    """What is public, what is not proven, what was not sent, where a release did not end well."""
    if outcome.publication and outcome.exit_code is not ExitCode.DONE:
        yield from summary(outcome.publication)


def ending(outcome: Outcome) -> str:
    """How a run ended, in one line."""
    told = _ENDINGS[outcome.exit_code]
    if outcome.exit_code is ExitCode.FAILED and not any(step.remote for step in outcome.plan.steps):
        told = "failed"  # it had nothing to make public: what is, it does not know
    if outcome.exit_code is not ExitCode.DONE and all_proven(outcome.publication):
        told = f"{_FAILED_AFTERWARDS[outcome.exit_code]}; what was sent stays there"
    if outcome.plan.skipped is not None and outcome.exit_code is ExitCode.DONE:
        told = f"skipped; {outcome.plan.skipped}"
    until = f" before {outcome.deadline}" if outcome.deadline is not None else ""
    count = outcome.warnings
    warnings = f", {count} warning{'s' if count != 1 else ''}" if count else ""
    return f"{outcome.plan.task}: {told}{until}{warnings} ({outcome.seconds:.1f} s)"
