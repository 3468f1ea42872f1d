"""Patterns in the settings, in which `!` excludes.

Patterns for packages are names, directories and globs of either. Patterns for files have the syntax of
gitignore(5): `docs/`, `*.md`, `/proto/**`. Unlike in a .gitignore file, the last one that matches a file or one of
its parent directories always decides, as in the path filters of CI providers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from pathspec import PathSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from relnox.core.packages import Package, normalize_name
from relnox.core.settings import rules
from relnox.core.settings.schema import Text
from relnox.errors import Blocked

DISTRIBUTION_NAME = Text(rule=rules.distribution_name_problem, convert=normalize_name)
"""The kind of a setting that names a package, which need not be in the workspace."""
PACKAGE_NAME = Text(rule=rules.distribution_name_problem, convert=normalize_name)
"""The kind of a setting that names a package of the workspace; `check_package_names` checks that it exists."""
PACKAGE_GLOB = Text(convert=normalize_name)
"""The kind of a setting that is the name of a package of the workspace, or a glob of names."""
PACKAGE_PATTERN = Text()
"""The kind of a setting that is the name or directory of a package, or a glob of either; `!` excludes."""


def normalize_path(pattern: str) -> str:
    """Return a path or glob with forward slashes, without a leading `./` and without slashes at either end."""
    return pattern.replace("\\", "/").removeprefix("./").strip("/")


def select_packages(patterns: Sequence[str], packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages that patterns select, in the order of `packages`; none without patterns.

    A pattern is the name or directory of a package, or a glob of either; `!` before it excludes. For each package,
    the last pattern that matches it decides. If none does, it is selected only if the first pattern has a `!`.
    """
    starts_with_all = bool(patterns) and patterns[0].startswith("!")
    packages_in_order = []
    for package in packages:
        is_selected = starts_with_all
        for pattern in patterns:
            if matches_package(pattern.removeprefix("!"), package):
                is_selected = not pattern.startswith("!")
        if is_selected:
            packages_in_order.append(package)
    return tuple(packages_in_order)


def matches_any_glob(package: str, globs: Iterable[str]) -> bool:
    """Return whether the normalized name of a package matches one of the globs, which must be normalized, too."""
    return any(fnmatchcase(package, glob) for glob in globs)


def matches_package(pattern: str, package: Package) -> bool:
    """Return whether a name, directory or glob (without `!`) matches the name or the directory of a package."""
    path = normalize_path(pattern) or "."
    return fnmatchcase(package.name, normalize_name(path)) or fnmatchcase(package.directory, path)


def _file_pattern_problem(text: str) -> Blocked | None:
    """Return the problem with a pattern for files in the syntax of gitignore(5), or None if it is valid."""
    why = None
    if {"..", "."} & {*text.removeprefix("!").split("/")}:
        why = "no part of a path may be '.' or '..': paths are relative to the root"
    else:
        try:
            if parse_file_patterns((text,)).patterns[0].include is None:
                why = "it is empty or a comment"
        except ValueError as error:
            why = str(error)
    return None if why is None else Blocked("value-invalid", why, 'write it like "proto/**", "!docs/" or "!*.md"')


PATH_PATTERN = Text(rule=_file_pattern_problem)
"""The kind of a setting that is a pattern for files."""


@lru_cache(maxsize=1024)
def parse_file_patterns(patterns: tuple[str, ...]) -> PathSpec[GitIgnoreSpecPattern]:
    """Return an object that matches paths with patterns in the syntax of gitignore(5); it is cached.

    Raises:
        ValueError: A pattern is invalid.
    """
    return PathSpec([GitIgnoreSpecPattern(pattern) for pattern in patterns])


def is_file_included(patterns: Iterable[str], file: str) -> bool | None:
    """Return whether the last pattern that matches a file includes it (has no `!`); None if no pattern matches.

    The patterns have the syntax of gitignore(5). `file` is a path relative to the root.
    """
    return parse_file_patterns(tuple(patterns)).check_file(file).include
