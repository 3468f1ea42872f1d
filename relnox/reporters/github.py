"""GitHub Actions: each step a folded group, failures as annotations, a summary of the run.

The runner reads commands from both streams, in any line. Each line of text is escaped before it is printed (see
`core.escaping`); what programs print stands between `::stop-commands::` with a random word as well.
"""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.escaping import escape_line, split_lines
from relnox.core.events import Notice, OutputLine, RunFinished, StepFinished, StepStarted
from relnox.reporters import as_written, text
from relnox.reporters.plain import Plain
from relnox.reporters.streams import STDERR
from relnox.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from relnox.core.events import Event, Outcome
    from relnox.core.plan import Table
    from relnox.core.steps import Step
    from relnox.errors import RelnoxError

__all__ = ["GitHub", "markdown"]


class GitHub(Plain):
    """Writes workflow commands among plain lines.

    Args:
        environment: Where `GITHUB_STEP_SUMMARY` names the file of the summary.
        shown: As for `Plain`.
    """

    def __init__(self, environment: Mapping[str, str], shown: Callable[[str], str] = as_written) -> None:
        super().__init__(shown)
        self._telling = threading.RLock()
        self._summary = environment.get("GITHUB_STEP_SUMMARY")
        self._foreign: str | None = None
        self._held: dict[str, list[str]] = {}

    def event(self, event: Event, *, nested: bool) -> None:
        """Tell what happened."""
        with self._telling:
            if isinstance(event, Notice):
                self._note(event, nested=nested)
            else:
                self._tell(event, nested=nested)

    def mask(self, line: str) -> None:
        """Have the runner mask a line of a secret from now on; called from any thread."""
        with self._telling:
            self._keep_foreign_text_out()
            add_mask(line)

    def _note(self, event: Notice, *, nested: bool) -> None:
        self._keep_foreign_text_out()
        super().event(event, nested=nested)
        if event.fix:
            _command("warning", self._shown(f"{event.message}\n{event.fix}"), title="relnox")

    def _tell(self, event: Event, *, nested: bool) -> None:
        match event:
            case StepStarted(step) if step.concurrent:
                self._held[step.key] = []  # groups cannot be side by side
            case StepStarted(step):
                _command("group", step.title)
            case OutputLine(step, line) if step.key in self._held:
                self._held[step.key].append(line)
            case OutputLine(_, line):
                self._let_foreign_text_in()
                STDERR.line(line.expandtabs())
            case StepFinished():
                self._end(event, nested=nested)
            case RunFinished(outcome):
                super().event(event, nested=nested)
                if outcome.plan.skipped is not None:
                    _command("warning", self._shown(outcome.plan.skipped), title="relnox")
                if not nested:
                    self._summarise(markdown(outcome, self._shown))
            case _:
                super().event(event, nested=nested)

    def _end(self, event: StepFinished, *, nested: bool) -> None:
        self._let_held_out(event.step)
        self._keep_foreign_text_out()
        _command("endgroup", "")
        super().event(event, nested=nested)
        if event.error is not None:
            _command("error", self._shown(event.detail), title=f"{event.step.title}: {event.error.code}")
        for warning in event.warnings:
            _command(
                "warning",
                self._shown(f"{warning.file}: {warning.message}\n{warning.fix}"),
                title=f"{event.step.title}: {warning.code}",
            )

    def error(self, error: RelnoxError) -> None:
        """Show what stops the run, as an annotation too."""
        super().error(error)
        message = f"{error.message}\n{error.fix}" if error.fix else error.message
        _command("error", self._shown(message), title=f"relnox: {error.code}")

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results, in the summary as well."""
        super().tables(tables)
        self._summarise("\n".join(line for table in tables for line in _table(table)))

    def _let_held_out(self, step: Step) -> None:
        """The group of a step that ran beside others."""
        if (lines := self._held.pop(step.key, None)) is not None:
            _command("group", step.title)
            for line in lines:
                self._let_foreign_text_in()
                STDERR.line(line.expandtabs())

    def _let_foreign_text_in(self) -> None:
        if self._foreign is None:
            self._foreign = secrets.token_hex(16)
            _command("stop-commands", self._foreign)

    def _keep_foreign_text_out(self) -> None:
        if self._foreign is not None:
            _command(self._foreign, "")
            self._foreign = None

    def _summarise(self, told: str) -> None:
        if self._summary and told:
            try:
                with Path(self._summary).open("a", encoding="utf-8", errors="backslashreplace") as out:
                    out.write(told + "\n\n")
            except OSError as error:
                STDERR.line(f"note: the summary cannot be written to {self._summary} ({error.strerror})")
                self._summary = None


def add_mask(line: str) -> None:
    """Have the runner mask a line of a secret from now on."""
    STDERR.command(f"::add-mask::{escape(line)}")


def markdown(outcome: Outcome, shown: Callable[[str], str] = as_written) -> str:
    """A run as a Markdown table."""
    lines = [f"### {_inert(text.ending(outcome))}", "", "| step | status | |", "| --- | --- | --- |"]
    for result in outcome.results:
        cells = (result.step.title, text.MARKS[result.status], " ".join(shown(result.detail).split()))
        lines.append(_row(cells))
    if told := list(text.published(outcome)):
        lines += ["", *(f"- {_inert(shown(line))}" for line in told)]
    return "\n".join(lines)


def escape(told: str, *, value: bool = False) -> str:
    """Text for a workflow command; `value` for one of its properties."""
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")] + ([(":", "%3A"), (",", "%2C")] if value else [])
    for character, written in pairs:
        told = told.replace(character, written)
    return told


def _command(name: str, told: str, *, title: str = "") -> None:
    """Write a workflow command with text that may be foreign."""
    properties = f" title={escape(escape_line(masked(title)), value=True)}" if title else ""
    lines = (escape_line(line) for line in split_lines(masked(told)))
    STDERR.command(f"::{name}{properties}::{escape(chr(10).join(lines))}")


def _table(table: Table) -> Iterable[str]:
    if table.title:
        yield f"#### {_inert(table.title)}"
    yield _row(table.columns)
    yield _row(["---"] * len(table.columns))
    yield from (_row(row) for row in table.rows)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_inert(cell) for cell in cells) + " |"


_MARKUP = {ord(mark): f"&#{ord(mark)};" for mark in "\\`*_{}[]<>()#!|~&$\"'"} | {ord("@"): "&#64;&#8203;"}
"""What means something in Markdown and HTML, as references; a space without width keeps an @ from mentioning."""


def _inert(cell: str) -> str:
    """Text that Markdown shows as it is: no HTML, no link, no mention, no further column."""
    return escape_line(masked(cell)).translate(_MARKUP)
