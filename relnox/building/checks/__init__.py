"""An archive against what was planned, what its format wants, and what the public index refuses.

Every fault has a finding of its own, which says what is not right and what helps. All of it works offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.building.archives import UNREADABLE
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
from relnox.building.checks.findings import Finding, error, refusal, told

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.checks.findings import Found

__all__ = ["Expected", "Finding", "verify", "verify_pair"]


def verify(archive: Archive, expected: Expected) -> tuple[Finding, ...]:
    """Everything about an archive that is not as planned, not as its format wants it, or refused by the index.

    Args:
        archive: What `read` gave.
        expected: What the plan says.
    """
    return _told(_found(archive, expected), archive, private=expected.private)


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
    except UNREADABLE as broken:
        end = error(f"it cannot be read to its end: {broken}", "build it again: nox -s build-all")
        findings.append(told(end, file=archive.path.name, private=private))
    return tuple(findings)


def _found(archive: Archive, expected: Expected) -> Iterator[Found]:
    yield from identity.check(archive, expected)
    yield from names.check(archive)
    yield from metadata.check(archive, private=expected.private)
    if archive.kind == "sdist":
        yield from _in_an_sdist(archive, expected)
    else:
        yield from _in_a_wheel(archive)


def _in_an_sdist(archive: Archive, expected: Expected) -> Iterator[Found]:
    if sdist.is_bomb(archive.path):
        yield error("it unpacks to more than a hundred times its size", "what huge file is in it?")
        return
    yield from sdist.check(archive)
    yield from secrets.check(archive, expected.tracked)
    if expected.tracked is not None:
        yield from tree.check(archive, expected.tracked)


def _in_a_wheel(archive: Archive) -> Iterator[Found]:
    if wheel.is_bomb(archive.path):
        yield refusal("it unpacks to more than fifty times its size", "what huge file is in it?")
        return
    yield from platforms.check(archive)
    yield from wheel.check(archive)
    yield from entry_points.check(archive)
    yield from secrets.check(archive, None)
    yield from wheel_contents.check(archive)
