"""The terminal reporter: styled lines, and a spinner with the running steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, cast

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from relnox.core.planning.events import Event, Status, StepFinished, StepStarted
from relnox.core.planning.plan import Table
from relnox.core.text import escape_line
from relnox.errors import Problem
from relnox.reporters import text
from relnox.reporters.streams import STDERR, STDOUT, Stream
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    from rich.status import Status as Spinner

_UNLIMITED = 1_000_000
"""The width of outputs that are not terminals: without wrapping, untrusted text never begins a line."""


class TerminalReporter(text.PlainReporter):
    """A reporter that writes styled lines with rich, which honors NO_COLOR and FORCE_COLOR."""

    def __init__(self, convert: text.CommandConverter = str) -> None:
        super().__init__(convert)
        self._consoles = {STDOUT: _create_console(STDOUT), STDERR: _create_console(STDERR)}
        self._spinner: Spinner | None = None
        self._running: dict[str, str] = {}

    def _write_event(self, event: Event, *, nested: bool) -> None:
        match event:
            case StepStarted(step) if not step.runs_task:
                self._running[step.key] = step.title
                self._show_spinner()
            case StepFinished(step):
                self._running.pop(step.key, None)
                super()._write_event(event, nested=nested)
                self._show_spinner()
            case _:
                super()._write_event(event, nested=nested)

    def show_tables(self, tables: Sequence[Table]) -> None:
        """Show tables with the results of a run."""
        for table in tables:
            title = _text(table.title) if table.title else None
            rich_table = RichTable(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
            for column in table.columns:
                rich_table.add_column(_text(column), overflow="fold")
            for row in table.rows:
                rich_table.add_row(*map(_text, row))
            self._consoles[STDOUT].print(rich_table)

    def show_error(self, error: Problem) -> None:
        """Show the error that ends the run."""
        self._stop_spinner()
        super().show_error(error)

    def _result_lines(self, event: StepFinished) -> Iterable[text.Line]:
        return text.result_lines(event, detailed=self.verbose or event.status is not Status.SUCCESS)

    def _print(self, stream: Stream, line: text.Line) -> None:
        parts = (_text(part) if isinstance(part, str) else _text(*part) for part in line)
        self._consoles[stream].print(Text.assemble(*parts), soft_wrap=True)

    def _show_spinner(self) -> None:
        """Show the running steps next to a spinner, or stop the spinner if no step is running."""
        if not self._running:
            self._stop_spinner()
            return
        status = _text(" · ".join(self._running.values()))
        if self._spinner is None:
            self._spinner = self._consoles[STDERR].status(status, spinner="line")  # in ASCII
            self._spinner.start()
        else:
            self._spinner.update(status)

    def _stop_spinner(self) -> None:
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None


def _create_console(stream: Stream) -> Console:
    """Return a console of rich that writes to a stream, without wrapping lines if that is no terminal."""
    width = None if stream.isatty() else _UNLIMITED
    return Console(file=cast("IO[str]", stream), highlight=False, emoji=False, width=width)


def _text(line: str, style: str = "") -> Text:
    """Return a line as text for rich in one of its styles: secrets are masked, control characters escaped.

    Markup in the line is not interpreted.
    """
    return Text(escape_line(mask_secrets(line)), style)
