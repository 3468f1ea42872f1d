"""Checks of an archive against the plan, the specification of its format, and the rules of the public index.

Each problem is reported as a finding with a code, a message and a fix. All checks work offline.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from relnox.building import archives
from relnox.building.archives import READ_ERRORS, ArchiveError, iter_files
from relnox.building.checks import (
    completeness,
    file_contents,
    identity,
    member_names,
    metadata,
    sdist,
    secrets,
    wheel,
    wheel_and_sdist,
)
from relnox.building.checks.identity import ExpectedArchive
from relnox.building.findings import Finding, error, set_file_and_level
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.core.settings.config_tables import ArchiveLimits


def check_archive(archive: Archive, expected: ExpectedArchive) -> tuple[Finding, ...]:
    """Return the findings about an archive: differences from the plan, violations of format or index rules."""
    return _collect_findings(_run_checks(archive, expected), archive, private=expected.is_private)


def find_errors(
    path: Path,
    *,
    public: bool,
    limits: ArchiveLimits = archives.DEFAULT_LIMITS,
    may_be_empty: bool = False,
    optional_extensions: bool = False,
) -> tuple[Finding, ...]:
    """Return the errors in an archive that was built elsewhere; `public` includes violations of index rules."""
    expected = ExpectedArchive(
        name="", is_private=not public, may_be_empty=may_be_empty, extensions_are_optional=optional_extensions
    )
    return _read_and_check(path, limits, expected)[1]


def find_missing_extensions(
    paths: Iterable[Path], limits: ArchiveLimits = archives.DEFAULT_LIMITS
) -> tuple[Finding, ...]:
    """Return the errors that `check_extensions` finds in archives of a release; unreadable ones are skipped."""
    readable = []
    for path in paths:
        with contextlib.suppress(ArchiveError):
            readable.append(archives.read(path, limits))
    return tuple(finding for finding in check_extensions(readable) if finding.level == "error")


def check_extensions(release: Sequence[Archive]) -> tuple[Finding, ...]:
    """Return a finding for each wheel of a release that lacks the native modules that the sdist declares.

    If any wheel of the release has native modules, wheels without them are valid fallbacks for other platforms.
    """
    sdist = next((archive for archive in release if archive.kind == "sdist"), None)
    wheels = [archive for archive in release if archive.kind == "wheel"]
    if sdist is None or any(map(completeness.has_native_module, wheels)):
        return ()
    return tuple(
        finding
        for wheel in wheels
        for finding in _collect_findings(completeness.check_extensions(sdist, wheel), wheel, private=False)
    )


def read_valid_archive(path: Path, limits: ArchiveLimits = archives.DEFAULT_LIMITS) -> Archive:
    """Read an archive that was built elsewhere; raise `ArchiveError` with what any index rejects."""
    allowed = ExpectedArchive(name="", is_private=True, may_be_empty=True, extensions_are_optional=True)
    archive, findings = _read_and_check(path, limits, allowed)
    if findings or archive is None:
        lines = "\n".join(f"  {finding.message}" for finding in findings)
        raise ArchiveError(f"is invalid:\n{lines}", findings[0].fix, file=path.name)
    return archive


def _read_and_check(
    path: Path, limits: ArchiveLimits, expected: ExpectedArchive
) -> tuple[Archive | None, tuple[Finding, ...]]:
    """Return the archive, if it can be read, and its errors; its file name has the expected name and version."""
    try:
        archive = archives.read(path, limits)
    except ArchiveError as problem:
        return None, (_unreadable_finding(problem, path),)
    checks = _run_checks(archive, replace(expected, name=archive.name, version=archive.version), advice=False)
    findings = _collect_findings(checks, archive, private=expected.is_private)
    return archive, tuple(finding for finding in findings if finding.level == "error")


def check_wheel_against_sdist(sdist: Archive, wheel: Archive) -> tuple[Finding, ...]:
    """Return the differences between a wheel and the sdist it was built from, as findings about the wheel."""
    return _collect_findings(wheel_and_sdist.compare_wheel_with_sdist(sdist, wheel), wheel, private=False)


def _collect_findings(findings: Iterator[Finding], archive: Archive, *, private: bool) -> tuple[Finding, ...]:
    """Collect findings and set their files and levels; if the archive becomes unreadable, end with that error."""
    results = []
    try:
        for finding in findings:
            results.append(set_file_and_level(finding, file=archive.path.name, private=private))  # noqa: PERF401 - it may end midway
    except ArchiveError as problem:
        results.append(_unreadable_finding(problem, archive.path))
    except READ_ERRORS as problem:
        finding = error("archive-invalid", f"cannot be read completely ({problem})")
        results.append(set_file_and_level(finding, file=archive.path.name, private=private))
    return tuple(results)


def _unreadable_finding(problem: ArchiveError, path: Path) -> Finding:
    return Finding("error", problem.code, problem.reason, problem.fix or "", file=path.name)


def _run_checks(archive: Archive, expected: ExpectedArchive, *, advice: bool = True) -> Iterator[Finding]:
    yield from identity.check_identity(archive, expected)
    yield from member_names.check_names(archive)
    yield from metadata.check_metadata(archive, private=expected.is_private)
    contents = iter_files(archive, secrets.MAX_INSPECTED_BYTES)
    tracked_files = expected.tracked_files if archive.kind == "sdist" else None
    yield from file_contents.check_file_contents(contents, tracked_files)
    if archive.kind == "sdist":
        yield from sdist.check_sdist(archive)
        yield from sdist.check_tracked_files(archive, expected)
    else:
        yield from wheel.check_wheel(archive)
        yield from completeness.check_completeness(archive, expected)
        if advice:
            yield from completeness.run_check_wheel_contents(archive)
