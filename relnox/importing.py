"""What a noxfile or a tasks file imports and registers: names, settings, aliases."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox import arguments
from relnox.commands import TASKS, find_command, suggest_task
from relnox.core.text import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    from relnox.commands import Task
    from relnox.core.settings.schema import Value

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "requires": ((list, tuple), '["tests"]'),
    "tags": ((list, tuple), '["local"]'),
    "pre": ((list, tuple), "[lint]"),
    "post": ((list, tuple), "[announce]"),
    "defaults": ((Mapping,), '{"part": "auto"}'),
    "names": ((str,), '"version"'),
}
"""Maps each argument of a registration to the types of its values and an example value."""
_MODULES: Mapping[str, str] = {"nox.tasks": "relnox.sessions", "invoke.loader": "relnox.tasks"}
"""Maps the modules of nox and invoke that load the file of a project to what that file imports from."""
_COMMAND_LINE_ONLY = ("yes", "project")
"""Options that a noxfile or a tasks file cannot set a default for: confirmation and the project directory."""


def find_task(name: object, choices: Iterable[str] = TASKS) -> Task:
    """Return the one of the tasks with this name (`build-all`) or import name (`build_all`).

    Raises:
        Blocked: It is no string, or names none of them.
    """
    if not isinstance(name, str):
        raise Blocked("value-invalid", f"{name!r} is not the name of a task", fix='write it like "build-all"')
    task = find_command(name)
    if task is None or task.name not in choices:
        raise Blocked("task-unknown", f"unknown task {name}", fix=suggest_task(name, choices))
    return task


def check_registration(
    tasks: Sequence[object], settings: Mapping[str, object], elements: tuple[type, ...]
) -> tuple[list[Task], dict[str, dict[str, Any]]]:
    """Check what a noxfile or a tasks file registers tasks with.

    Args:
        tasks: Names of tasks; none for all tasks.
        settings: The arguments by name, mappings from tasks to values.
        elements: The types of what a list may have.

    Returns:
        The tasks, and the arguments with the names of tasks as keys.

    Raises:
        Blocked: A type is another one, a task is unknown or not registered, or an option or its value is invalid.
    """
    tasks_to_register = [find_task(name) for name in tasks] or list(TASKS.values())
    by_task = {name: _check_argument(name, values, elements) for name, values in settings.items()}
    for name, values in by_task.items():
        if others := values.keys() - {task.name for task in tasks_to_register}:
            raise Blocked(
                "task-not-added",
                f"{name} names {', '.join(sorted(others))}, which this call does not add",
                fix=f"remove it from {name}, or add it",
            )
    by_task["defaults"] = {task: _check_defaults(task, options) for task, options in by_task["defaults"].items()}
    return tasks_to_register, by_task


def _check_argument(name: str, values: object, elements: tuple[type, ...]) -> dict[str, Any]:
    """Check the types of the argument `name` of a registration, and return its values by task name."""
    types, example = _TYPES[name]
    fix = f'write it like {name}={{"bump": {example}}}'
    if not isinstance(values, Mapping) or not all(isinstance(task, str) for task in values):
        raise Blocked("value-invalid", f"{name} is not a mapping from tasks to values: {values!r}", fix=fix)
    for task, value in values.items():
        is_valid = isinstance(value, types) and value != ""
        if is_valid and isinstance(value, Mapping):
            is_valid = all(isinstance(option, str) for option in value)
        elif is_valid and not isinstance(value, str):
            is_valid = all(isinstance(element, elements) for element in value)
        if not is_valid:
            raise Blocked("value-invalid", f"{name} of {task} has the wrong type: {value!r}", fix=fix)
    return {find_task(task).name: value for task, value in values.items()}


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


def error_text(code: str, message: str, fix: str) -> str:
    """Return the text of an error that nox or invoke prints unescaped."""
    from relnox.core.escaping import escape_line

    lines = f"error: {message} [{code}]\nfix: {fix}".split("\n")
    return "\n".join(map(escape_line, lines))


def startup_error(code: str, message: str, fix: str) -> SystemExit:
    """Return an exception that makes nox or invoke exit with this error and no traceback."""
    return SystemExit(error_text(code, message, fix))


def check_import(name: str, names: Iterable[str], importer: FrameType) -> None:
    """Exit if a noxfile or a tasks file imports an unknown name, with an error that has the nearest names.

    If the importing module is another one, do nothing: Python reports the error.
    """
    if not name.startswith("_") and _loader_of(importer) is not None:
        raise startup_error("import-unknown", f"relnox has no {name}", did_you_mean(name, names))


def check_imported_module(module: str, importer: FrameType) -> None:
    """Exit if a noxfile imports from `relnox.tasks`, or a tasks file from `relnox.sessions`."""
    loader = _loader_of(importer)
    if loader is not None and module != _MODULES[loader]:
        file = Path(importer.f_code.co_filename).name
        raise startup_error(
            "import-of-other-front-end",
            f"{file} imports from {module}, which {loader.partition('.')[0]} ignores",
            f"replace {module} by {_MODULES[loader]} in {file}",
        )


def is_noxfile(importer: FrameType) -> bool:
    """Return whether a frame is the top level of a noxfile, whichever entry point of nox runs it."""
    is_main = importer.f_code.co_name == "<module>" and importer.f_globals.get("__name__") == "__main__"
    return is_main or _loader_of(importer) == "nox.tasks"


def is_tasks_file(importer: FrameType) -> bool:
    """Return whether a frame is the top level of a tasks file, whatever its name."""
    return _loader_of(importer) == "invoke.loader"


def importer_of(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame, starting with `frame`, that is not part of Python's import system."""
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("importlib."):
        frame = frame.f_back
    return frame


def _loader_of(importer: FrameType) -> str | None:
    """Return the module that loads a noxfile (`nox.tasks`) or a tasks file (`invoke.loader`).

    For frames other than the top level of such a file, return None.
    """
    code = importer.f_code
    if code.co_name != "<module>":
        return None
    if importer.f_globals.get("__name__") == "__main__" and Path(code.co_filename).name == "noxfile.py":
        return "nox.tasks"  # python noxfile.py, before nox loads it once more
    loader = importer_of(importer.f_back)
    name = str(loader.f_globals.get("__name__")) if loader is not None else ""
    return name if name in _MODULES else None


def alias_of(name: str, module: str, importer: FrameType) -> str | None:
    """Return the alias of a name in the import that is being executed, `from module import name as alias`."""
    import ast

    source = "".join(linecache.getlines(importer.f_code.co_filename))
    if " as " not in source:
        return None
    aliases = (
        alias.asname
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module == module
        if node.lineno <= importer.f_lineno <= (node.end_lineno or node.lineno)
        for alias in node.names
        if alias.name == name
    )
    return next((alias for alias in aliases if alias not in (None, name)), None)
