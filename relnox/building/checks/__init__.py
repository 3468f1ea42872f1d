"""An archive against what was planned, what its format wants, and what the public index refuses.

Every fault has a finding of its own, which says what is not right and what helps. All of it works offline.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from relnox.building import archives
from relnox.building.archives import UNREADABLE, ArchiveError, contents
from relnox.building.checks import (
    completeness,
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
from relnox.building.entries import REBUILD
from relnox.building.findings import Finding, error, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.building.findings import Found
    from relnox.core.config import ArchiveLimits

__all__ = [
    "Expected",
    "Finding",
    "errors",
    "extension_errors",
    "open_checked",
    "verify",
    "verify_extensions",
    "verify_pair",
]


def verify(archive: Archive, expected: Expected) -> tuple[Finding, ...]:
    """Everything about an archive that is not as planned, not as its format wants it, or refused by the index.

    Args:
        archive: What `read` gave.
        expected: What the plan says.
    """
    return _told(_found(archive, expected), archive, private=expected.private)


def errors(
    path: Path,
    *,
    public: bool,
    limits: ArchiveLimits = archives.LIMITS,
    may_be_empty: bool = False,
    optional_extensions: bool = False,
) -> tuple[Finding, ...]:
    """What is wrong with an archive that was built elsewhere, or that lay in a folder since.

    Args:
        path: Where it is.
        public: Whether what only the public index refuses counts.
        limits: How large it may be.
        may_be_empty: See `Expected`.
        optional_extensions: See `Expected`.
    """
    return _looked_into(
        path,
        public=public,
        limits=limits,
        may_be_empty=may_be_empty,
        optional_extensions=optional_extensions,
    )[1]


def extension_errors(paths: Iterable[Path], limits: ArchiveLimits = archives.LIMITS) -> tuple[Finding, ...]:
    """Wheels of a release that lack the native modules which its source distribution declares.

    Args:
        paths: The archives of one package; ones that cannot be read are left to `errors`.
        limits: How large they may be.
    """
    found = []
    for path in paths:
        with contextlib.suppress(ArchiveError):
            found.append(archives.read(path, limits))
    return tuple(finding for finding in verify_extensions(found) if finding.level == "error")


def verify_extensions(release: Sequence[Archive]) -> tuple[Finding, ...]:
    """What wheels lack of the native modules that their source distribution declares.

    Where one wheel of a release has native modules, another one without them serves all other machines.

    Args:
        release: The archives of one package that `read` gave.
    """
    sdist = next((archive for archive in release if archive.kind == "sdist"), None)
    wheels = [archive for archive in release if archive.kind == "wheel"]
    if sdist is None or any(completeness.is_native(member) for wheel in wheels for member in wheel.members):
        return ()
    return tuple(
        finding
        for wheel in wheels
        for finding in _told(completeness.check_extensions(sdist, wheel), wheel, private=False)
    )


def open_checked(path: Path, limits: ArchiveLimits = archives.LIMITS) -> Archive:
    """An archive from elsewhere, if nothing is wrong with it but what an index minds.

    Raises:
        ArchiveError: Something is; all of it is told.
    """
    archive, found = _looked_into(path, public=False, limits=limits, may_be_empty=True, optional_extensions=True)
    if found or archive is None:
        listed = "\n".join(f"  {finding.message}" for finding in found)
        raise ArchiveError(f"is refused:\n{listed}", found[0].fix, file=path.name)
    return archive


def _looked_into(
    path: Path, *, public: bool, limits: ArchiveLimits, may_be_empty: bool, optional_extensions: bool
) -> tuple[Archive | None, tuple[Finding, ...]]:
    try:
        archive = archives.read(path, limits)
    except ArchiveError as broken:
        fault = Finding(
            level="error", code=broken.code, file=path.name, message=broken.fault, fix=broken.fix or ""
        )
        return None, (fault,)
    expected = Expected(
        name=archive.name,
        version=archive.version,
        private=not public,
        may_be_empty=may_be_empty,
        optional_extensions=optional_extensions,
    )
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
        end = error("todo", broken.fault, broken.fix or "")
        findings.append(told(end, file=archive.path.name, private=private))
    except UNREADABLE as broken:
        end = error("todo", f"it cannot be read to its end: {broken}", REBUILD)
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
            yield from tree.check(archive, expected.tracked, expected.above)
    else:
        yield from platforms.check(archive)
        yield from entry_points.check(archive)
        yield from wheel.check(archive)
        yield from completeness.check(
            archive, may_be_empty=expected.may_be_empty, optional_extensions=expected.optional_extensions
        )
        if advice:
            yield from wheel_contents.check(archive)
