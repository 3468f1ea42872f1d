"""Commands in hints: written in one form everywhere, and shown as whoever reads them has to type them.

A plan is the same whichever front end made it, and so are its hints: they name `relnox TASK` and `pip install`.
What a reporter shows is `nox -s TASK -- …` or `invoke TASK …` where a run was started that way, and the command by
which the project installs things. Reports for programs keep the form of the plan.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FrontEnd", "Start", "command", "command_line", "install", "quoted", "show"]

_COMMAND = re.compile(r"(?<![\w./-])relnox (?P<task>[a-z]+(?:-[a-z]+)*)(?![\w-])(?P<more>(?= -))?")
_INSTALL = re.compile(
    r"(?<![\w./-])(?<!uv )(?<!-m )pip install (?P<upgrade>--upgrade )?"
    r'(?:"(?P<quoted>[^"]+)"|(?P<bare>[A-Za-z0-9](?:[\w.-]*\w)?))'
)


class Start(NamedTuple):
    """How a task is started.

    Attributes:
        words: What is typed for it: `nox -s build-all`.
        separator: What has to stand before its options, as nox's `--` does.
    """

    words: str
    separator: str = ""


class FrontEnd(NamedTuple):
    """How a user starts tasks.

    Attributes:
        tasks: By task, for those that can be started this way; the others are commands of relnox.
        options: What every command repeats, because this one was given it: `--project DIR`.
    """

    tasks: Mapping[str, Start] = {}
    options: Sequence[str] = ()


def command(task: str, *words: str) -> str:
    """The command that runs a task, for a hint.

    Args:
        task: Its name.
        *words: Its options, each flag and each value a word of its own.
    """
    return shlex.join(["relnox", task, *words])


def install(requirement: str, *, upgrade: bool = False) -> str:
    """The command that installs something, for a hint.

    Args:
        requirement: What is needed, such as `relnox[wheels]`.
        upgrade: Whether it is there already, and too old or broken.
    """
    return f"pip install {'--upgrade ' if upgrade else ''}{quoted(requirement)}"


def quoted(requirement: str) -> str:
    """A requirement as a word of a command, in quotation marks that every shell knows."""
    return requirement if re.fullmatch(r"[\w.-]+", requirement) else f'"{requirement}"'


def show(text: str, front_end: FrontEnd, installing: Callable[[str, bool], str] | None = None) -> str:
    """A text in which commands are as they have to be typed.

    Args:
        text: A message, a hint or a note.
        front_end: How tasks are started.
        installing: The command for a requirement, and for its upgrade; none for `pip install`.
    """

    def shown(line: str) -> str:
        if line.lstrip().startswith("| "):  # what another program printed is quoted as it is
            return line
        line = _COMMAND.sub(lambda found: _started(found, front_end), line)
        if installing is None:
            return line
        return _INSTALL.sub(
            lambda found: installing(found["quoted"] or found["bare"], found["upgrade"] is not None), line
        )

    return "\n".join(map(shown, text.split("\n")))


def command_line(start: Start, words: Sequence[str]) -> str:
    """A whole command, ready to paste."""
    between = [start.separator] if start.separator and words else []
    return " ".join([start.words, *between, *map(shlex.quote, words)])


def _started(found: re.Match[str], front_end: FrontEnd) -> str:
    start = front_end.tasks.get(found["task"])
    if start is None:
        return found[0]
    typed = command_line(start, front_end.options)
    needs_separator = start.separator and not front_end.options and found["more"] is not None
    return f"{typed} {start.separator}" if needs_separator else typed
