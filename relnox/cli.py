"""The command line: `relnox TASK [options]`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from relnox import arguments, reporters
from relnox.commands import TASKS
from relnox.core.settings.schema import did_you_mean
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
        argv: Arguments after the program name; None for those in `sys.argv`.
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
                from relnox.commands.running.perform import perform

                return perform(task, arguments.parse(task, rest, f"relnox {task}"))
            case _:
                return _print_error(Blocked("task-unknown", f"unknown task {words[0]}", fix=_nearest(words[0])))
    except Blocked as error:
        return _print_error(error)
    except ENVIRONMENT_ERRORS as error:
        if (failed := environment_error(error)) is None:
            raise
        return _print_error(failed)


def _open_streams() -> None:
    """Open os.devnull for closed standard streams (`relnox status 2>&-`)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open


def _print_error(error: RelnoxError) -> int:
    reporters.usage_error(error)
    return error.exit_code


def _nearest(name: str) -> str:
    """Return a fix that names the most similar task, also for an import name."""
    by_attribute = {task.attribute: task.name for task in TASKS.values()}
    return did_you_mean(by_attribute.get(name.replace("-", "_"), name), _NAMES)


def _usage() -> str:
    lines = [
        "usage: relnox TASK [options]",
        "",
        "Release Python packages: planned, resumable, verified.",
        "",
        "tasks:",
    ]
    return "\n".join(
        [
            *lines,
            *arguments.task_lines(_NAMES),
            "",
            "relnox TASK --help shows the options of a task; nox -s TASK and invoke TASK run the same tasks.",
        ]
    )
