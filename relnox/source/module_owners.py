"""The packages of a project that contain a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_SOURCE_LAYOUTS = ("src", ".", "lib", "python")


def find_owning_packages(root: Path, directories: Mapping[str, str], module: str) -> tuple[str, ...]:
    """Return the names of the packages that contain a module; namespace packages belong to none.

    Args:
        root: The project's root directory.
        directories: Maps package names to their directories, relative to the root.
        module: The full name of the module.
    """
    path = module.replace(".", "/")
    files = (f"{path}.py", f"{path}/__init__.py", f"{path}.pyi")
    return tuple(
        name
        for name, directory in sorted(directories.items())
        if any((root / directory / layout / file).is_file() for layout in _SOURCE_LAYOUTS for file in files)
    )


def find_first_owned_module(
    root: Path, directories: Mapping[str, str], modules: Iterable[str]
) -> tuple[str, tuple[str, ...]]:
    """Return the first module that is in a package, and the names of its packages; both are empty if none is."""
    candidates = ((module, find_owning_packages(root, directories, module)) for module in modules)
    return next(((module, names) for module, names in candidates if names), ("", ()))
