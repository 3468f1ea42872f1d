"""Find changelogs by their usual names, and the files in which other tools collect changes until a release."""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from relnox.system.files import read_project_file

_NAME = re.compile(
    r"(change[-_]?log|changes|history|news|releases|release[-_]?notes)(\.(md|markdown|rst|txt))?", re.IGNORECASE
)
"""Matches the usual names of changelogs."""
_PLACES = ("", "docs/", "doc/", "docs/source/", "doc/source/")


def find_changelogs(root: Path, directory: str) -> tuple[str, ...]:
    """Return the files that may be the changelog of the package in a directory, the most usual place first.

    Links to another one of them are left out. The directory (`.` for the root) and paths are relative to the root.
    """
    prefix = "" if directory == "." else f"{directory}/"
    paths = [
        f"{prefix}{place}{path.name}"
        for place in _PLACES
        for path in sorted((root / prefix / place).glob("*"), key=lambda path: path.name.lower())
        if _NAME.fullmatch(path.name) and path.is_file()
    ]
    links = [path for path in paths if (root / path).is_symlink()]
    targets = {os.path.realpath(root / path) for path in paths if path not in links}
    return tuple(path for path in paths if path not in links or os.path.realpath(root / path) not in targets)


class _ChangeFileTool(NamedTuple):
    """A tool that collects change files; its paths and globs are relative to the directory of a package.

    Attributes:
        command: What adds the change files to the changelog, with `{version}` for the version.
        settings: The files that may have its settings, as globs.
        table: A regular expression for the beginning of the settings in such a file; empty for the whole file.
        keys: The settings whose values, joined with slashes, are the directory; empty if it cannot be set.
        defaults: The directories of change files if there are no such settings, as globs.
    """

    name: str
    command: str
    settings: tuple[str, ...]
    table: str
    keys: tuple[str, ...]
    defaults: tuple[str, ...]


_TOOLS = (
    _ChangeFileTool(
        name="towncrier",
        command="towncrier build --yes --version {version}",
        settings=("towncrier.toml", "pyproject.toml", ".towncrier.toml", "*/towncrier.toml"),
        table=r"\[tool\.towncrier\]",
        keys=("directory",),
        defaults=("newsfragments", "*/newsfragments", "src/*/newsfragments"),
    ),
    _ChangeFileTool(
        name="scriv",
        command="scriv collect --version {version}",
        settings=("changelog.d/scriv.ini", "pyproject.toml", "setup.cfg", "tox.ini"),
        table=r"\[(tool\.)?scriv\]",
        keys=("fragment_directory",),
        defaults=("changelog.d",),
    ),
    _ChangeFileTool(
        name="changie",
        command="changie batch {version} && changie merge",
        settings=(".changie.yaml", ".changie.yml"),
        table="",
        keys=("changesDir", "unreleasedDir"),
        defaults=(".changes/unreleased",),
    ),
    _ChangeFileTool(
        name="changesets",
        command="npx changeset version",
        settings=(".changeset/config.json",),
        table="",
        keys=(),
        defaults=(".changeset",),
    ),
)
_NO_CHANGE = re.compile(r"\..*|README.*|.*template.*|.*\.(j2|ini|json|toml|cfg)", re.IGNORECASE)
"""Matches the names of files beside change files: settings, templates, and what explains the directory."""


class ChangeFiles(NamedTuple):
    """The directory in which a tool collects changes until a release, and its files, relative to the root.

    `command` is the tool's command that adds them to the changelog, with `{version}` for the version.
    """

    directory: str
    tool: str
    command: str
    files: tuple[str, ...]


def find_change_files(root: Path, directories: Iterable[str]) -> tuple[ChangeFiles, ...]:
    """Return the change files of the tools that have settings in these directories (relative to the root).

    In a directory without any settings, all tools are taken to use their default directories of change files.
    """
    change_files: dict[str, ChangeFiles] = {}
    for top in (root / directory for directory in directories):
        settings = {tool: tuple(_read_tool_settings(tool, top)) for tool in _TOOLS}
        for tool, texts in settings.items():
            if not texts and any(settings.values()):
                continue
            patterns = [*filter(None, (_change_file_directory(text, tool.keys) for text in texts))]
            for path in (path for pattern in patterns or tool.defaults for path in top.glob(pattern)):
                files = (file for file in sorted(path.rglob("*")) if not _NO_CHANGE.fullmatch(file.name))
                names = tuple(file.relative_to(root).as_posix() for file in files if file.is_file())
                below = path.relative_to(root).as_posix()
                change_files.setdefault(below, ChangeFiles(below, tool.name, tool.command, names))
    return tuple(change_files.values())


def _read_tool_settings(tool: _ChangeFileTool, top: Path) -> Iterator[str]:
    """Yield the text of each of a tool's settings files in the directory `top`, from the tool's table on."""
    for path in (path for name in tool.settings for path in top.glob(name)):
        text = read_project_file(top, path.relative_to(top).as_posix()).decode(errors="replace")
        if (match := re.search(tool.table, text)) is not None:
            yield text[match.start() :]


def _change_file_directory(text: str, keys: Collection[str]) -> str | None:
    """Return the change file directory that settings (TOML, INI or YAML) name, as a glob.

    None if one of the keys is missing, or if the directory is not below that of the package.
    """
    matches = [re.search(rf"^\s*{key}\s*[:=]\s*[\"']?([^\s\"'#]+)", text, re.MULTILINE) for key in keys]
    path = posixpath.normpath("/".join(match[1] for match in matches if match is not None))
    is_inside = keys and all(matches) and not path.startswith(("/", "..")) and path != "."
    return glob.escape(path) if is_inside else None
