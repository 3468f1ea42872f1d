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
        versions = core.version_locations.read_versions(text, package.source)
        if not versions:
            return None
        return core.version_locations.parse_version(core.records.replace(package.source, text=versions[0]))
    except (ValueError, Blocked):
        return None
