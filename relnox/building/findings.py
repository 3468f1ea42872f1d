"""Findings: problems with an archive, as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relnox.building.entries import REBUILD
from relnox.core.records import Record, replace
from relnox.core.text import listing

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_NAMES = 3


class Finding(Record):
    """A problem with an archive.

    Attributes:
        level: An `error` keeps the archive from its final name; a `warning` does so with `--strict`. What is
            `rejected-by-index` becomes one or the other in `set_file_and_level`: a warning for private packages.
        code: Stable name of the kind of problem.
        message: What is wrong; shown behind the name of the file.
        fix: One instruction that solves it.
        file: The archive's name; empty until `set_file_and_level`.
    """

    level: Literal["error", "warning", "rejected-by-index"]
    code: str
    message: str
    fix: str
    file: str = ""


def error(code: str, message: str, fix: str = REBUILD) -> Finding:
    """Make a finding that is wrong on any index."""
    return Finding("error", code, message, fix)


def warning(code: str, message: str, fix: str) -> Finding:
    """Make a finding that is most likely a mistake."""
    return Finding("warning", code, message, fix)


def rejected(code: str, message: str, fix: str) -> Finding:
    """Make a finding that the public index rejects uploads for."""
    return Finding("rejected-by-index", code, message, fix)


def set_file_and_level(finding: Finding, *, file: str, private: bool) -> Finding:
    """Set the file, and the level of what only the public index rejects: a warning for private packages."""
    if finding.level == "rejected-by-index":
        return replace(finding, file=file, level="warning" if private else "error")
    return replace(finding, file=file)


def abbreviate(names: Iterable[str]) -> str:
    """Join the first names in sorted order: `a, b, c and 7 more`."""
    return listing(sorted(names), _MAX_NAMES)
