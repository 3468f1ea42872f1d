"""The packages of a project that contain a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_LAYOUTS = ("src", ".", "lib", "python")


def packages_containing(root: Path, folders: Mapping[str, str], module: str) -> tuple[str, ...]:
    """Find the packages that contain a module, by its full name; a namespace package has no owner.

    `folders` has the folder of each package, relative to the root.
    """
    path = module.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py", f"{path}.pyi")
    return tuple(
        name
        for name, folder in sorted(folders.items())
        if any((root / folder / layout / file).is_file() for layout in _LAYOUTS for file in files)
    )


def first_contained(root: Path, folders: Mapping[str, str], modules: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """Find the first of some modules that is in a package, and its packages; empty if there is none."""
    candidates = ((module, packages_containing(root, folders, module)) for module in modules)
    return next(((module, names) for module, names in candidates if names), ("", ()))
