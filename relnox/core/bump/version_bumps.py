"""The bump of a package: as it is requested, and with the new version that was decided."""

from __future__ import annotations

from packaging.version import Version

from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.versions.requested_bump import Bump


class VersionBump(Record):
    """The bump of one package.

    Attributes:
        package: The package.
        before: The current version, or None if the package has none yet.
        after: The new version; equal to `before` if the current version is released unchanged.
        reason: Why it is bumped, in a few words.
    """

    package: Package
    before: Version | None
    after: Version
    reason: str


class BumpRequest(Record):
    """The bump that is requested for a package.

    Attributes:
        bump: The bump, or None to release the current version unchanged.
        reason: Why it is requested, in a few words.
    """

    bump: Bump | None
    reason: str
