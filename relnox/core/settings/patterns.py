"""Patterns for packages in settings: names, folders and globs of them; `!` excludes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from relnox.core.names import normalized
from relnox.core.settings import rules
from relnox.core.settings.kinds import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.core.packages import Package

DISTRIBUTION = Text(rule=rules.distribution, convert=normalized)
"""The kind of a setting that names a package of any repository."""
PACKAGE = Text(rule=rules.distribution, convert=normalized)
"""The kind of a setting that names a package; `setting_names` checks that the workspace has it."""
PACKAGE_GLOB = Text(convert=normalized)
"""The same for a name or a glob of names."""
PACKAGE_PATTERN = Text()
"""The same for a name or a folder, or a glob of either; `!` excludes."""


def normalize_path(pattern: str) -> str:
    """Return a path or glob with forward slashes, and without leading `./` and outer slashes."""
    return pattern.replace("\\", "/").removeprefix("./").strip("/")


def select(patterns: Sequence[str], packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages that match patterns: the last matching pattern decides, and one with `!` excludes.

    If the first pattern excludes, all other packages match.
    """
    starts_with_all = bool(patterns) and patterns[0].startswith("!")
    selected = []
    for package in packages:
        is_selected = starts_with_all
        for pattern in patterns:
            if matches(pattern.removeprefix("!"), package):
                is_selected = not pattern.startswith("!")
        if is_selected:
            selected.append(package)
    return tuple(selected)


def is_named(package: str, globs: Iterable[str]) -> bool:
    """Return whether a package matches one of some normalized names or globs."""
    return any(fnmatchcase(package, glob) for glob in globs)


def matches(pattern: str, package: Package) -> bool:
    """Return whether a package has a name or a folder, or matches a glob of either."""
    path = normalize_path(pattern) or "."
    return fnmatchcase(package.name, normalized(path)) or fnmatchcase(package.folder, path)
