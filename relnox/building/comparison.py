"""Two builds of one archive: where they differ, file by file."""

from __future__ import annotations

import filecmp
import hashlib
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from relnox.building.archives import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["HINTS", "differences"]

_CHUNK = 1 << 20
_GZIP_TIME = slice(4, 8)
"""Where a gzip file says when it was packed (RFC 1952)."""

HINTS: Mapping[str, str] = {
    "permissions": "the backend takes permissions from the checkout: build under umask 022, as build-all does, or "
    "take a backend that settles them (hatchling, flit-core, poetry-core, uv_build)",
    "time": "the backend takes times from the checkout or the clock: does it honour SOURCE_DATE_EPOCH?",
    "content": "does the build write the time, a path, or something in random order into that file?",
    "owner": "the backend takes owners from the checkout: take one that settles them",
    "presence": "does the build depend on the folder it is in, or on what is around it?",
    "order": "does the build list a folder without sorting it?",
    "framing": "the compressor differs: was it built with the same Python and zlib?",
}
"""What helps, by what differs."""


class _Member(NamedTuple):
    permissions: str
    time: str
    owner: str
    content: str


def differences(one: Path, other: Path) -> Iterator[tuple[str, str]]:
    """What differs, as a key of `HINTS`, and where, for people; nothing for equal bytes."""
    if filecmp.cmp(one, other, shallow=False):
        return
    try:
        first, second = _members(one), _members(other)
    except UNREADABLE as broken:
        yield "content", f"one of them cannot be read: {broken}"
        return
    found = False
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            found = True
            yield "presence", f"{name} is in one of them only"
            continue
        for what, left, right in zip(_Member._fields, first[name], second[name], strict=True):
            if left != right:
                found = True
                yield what, f"{name}: {what}" + ("" if what == "content" else f" {left} and {right}")
    if not found:
        yield (
            ("order", "the files stand in another order")
            if list(first) != list(second)
            else (
                "framing",
                "the same files are packed differently",
            )
        )


def _members(path: Path) -> dict[str, _Member]:
    return _of_a_wheel(path) if path.suffix == ".whl" else _of_an_sdist(path)


def _of_a_wheel(path: Path) -> dict[str, _Member]:
    with zipfile.ZipFile(path) as wheel:
        return {
            entry.filename: _Member(
                permissions=f"{entry.external_attr >> 16:o}",
                time="{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*entry.date_time),
                owner="",
                content=hashlib.sha256(wheel.read(entry)).hexdigest(),
            )
            for entry in wheel.infolist()
        }


def _of_an_sdist(path: Path) -> dict[str, _Member]:
    with path.open("rb") as packed:
        packed_at = int.from_bytes(packed.read(_GZIP_TIME.stop)[_GZIP_TIME], "little")
    found = {"its gzip header": _Member(permissions="", time=_spelled(packed_at), owner="", content="")}
    with tarfile.open(path) as sdist:
        for member in sdist:
            content = sdist.extractfile(member) if member.isfile() else None
            digest = hashlib.sha256()
            while content is not None and (chunk := content.read(_CHUNK)):
                digest.update(chunk)
            found[member.name] = _Member(
                permissions=f"{member.mode:o}",
                time=_spelled(member.mtime),
                owner=f"{member.uid}:{member.gid} {member.uname}:{member.gname}",
                content=f"{member.type!r} {digest.hexdigest()} {member.linkname}",
            )
    return found


def _spelled(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
