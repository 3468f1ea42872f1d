"""Plans, tables and endings as lines of text; what the reporters have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.events import Status
from relnox.core.steps import EditFiles
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.events import Outcome, StepFinished, Waiting
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Step
    from relnox.errors import RelnoxError

__all__ = [
    "MOST_ABORTED",
    "aborted",
    "columns",
    "ending",
    "error_lines",
    "finished",
    "plan_lines",
    "waiting",
    "whose",
]

MARKS = {Status.SUCCESS: "ok", Status.SKIPPED: "SKIPPED", Status.FAILED: "FAILED", Status.ABORTED: "ABORTED"}

MOST_ABORTED = 8
"""How many steps that were not tried somebody reads."""

_ENDINGS = {
    ExitCode.DONE: "done and proven",
    ExitCode.REFUSED: "refused; nothing was changed",
    ExitCode.FAILED: "failed; nothing is public",
    ExitCode.PARTLY_PUBLIC: "partly public: type the same command again to finish it",
    ExitCode.NEEDS_A_PERSON: "stopped: a person has to decide",
    ExitCode.TRY_LATER: "not done, or not proven yet: type the same command again later",
    ExitCode.INTERRUPTED: "interrupted: type the same command again to go on",
    ExitCode.TERMINATED: "terminated: type the same command again to go on",
}


def columns(table: Table) -> Iterator[str]:
    """A table in columns, as wide as their widest entry."""
    lines = [table.columns, *table.rows]
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
        yield from (f"        {line}" for line in results[0].detail.splitlines())


def whose(step: Step) -> str:
    """What stands before a line that a step's program prints, where others print at the same time."""
    return f"{step.key} " if step.concurrent else ""


def plan_lines(plan: Plan) -> Iterator[str]:
    """A plan that is not run: what it would do, what the files would become, what stands against it."""
    yield f"Plan of {plan.task} ({plan.digest[:12]}): {len(plan.steps)} steps"
    for number, step in enumerate(plan.steps, 1):
        yield f"{number:>4}. {step.title}{'  [remote]' if step.remote else ''}"
    for step in plan.steps:
        if isinstance(step, EditFiles):
            for edit in step.edits:
                yield ""
                yield from edit.diff().splitlines()
    if plan.notes or plan.refusals or plan.consent:
        yield ""
    for note in plan.notes:
        yield f"note: {note}"
    if plan.consent:
        yield f"would ask: {plan.consent}"
    for refusal in plan.refusals:
        yield f"would refuse: {refusal.message}"
        yield f"  hint: {refusal.hint}"


def waiting(event: Waiting) -> str:
    """What is waited for, and until when, in a line."""
    return f"{'waiting':<8}{event.why}; again at {event.again:%H:%M:%S %Z}, until {event.ends:%H:%M:%S %Z} at most"


def finished(event: StepFinished) -> Iterator[str]:
    """A step that ended: the mark, the title, the evidence or the reason."""
    seconds = f" ({event.seconds:.1f} s)" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - shown with one digit
    yield f"{MARKS[event.status]:<8}{event.step.title}{seconds}"
    told = [*event.detail.splitlines()]
    if event.error is not None and event.error.hint:
        told += f"hint: {event.error.hint}".splitlines()
    yield from (f"        {line}" for line in told)


def error_lines(error: RelnoxError) -> Iterator[str]:
    """What stops a run. Further lines are indented: foreign text never stands at the beginning of one."""
    for word, told in (("error", error.message), ("hint", error.hint)):
        if told:
            first, *rest = told.splitlines()
            yield f"{word}: {first}"
            yield from (f"  {line}" for line in rest)


def ending(outcome: Outcome) -> str:
    """How a run ended, in one line."""
    told = _ENDINGS[outcome.exit_code]
    if outcome.exit_code is ExitCode.FAILED and not any(step.remote for step in outcome.plan.steps):
        told = "failed"  # it had nothing to make public: what is, it does not know
    if outcome.exit_code is ExitCode.FAILED and any(
        result.step.remote and result.status is Status.SUCCESS for result in outcome.results
    ):
        told = "failed; what was sent stays there"
    if outcome.plan.skipped is not None and outcome.exit_code is ExitCode.DONE:
        told = f"skipped; {outcome.plan.skipped}"
    until = f" before {outcome.deadline}" if outcome.deadline is not None else ""
    return f"{outcome.plan.task}: {told}{until} ({outcome.seconds:.1f} s)"
