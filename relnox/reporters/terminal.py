"""The terminal reporter: a line for each step, with a spinner while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, cast

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from relnox.core.escaping import escape_line
from relnox.core.planning.events import Event, Status, StepFinished, StepStarted
from relnox.core.planning.plan import Plan, Table
from relnox.errors import Problem
from relnox.reporters import text
from relnox.reporters.plain import Plain
from relnox.reporters.streams import STDERR, STDOUT, Stream
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    from rich.status import Status as Spinner

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
"""The width of outputs that are not terminals: without wrapping, untrusted text never begins a line."""


class Terminal(Plain):
    """A reporter that writes with rich, which honors NO_COLOR and FORCE_COLOR."""

    def __init__(self, convert: Callable[[str], str] = str) -> None:
        super().__init__(convert)
        self._create_console = _create_console(STDOUT)
        self._progress = _create_console(STDERR)
        self._signs = _SIGNS if STDERR.is_unicode else _ASCII_SIGNS
        self._spinner: Spinner | None = None
        self._running: dict[str, str] = {}

    def _handle(self, event: Event, *, nested: bool) -> None:
        match event:
            case StepStarted(step) if step.runs_task:
                _print(self._progress, (step.title, "bold"))
            case StepStarted(step):
                self._running[step.key] = step.title
                self._show_spinner()
            case StepFinished(step):
                self._running.pop(step.key, None)
                super()._handle(event, nested=nested)
                self._show_spinner()
            case _:
                super()._handle(event, nested=nested)

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        self.tables(plan.tables)
        _print(self._create_console, (f"Plan of {plan.task}", "bold"), (f" {plan.digest[:12]}", "dim"))
        for number, step in enumerate(plan.steps, 1):
            _print(
                self._create_console, f"{number:>4}. {step.title}", ("  remote" if step.remote else "", "yellow")
            )
        for step in plan.steps:
            for edit in step.previewed_edits:
                for line in text.diff_lines(edit):
                    _print(self._create_console, (line, _DIFF_STYLES.get(line[:1], "")))
        for note in plan.notes:
            _print_labeled(self._create_console, "", "note:", "dim", self._convert(note))
        if plan.consent:
            _print(self._create_console, ("would ask:", "yellow"), f" {plan.consent}")
        for problem in plan.problems:
            message = text.with_code(problem.message, problem.code)
            _print_labeled(self._create_console, "", "blocked:", "bold red", self._convert(message))
            _print_labeled(self._create_console, "  ", "fix:", "dim", self._convert(problem.fix))

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
            self._create_console.print(rich_table)

    def error(self, error: Problem) -> None:
        """Show the error that ends the run."""
        self._stop_spinner()
        self._show_labeled("error:", "bold red", text.with_code(error.message, error.code))
        if error.fix:
            self._show_labeled("fix:", "bold", error.fix)

    def _show_finished(self, event: StepFinished, indent: str) -> None:
        seconds = f" {event.seconds:.1f} s" if event.seconds >= 0.05 else ""  # noqa: PLR2004 - one digit
        sign = (self._signs[event.status], _STYLES[event.status])
        _print(self._progress, indent, sign, f" {event.step.title}", (seconds, "dim"))
        if event.detail and (event.status is not Status.SUCCESS or self.verbose):
            label = "" if event.status is Status.SUCCESS else f"{text.MARKS[event.status]}: "
            self._log(text.continuation_lines(f"{label}{text.detail_with_code(event)}", f"{indent}    "), "dim")
        if event.error is not None and event.error.fix:
            self._show_labeled("fix:", "bold", event.error.fix, f"{indent}    ")
        self._log(text.warning_lines(event), "yellow", f"{indent}    ")

    def _show_labeled(self, label: str, style: str, message: str, indent: str = "") -> None:
        _print_labeled(self._progress, indent, label, style, self._convert(message))

    def _line(self, line: str, style: str = "", indent: str = "") -> None:
        _print(self._progress, indent, (line, style))

    def _show_spinner(self) -> None:
        """Show the running steps next to a spinner, or stop the spinner if no step is running."""
        if not self._running:
            self._stop_spinner()
            return
        status = _text(" · ".join(self._running.values()))
        if self._spinner is None:
            self._spinner = self._progress.status(status, spinner="dots" if STDERR.is_unicode else "line")
            self._spinner.start()
        else:
            self._spinner.update(status)

    def _stop_spinner(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None


def _create_console(stream: Stream) -> Console:
    return Console(
        file=cast("IO[str]", stream), highlight=False, emoji=False, width=None if stream.isatty() else _UNLIMITED
    )


def _text(line: str, style: str = "") -> Text:
    """Return a line as styled text for rich: control characters are escaped, and markup is not interpreted."""
    return Text(escape_line(mask_secrets(line)), style)


def _print(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print a line made of parts, each a text or a pair of text and style; the terminal wraps the line."""
    texts = (_text(part) if isinstance(part, str) else _text(*part) for part in parts)
    console.print(Text.assemble(*texts), soft_wrap=True)


def _print_labeled(console: Console, indent: str, label: str, style: str, message: str) -> None:
    """Print a styled label, followed by a message of one or more lines."""
    first, *rest = text.continuation_lines(message, indent)
    _print(console, indent, (label, style), f" {first.removeprefix(indent)}")
    for line in rest:
        _print(console, line)
