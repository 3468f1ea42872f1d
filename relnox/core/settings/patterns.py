"""Patterns in the settings, in which `!` excludes.

Patterns for packages are names, directories and globs of either. Patterns for files have the syntax of
gitignore(5): `docs/`, `*.md`, `/proto/**`. Unlike in a .gitignore file, the last one that matches a file or one of
its parent directories always decides, as in the path filters of CI providers.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from relnox.core.names import normalize_name
from relnox.core.settings import rules
from relnox.core.settings.kinds import Text
from relnox.core.settings.rules import RuleViolation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.core.packages import Package

_FILE_PATTERN_FIX = 'write it like "proto/**", "!docs/" or "!*.md"'
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

DISTRIBUTION_NAME = Text(rule=rules.distribution_name_violation, convert=normalize_name)
"""The kind of a setting that names a package, which need not be in the workspace."""
PACKAGE_NAME = Text(rule=rules.distribution_name_violation, convert=normalize_name)
"""The kind of a setting that names a package of the workspace; `setting_names` checks that it exists."""
PACKAGE_GLOB = Text(convert=normalize_name)
"""The kind of a setting that is the name of a package of the workspace, or a glob of names."""
PACKAGE_PATTERN = Text()
"""The kind of a setting that is the name or directory of a package, or a glob of either; `!` excludes."""


def normalize_path(pattern: str) -> str:
    """Return a path or glob with forward slashes, without a leading `./` and without slashes at either end."""
    return pattern.replace("\\", "/").removeprefix("./").strip("/")


def select_packages(patterns: Sequence[str], packages: Iterable[Package]) -> tuple[Package, ...]:
    """Return the packages that a list of patterns selects; the last pattern that matches a package decides.

    A pattern with `!` excludes the packages that it matches. If the first pattern has a `!`, all other packages
    are selected by default.
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
    """Return whether a package matches one of the given names or globs; all names must be normalized."""
    return any(fnmatchcase(package, glob) for glob in globs)


def matches_package(pattern: str, package: Package) -> bool:
    """Return whether a pattern without `!` matches the name or the directory of a package."""
    path = normalize_path(pattern) or "."
    return fnmatchcase(package.name, normalize_name(path)) or fnmatchcase(package.directory, path)


def _file_pattern_violation(text: str) -> RuleViolation | None:
    """Check that a text is a valid pattern for files."""
    path = text.removeprefix("!")
    parts = path.removeprefix("/").removesuffix("/").split("/")
    if not path.strip("/"):
        return RuleViolation("it names no file or directory", _FILE_PATTERN_FIX)
    if _CONTROL.search(path) or path != path.strip():
        return RuleViolation("it contains control characters, or blanks at an end", _FILE_PATTERN_FIX)
    if path.startswith("#"):
        return RuleViolation("a # at the beginning is a comment for git", "begin with \\#")
    if {"..", ".", ""} & {*parts}:
        return RuleViolation(
            "no part of a path may be empty, '.' or '..': paths are relative to the root", _FILE_PATTERN_FIX
        )
    if re.search(r"(?<!\\)(\\\\)*\\(/|$)", path):
        return RuleViolation(
            "a backslash quotes the next character, and here there is none", "separate directories by /"
        )
    try:
        file_pattern_regex(path)
    except (ValueError, OverflowError) as error:
        return RuleViolation(str(error), "quote a [ that is a part of the name: \\[")
    return None


PATH_PATTERN = Text(rule=_file_pattern_violation)
"""The kind of a setting that is a pattern for files."""


@lru_cache(maxsize=1024)
def file_pattern_regex(pattern: str) -> re.Pattern[str]:
    """Return the regular expression for a pattern without `!`, to match whole paths with forward slashes.

    Raises:
        ValueError: The pattern contains an invalid character class.
    """
    body = pattern.removesuffix("/")
    is_anchored = "/" in body
    parts = body.removeprefix("/").split("/")
    text = "" if is_anchored else "(?:.*/)?"
    for number, part in enumerate(parts):
        is_last = number == len(parts) - 1
        if part == "**" and len(parts) > 1:
            text += ".+" if is_last else "(?:.*/)?"
        else:
            text += _part_regex(part) + ("" if is_last else "/")
    below = "/.+" if pattern.endswith("/") else "(?:/.+)?"
    try:
        return re.compile(f"{text}{below}", re.DOTALL)
    except re.error as error:  # such as for a range from z to a
        raise ValueError(f"a class of characters is not valid ({error.msg})") from error


def _part_regex(part: str) -> str:
    """Return the regular expression for one part of a pattern, between slashes."""
    text, position = "", 0
    while position < len(part):
        char = part[position]
        position += 1
        if char == "*":
            text += "[^/]*"
        elif char == "?":
            text += "[^/]"
        elif char == "[":
            end = part.find("]", position + (2 if part[position : position + 1] in ("!", "^") else 1))
            if end < 0 or "[:" in part[position:end] or "\\" in part[position:end]:
                raise ValueError("a class of characters such as [a-z] has no end, or contains [: or a backslash")
            inside = part[position:end]
            negation = "^" if inside[0] in "!^" else ""
            inside = inside[len(negation) :].replace("[", r"\[").replace("]", r"\]").replace("^", r"\^")
            inside = inside.replace("&", r"\&").replace("~", r"\~").replace("|", r"\|")
            text += f"(?!/)[{negation}{inside}]"
            position = end + 1
        else:
            if char == "\\":
                char = part[position : position + 1]
                position += 1
            text += re.escape(char)
    return text


def is_file_included(patterns: Iterable[str], file: str) -> bool | None:
    """Return whether the last pattern that matches a file includes it; None if no pattern matches."""
    included = None
    for pattern in patterns:
        if file_pattern_regex(pattern.removeprefix("!")).fullmatch(file):
            included = not pattern.startswith("!")
    return included
