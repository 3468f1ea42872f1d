"""A person at a terminal: a line for each step, alive while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape as literal
from rich.syntax import Syntax
from rich.table import Table as RichTable

from relnox.core.events import OutputLine, RunFinished, RunStarted, Status, StepFinished, StepStarted, Waiting
from relnox.core.secrets import masked
from relnox.core.steps import EditFiles, Stage
from relnox.errors import ExitCode
from relnox.reporters import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.status import Status as Spinner

    from relnox.core.events import Event, Outcome
    from relnox.core.plan import Plan, Table
    from relnox.errors import RelnoxError

__all__ = ["Terminal"]

_STYLES = {
    Status.SUCCESS: "green",
    Status.SKIPPED: "cyan",
    Status.FAILED: "bold red",
    Status.ABORTED: "yellow",
}
_SIGNS = {Status.SUCCESS: "✓", Status.SKIPPED: "·", Status.FAILED: "✗", Status.ABORTED: "-"}


def escape(told: str) -> str:
    """Text that rich prints as it is, without secrets."""
    return literal(masked(told))


class Terminal:
    """Writes with rich, which honours NO_COLOR and FORCE_COLOR; see `Reporter` for its methods."""

    verbose = False

    def __init__(self) -> None:
        self._out = Console(highlight=False)
        self._log = Console(stderr=True, highlight=False)
        self._spinner: Spinner | None = None
        self._going: dict[str, str] = {}
        self._aborted: list[StepFinished] = []

    def event(self, event: Event, *, nested: bool) -> None:
        """Tell what happened."""
        indent = "  " if nested else ""
        match event:
            case RunStarted(plan):
                for note in plan.notes:
                    self._log.print(f"{indent}[dim]note:[/] {escape(note)}")
            case StepStarted(step):
                if isinstance(step, Stage):
                    self._log.print(f"[bold]{escape(step.title)}[/]")
                else:
                    self._going[step.key] = step.title
                    self._spin()
            case OutputLine(step, line):
                if self.verbose:
                    self._log.print(f"{indent}  [dim]{escape(text.whose(step))}| {escape(line)}[/]")
            case Waiting():
                self._log.print(f"{indent}[yellow]{escape(text.waiting(event))}[/]")
            case StepFinished():
                self._end(event, indent)
            case RunFinished(outcome):
                self._conclude(outcome, nested=nested)

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        self.tables(plan.tables)
        self._out.print(f"[bold]Plan of {plan.task}[/] [dim]{plan.digest[:12]}[/]")
        for number, step in enumerate(plan.steps, 1):
            remote = "  [yellow]remote[/]" if step.remote else ""
            self._out.print(f"{number:>4}. {escape(step.title)}{remote}")
        for step in plan.steps:
            if isinstance(step, EditFiles):
                for edit in step.edits:
                    self._out.print(Syntax(edit.diff(), "diff", background_color="default", word_wrap=True))
        for note in plan.notes:
            self._out.print(f"[dim]note:[/] {escape(note)}")
        if plan.consent:
            self._out.print(f"[yellow]would ask:[/] {escape(plan.consent)}")
        for refusal in plan.refusals:
            self._out.print(f"[bold red]would refuse:[/] {escape(refusal.message)}")
            self._out.print(f"  [dim]hint:[/] {escape(refusal.hint)}")

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        for table in tables:
            shown = RichTable(title=table.title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
            for column in table.columns:
                shown.add_column(column, overflow="fold")
            for row in table.rows:
                shown.add_row(*(escape(cell) for cell in row))
            self._out.print(shown)

    def error(self, error: RelnoxError) -> None:
        """Show what stops the run."""
        self._stop()
        self._log.print(f"[bold red]error:[/] {escape(error.message)}")
        if error.hint:
            self._log.print(f"[bold]hint:[/] {escape(error.hint)}")

    def _conclude(self, outcome: Outcome, *, nested: bool) -> None:
        """What was not tried, and how it all ended."""
        self._tell_aborted("  " if nested else "")
        if not nested:
            style = "bold green" if outcome.exit_code is ExitCode.DONE else "bold red"
            self._log.print(f"[{style}]{escape(text.ending(outcome))}[/]")

    def _end(self, event: StepFinished, indent: str) -> None:
        self._going.pop(event.step.key, None)
        if event.status is Status.ABORTED:
            self._aborted.append(event)
        else:
            self._finished(event, indent)
        self._spin()

    def _tell_aborted(self, indent: str) -> None:
        """Steps that were not tried, or not to their end: many of them in a line."""
        if len(self._aborted) <= text.MOST_ABORTED:
            for event in self._aborted:
                self._finished(event, indent)
        else:
            for line in text.aborted(self._aborted):
                self._log.print(f"{indent}[yellow]{escape(line)}[/]")
        self._aborted.clear()

    def _finished(self, event: StepFinished, indent: str) -> None:
        style, sign = _STYLES[event.status], _SIGNS[event.status]
        seconds = f" [dim]{event.seconds:.1f} s[/]" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - one digit
        self._log.print(f"{indent}[{style}]{sign}[/] {escape(event.step.title)}{seconds}")
        shown = event.status is not Status.SUCCESS or self.verbose
        if event.detail and shown:
            word = "" if event.status is Status.SUCCESS else f"{text.MARKS[event.status]}: "
            for line in f"{word}{event.detail}".splitlines():
                self._log.print(f"{indent}    [dim]{escape(line)}[/]")
        if event.error is not None and event.error.hint:
            self._log.print(f"{indent}    [bold]hint:[/] {escape(event.error.hint)}")

    def _spin(self) -> None:
        """Show what goes on; several steps at once may."""
        if not self._going:
            self._stop()
            return
        told = escape(" · ".join(self._going.values()))
        if self._spinner is None:
            self._spinner = self._log.status(told)
            self._spinner.start()
        else:
            self._spinner.update(told)

    def _stop(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None
