"""Opening a project: its root directory, its checkout, and its settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.commands import options_by_table
from relnox.commands.shared.project import Project
from relnox.core.documents import table_at
from relnox.core.settings.config import Config
from relnox.errors import NO_WORKING_DIRECTORY, Blocked
from relnox.source import discovery, pyproject
from relnox.source import git as checkouts

if TYPE_CHECKING:
    from relnox.source.git import Git

_PROJECT_DIRECTORY_FIX = "pass the project's directory: --project DIR"


def open_project(start: Path) -> Project:
    """Open the project that a directory is in.

    Raises:
        Blocked: The directory does not exist or is in no project, the settings are invalid, or Python does not
            encode file names as UTF-8.
    """
    if (encoding := sys.getfilesystemencoding()) != "utf-8":  # by the locale: git's and PyPI's names are UTF-8
        raise Blocked(
            "file-not-writable",
            f"Python encodes file names as {encoding} (relnox needs UTF-8, as git and package indexes use)",
            fix="export PYTHONUTF8=1, then rerun the command",
        )
    try:
        start = start.resolve(strict=True)
        is_directory = start.is_dir()
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        if isinstance(error, FileNotFoundError) and error.filename is None:  # raised by os.getcwd
            raise Blocked(
                "file-not-writable",
                NO_WORKING_DIRECTORY,
                fix=f"cd into the project's directory, or {_PROJECT_DIRECTORY_FIX}",
            ) from error
        reason = error.strerror if isinstance(error, OSError) else error
        raise Blocked(
            "project-not-found", f"{start} is not a directory ({reason})", fix=_PROJECT_DIRECTORY_FIX
        ) from error
    if not is_directory:
        raise Blocked("project-not-found", f"{start} is not a directory", fix=_PROJECT_DIRECTORY_FIX)
    top = checkouts.find_repository(start)
    root = discovery.find_project_root(start, top_directory(top))
    # Paths in plans are relative to the root, so git needs the root's position in the checkout.
    checkout = top if top is None or top.root == root else checkouts.find_repository(root)
    file = root / "pyproject.toml"
    data = table_at(pyproject.load(root, file.name), "tool").get("relnox", {}) if file.is_file() else {}
    try:
        config = Config.parse(data, options_by_table(data if isinstance(data, dict) else ()))
        if config.indexes or config.targets or config.trusted_index or config.build_index:
            from relnox.indexes import targets

            targets.check_settings(config)
        return Project(root, config, checkout)
    except Blocked as error:
        raise Blocked(error.code, f"{_relative_path(file)}: {error.message}", fix=error.fix) from None


def _relative_path(file: Path) -> str:
    """Return the path relative to the working directory, or unchanged if the working directory does not exist."""
    try:
        return os.path.relpath(file)
    except FileNotFoundError:
        return str(file)


def top_directory(checkout: Git | None) -> Path | None:
    """Return the top directory of the checkout, or None outside git."""
    if checkout is None:
        return None
    depth = len(Path(checkout.prefix).parts)
    return checkout.root.resolve().parents[depth - 1] if depth else checkout.root.resolve()
