"""Which packages of a project bring a module: of several that share a namespace, the one that has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["nearest", "owners"]

_LAYOUTS = ("src", ".", "lib", "python")


def owners(root: Path, folders: Mapping[str, str], module: str) -> tuple[str, ...]:
    """The packages that have a module, by their names.

    Args:
        root: The project's folder.
        folders: The folder of each package, relative to it.
        module: The full name of the module. A name of a namespace alone is nobody's.
    """
    path = module.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py", f"{path}.pyi")
    return tuple(
        name
        for name, folder in sorted(folders.items())
        if any((root / folder / layout / file).is_file() for layout in _LAYOUTS for file in files)
    )


def nearest(root: Path, folders: Mapping[str, str], modules: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The first of some modules that packages of the project have, and these packages; nothing if none has.

    Args:
        root: As for `owners`.
        folders: As for `owners`.
        modules: Full names of modules.
    """
    found = ((module, owners(root, folders, module)) for module in modules)
    return next(((module, names) for module, names in found if names), ("", ()))
