"""Names under which a noxfile or a tasks file imports tasks."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from typing import TYPE_CHECKING

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

__all__ = ["alias_of", "check_registration", "is_noxfile", "is_tasks_file"]

_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "requires": ((list, tuple), '["tests"]'),
    "tags": ((list, tuple), '["local"]'),
    "pre": ((list, tuple), "[lint]"),
    "post": ((list, tuple), "[announce]"),
    "defaults": ((Mapping,), '{"part": "auto"}'),
    "names": ((str,), '"version"'),
}
"""The types of a task's value in each argument of a registration, with an example."""


def check_registration(tasks: Sequence[object], settings: Mapping[str, object]) -> None:
    """Check the types of what a noxfile or a tasks file registers tasks with: a string is a sequence, too.

    Args:
        tasks: Names of tasks.
        settings: The arguments by name, mappings from tasks to values.

    Raises:
        Blocked: A type is another one.
    """
    for task in tasks:
        if not isinstance(task, str):
            raise Blocked("value-invalid", f"{task!r} is not the name of a task", fix='write it like "build-all"')
    for name, values in settings.items():
        kinds, example = _TYPES[name]
        fix = f'write it like {name}={{"bump": {example}}}'
        if not isinstance(values, Mapping) or not all(isinstance(task, str) for task in values):
            raise Blocked("value-invalid", f"{name} is not a mapping from tasks to values: {values!r}", fix=fix)
        for task, value in values.items():
            if not isinstance(value, kinds) or value == "":
                raise Blocked("value-invalid", f"{name} of {task} is not of the right type: {value!r}", fix=fix)


def is_noxfile(importer: FrameType) -> bool:
    """Return whether a frame is the top level of a noxfile, whichever entry point of nox runs it."""
    is_module = importer.f_code.co_name == "<module>"
    return is_module and importer.f_globals.get("__name__") in ("user_nox_module", "__main__")


def is_tasks_file(importer: FrameType) -> bool:
    """Return whether a frame is the top level of a tasks file."""
    return importer.f_code.co_name == "<module>" and importer.f_globals.get("__name__") == "tasks"


def alias_of(name: str, module: str, importer: FrameType) -> str | None:
    """Return the alias in the import statement that is being executed: `from module import name as alias`.

    Args:
        name: The imported name.
        module: The module that it is imported from.
        importer: The frame of the importing file.

    Returns:
        The alias; None for an import without one, and for other kinds of import.
    """
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
