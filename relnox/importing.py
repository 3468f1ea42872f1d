"""How a noxfile or a tasks file imports a task: what the module that is imported from cannot see by itself."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["alias_of"]


def alias_of(name: str, module: str, importer: FrameType) -> str | None:
    """The other name that the statement which is being executed gives to an imported one.

    Args:
        name: What is imported.
        module: From where.
        importer: The frame of the file that imports.

    Returns:
        None for an import under its own name, and for anything but `from module import name as other`.
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
