"""The plain reporter: a line for each step that ended, for logs, pipes and screen readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from relnox.core.planning.events import (
    Event,
    Notice,
    Outcome,
    OutputLine,
    RunFinished,
    RunStarted,
    Status,
    StepFinished,
    StepStarted,
    Waiting,
)
from relnox.core.planning.plan import Plan, Table
from relnox.errors import ExitCode, Problem
from relnox.reporters import text
from relnox.reporters.streams import STDERR, STDOUT


class Plain:
    """A reporter that writes plain lines; see `Reporter` for its methods, and `choose` for its parameters."""

    verbose = False

    def __init__(self, convert: Callable[[str], str] = str, *, quiet: bool = False) -> None:
        self._convert = convert
        self._quiet = quiet
        self._aborted: list[StepFinished] = []

    def event(self, event: Event, *, nested: bool) -> None:
        """Handle an event."""
        if not self._quiet or text.is_important(event):
            self._handle(event, nested=nested)

    def _handle(self, event: Event, *, nested: bool) -> None:
        """Show an event that is not hidden by `quiet`."""
        indent = "  " if nested else ""
        match event:
            case RunStarted(plan):
                for note in plan.notes:
                    self._show_labeled("note:", "dim", note, indent)
            case StepStarted(step) if step.runs_task:
                self._line(step.title, indent=indent)
            case OutputLine(step, line) if self.verbose:
                self._line(text.output_line(step, line), "dim", f"{indent}  ")
            case Notice(fix=""):
                self._log(text.notice_lines(event), "dim", indent)
            case Notice() | Waiting():
                self._log(text.notice_lines(event), "yellow", indent)
            case StepFinished(status=Status.ABORTED):
                self._aborted.append(event)
            case StepFinished():
                self._show_finished(event, indent)
            case RunFinished(outcome):
                self._end_run(outcome, nested=nested)
            case _:
                pass

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        self.tables(plan.tables)
        self._out(text.plan_lines(plan, self._convert))

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        for table in tables:
            self._out([*text.aligned_lines(table), ""])

    def error(self, error: Problem) -> None:
        """Show the error that ends the run."""
        self._log(text.error_lines(error))

    def _end_run(self, outcome: Outcome, *, nested: bool) -> None:
        """Show the aborted steps, as one line if there are many, and how the run ended."""
        indent = "  " if nested else ""
        if len(self._aborted) > text.MAX_ABORTED:
            self._log(text.aborted_lines(self._aborted), "yellow", indent)
        else:
            for event in self._aborted:
                self._show_finished(event, indent)
        self._aborted.clear()
        self._log(text.published_lines(outcome), indent=indent)
        if not nested:
            self._log(
                [text.ending_line(outcome)], "bold green" if outcome.exit_code is ExitCode.DONE else "bold red"
            )

    def _show_finished(self, event: StepFinished, indent: str) -> None:
        self._log(text.finished_lines(event), indent=indent)

    def _show_labeled(self, label: str, style: str, message: str, indent: str = "") -> None:
        """Show a message of one or more lines after a label; subclasses apply the style to the label."""
        del style
        self._log(text.continuation_lines(f"{label} {message}", indent))

    def _log(self, lines: Iterable[str], style: str = "", indent: str = "") -> None:
        for line in lines:
            self._line(self._convert(line), style, indent)

    def _line(self, line: str, style: str = "", indent: str = "") -> None:
        """Show a line of progress; subclasses apply the style."""
        del style
        STDERR.write_line(indent + line)

    def _out(self, lines: Iterable[str]) -> None:
        for line in lines:
            STDOUT.write_line(line)
