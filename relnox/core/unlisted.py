"""Packages of the checkout that are not of the project: which they are, and which of their pins fall behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.tag_proposals import as_toml, folder_globs
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.version import Version

    from relnox.core.config import Config
    from relnox.core.packages import Dependency, Package
    from relnox.core.version_bumps import VersionBump
    from relnox.core.workspace import Workspace

__all__ = ["outdated_pins", "summary"]

_LISTED = 5


def summary(unlisted: Sequence[Package], workspace: Workspace, config: Config) -> str:
    """Name the packages that are not of the project, with both ways to settle it as settings."""
    shown = [f"{package.name} ({package.pyproject})" for package in unlisted[:_LISTED]]
    more = f" and {len(unlisted) - _LISTED} more" if len(unlisted) > _LISTED else ""
    inside = [package for package in unlisted if package.folder.split("/")[0] != ".."]
    told = f"{', '.join(shown)}{more}: not among the packages of this project, and not released"
    if not inside:
        return told
    every = (*workspace.packages, *inside)
    listed = (
        folder_globs(every, every) if not config.packages else [*config.packages, *folder_globs(inside, every)]
    )
    left_out = [*config.exclude, *folder_globs(inside, every)]
    return (
        f"{told}\nto release them: {as_toml({'packages': listed}, header=False)}\n"
        f"to leave them out: {as_toml({'exclude': _only(left_out)}, header=False)}"
    )


def _only(patterns: Iterable[str]) -> list[str]:
    """Patterns without those that leave out again, which settings for folders do not have."""
    return [pattern for pattern in patterns if not pattern.startswith("!")]


def outdated_pins(unlisted: Iterable[Package], moves: Iterable[VersionBump]) -> Iterator[str]:
    """Requirements of packages that are not of the project, which do not accept a version that is released."""
    after = {move.package.name: move.after for move in moves}
    for package in unlisted:
        for need in package.dependencies:
            if need.name in after and not _accepts(need, after[need.name]):
                yield (
                    f"{package.pyproject}: {need.text!r} does not accept {need.name} {after[need.name]}, and is "
                    f"not changed ({package.name} is not among the packages of this project)"
                )


def _accepts(need: Dependency, version: Version) -> bool:
    """Whether a requirement accepts a version; one that excludes it for good does not."""
    from relnox.core import requirements  # its grammar takes long to import, and is seldom needed

    try:
        rewrite = requirements.rewrite_poetry if need.poetry else requirements.rewrite
        return rewrite(need.text, version) is None
    except Blocked:
        return False
