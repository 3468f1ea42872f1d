"""Names in an archive that could be unpacked to another place, or over one another."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from relnox.building.archives import path_of
from relnox.building.checks.findings import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.building.archives import Archive
    from relnox.building.checks.findings import Found

__all__ = ["check"]

_HINT = "what does the build configuration include?"


def check(archive: Archive) -> Iterator[Found]:
    """Every name that is not one file's own, in the place where the archive is unpacked."""
    for member, count in Counter(archive.members).items():
        path = path_of(member)
        if count > 1:
            yield error(f"{member} is in it {count} times", _HINT)
        if path.is_absolute() or ".." in path.parts or "\\" in member:
            yield error(f"{member!r} would be unpacked elsewhere", _HINT)
        if not member.isprintable() or "\ufffd" in member:
            yield error(f"{member!r} is no name for a file", _HINT)
    yield from _alike(set(archive.members))


def _alike(members: Iterable[str]) -> Iterator[Found]:
    folded = Counter(member.casefold() for member in members)
    for member in sorted(members):
        if folded[member.casefold()] > 1:
            yield warning(
                f"{member} differs from another name by case only", "Windows and macOS keep one of them: rename it"
            )
