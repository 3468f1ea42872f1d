"""towncrier and git-cliff, where a project is configured for one of them.

Each is run on a throw-away clone, and what it changed there becomes part of the plan: it is shown before
anything moves, and happens in the same transaction as everything else.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from relnox import process

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from relnox.core.config import Config
    from relnox.source.git import Git

__all__ = ["Release", "configured", "drafted"]

Tool = Literal["towncrier", "git-cliff"]
_PYPROJECT = "pyproject.toml"
_SETTINGS: dict[Tool, tuple[tuple[str, ...], str]] = {
    "towncrier": (("towncrier.toml",), "[tool.towncrier"),
    "git-cliff": (("cliff.toml", ".cliff.toml"), "[tool.git-cliff"),
}


class Release(NamedTuple):
    """A version of the package, or of all packages, in a folder; and its tag."""

    folder: str
    version: str
    tag: str


def configured(root: Path, folders: Iterable[str], config: Config) -> Tool | None:
    """The tool that the project's settings choose: by name, or by a table or a file of its own."""
    match config.changelog:
        case "towncrier" | "git-cliff" as tool:
            return tool
        case "auto":
            places = [root, *(root / folder for folder in folders)]
            return next((tool for tool in _SETTINGS for place in places if _is_set_up(place, tool)), None)
        case _:
            return None


def drafted(tool: Tool, git: Git, release: Release, today: date, changelog: str) -> dict[str, bytes | None]:
    """What the tool makes of the changelog and of its fragments for a release: files by path, None where one goes.

    Args:
        tool: The tool.
        git: The checkout.
        release: What is released; nothing happens where the tool is not set up in its folder.
        today: The day of the release, in UTC.
        changelog: The changelog's name, for a tool whose settings name none.

    Raises:
        Failed: The tool is not there, or fails; what it printed is told.
    """
    if not _is_set_up(git.root / release.folder, tool):
        return {}
    with tempfile.TemporaryDirectory(prefix="relnox-changelog-") as scratch:
        copy = git.scratch_clone(Path(scratch))
        folder = copy.root / release.folder
        program = shutil.which(tool, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
        command = [program or tool, *_arguments(tool, folder, release, today, changelog)]
        environment = process.clean_environment(os.environ)
        hint = f"is it installed? In {release.folder}: {shlex.join([tool, *command[1:]])}"
        process.run(command, cwd=folder, env=environment).check(tool, hint=hint)
        return {name: _content(copy.root / name) for name in copy.changed_files()}


def _arguments(tool: Tool, folder: Path, release: Release, today: date, changelog: str) -> list[str]:
    if tool == "towncrier":
        return ["build", "--yes", f"--version={release.version}", f"--date={today.isoformat()}"]
    settings = next((text for name in _SETTINGS[tool][0] if (text := _text(folder / name))), "")
    names_output = re.search(r"^[ \t]*output[ \t]*=", settings or _text(folder / _PYPROJECT), re.MULTILINE)
    return [f"--tag={release.tag}", *([] if names_output else [f"--output={changelog}"])]


def _is_set_up(folder: Path, tool: Tool) -> bool:
    files, table = _SETTINGS[tool]
    return any((folder / name).is_file() for name in files) or table in _text(folder / _PYPROJECT)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None
