"""The reporter for GitHub Actions: a folded group for each step, annotations for errors, and a summary of the run.

The runner reads commands from any line of both streams. All text is escaped before it is printed (see
`core.text`), and the output of programs is enclosed in `::stop-commands::` with a random token.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from relnox.core.planning.events import Event, Outcome, OutputLine, StepFinished, StepStarted
from relnox.core.planning.plan import Table
from relnox.core.text import escape_line, split_lines
from relnox.errors import Problem
from relnox.reporters import markdown, text
from relnox.reporters.streams import STDERR
from relnox.system.secrets import mask_secrets

_LOCATION = re.compile(r"(?!\.\./)(?P<file>[^:,]+\.(?:cfg|lock|md|py|rst|toml|txt|ya?ml))(?::(?P<line>[0-9]+))?")
"""A file of the repository, and not an archive, in a problem; it may have a line."""


class GitHubReporter(text.PlainReporter):
    """A reporter that writes plain lines, workflow commands and, if GITHUB_STEP_SUMMARY is set, a summary."""

    def __init__(
        self, environment: Mapping[str, str], convert: text.CommandConverter = str, *, quiet: bool = False
    ) -> None:
        super().__init__(convert, quiet=quiet)
        self._lock = threading.RLock()
        self._summary = environment.get("GITHUB_STEP_SUMMARY")
        self._stop_token: str | None = None
        self._output: dict[str, list[str]] = {}

    def _write_event(self, event: Event, *, nested: bool) -> None:
        with self._lock:
            self._write_commands(event, nested=nested)

    def mask(self, line: str) -> None:
        """Tell the runner to mask one line of a secret in its log; safe to call from any thread."""
        with self._lock:
            self._resume_workflow_commands()
            STDERR.write_unescaped_line(f"::add-mask::{_escape(line)}")

    def _write_commands(self, event: Event, *, nested: bool) -> None:
        """Write the lines and workflow commands for an event; the caller holds the lock."""
        match event:
            case Problem():
                self._resume_workflow_commands()
                super()._write_event(event, nested=nested)
                if event.level != "note":
                    self._annotate(event.level, event)
            case StepStarted(step) if step.concurrent:
                self._output[step.key] = []  # groups cannot be interleaved
            case StepStarted(step):
                self._resume_workflow_commands()  # a program may have run while the task was planned
                _write_workflow_command("group", step.title)
            case OutputLine(step, line) if step.key in self._output:
                self._output[step.key].append(line)
            case OutputLine(_, line):
                self._print_output([line])
            case StepFinished():
                self._write_end_of_step(event, nested=nested)
            case _:
                super()._write_event(event, nested=nested)

    def _write_end_of_run(self, outcome: Outcome, *, nested: bool) -> None:
        super()._write_end_of_run(outcome, nested=nested)
        if outcome.plan.skipped is not None:
            _write_workflow_command("warning", self._convert(outcome.plan.skipped), title="relnox")
        if not nested:
            self._add_to_summary(markdown.summary(outcome, self._convert))

    def _write_end_of_step(self, event: StepFinished, *, nested: bool) -> None:
        """Close the group of a step, and write its result, its error and its warnings."""
        if (lines := self._output.pop(event.step.key, None)) is not None:
            _write_workflow_command("group", event.step.title)
            self._print_output(lines)
        self._resume_workflow_commands()
        _write_workflow_command("endgroup", "")
        super()._write_event(event, nested=nested)
        if event.error is not None:
            self._annotate("error", event.error, event.step.title)
        for warning in event.warnings:
            self._annotate("warning", warning, event.step.title)

    def show_error(self, error: Problem) -> None:
        """Show the error that ends the run, also as an annotation."""
        self._resume_workflow_commands()
        super().show_error(error)
        self._annotate("error", error)

    def annotate_problems(self, problems: Iterable[Problem]) -> None:
        """Write an annotation for each problem of a plan that names a file; `show_error` shows all problems.

        It is on the line of the file, if the problem names one. Archives and files outside of the project have
        none.
        """
        for problem in problems:
            if _LOCATION.fullmatch(problem.file):
                self._annotate("error", problem)

    def _annotate(self, kind: str, problem: Problem, place: str = "relnox") -> None:
        """Write an annotation, an `error` or a `warning`, titled `place`, on the problem's file if it has one."""
        file = f"{problem.file}: " if problem.file else ""
        lines = filter(None, (f"{file}{problem.message}", problem.fix))
        match = _LOCATION.fullmatch(problem.file)
        line = {name: value for name, value in match.groupdict().items() if value} if match else {}
        _write_workflow_command(kind, self._convert("\n".join(lines)), **line, title=f"{place}: {problem.code}")

    def show_tables(self, tables: Sequence[Table]) -> None:
        """Show tables with the results of a run, also in the summary of the job."""
        super().show_tables(tables)
        self._add_to_summary("\n".join(line for table in tables for line in markdown.table_lines(table)))

    def _print_output(self, lines: Iterable[str]) -> None:
        """Print untrusted lines, after telling the runner to stop interpreting workflow commands."""
        for line in lines:
            if self._stop_token is None:
                self._stop_token = secrets.token_hex(16)
                _write_workflow_command("stop-commands", self._stop_token)
            STDERR.write_line(line.expandtabs())

    def _resume_workflow_commands(self) -> None:
        if self._stop_token is not None:
            _write_workflow_command(self._stop_token, "")
            self._stop_token = None

    def _add_to_summary(self, content: str) -> None:
        """Append Markdown to the summary, if the run has one; after an error, print a note and stop appending."""
        if self._summary and content:
            try:
                with Path(self._summary).open("a", encoding="utf-8", errors="backslashreplace") as out:
                    out.write(content + "\n\n")
            except OSError as error:
                STDERR.write_line(f"note: the summary cannot be written to {self._summary} ({error.strerror})")
                self._summary = None


def _escape(message: str) -> str:
    """Return a message with line breaks and `%` escaped, as the runner reads them in workflow commands."""
    return message.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _write_workflow_command(name: str, message: str, **properties: str) -> None:
    """Write a workflow command such as `::error file=setup.cfg::MESSAGE`, with the properties `file=…`.

    The message and the values of the properties may be untrusted: they are masked and escaped.
    """
    values = (
        f"{key}={_escape(escape_line(mask_secrets(value))).replace(':', '%3A').replace(',', '%2C')}"
        for key, value in properties.items()
    )
    lines = (escape_line(line) for line in split_lines(mask_secrets(message)))
    command = " ".join((name, ",".join(values))).strip()
    STDERR.write_unescaped_line(f"::{command}::{_escape(chr(10).join(lines))}")
