"""The file of a package that an installer would choose on this machine."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.tags import Tag

    from relnox.building.archives import Archive


def best_archive(downloads: Iterable[Archive], package: str, python: str) -> Archive:
    """Select the file to install with a Python on this machine: the best compatible wheel, else the sdist."""
    from packaging.utils import parse_wheel_filename

    ranks = _tag_ranks(python)
    candidates: list[tuple[int, Archive]] = []
    for archive in downloads:
        if archive.kind == "sdist":
            candidates.append((len(ranks), archive))
        elif compatible := [ranks[tag] for tag in parse_wheel_filename(archive.path.name)[3] if tag in ranks]:
            candidates.append((min(compatible), archive))
    if not candidates:
        raise Failed(
            "wheel-incompatible",
            f"{package}: no file can be installed on this machine: "
            + ", ".join(archive.path.name for archive in downloads),
            fix="verify on a machine that one of the wheels supports, or publish an sdist too",
        )
    return min(candidates, key=lambda candidate: candidate[0])[1]


@cache
def _tag_ranks(python: str) -> Mapping[Tag, int]:
    """Return the wheel tags that a Python supports on this machine, with the rank of each; 0 is the best."""
    return {tag: rank for rank, tag in enumerate(_supported_tags(python))}


def _supported_tags(python: str) -> Iterator[Tag]:
    """Yield the wheel tags that the running Python or another CPython supports here, best first (PEP 425)."""
    from packaging import tags

    if not python:
        yield from tags.sys_tags()
    else:
        major, minor = (int(number) for number in python.split(".")[:2])
        yield from tags.cpython_tags((major, minor))
        yield from tags.compatible_tags((major, minor), f"cp{major}{minor}")
