"""What the checks say: findings, and three ways to make one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Finding", "Found", "error", "few", "refusal", "told", "warning"]

_MOST_NAMES = 3


class Finding(Record, kw_only=True):
    """Something that is not as it should be.

    Attributes:
        level: An `error` keeps the archive from its final name; a `warning` does where warnings are errors.
        code: Stable name of the kind of problem.
        file: The archive's name.
        message: What is not right, said of the archive.
        fix: What helps.
    """

    level: Literal["error", "warning"]
    code: str
    file: str
    message: str
    fix: str


class Found(Record):
    """A finding before it is known whether the archive is meant for the public index."""

    level: Literal["error", "warning", "refusal"]
    code: str
    message: str
    fix: str


def error(code: str, message: str, fix: str) -> Found:
    """What cannot be right anywhere."""
    return Found("error", code, message, fix)


def warning(code: str, message: str, fix: str) -> Found:
    """What is most likely a mistake."""
    return Found("warning", code, message, fix)


def refusal(code: str, message: str, fix: str) -> Found:
    """What the public index refuses: an error, for all that may be sent there."""
    return Found("refusal", code, message, fix)


def told(found: Found, *, file: str, private: bool) -> Finding:
    """What was found, as it is said of this file."""
    level: Literal["error", "warning"] = "error" if found.level == "error" else "warning"
    if found.level == "refusal" and not private:
        level = "error"
    return Finding(level=level, code=found.code, file=file, message=found.message, fix=found.fix)


def few(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    ordered = sorted(names)
    more = len(ordered) - _MOST_NAMES
    return ", ".join(ordered[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
