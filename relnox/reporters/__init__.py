"""Reporters: output for terminals, logs, GitHub Actions and programs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from relnox.core.planning.events import Event
from relnox.core.planning.plan import Plan, Table
from relnox.errors import Problem
from relnox.reporters.plain import Plain
from relnox.reporters.streams import STDERR
from relnox.reporters.text import error_lines
from relnox.system import secrets


class Reporter(Protocol):
    """Shows the progress of a run on standard error, and its results on standard output.

    Attributes:
        verbose: Whether to show the output of programs.
    """

    verbose: bool

    def event(self, event: Event, *, nested: bool) -> None:
        """Handle an event; `nested` is true if it comes from a stage of another task."""

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""

    def tables(self, tables: Sequence[Table]) -> None:
        """Show tables with the results of a run."""

    def error(self, error: Problem) -> None:
        """Show the error that ends the run."""


class BestEffortReporter:
    """Passes everything to another reporter and ignores output errors; see `Reporter` for its methods.

    A closed pipe (`relnox bump 2>&1 | head -1`) or a full disk does not end a run: it continues without output,
    and the exit code says how it ended.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.verbose = reporter.verbose
        self._reporter = reporter

    def event(self, event: Event, *, nested: bool) -> None:
        """Handle an event."""
        with contextlib.suppress(OSError):
            self._reporter.event(event, nested=nested)

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        with contextlib.suppress(OSError):
            self._reporter.plan(plan)

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        with contextlib.suppress(OSError):
            self._reporter.tables(tables)

    def error(self, error: Problem) -> None:
        """Show the error that ends the run."""
        with contextlib.suppress(OSError):
            self._reporter.error(error)


def choose(
    name: Any,
    environment: Mapping[str, str],
    convert: Callable[[str], str] = str,
    *,
    quiet: bool = False,
) -> Reporter:
    """Return the reporter with the given name; if it is empty or `auto`, the one that suits the output.

    On GitHub Actions, also tell the runner to mask each secret when it is first used. GitLab masks only variables
    that are declared as masked in its settings.

    Args:
        name: The name of the reporter.
        environment: All environment variables.
        convert: Converts commands in messages, fixes and notes to the form that the user has to type.
        quiet: Whether to show only results, warnings and errors.
    """
    kind = str(name or environment.get("RELNOX_REPORTER") or "auto")
    masks = environment.get("GITHUB_ACTIONS") == "true"  # elsewhere, the command to mask a secret would print it
    if kind == "auto":
        if masks:
            kind = "github"
        elif STDERR.isatty() and environment.get("TERM") != "dumb" and not environment.get("CI"):
            kind = "terminal"
    if kind == "github":
        from relnox.reporters.github import GitHub

        github = GitHub(environment, convert, quiet=quiet)
        secrets.on_secret(github.mask if masks else None)
        return github
    secrets.on_secret(_add_mask if masks else None)
    if kind == "terminal" and not quiet:
        from relnox.reporters.terminal import Terminal  # with rich, which is slow to import

        return Terminal(convert)
    return Plain(convert, quiet=quiet)


def usage_error(error: Problem) -> None:
    """Print an error in the command line on standard error, for which there is no reporter yet."""
    for line in error_lines(error):
        STDERR.write_line(line)


def _add_mask(line: str) -> None:
    from relnox.reporters.github import add_mask

    add_mask(line)
