"""Find the root directory of a project."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from relnox.core.documents import table_at
from relnox.errors import Blocked
from relnox.source import pyproject
from relnox.source.directory_search import PYPROJECT, find_pyproject_directories

if TYPE_CHECKING:
    from pathlib import Path


def find_project_root(start: Path, top: Path | None) -> Path:
    """Return the root directory of the project that `start` is in.

    The search goes upwards from `start` to `top`, the top-level directory of the checkout (None outside git). The
    root is the nearest directory whose pyproject.toml has `[tool.relnox]` or defines a uv workspace, else the
    nearest directory with a pyproject.toml, else `top`. In a checkout with several packages but no settings, it is
    `top` too.

    Raises:
        Blocked: No project was found.
    """
    start = start.resolve()
    candidates = [start, *start.parents]
    if top is not None and top.resolve() in candidates:
        candidates = candidates[: candidates.index(top.resolve()) + 1]
    if os.path.lexists(start / PYPROJECT) and not (start / PYPROJECT).is_file():
        path = start / PYPROJECT
        raise Blocked(
            "project-file-invalid",
            f"{path} is not a regular file",
            fix=shlex.join(["mv", str(path), f"{path}.old"]),
        )
    with_file = [directory for directory in candidates if (directory / PYPROJECT).is_file()]
    for directory in with_file:
        tool = table_at(pyproject.load(directory, PYPROJECT), "tool")
        if "relnox" in tool or "workspace" in table_at(tool, "uv"):
            return directory
    if with_file:
        return top if top is not None and _is_one_of_several(with_file[0], top.resolve()) else with_file[0]
    if top is not None:
        return top
    raise Blocked(
        "project-not-found",
        f"no project found (there is no {PYPROJECT} in {start} or its parent directories)",
        fix="cd into the project's directory, or pass --project DIR",
    )


def _is_one_of_several(directory: Path, top: Path) -> bool:
    """Return whether a directory is one of several packages in a checkout whose top is not a package."""
    if directory == top or not _describes_package(directory) or _describes_package(top):
        return False
    candidates = (top / name for name in find_pyproject_directories(top, (), []))
    packages = {candidate for candidate in candidates if _describes_package(candidate)}
    return directory in packages and len(packages) > 1


def _describes_package(directory: Path) -> bool:
    try:
        return (directory / PYPROJECT).is_file() and pyproject.describes_package(
            pyproject.load(directory, PYPROJECT)
        )
    except Blocked:
        return False
