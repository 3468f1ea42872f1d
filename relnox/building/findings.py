"""Findings: the problems that checks report about an archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relnox.building.archives import REBUILD_FIX
from relnox.core.records import Record, replace
from relnox.core.text import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAX_NAMES = 3


class Finding(Record):
    """A problem with an archive.

    Attributes:
        level: An `error` fails the build; a `warning` does so only with `--strict`. `set_file_and_level` turns
            `rejected-by-index` into a warning for private packages, and into an error for others.
        message: What is wrong; shown after the file name.
        file: The archive's file name; empty until `set_file_and_level` sets it.
    """

    level: Literal["error", "warning", "rejected-by-index"]
    code: str
    message: str
    fix: str
    file: str = ""


def error(code: str, message: str, fix: str = REBUILD_FIX) -> Finding:
    """Return a finding about a problem that matters on any index."""
    return Finding("error", code, message, fix)


def warning(code: str, message: str, fix: str) -> Finding:
    """Return a finding about something that is probably a mistake."""
    return Finding("warning", code, message, fix)


def rejected_by_index(code: str, message: str, fix: str) -> Finding:
    """Return a finding about a problem for which the public index rejects an upload."""
    return Finding("rejected-by-index", code, message, fix)


def set_file_and_level(finding: Finding, *, file: str, private: bool) -> Finding:
    """Return the finding with its file set and, if it is `rejected-by-index`, its final level."""
    if finding.level == "rejected-by-index":
        return replace(finding, file=file, level="warning" if private else "error")
    return replace(finding, file=file)


def format_names(names: Iterable[str]) -> str:
    """Join the first three names in sorted order, and count the others: `a, b, c and 7 more`."""
    return join_names(sorted(names), _MAX_NAMES)
