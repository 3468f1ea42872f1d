"""The door for a plain command line: `relnox TASK [options]`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relnox import arguments, reporters
from relnox.commands import TASKS
from relnox.core.schema import did_you_mean
from relnox.errors import ENVIRONMENT_ERRORS, Blocked, environment_error
from relnox.reporters.streams import STDOUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.errors import RelnoxError

__all__ = ["main"]

_NAMES = (*TASKS, "init")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a task and return its exit code.

    Args:
        argv: What was typed behind the program's name; `sys.argv` when None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        match words:
            case [] | ["-h" | "--help", *_]:
                STDOUT.write(f"{_usage()}\n")
                STDOUT.flush()
                return 0
            case ["--version", *_]:
                from importlib.metadata import version

                STDOUT.line(f"relnox {version('relnox')}")
                return 0
            case [task, *rest] if task in _NAMES:
                from relnox.commands.perform import perform

                return perform(task, arguments.parse(task, rest, f"relnox {task}"))
            case _:
                return _refused(Blocked("unknown-task", f"unknown task {words[0]}", fix=_nearest(words[0])))
    except Blocked as error:
        return _refused(error)
    except ENVIRONMENT_ERRORS as error:
        if (failed := environment_error(error)) is None:
            raise
        return _refused(failed)


def _open_streams() -> None:
    """Have somewhere to read from and write to where a stream was closed (`relnox status 2>&-`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for good


def _refused(error: RelnoxError) -> int:
    reporters.usage_error(error)
    return error.exit_code


def _nearest(name: str) -> str:
    """The task that was meant, perhaps by the name that it is imported under."""
    imported = {task.attribute: task.name for task in TASKS.values()}
    return did_you_mean(imported.get(name.replace("-", "_"), name), _NAMES)


def _usage() -> str:
    lines = [
        "usage: relnox TASK [options]",
        "",
        "Release Python packages: planned, resumable, proven.",
        "",
        "tasks:",
    ]
    return "\n".join(
        [
            *lines,
            *arguments.task_lines(_NAMES),
            "",
            "relnox TASK --help tells a task's options; nox -s TASK and invoke TASK are the same tasks.",
        ]
    )
