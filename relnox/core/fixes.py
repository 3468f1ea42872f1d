"""Commands in fixes, stored in a common form and shown in the form that the user has to type.

Plans and JSON reports are the same for every front end: their fixes contain commands such as `relnox TASK`. If a
run was started with nox or invoke, reporters show `nox -s TASK -- …` or `invoke TASK …` instead.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from relnox.core.records import Record

if TYPE_CHECKING:
    from relnox.core.settings.config import Config

CREATE_REPOSITORY = 'git init && git add -A && git commit -m "Initial commit"'
"""The command that creates a git repository with a commit, for a fix."""
GIT_FAILED = "fix what git reports, then rerun the command"
"""The fix if a git command fails that changes a repository: running it by hand would change it, too."""
_TASK_COMMAND = re.compile(r"(?<![\w./-])relnox (?P<task>[a-z]+(?:-[a-z]+)*)(?![\w-])(?P<more>(?= -))?")


class TaskCommand(Record):
    """The command that starts a task.

    Attributes:
        words: The command as one text, such as `nox -s build-all`.
        option_separator: The word between the command and its options, such as `--` for nox, or "" for none.
    """

    words: str
    option_separator: str = ""


class FrontEnd(Record):
    """The commands that start tasks with the front end in use.

    Attributes:
        tasks: Maps tasks to their commands; other tasks are started with `relnox TASK`.
        options: Options of the running command that other commands must have as well, such as `--project DIR`.
    """

    tasks: Mapping[str, TaskCommand] = {}
    options: Sequence[str] = ()


def task_command(task: str, *words: str) -> str:
    """Return the command `relnox TASK WORDS`, quoted for a POSIX shell; `words` are its flags and values."""
    return shlex.join(["relnox", task, *words])


def option_words(name: str, value: str | bool | int | tuple[str, ...] | None) -> list[str]:  # noqa: FBT001 - a value
    """Return the words that pass a value to an option: `--tag` or `--no-tag` for a bool, none for None.

    `name` is the field name of the option, such as `expect_plan`. A tuple repeats the option for each item.
    """
    flag = name.rstrip("_").replace("_", "-")
    match value:
        case None:
            return []
        case bool():
            return [f"--{flag}" if value else f"--no-{flag}"]
        case tuple():
            return [word for item in value for word in (f"--{flag}", item)]
        case _:
            return [f"--{flag}", str(value)]


def install_command(requirement: str, *, upgrade: bool = False) -> str:
    """Return the `pip install` command, quoted for any shell, for a requirement such as `relnox[check]`."""
    quoted = requirement if re.fullmatch(r"[\w.-]+", requirement) else f'"{requirement}"'  # for any shell
    return f"pip install {'--upgrade ' if upgrade else ''}{quoted}"


def settings_to_toml(settings: Mapping[str, Any], config: Config | None = None) -> str:
    """Return settings to add to `[tool.relnox]`, as text for a fix.

    The text is TOML to paste, except for keys of tables that pyproject.toml has already, since a table cannot be
    pasted twice: each of them is a line `[tool.relnox.TABLE] key = value`. `config` has the present settings; None
    if there are none.
    """
    import tomlkit  # slow to import, and few commands propose settings

    if config is None or not config.is_written:
        return tomlkit.dumps({"tool": {"relnox": settings}}).rstrip()
    lines: list[str] = []
    added: dict[str, Any] = {}
    for key, value in settings.items():
        if not isinstance(value, Mapping):
            lines.append(f"[tool.relnox] {tomlkit.dumps({key: value}).rstrip()}")
        elif config.is_set(key.replace("-", "_")):
            lines += (f"[tool.relnox.{key}] {tomlkit.dumps({name: value[name]}).rstrip()}" for name in value)
        else:
            added[key] = value
    return "\n".join([*lines, *([tomlkit.dumps({"tool": {"relnox": added}}).rstrip()] if added else [])])


def adapt_commands(text: str, front_end: FrontEnd) -> str:
    """Return a message with each `relnox TASK` in it replaced with the command to type, such as `nox -s TASK`.

    Lines that begin with `|`, the output of other programs, stay.
    """

    def convert(line: str) -> str:
        if line.lstrip().startswith("| "):  # output of another program
            return line
        return _TASK_COMMAND.sub(lambda match: _shown_task_command(match, front_end), line)

    return "\n".join(map(convert, text.split("\n")))


def _shown_task_command(match: re.Match[str], front_end: FrontEnd) -> str:
    """Return the command to show for a match of `relnox TASK`, with the options of the front end.

    Return the matched text if the front end has no command for the task.
    """
    start = front_end.tasks.get(match["task"])
    if start is None:
        return match[0]
    has_options = bool(front_end.options) or match["more"] is not None
    separator = [start.option_separator] if start.option_separator and has_options else []
    return " ".join([start.words, *separator, *map(shlex.quote, front_end.options)])
