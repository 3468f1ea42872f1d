"""Versions of packages at other commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.errors import Blocked

if TYPE_CHECKING:
    from packaging.version import Version

    from relnox.core.packages import Package
    from relnox.source.git import Git


def version_at(commit: str, package: Package, git: Git) -> Version | None:
    """Return the version in the package's version file at a commit, or None if it cannot be read."""
    text = git.read_file_at(commit, package.source.file)
    if text is None:
        return None
    try:
        spans = core.version_locations.find_spans(text, package.source)
        if not spans:
            return None
        return core.version_locations.parse_version(core.records.replace(package.source, text=spans[0].text))
    except (ValueError, Blocked):
        return None
