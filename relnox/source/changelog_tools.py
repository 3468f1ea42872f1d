"""towncrier and git-cliff, where a project is configured for one of them; how they are run, `tools` knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox.source.tools import run_on_copy

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import date
    from pathlib import Path

    from relnox.core.config import Config
    from relnox.source.git import Git

__all__ = ["Release", "draft_changelog", "find_tool"]

Tool = Literal["towncrier", "git-cliff"]
_PYPROJECT = "pyproject.toml"
_SETTINGS: dict[Tool, tuple[tuple[str, ...], str]] = {
    "towncrier": (("towncrier.toml",), "[tool.towncrier"),
    "git-cliff": (("cliff.toml", ".cliff.toml"), "[tool.git-cliff"),
}


class Release(NamedTuple):
    """What a tool is told of a release.

    Attributes:
        folder: Where its settings are.
        version: The version; with names, where its changelog tells of packages that have versions of their own.
        tag: The tag.
        paths: Folders of the packages that are released, if it is set up for more than those.
        tags: What the tags of these packages begin with.
        changelog: The package's own changelog, relative to the root; None for that of the folder.
    """

    folder: str
    version: str
    tag: str
    paths: tuple[str, ...] = ()
    tags: str = ""
    changelog: str | None = None


def find_tool(folder: Path, config: Config) -> Tool | None:
    """The tool that keeps the changelog of a folder: the one that is named, or that has settings there."""
    match config.changelog:
        case "towncrier" | "git-cliff" as tool:
            return tool
        case "auto":
            return next((tool for tool in _SETTINGS if _is_set_up(folder, tool)), None)
        case _:
            return None


def draft_changelog(  # noqa: PLR0913 - what a changelog is made of
    tool: Tool, git: Git, release: Release, today: date, changelog: str, *, pass_env: Collection[str] = ()
) -> dict[str, bytes | None]:
    """What the tool makes of the changelog and of its fragments for a release: files by path, None where one goes.

    Args:
        tool: The tool.
        git: The checkout.
        release: What is released.
        today: The day of the release, in UTC.
        changelog: The changelog's name, for a tool whose settings name none.
        pass_env: Variables that the tool may see although they look like credentials.

    Raises:
        Failed: The tool is not there, or fails; what it printed is told.
    """
    command = [tool, *_arguments(tool, git.root / release.folder, release, today, changelog)]
    without = 'without it: [tool.relnox] changelog = "none"'
    return run_on_copy(git, release.folder, command, planned={}, without=without, pass_env=pass_env)


def _arguments(tool: Tool, folder: Path, release: Release, today: date, changelog: str) -> list[str]:
    if tool == "towncrier":
        return ["build", "--yes", f"--version={release.version}", f"--date={today.isoformat()}"]
    of_paths = [f"--include-path={path}/**" for path in release.paths if path != "."]
    if of_paths:
        output = release.changelog or f"{release.paths[0]}/{changelog}"
        return [
            f"--tag={release.tag}",
            f"--tag-pattern=^{re.escape(release.tags)}",
            *of_paths,
            f"--output={output}",
        ]
    settings = next((text for name in _SETTINGS[tool][0] if (text := _text(folder / name))), "")
    names_output = re.search(r"^[ \t]*output[ \t]*=", settings or _text(folder / _PYPROJECT), re.MULTILINE)
    if names_output:
        return [f"--tag={release.tag}"]
    spelled = next(
        (path.name for path in sorted(folder.iterdir()) if path.name.lower() == changelog.lower()), changelog
    )
    return [f"--tag={release.tag}", f"--output={spelled}"]


def _is_set_up(folder: Path, tool: Tool) -> bool:
    files, table = _SETTINGS[tool]
    return any((folder / name).is_file() for name in files) or table in _text(folder / _PYPROJECT)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
