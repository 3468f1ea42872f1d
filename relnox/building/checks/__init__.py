"""An archive against what was planned, what its format wants, and what the public index refuses.

Every fault has a finding of its own, which says what is not right and what helps. All of it works offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.building import archives
from relnox.building.archives import UNREADABLE, ArchiveError, contents
from relnox.building.checks import (
    entry_points,
    identity,
    metadata,
    names,
    pair,
    platforms,
    sdist,
    secrets,
    tree,
    wheel,
    wheel_contents,
)
from relnox.building.checks.expected import Expected
from relnox.building.findings import Finding, error, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.building.findings import Found
    from relnox.core.config import ArchiveLimits

__all__ = ["Expected", "Finding", "errors", "open_checked", "verify", "verify_pair"]


def verify(archive: Archive, expected: Expected) -> tuple[Finding, ...]:
    """Everything about an archive that is not as planned, not as its format wants it, or refused by the index.

    Args:
        archive: What `read` gave.
        expected: What the plan says.
    """
    return _told(_found(archive, expected), archive, private=expected.private)


def errors(path: Path, *, public: bool, limits: ArchiveLimits = archives.LIMITS) -> tuple[Finding, ...]:
    """What is wrong with an archive that was built elsewhere, or that lay in a folder since.

    Args:
        path: Where it is.
        public: Whether what only the public index refuses counts.
        limits: How large it may be.
    """
    return _looked_into(path, public=public, limits=limits)[1]


def open_checked(path: Path, limits: ArchiveLimits = archives.LIMITS) -> Archive:
    """An archive from elsewhere, if nothing is wrong with it but what an index minds.

    Raises:
        ArchiveError: Something is; all of it is told.
    """
    archive, found = _looked_into(path, public=False, limits=limits)
    if found or archive is None:
        listed = "\n".join(f"  {finding.message}" for finding in found)
        raise ArchiveError(f"is refused:\n{listed}", found[0].hint, file=path.name)
    return archive


def _looked_into(path: Path, *, public: bool, limits: ArchiveLimits) -> tuple[Archive | None, tuple[Finding, ...]]:
    try:
        archive = archives.read(path, limits)
    except ArchiveError as broken:
        fault = Finding(level="error", file=path.name, message=broken.fault, hint=broken.hint or "")
        return None, (fault,)
    expected = Expected(name=archive.name, version=archive.version, private=not public)
    findings = _told(_found(archive, expected, advice=False), archive, private=expected.private)
    return archive, tuple(finding for finding in findings if finding.level == "error")


def verify_pair(sdist: Archive, wheel: Archive) -> tuple[Finding, ...]:
    """Everything that a wheel and the sdist it was built from do not agree about, said of the wheel.

    Args:
        sdist: What `read` gave for the one.
        wheel: What it gave for the other.
    """
    return _told(pair.check(sdist, wheel), wheel, private=False)


def _told(all_found: Iterator[Found], archive: Archive, *, private: bool) -> tuple[Finding, ...]:
    """The findings, up to where the archive cannot be read any further."""
    findings = []
    try:
        for found in all_found:
            findings.append(told(found, file=archive.path.name, private=private))  # noqa: PERF401 - it may end midway
    except ArchiveError as broken:
        end = error(broken.fault, broken.hint or "")
        findings.append(told(end, file=archive.path.name, private=private))
    except UNREADABLE as broken:
        end = error(f"it cannot be read to its end: {broken}", "build it again: nox -s build-all")
        findings.append(told(end, file=archive.path.name, private=private))
    return tuple(findings)


def _found(archive: Archive, expected: Expected, *, advice: bool = True) -> Iterator[Found]:
    yield from archive.faults
    yield from identity.check(archive, expected)
    yield from names.check(archive)
    yield from metadata.check(archive, private=expected.private)
    if archive.kind == "sdist":
        yield from sdist.check(archive)
        yield from secrets.check(contents(archive, secrets.INSPECTED_BYTES), expected.tracked)
        if expected.tracked is not None:
            yield from tree.check(archive, expected.tracked)
    else:
        yield from platforms.check(archive)
        yield from entry_points.check(archive)
        yield from wheel.check(archive)
        if advice:
            yield from wheel_contents.check(archive)
