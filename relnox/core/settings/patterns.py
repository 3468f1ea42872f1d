"""Patterns for packages in the settings: names, folders and globs of either; `!` excludes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from relnox.core.names import normalized
from relnox.core.settings import rules
from relnox.core.settings.kinds import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.core.packages import Package

DISTRIBUTION_NAME = Text(rule=rules.distribution_name_violation, convert=normalized)
"""The kind of a setting that names a package, which need not be in the workspace."""
PACKAGE_NAME = Text(rule=rules.distribution_name_violation, convert=normalized)
"""The kind of a setting that names a package of the workspace; `setting_names` checks that it exists."""
PACKAGE_GLOB = Text(convert=normalized)
"""The kind of a setting that is the name of a package of the workspace, or a glob of names."""
PACKAGE_PATTERN = Text()
"""The kind of a setting that is the name or folder of a package, or a glob of either; `!` excludes."""


def normalize_path(pattern: str) -> str:
    """Return a path or glob with forward slashes, without a leading `./` and without slashes at either end."""
    return pattern.replace("\\", "/").removeprefix("./").strip("/")


def select_packages(patterns: Sequence[str], packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages that a list of patterns selects; the last pattern that matches a package decides.

    A pattern with `!` excludes the packages that it matches. If the first pattern has a `!`, all other packages
    are selected by default.
    """
    starts_with_all = bool(patterns) and patterns[0].startswith("!")
    selected = []
    for package in packages:
        is_selected = starts_with_all
        for pattern in patterns:
            if matches_package(pattern.removeprefix("!"), package):
                is_selected = not pattern.startswith("!")
        if is_selected:
            selected.append(package)
    return tuple(selected)


def matches_any_glob(package: str, globs: Iterable[str]) -> bool:
    """Return whether a package matches one of the given names or globs; all names must be normalized."""
    return any(fnmatchcase(package, glob) for glob in globs)


def matches_package(pattern: str, package: Package) -> bool:
    """Return whether a pattern without `!` matches the name or the folder of a package."""
    path = normalize_path(pattern) or "."
    return fnmatchcase(package.name, normalized(path)) or fnmatchcase(package.folder, path)
