"""How a run is told: to a person at a terminal, to a log, to GitHub's log viewer, to a program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from relnox import secrets
from relnox.reporters.streams import STDERR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from relnox.core.events import Event
    from relnox.core.plan import Plan, Table
    from relnox.errors import RelnoxError

__all__ = ["Reporter", "as_written", "choose", "usage_error"]


def as_written(text: str) -> str:
    """A text with its commands as relnox itself takes them; see `core.fixes`."""
    return text


class Reporter(Protocol):
    """Tells people what happens. Results go to standard output, progress to standard error.

    Attributes:
        verbose: Whether what programs print is shown as it comes.
    """

    verbose: bool

    def event(self, event: Event, *, nested: bool) -> None:
        """Something happened; `nested` inside a stage of a chain."""

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""

    def error(self, error: RelnoxError) -> None:
        """Show what stops the run."""


def choose(name: Any, environment: Mapping[str, str], shown: Callable[[str], str] = as_written) -> Reporter:
    """The reporter of that name; `auto`, or nothing, looks where the output goes.

    Where the CI engine masks its log it learns of each secret before that is used. GitLab's masks what is declared
    as masked in its settings, and cannot be told more.

    Args:
        name: The reporter's name.
        environment: All environment variables.
        shown: Gives commands in messages, hints and notes the form in which they have to be typed.
    """
    kind = str(name or environment.get("RELNOX_REPORTER") or "auto")
    if kind == "auto":
        if environment.get("GITHUB_ACTIONS") == "true":
            kind = "github"
        elif STDERR.isatty() and environment.get("TERM") != "dumb" and not environment.get("CI"):
            kind = "terminal"
    # Elsewhere than on the runner to have a secret masked would be to tell it.
    masks = environment.get("GITHUB_ACTIONS") == "true"
    if kind == "github":
        from relnox.reporters.github import GitHub

        github = GitHub(environment, shown)
        secrets.announce(github.mask if masks else None)
        return github
    secrets.announce(_add_mask if masks else None)
    if kind == "terminal":
        from relnox.reporters.terminal import Terminal

        return Terminal(shown)
    from relnox.reporters.plain import Plain

    return Plain(shown)


def usage_error(error: RelnoxError) -> None:
    """Show an error of a command line that chooses no reporter yet."""
    from relnox.reporters.text import error_lines

    for line in error_lines(error):
        STDERR.line(line)


def _add_mask(line: str) -> None:
    from relnox.reporters.github import add_mask

    add_mask(line)
