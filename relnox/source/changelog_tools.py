"""Runs towncrier or git-cliff to write changelogs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from relnox.core.records import Record
from relnox.core.settings.path_patterns import as_globs

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from pathlib import Path

    from relnox.core.settings.config import Config
    from relnox.source.git import Git

Tool = Literal["towncrier", "git-cliff"]
_PYPROJECT = "pyproject.toml"
_SETTINGS: dict[Tool, tuple[tuple[str, ...], str]] = {
    "towncrier": (("towncrier.toml",), "[tool.towncrier"),
    "git-cliff": (("cliff.toml", ".cliff.toml"), "[tool.git-cliff"),
}


class Release(Record):
    """The data that a changelog tool needs about a release.

    Attributes:
        folder: The folder with the tool's settings.
        version: The version, or names and versions if packages with different versions share the changelog.
        tag: The tag of the release.
        paths: The folders of the released packages, if the tool's settings also apply to other packages.
        tags: The prefix of the tags of the released packages.
        patterns: The patterns for files of the released packages (the setting `paths`).
        changelog: The package's own changelog, relative to the root, or None for the changelog of `folder`.
    """

    folder: str
    version: str
    tag: str
    paths: tuple[str, ...] = ()
    tags: str = ""
    patterns: tuple[str, ...] = ()
    changelog: str | None = None


def find_tool(folder: Path, config: Config) -> Tool | None:
    """Return the configured changelog tool or, with `auto`, one with settings in the folder, else None."""
    match config.changelog:
        case "towncrier" | "git-cliff" as tool:
            return tool
        case "auto":
            return next((tool for tool in _SETTINGS if _has_settings(folder, tool)), None)
        case _:
            return None


def draft_changelog(  # noqa: PLR0913 - what a changelog is made of
    tool: Tool, git: Git, release: Release, today: date, changelog: str, *, pass_env: Collection[str] = ()
) -> dict[str, bytes | None]:
    """Run a changelog tool on a copy of the checkout, and return the files that it changes.

    Args:
        tool: The tool.
        git: The checkout.
        release: The release.
        today: The current date in UTC.
        changelog: The name of the changelog if the tool's settings do not set one.
        pass_env: Variables that are passed to the tool even if they look like credentials.

    Returns:
        The new content of each changed file, or None for a removed file, by path relative to the root.

    Raises:
        Failed: The tool is not installed, or fails.
    """
    from relnox.source.tools import run_on_copy

    command = [tool, *_arguments(tool, git.root / release.folder, release, today, changelog)]
    alternative = 'to do without it, set [tool.relnox] changelog = "none"'
    return run_on_copy(git, release.folder, command, planned={}, alternative=alternative, pass_env=pass_env)


def _arguments(tool: Tool, folder: Path, release: Release, today: date, changelog: str) -> list[str]:
    if tool == "towncrier":
        return ["build", "--yes", f"--version={release.version}", f"--date={today.isoformat()}"]
    paths = _path_options(release)
    if any(path != "." for path in release.paths):
        output = release.changelog or f"{release.paths[0]}/{changelog}"
        return [
            f"--tag={release.tag}",
            f"--tag-pattern=^{re.escape(release.tags)}",
            *paths,
            f"--output={output}",
        ]
    settings = next((text for name in _SETTINGS[tool][0] if (text := _read_text(folder / name))), "")
    if re.search(r"^[ \t]*output[ \t]*=", settings or _read_text(folder / _PYPROJECT), re.MULTILINE):
        return [f"--tag={release.tag}", *paths]
    names = (path.name for path in sorted(folder.iterdir()))
    existing = next((name for name in names if name.lower() == changelog.lower()), changelog)
    return [f"--tag={release.tag}", *paths, f"--output={existing}"]


def _path_options(release: Release) -> list[str]:
    """Return the options that limit git-cliff to commits that change files of the released packages."""
    folders = release.paths or ((release.folder,) if release.patterns else ())
    included = [f"{folder}/**" for folder in folders if folder != "."]
    excluded: list[str] = []
    for pattern in release.patterns:
        if pattern.startswith("!"):
            excluded += as_globs(pattern.removeprefix("!"))
        elif "." not in folders:  # else all files are included
            included += as_globs(pattern)
    return [*(f"--include-path={glob}" for glob in included), *(f"--exclude-path={glob}" for glob in excluded)]


def _has_settings(folder: Path, tool: Tool) -> bool:
    files, table = _SETTINGS[tool]
    return any((folder / name).is_file() for name in files) or table in _read_text(folder / _PYPROJECT)


def _read_text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
