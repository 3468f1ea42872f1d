"""Names under which a noxfile or a tasks file imports tasks."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["alias_of", "is_noxfile", "is_tasks_file"]


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
