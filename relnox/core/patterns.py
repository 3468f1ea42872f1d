"""Patterns that mean packages, in settings: names, folders and globs of them; `!` leaves out."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from relnox.core.names import normalized
from relnox.core.schema import did_you_mean
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.core.packages import Package

__all__ = ["check", "normalize_path", "select"]


def normalize_path(pattern: str) -> str:
    """A path or a glob of paths, with slashes, and without those at its ends."""
    return pattern.replace("\\", "/").removeprefix("./").strip("/")


def select(patterns: Sequence[str], packages: Iterable[Package]) -> tuple[Package, ...]:
    """The packages that patterns mean: the last pattern that fits decides, and one with `!` leaves out.

    Args:
        patterns: Names, folders, or globs of either. If the first one leaves out, all others are meant.
        packages: Packages to choose from.
    """
    starts_with_all = bool(patterns) and patterns[0].startswith("!")
    found = []
    for package in packages:
        is_meant = starts_with_all
        for pattern in patterns:
            if _fits(pattern.removeprefix("!"), package):
                is_meant = not pattern.startswith("!")
        if is_meant:
            found.append(package)
    return tuple(found)


def check(patterns: Iterable[str], packages: Sequence[Package], where: str) -> None:
    """See that every pattern fits a package.

    Args:
        patterns: What the settings hold.
        packages: All packages of the workspace.
        where: The key of the settings.

    Raises:
        Blocked: One fits none.
    """
    for pattern in patterns:
        if not any(_fits(pattern.removeprefix("!"), package) for package in packages):
            known = {text for package in packages for text in (package.name, package.folder)}
            raise Blocked(
                "todo",
                f"{pattern!r} of {where} means no package of this workspace",
                fix=did_you_mean(normalize_path(pattern.removeprefix("!")), known),
            )


def _fits(pattern: str, package: Package) -> bool:
    path = normalize_path(pattern) or "."
    return fnmatchcase(package.name, normalized(path)) or fnmatchcase(package.folder, path)
