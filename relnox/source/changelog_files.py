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
    """Return the files of a package whose names are usual for changelogs, the most usual place first.

    They are in the package's `directory` (`.` for the root) or in its directory of documentation. A link to
    another of them is left out. All paths are relative to the root.
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
    """A tool that makes changelog sections from change files, each of which describes one unreleased change.

    Paths and globs are relative to the directory of a package.

    Attributes:
        command: The command that adds the changes to the changelog, with `{version}` for the version.
        settings: The files that may have its settings, as globs.
        table: A regular expression for the beginning of the settings in such a file; empty for the whole file.
        keys: The settings whose values, joined with slashes, are the directory of change files; empty if it cannot
            be set.
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
    """A directory of change files, each of which describes one unreleased change for the changelog.

    Attributes:
        tool: The name of the tool that reads the files, such as `towncrier`.
        command: The tool's command that adds the changes to the changelog, with `{version}` for the version.
        files: The paths of the change files, relative to the root; templates, settings and README files are left
            out.
    """

    directory: str
    tool: str
    command: str
    files: tuple[str, ...]


def find_change_files(root: Path, directories: Iterable[str]) -> tuple[ChangeFiles, ...]:
    """Return the existing directories in which changelog tools collect unreleased changes, with the files in them.

    `directories`, relative to the root, are those to search. If one has settings of such tools, only these tools
    count there; else the default directories of all tools are looked for.
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
    """Yield the text of each of a tool's settings files in the directory `top`, from the tool's table on.

    Files without that table are left out.
    """
    for path in (path for name in tool.settings for path in top.glob(name)):
        text = read_project_file(top, path.relative_to(top).as_posix()).decode(errors="replace")
        if (match := re.search(tool.table, text)) is not None:
            yield text[match.start() :]


def _change_file_directory(text: str, keys: Collection[str]) -> str | None:
    """Return the directory of change files that a tool's settings (TOML, INI or YAML) name, escaped as a glob.

    The values of `keys`, joined with slashes, are its path. None if there are no keys, if one of them is missing,
    or if the directory is not below that of the package.
    """
    matches = [re.search(rf"^\s*{key}\s*[:=]\s*[\"']?([^\s\"'#]+)", text, re.MULTILINE) for key in keys]
    path = posixpath.normpath("/".join(match[1] for match in matches if match is not None))
    is_inside = keys and all(matches) and not path.startswith(("/", "..")) and path != "."
    return glob.escape(path) if is_inside else None
