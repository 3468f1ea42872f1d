"""Search a project for folders that contain packages."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.settings.patterns import normalize_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


PYPROJECT = "pyproject.toml"

_SKIPPED_FOLDERS = frozenset(
    {
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
        "fixtures",
        "node_modules",
        "samples",
        "site-packages",
        "template",
        "templates",
        "test",
        "testdata",
        "tests",
        "third_party",
        "vendor",
        "venv",
    }
)
"""Names of folders whose pyproject.toml files are test data, templates or third-party code."""


_SKIPPED_SUFFIXES = tuple(
    f"{mark}{word}" for mark in "-_" for word in ("example", "examples", "template", "templates")
)
_INSTALLED_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Names of caches and installed packages, which patterns in a project's settings are not meant to match."""


def search_folders(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[str]:
    """Yield the folders that contain a pyproject.toml, top-level ones first.

    Excluded folders, virtual environments, and other git repositories below the root are skipped: a commit of
    this repository cannot edit their files.

    Args:
        root: The folder to search.
        exclude: Globs of folders to skip.
        warnings: Receives a text for each folder that cannot be read.
    """
    level = [root]
    while level:
        below: list[Path] = []
        for folder in level:
            relative = folder.relative_to(root).as_posix()
            try:
                with os.scandir(folder) as entries:
                    names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
            except OSError as error:
                warnings.append(f"skipped {relative}: {error.strerror}")
                continue
            if ("pyvenv.cfg", False) in names or (folder != root and is_repository(folder)):
                continue
            if (PYPROJECT, False) in names:
                yield relative
            below += [
                folder / name
                for name, is_folder in names
                if is_folder
                and not is_skipped(name)
                and not is_excluded((folder / name).relative_to(root).as_posix(), exclude)
            ]
        level = below


def is_repository(folder: Path) -> bool:
    """Return whether a folder is the root of a git repository, a submodule or a worktree."""
    return (folder / ".git").exists()


def is_skipped(name: str) -> bool:
    """Return whether a folder with this name usually has test data, templates, examples or third-party code."""
    lower = name.lower()
    is_template = "{{" in name or "{%" in name
    return name.startswith(".") or lower in _SKIPPED_FOLDERS or lower.endswith(_SKIPPED_SUFFIXES) or is_template


def walk_folders(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk the folders below the root with `os.walk`, skipping hidden folders, environments and caches."""
    for top, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _INSTALLED_FOLDERS]
        if "pyvenv.cfg" in files:
            folders.clear()
        yield top, folders, files


def is_excluded(folder: str, globs: Sequence[str]) -> bool:
    """Return whether any of the globs matches the folder or one of its parent folders."""
    if not globs:  # usual, and there may be hundreds of folders
        return False
    paths = [folder, *(parent.as_posix() for parent in Path(folder).parents if parent != Path())]
    return any(fnmatch.fnmatchcase(path, normalize_path(glob)) for path in paths for glob in globs)
