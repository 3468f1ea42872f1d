"""Search a project for directories that contain packages."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.settings.patterns import normalize_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYPROJECT = "pyproject.toml"

_SKIPPED_DIRECTORIES = frozenset(
    {
        *(
            "__pycache__",
            "_vendor",
            "build",
            "cookiecutter",
            "dist",
            "doc",
            "docs",
            "example",
            "examples",
            "fixture",
        ),
        *("fixtures", "node_modules", "samples", "site-packages", "template", "templates", "test", "testdata"),
        *("tests", "third_party", "vendor", "venv"),
    }
)
"""Names of directories whose pyproject.toml files are test data, templates or third-party code."""
_SKIPPED_SUFFIXES = tuple(
    f"{mark}{word}" for mark in "-_" for word in ("example", "examples", "template", "templates")
)
_INSTALLED_DIRECTORIES = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Names of caches and installed packages, which patterns in a project's settings are not meant to match."""


def find_pyproject_directories(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[str]:
    """Yield the directories with a pyproject.toml, relative to the root; parents before their subdirectories.

    Virtual environments, directories with names as for `is_skipped`, and other git repositories below the root
    (whose files a commit of this repository cannot edit) are not searched.

    Args:
        root: The directory to search.
        exclude: Globs of directories that are not searched either.
        warnings: A list to which a message is added for each directory that cannot be read.
    """
    level = [root]
    while level:
        below: list[Path] = []
        for directory in level:
            relative = directory.relative_to(root).as_posix()
            try:
                with os.scandir(directory) as entries:
                    names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
            except OSError as error:
                warnings.append(f"skipped {relative}: {error.strerror}")
                continue
            if ("pyvenv.cfg", False) in names or (directory != root and is_repository(directory)):
                continue
            if (PYPROJECT, False) in names:
                yield relative
            below += [
                directory / name
                for name, is_directory in names
                if is_directory
                and not is_skipped(name)
                and not is_excluded((directory / name).relative_to(root).as_posix(), exclude)
            ]
        level = below


def is_repository(directory: Path) -> bool:
    """Return whether a directory is the top level of a git repository, a submodule or a worktree."""
    return (directory / ".git").exists()


def is_skipped(name: str) -> bool:
    """Return whether directories with this name are skipped: hidden ones, tests, samples and third-party code."""
    lower = name.lower()
    is_template = "{{" in name or "{%" in name
    return (
        name.startswith(".") or lower in _SKIPPED_DIRECTORIES or lower.endswith(_SKIPPED_SUFFIXES) or is_template
    )


def walk_directories(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk the root and the directories below it like `os.walk`, except hidden ones, environments and caches."""
    for top, directories, files in os.walk(root):
        directories[:] = [
            name for name in directories if not name.startswith(".") and name not in _INSTALLED_DIRECTORIES
        ]
        if "pyvenv.cfg" in files:
            directories.clear()
        yield top, directories, files


def is_excluded(directory: str, globs: Sequence[str]) -> bool:
    """Return whether any of the globs matches the directory or one of its parent directories."""
    if not globs:  # usual, and there may be hundreds of directories
        return False
    paths = [directory, *(parent.as_posix() for parent in Path(directory).parents if parent != Path())]
    return any(fnmatch.fnmatchcase(path, normalize_path(glob)) for path in paths for glob in globs)
