"""GitHub Actions: each step a folded group, failures as annotations, a summary of the run.

What programs print is foreign text: inside a group it stands between `::stop-commands::` with a random word, so
that a line of it that looks like a workflow command stays a line.
"""

from __future__ import annotations

import secrets
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.events import OutputLine, RunFinished, StepFinished, StepStarted
from relnox.core.secrets import masked
from relnox.reporters import text
from relnox.reporters.plain import Plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relnox.core.events import Event, Outcome
    from relnox.core.plan import Table
    from relnox.core.steps import Step
    from relnox.errors import RelnoxError

__all__ = ["GitHub", "markdown"]


class GitHub(Plain):
    """Writes workflow commands among plain lines.

    Args:
        environment: Where `GITHUB_STEP_SUMMARY` names the file of the summary.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self._telling = threading.RLock()
        self._summary = environment.get("GITHUB_STEP_SUMMARY")
        self._foreign: str | None = None
        self._held: dict[str, list[str]] = {}

    def event(self, event: Event, *, nested: bool) -> None:
        """Tell what happened."""
        with self._telling:
            self._tell(event, nested=nested)

    def mask(self, line: str) -> None:
        """Have the runner mask a line of a secret from now on; called from any thread."""
        with self._telling:
            self._keep_foreign_text_out()
            add_mask(line)

    def _tell(self, event: Event, *, nested: bool) -> None:
        match event:
            case StepStarted(step) if step.concurrent:
                self._held[step.key] = []  # groups cannot be side by side
            case StepStarted(step):
                self._say(f"::group::{escape(step.title)}")
            case OutputLine(step, line) if step.key in self._held:
                self._held[step.key].append(line)
            case OutputLine(_, line):
                self._let_foreign_text_in()
                self._say(line)
            case StepFinished():
                self._let_held_out(event.step)
                self._keep_foreign_text_out()
                self._say("::endgroup::")
                super().event(event, nested=nested)
                if event.error is not None:
                    self._say(f"::error title={escape(event.step.title, value=True)}::{escape(event.detail)}")
            case RunFinished(outcome):
                super().event(event, nested=nested)
                if outcome.plan.skipped is not None:
                    self._say(f"::warning title=relnox::{escape(outcome.plan.skipped)}")
                if not nested:
                    self._summarise(markdown(outcome))
            case _:
                super().event(event, nested=nested)

    def error(self, error: RelnoxError) -> None:
        """Show what stops the run, as an annotation too."""
        super().error(error)
        told = f"{error.message}\n{error.hint}" if error.hint else error.message
        self._say(f"::error title=relnox::{escape(told)}")

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results, in the summary as well."""
        super().tables(tables)
        self._summarise("\n".join(line for table in tables for line in _table(table)))

    def _let_held_out(self, step: Step) -> None:
        """The group of a step that ran beside others."""
        if (lines := self._held.pop(step.key, None)) is not None:
            self._say(f"::group::{escape(step.title)}")
            for line in lines:
                self._let_foreign_text_in()
                self._say(line)

    def _let_foreign_text_in(self) -> None:
        if self._foreign is None:
            self._foreign = secrets.token_hex(16)
            self._say(f"::stop-commands::{self._foreign}")

    def _keep_foreign_text_out(self) -> None:
        if self._foreign is not None:
            self._say(f"::{self._foreign}::")
            self._foreign = None

    def _summarise(self, told: str) -> None:
        if self._summary and told:
            with Path(self._summary).open("a", encoding="utf-8") as out:
                out.write(masked(told) + "\n\n")

    def _say(self, line: str) -> None:
        print(masked(line), file=sys.stderr, flush=True)  # noqa: T201 - the runner reads it here


def add_mask(line: str) -> None:
    """Have the runner mask a line of a secret from now on."""
    print(f"::add-mask::{escape(line)}", file=sys.stderr, flush=True)  # noqa: T201 - the runner alone reads it


def markdown(outcome: Outcome) -> str:
    """A run as a Markdown table."""
    lines = [f"### {text.ending(outcome)}", "", "| step | status | |", "| --- | --- | --- |"]
    for result in outcome.results:
        cells = (result.step.title, text.MARKS[result.status], " ".join(result.detail.split()))
        lines.append(_row(cells))
    return "\n".join(lines)


def escape(told: str, *, value: bool = False) -> str:
    """Text for a workflow command; `value` for one of its properties."""
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")] + ([(":", "%3A"), (",", "%2C")] if value else [])
    for character, written in pairs:
        told = told.replace(character, written)
    return told


def _table(table: Table) -> Iterable[str]:
    if table.title:
        yield f"#### {table.title}"
    yield _row(table.columns)
    yield _row(["---"] * len(table.columns))
    yield from (_row(row) for row in table.rows)
    yield ""


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(_inert(cell) for cell in cells) + " |"


def _inert(cell: str) -> str:
    """Text that Markdown shows as it is: no HTML, no mention, no further column."""
    for character, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("@", "&#64;"), ("`", "\\`")):
        cell = cell.replace(character, written)
    return cell
