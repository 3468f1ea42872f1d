"""What a noxfile or a tasks file registers: tasks by name, and their settings by task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relnox import arguments
from relnox.commands import TASKS, find_command, suggest_task
from relnox.core.escaping import escape_line
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relnox.commands import Task
    from relnox.core.settings.schema import Value

_COMMAND_LINE_ONLY = ("yes", "project")
"""Options that a noxfile or a tasks file cannot set a default for: confirmation and the project directory."""


def find_task(name: str, choices: Iterable[str] = TASKS) -> Task:
    """Return the one of the tasks with this name (`build-all`) or import name (`build_all`).

    Raises:
        Blocked: It names none of them.
    """
    task = find_command(str(name))
    if task is None or task.name not in choices:
        raise Blocked("task-unknown", f"unknown task {name}", fix=suggest_task(str(name), choices))
    return task


def check_registration(
    tasks: Sequence[str], settings: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Task], dict[str, dict[str, Any]]]:
    """Check what a noxfile or a tasks file registers tasks with.

    Args:
        tasks: Names of tasks; none for all tasks.
        settings: The arguments by name, mappings from tasks to values.

    Returns:
        The tasks, and the arguments with the names of tasks as keys.

    Raises:
        Blocked: A task is unknown or not registered, or an option or its value is invalid.
    """
    tasks_to_register = [find_task(name) for name in tasks] or list(TASKS.values())
    by_task = {
        name: {find_task(task).name: value for task, value in values.items()} for name, values in settings.items()
    }
    for name, values in by_task.items():
        if others := values.keys() - {task.name for task in tasks_to_register}:
            raise Blocked(
                "task-unknown",
                f"{name} names {', '.join(sorted(others))}, which this call does not add",
                fix=f"remove it from {name}, or add it",
            )
    by_task["defaults"] = {task: _check_defaults(task, options) for task, options in by_task["defaults"].items()}
    return tasks_to_register, by_task


def _check_defaults(task: str, options: Mapping[str, Any]) -> dict[str, Value]:
    """Check the defaults of a task's options, and return them by field name."""
    for name in _COMMAND_LINE_ONLY:
        if name in options:
            raise Blocked(
                "command-line-only",
                f"defaults set {name} for {task}, but it can only be set on the command line",
                fix=f"remove {name} from defaults",
            )
    try:
        return arguments.check_values(task, options)
    except Blocked as error:
        raise Blocked(error.code, f"defaults of {task}: {error.message}", fix=error.fix) from None


def error_text(error: Blocked) -> str:
    """Return the text of an error that nox or invoke prints unescaped."""
    lines = f"error: {error.message} [{error.code}]\nfix: {error.fix}".split("\n")
    return "\n".join(map(escape_line, lines))
