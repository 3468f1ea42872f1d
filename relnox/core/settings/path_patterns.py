"""Patterns for files in the settings, in the syntax of gitignore(5): `docs/`, `*.md`, `/proto/**`; `!` excludes.

Unlike in a .gitignore file, the last pattern that matches a file or one of its parent folders always decides, as
in the path filters of CI providers.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from relnox.core.settings.kinds import Text
from relnox.core.settings.rules import RuleViolation

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIX = 'write it like "proto/**", "!docs/" or "!*.md"'
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _path_pattern_violation(text: str) -> RuleViolation | None:
    """Check that a text is a valid pattern for files."""
    path = text.removeprefix("!")
    parts = path.removeprefix("/").removesuffix("/").split("/")
    if not path.strip("/"):
        return RuleViolation("it names no file or folder", _FIX)
    if _CONTROL.search(path) or path != path.strip():
        return RuleViolation("it contains control characters, or blanks at an end", _FIX)
    if path.startswith("#"):
        return RuleViolation("a # at the beginning is a comment for git", "begin with \\#")
    if {"..", ".", ""} & {*parts}:
        return RuleViolation("no part of a path may be empty, '.' or '..': paths are relative to the root", _FIX)
    if re.search(r"(?<!\\)(\\\\)*\\(/|$)", path):
        return RuleViolation(
            "a backslash quotes the next character, and here there is none", "separate folders by /"
        )
    try:
        as_regular_expression(path)
    except (ValueError, OverflowError) as error:
        return RuleViolation(str(error), "quote a [ that is a part of the name: \\[")
    return None


PATH_PATTERN = Text(rule=_path_pattern_violation)
"""The kind of a setting that is a pattern for files."""


@lru_cache(maxsize=1024)
def as_regular_expression(pattern: str) -> re.Pattern[str]:
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
            text += _part_as_regular_expression(part) + ("" if is_last else "/")
    below = "/.+" if pattern.endswith("/") else "(?:/.+)?"
    try:
        return re.compile(f"{text}{below}", re.DOTALL)
    except re.error as error:  # such as for a range from z to a
        raise ValueError(f"a class of characters is not valid ({error.msg})") from error


def _part_as_regular_expression(part: str) -> str:
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


def last_matching_pattern(patterns: Iterable[str], file: str) -> bool | None:
    """Return whether the last pattern that matches a file includes it; return None if no pattern matches."""
    included = None
    for pattern in patterns:
        if as_regular_expression(pattern.removeprefix("!")).fullmatch(file):
            included = not pattern.startswith("!")
    return included
