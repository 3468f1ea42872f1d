"""Find changelogs by their usual names, and the files in which other tools collect changes until a release."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_NAME = re.compile(
    r"(change[-_]?log|changes|history|news|releases|release[-_]?notes)(\.(md|markdown|rst|txt))?", re.IGNORECASE
)
"""Matches the usual names of changelogs."""
_PLACES = ("", "docs/", "doc/", "docs/source/", "doc/source/")


def find_changelogs(root: Path, directory: str) -> tuple[str, ...]:
    """Return the files that may be the changelog of the package in a directory, the most usual first.

    A link to another one of them is left out. Paths are relative to the root.
    """
    prefix = "" if directory == "." else f"{directory}/"
    paths = [
        f"{prefix}{place}{name}"
        for place in _PLACES
        for name in sorted(_names_in(root / prefix / place), key=str.lower)
        if _NAME.fullmatch(name) and (root / prefix / place / name).is_file()
    ]
    links = [path for path in paths if (root / path).is_symlink()]
    targets = {os.path.realpath(root / path) for path in paths if path not in links}
    return tuple(path for path in paths if path not in links or os.path.realpath(root / path) not in targets)


_TOOLS = {
    "towncrier": "towncrier build --yes --version {version}",
    "scriv": "scriv collect --version {version}",
    "changie": "changie batch {version} && changie merge",
    "changesets": "npx changeset version",
}
"""The commands that add change files to the changelog."""
_DIRECTORIES = {
    "newsfragments": "towncrier",
    "*/newsfragments": "towncrier",
    "src/*/newsfragments": "towncrier",
    "changelog.d": "scriv",
    ".changes/unreleased": "changie",
    ".changeset": "changesets",
}
"""The usual directories of change files."""
_NO_CHANGE = re.compile(r"\..*|README.*|.*template.*|.*\.(j2|ini|json|toml|cfg)", re.IGNORECASE)
"""Matches the names of files beside change files: settings, templates, and what explains the directory."""


class ChangeFiles(NamedTuple):
    """The files in a directory in which a tool collects the changes until a release, and its command."""

    directory: str
    tool: str
    command: str
    files: tuple[str, ...]


def find_change_files(root: Path, directories: Iterable[str]) -> tuple[ChangeFiles, ...]:
    """Return the change files in the usual directories below these, which are relative to the root."""
    change_files = {}
    for path, tool in (
        (path, tool)
        for top in directories
        for pattern, tool in _DIRECTORIES.items()
        for path in (root / top).glob(pattern)
    ):
        files = (file for file in sorted(path.rglob("*")) if not _NO_CHANGE.fullmatch(file.name))
        names = tuple(file.relative_to(root).as_posix() for file in files if file.is_file())
        below = path.relative_to(root).as_posix()
        change_files[below] = ChangeFiles(below, tool, _TOOLS[tool], names)
    return tuple(change_files.values())


def _names_in(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - hundreds of them
    except OSError:
        return []
