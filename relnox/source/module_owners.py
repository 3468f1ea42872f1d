"""Find the packages of a project that contain a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_SOURCE_LAYOUTS = ("src", ".", "lib", "python")


def find_first_owned_module(
    root: Path, directories: Mapping[str, str], modules: Iterable[str]
) -> tuple[str, tuple[str, ...]]:
    """Return the first of the modules that is in a package, and the names of the packages that contain it.

    Both are empty if there is none; namespace packages are in no package. `directories` maps the names of the
    packages to their directories, relative to the root; `modules` are full names such as `acme.core`.
    """
    for module in modules:
        path = module.replace(".", "/")
        files = (f"{path}.py", f"{path}/__init__.py", f"{path}.pyi")
        owners = tuple(
            name
            for name, directory in sorted(directories.items())
            if any((root / directory / layout / file).is_file() for layout in _SOURCE_LAYOUTS for file in files)
        )
        if owners:
            return module, owners
    return "", ()
