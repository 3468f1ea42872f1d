"""The terminal reporter: a line for each step, with a spinner while it runs."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, cast

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from relnox.core.escaping import escape_line
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
from relnox.errors import ExitCode
from relnox.reporters import as_written, text
from relnox.reporters.streams import STDERR, STDOUT
from relnox.system.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.status import Status as Spinner

    from relnox.core.planning.events import Event, Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.errors import RelnoxError
    from relnox.reporters.streams import Stream

__all__ = ["Terminal"]

_STYLES = {
    Status.SUCCESS: "green",
    Status.SKIPPED: "cyan",
    Status.FAILED: "bold red",
    Status.ABORTED: "yellow",
}
_SIGNS = {Status.SUCCESS: "✓", Status.SKIPPED: "·", Status.FAILED: "✗", Status.ABORTED: "-"}
_ASCII_SIGNS = {Status.SUCCESS: "+", Status.SKIPPED: ".", Status.FAILED: "x", Status.ABORTED: "-"}
_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_UNLIMITED = 1_000_000
"""Columns of outputs that are not terminals: nothing is wrapped, so that untrusted text never begins a line."""


class Terminal:
    """Writes with rich, which honors NO_COLOR and FORCE_COLOR; see `Reporter` for its methods.

    Args:
        convert: Converts commands to the form that the user has to type.
    """

    verbose = False

    def __init__(self, convert: Callable[[str], str] = as_written) -> None:
        self._convert = convert
        self._out = _console(STDOUT)
        self._log = _console(STDERR)
        self._signs = _SIGNS if STDERR.is_unicode else _ASCII_SIGNS
        self._spinner: Spinner | None = None
        self._running: dict[str, str] = {}
        self._aborted: list[StepFinished] = []

    def event(self, event: Event, *, nested: bool) -> None:  # noqa: C901 - a case for each kind of event
        """Handle an event."""
        indent = "  " if nested else ""
        match event:
            case RunStarted(plan):
                for note in plan.notes:
                    _print_labeled(self._log, indent, "note:", "dim", self._convert(note))
            case StepStarted(step):
                if step.runs_task:
                    _print(self._log, (step.title, "bold"))
                else:
                    self._running[step.key] = step.title
                    self._spin()
            case OutputLine(step, line):
                if self.verbose:
                    _print(self._log, f"{indent}  ", (text.output_line(step, line), "dim"))
            case Notice() | Waiting():
                style = "dim" if isinstance(event, Notice) and not event.fix else "yellow"
                for line in text.notice(event):
                    _print(self._log, indent, (self._convert(line), style))
            case StepFinished():
                self._end(event, indent)
            case RunFinished(outcome):
                self._end_run(outcome, nested=nested)

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        self.tables(plan.tables)
        _print(self._out, (f"Plan of {plan.task}", "bold"), (f" {plan.digest[:12]}", "dim"))
        for number, step in enumerate(plan.steps, 1):
            _print(self._out, f"{number:>4}. {step.title}", ("  remote" if step.remote else "", "yellow"))
        for step in plan.steps:
            for edit in step.previewed_edits:
                for line in text.diff_lines(edit):
                    _print(self._out, (line, _DIFF_STYLES.get(line[:1], "")))
        for note in plan.notes:
            _print_labeled(self._out, "", "note:", "dim", self._convert(note))
        if plan.consent:
            _print(self._out, ("would ask:", "yellow"), f" {plan.consent}")
        for problem in plan.problems:
            message = text.with_code(problem.message, problem.code)
            _print_labeled(self._out, "", "blocked:", "bold red", self._convert(message))
            _print_labeled(self._out, "  ", "fix:", "dim", self._convert(problem.fix))

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        for table in tables:
            rich_table = RichTable(
                title=_text(table.title) if table.title else None,
                title_justify="left",
                box=box.SIMPLE_HEAD,
                pad_edge=False,
            )
            for column in table.columns:
                rich_table.add_column(_text(column), overflow="fold")
            for row in table.rows:
                rich_table.add_row(*(_text(cell) for cell in row))
            self._out.print(rich_table)

    def error(self, error: RelnoxError) -> None:
        """Show the error that ends the run."""
        self._stop()
        message = text.with_code(error.message, error.code)
        _print_labeled(self._log, "", "error:", "bold red", self._convert(message))
        if error.fix:
            _print_labeled(self._log, "", "fix:", "bold", self._convert(error.fix))

    def _end_run(self, outcome: Outcome, *, nested: bool) -> None:
        """Show aborted steps and how the run ended."""
        indent = "  " if nested else ""
        self._show_aborted(indent)
        for line in text.published(outcome):
            _print(self._log, indent, self._convert(line))
        if not nested:
            style = "bold green" if outcome.exit_code is ExitCode.DONE else "bold red"
            _print(self._log, (text.ending(outcome), style))

    def _end(self, event: StepFinished, indent: str) -> None:
        self._running.pop(event.step.key, None)
        if event.status is Status.ABORTED:
            self._aborted.append(event)
        else:
            self._print_finished(event, indent)
        self._spin()

    def _show_aborted(self, indent: str) -> None:
        """Show aborted steps; many of them as one line."""
        if len(self._aborted) <= text.MAX_ABORTED:
            for event in self._aborted:
                self._print_finished(event, indent)
        else:
            for line in text.aborted(self._aborted):
                _print(self._log, indent, (self._convert(line), "yellow"))
        self._aborted.clear()

    def _print_finished(self, event: StepFinished, indent: str) -> None:
        seconds = f" {event.seconds:.1f} s" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - one digit
        sign = (self._signs[event.status], _STYLES[event.status])
        _print(self._log, indent, sign, f" {event.step.title}", (seconds, "dim"))
        if event.detail and (event.status is not Status.SUCCESS or self.verbose):
            label = "" if event.status is Status.SUCCESS else f"{text.MARKS[event.status]}: "
            for line in text.further_lines(f"{label}{text.detail(event)}", f"{indent}    "):
                _print(self._log, (self._convert(line), "dim"))
        if event.error is not None and event.error.fix:
            _print_labeled(self._log, f"{indent}    ", "fix:", "bold", self._convert(event.error.fix))
        for line in text.warning_lines(event):
            _print(self._log, (self._convert(f"{indent}    {line}"), "yellow"))

    def _spin(self) -> None:
        """Show the running steps."""
        if not self._running:
            self._stop()
            return
        status = _text(" · ".join(self._running.values()))
        if self._spinner is None:
            self._spinner = self._log.status(status, spinner="dots" if STDERR.is_unicode else "line")
            self._spinner.start()
        else:
            self._spinner.update(status)

    def _stop(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None


def _console(stream: Stream) -> Console:
    return Console(
        file=cast("IO[str]", stream), highlight=False, emoji=False, width=None if stream.isatty() else _UNLIMITED
    )


def _text(line: str, style: str = "") -> Text:
    """Return an escaped line that rich prints without interpreting markup."""
    return Text(escape_line(masked(line)), style)


def _print(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print a line of parts, some with a style; the terminal wraps it."""
    texts = (_text(part) if isinstance(part, str) else _text(*part) for part in parts)
    console.print(Text.assemble(*texts), soft_wrap=True)


def _print_labeled(console: Console, indent: str, label: str, style: str, message: str) -> None:
    """Print a label with a style, followed by a text of several lines."""
    first, *rest = text.further_lines(message, indent)
    _print(console, indent, (label, style), f" {first.removeprefix(indent)}")
    for line in rest:
        _print(console, line)
