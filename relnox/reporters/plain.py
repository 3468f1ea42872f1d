"""The plain reporter: a line for each step that ended, for logs, pipes and screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.events import (
    Notice,
    OutputLine,
    RunFinished,
    RunStarted,
    Status,
    StepFinished,
    StepStarted,
    Waiting,
)
from relnox.reporters import as_written, text
from relnox.reporters.streams import STDERR, STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relnox.core.planning.events import Event, Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.errors import RelnoxError

__all__ = ["Plain"]


class Plain:
    """Writes plain lines; see `Reporter` for its methods.

    Args:
        convert: Converts commands to the form that the user has to type.
    """

    verbose = False

    def __init__(self, convert: Callable[[str], str] = as_written) -> None:
        self._convert = convert
        self._aborted: list[StepFinished] = []

    def event(self, event: Event, *, nested: bool) -> None:
        """Handle an event."""
        match event:
            case RunStarted(plan):
                lines = (line for note in plan.notes for line in text.further_lines(f"note: {note}", ""))
                self._log(lines, nested=nested)
            case StepStarted(step):
                if step.runs_task:
                    self._log([step.title], nested=nested)
            case OutputLine(step, line):
                if self.verbose:
                    STDERR.line(f"{'    ' if nested else '  '}{text.output_line(step, line)}")
            case Notice() | Waiting():
                self._log(text.notice(event), nested=nested)
            case StepFinished(status=Status.ABORTED):
                self._aborted.append(event)
            case StepFinished():
                self._log(text.finished(event), nested=nested)
            case RunFinished(outcome):
                self._end_run(outcome, nested=nested)

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        self.tables(plan.tables)
        self._out(text.plan_lines(plan, self._convert))

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        for table in tables:
            self._out([*text.aligned_lines(table), ""])

    def error(self, error: RelnoxError) -> None:
        """Show the error that ends the run."""
        self._log(text.error_lines(error))

    def _end_run(self, outcome: Outcome, *, nested: bool) -> None:
        """Show aborted steps and how the run ended."""
        self._log(text.aborted(self._aborted), nested=nested)
        self._aborted.clear()
        self._log(text.published(outcome), nested=nested)
        if not nested:
            self._log([text.ending(outcome)])

    def _log(self, lines: Iterable[str], *, nested: bool = False) -> None:
        for line in map(self._convert, lines):
            STDERR.line("  " + line if nested else line)

    def _out(self, lines: Iterable[str]) -> None:
        for line in lines:
            STDOUT.line(line)
