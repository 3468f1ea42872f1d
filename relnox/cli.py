"""The command line: `relnox TASK [options]`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relnox import arguments
from relnox.commands import COMMANDS, SYNONYMS, find_command, suggest_task
from relnox.errors import Blocked, problem_of
from relnox.reporters.streams import STDOUT
from relnox.reporters.text import Plain

if TYPE_CHECKING:
    from collections.abc import Sequence


_SUGGESTIONS = {
    "upload": "relnox publish",
    "release": "relnox bump --commit --tag --push, then relnox build-all, then relnox publish",
    "version": "relnox status shows versions, relnox bump sets them, relnox --version shows relnox's own",
    "test": "relnox build-all --test",
}
"""Maps words that are no tasks to a fix: the commands that do what the word suggests."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the task that the arguments name (by default `sys.argv[1:]`), and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        if "_ARGCOMPLETE" in os.environ:
            from relnox import completion

            return completion.complete()
        return _run(words)
    except Exception as error:
        if (problem := problem_of(error)) is None:
            raise
        Plain().error(problem)
        return problem.exit_code


def _run(words: Sequence[str]) -> int:
    """Run the task or show the help that the arguments ask for, and return the exit code."""
    match words:
        case [] | ["-h" | "--help", *_] | ["help"]:
            STDOUT.write(f"{_usage()}\n")
            STDOUT.flush()
            return 0
        case ["-V" | "--version", *_]:
            from importlib.metadata import version

            STDOUT.write_line(f"relnox {version('relnox')}")
            return 0
        case ["help", task, *_]:
            return _run([task, "--help"])
        case ["completion", *rest]:
            from relnox import completion

            STDOUT.write(completion.shell_script(rest))
            STDOUT.flush()
            return 0
        case [word, *rest]:
            from relnox.runner import run_task

            name = _find_task(word)
            return run_task(name, arguments.parse(name, rest, f"relnox {name}")).exit_code
        case _:
            raise AssertionError(words)


def _find_task(word: str) -> str:
    """Return the name of the task for the first word of the command line."""
    task = find_command(SYNONYMS.get(word, word))
    if task is not None:
        return task.name
    if word.startswith("-"):
        raise Blocked(
            "task-unknown",
            f"the task is missing (the command line begins with {word})",
            fix="write the task first: relnox TASK [options]; relnox --help lists the tasks",
        )
    raise Blocked("task-unknown", f"unknown task {word}", fix=_SUGGESTIONS.get(word) or suggest_task(word))


def _open_streams() -> None:
    """Replace closed standard streams (`relnox status 2>&-`) with os.devnull."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


def _usage() -> str:
    return "\n".join(
        [
            "usage: relnox TASK [options]",
            "",
            "Release Python packages: planned, resumable, verified.",
            "",
            "tasks:",
            *arguments.task_lines(COMMANDS),
            "",
            "relnox completion bash, zsh or fish prints the code for shell completion.",
            "relnox TASK --help shows the options of a task; nox -s TASK and invoke TASK run the same tasks.",
        ]
    )
