"""Checks of an archive against the plan, the specification of its format, and the rules of the public index.

Each problem is reported as a finding with a code, a message and a fix. All checks work offline.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from relnox.building import archives
from relnox.building.archives import READ_ERRORS, Archive, ArchiveError
from relnox.building.checks import contents, members, metadata, sdist, wheel, wheel_and_sdist
from relnox.building.checks.subject import ExpectedArchive, Subject
from relnox.building.checks.wheel_and_sdist import Pair
from relnox.building.findings import Rule, apply_rules, set_file_and_level
from relnox.core.records import replace
from relnox.errors import Problem


def check_archive(archive: Archive, expected: ExpectedArchive) -> tuple[Problem, ...]:
    """Return the findings about an archive: differences from the plan, violations of format or index rules."""
    advice = wheel.run_check_wheel_contents(archive) if archive.kind == "wheel" else ()
    return (
        *_collect_findings(_run_checks(Subject(archive, expected)), archive, private=expected.is_private),
        *_collect_findings(advice, archive, private=expected.is_private),
    )


def check_release(release: Sequence[Archive], *, optional_extensions: bool = False) -> tuple[Problem, ...]:
    """Return the differences between the wheels of a release and the sdist they were built from.

    If any wheel of the release has native modules, wheels without them are valid fallbacks for other platforms.
    """
    source = next((archive for archive in release if archive.kind == "sdist"), None)
    wheels = [archive for archive in release if archive.kind == "wheel"]
    if source is None:
        return ()
    checks_extensions = not optional_extensions and not any(map(wheel.has_native_module, wheels))
    findings: list[Problem] = []
    for archive in wheels:
        pair = Pair(source, archive)
        rules: tuple[Rule, ...]
        rules = wheel_and_sdist.VERSION_RULES if wheel_and_sdist.has_other_version(pair) else wheel_and_sdist.RULES
        if checks_extensions:
            rules += wheel_and_sdist.EXTENSION_RULES
        findings += _collect_findings(apply_rules(rules, pair), archive, private=False)
    return tuple(findings)


def find_errors(
    path: Path, *, public: bool, may_be_empty: bool = False, optional_extensions: bool = False
) -> tuple[Problem, ...]:
    """Return the errors in an archive that was built elsewhere; `public` includes violations of index rules."""
    expected = ExpectedArchive(
        name="", is_private=not public, may_be_empty=may_be_empty, extensions_are_optional=optional_extensions
    )
    return _read_and_check(path, expected)[1]


def find_errors_against_sdist(paths: Iterable[Path], *, optional_extensions: bool) -> tuple[Problem, ...]:
    """Return the errors that `check_release` finds in archives of a release; unreadable ones are skipped."""
    readable = []
    for path in paths:
        with contextlib.suppress(ArchiveError):
            readable.append(archives.read(path))
    findings = check_release(readable, optional_extensions=optional_extensions)
    return tuple(finding for finding in findings if finding.level == "error")


def read_valid_archive(path: Path) -> Archive:
    """Read an archive that was built elsewhere; raise `ArchiveError` with what any index rejects."""
    allowed = ExpectedArchive(name="", is_private=True, may_be_empty=True, extensions_are_optional=True)
    archive, findings = _read_and_check(path, allowed)
    if findings or archive is None:
        lines = "\n".join(f"  {finding.message}" for finding in findings)
        raise ArchiveError(f"is invalid:\n{lines}", findings[0].fix, file=path.name)
    return archive


def _read_and_check(path: Path, expected: ExpectedArchive) -> tuple[Archive | None, tuple[Problem, ...]]:
    """Return the archive, if it can be read, and its errors; its file name has the expected name and version."""
    try:
        archive = archives.read(path)
    except ArchiveError as problem:
        return None, (_unreadable_finding(problem, path),)
    subject = Subject(archive, replace(expected, name=archive.name, version=archive.version))
    findings = _collect_findings(_run_checks(subject), archive, private=expected.is_private)
    return archive, tuple(finding for finding in findings if finding.level == "error")


def _run_checks(subject: Subject) -> Iterator[Problem]:
    archive = subject.archive
    is_wheel = archive.kind == "wheel"
    yield from apply_rules((*metadata.RULES, *members.RULES, *(wheel if is_wheel else sdist).RULES), subject)
    yield from metadata.check_specification(subject)
    yield from contents.check_contents(archive, None if is_wheel else subject.expected.tracked_files)
    if is_wheel:
        yield from wheel.check_platforms(archive)


def _collect_findings(findings: Iterable[Problem], archive: Archive, *, private: bool) -> tuple[Problem, ...]:
    """Collect findings and set their files and levels; if the archive becomes unreadable, end with that error."""
    results = []
    try:
        for finding in findings:
            results.append(set_file_and_level(finding, file=archive.path.name, private=private))  # noqa: PERF401 - it may end midway
    except ArchiveError as problem:
        results.append(_unreadable_finding(problem, archive.path))
    except READ_ERRORS as problem:
        results.append(
            Problem(
                "archive-invalid",
                f"cannot be read completely ({problem})",
                archives.REBUILD_FIX,
                file=archive.path.name,
            )
        )
    return tuple(results)


def _unreadable_finding(problem: ArchiveError, path: Path) -> Problem:
    return Problem(problem.code, problem.reason, problem.fix, file=path.name)
