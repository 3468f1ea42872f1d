"""Comparison of two builds of the same archive, file by file."""

from __future__ import annotations

import filecmp
import hashlib
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from relnox.building.archives import READ_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_CHUNK_SIZE = 1 << 20
_GZIP_TIME_FIELD = slice(4, 8)
"""The position of the modification time in a gzip header (RFC 1952)."""

FIXES: Mapping[str, str] = {
    "permissions": "build with umask 022, as build-all does, or use a build backend that normalizes permissions "
    "(hatchling, flit-core, poetry-core, uv_build)",
    "time": "use a build backend that honors SOURCE_DATE_EPOCH instead of times of the checkout or the clock",
    "content": "keep the build from writing times, paths or data in random order into that file",
    "owner": "use a build backend that normalizes the owners of files",
    "presence": "make the build independent of its directory and of files around it",
    "order": "sort directory listings in the build",
    "compression": "build both times with the same Python and zlib",
}
"""Maps each kind of difference to the fix that users see."""


class _Member(NamedTuple):
    permissions: str
    time: str
    owner: str
    content: str


def find_differences(one: Path, other: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind (a key of `FIXES`) and a message for each difference between two wheels or two sdists.

    Identical files yield nothing; an archive that cannot be read yields a single difference.
    """
    if filecmp.cmp(one, other, shallow=False):
        return
    try:
        first, second = map(_read_wheel_members if one.suffix == ".whl" else _read_sdist_members, (one, other))
    except READ_ERRORS as problem:
        yield "content", f"one of the two archives cannot be read ({problem})"
        return
    members_differ = False
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            members_differ = True
            yield "presence", f"{name} is only in one of the two archives"
            continue
        for aspect, left, right in zip(_Member._fields, first[name], second[name], strict=True):
            if left != right:
                members_differ = True
                values = "" if aspect == "content" else f" {left} and {right}"
                yield aspect, f"{name}: {aspect}{values}"
    if members_differ:
        return
    if list(first) != list(second):
        yield "order", "the order of the files differs"
    else:
        yield "compression", "the same files are compressed differently"


def _read_wheel_members(path: Path) -> dict[str, _Member]:
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


def _read_sdist_members(path: Path) -> dict[str, _Member]:
    with path.open("rb") as file:
        compressed_at = int.from_bytes(file.read(_GZIP_TIME_FIELD.stop)[_GZIP_TIME_FIELD], "little")
    members = {"its gzip header": _Member(permissions="", time=_format_time(compressed_at), owner="", content="")}
    with tarfile.open(path) as sdist:
        for member in sdist:
            content = sdist.extractfile(member) if member.isfile() else None
            digest = hashlib.sha256()
            while content is not None and (chunk := content.read(_CHUNK_SIZE)):
                digest.update(chunk)
            members[member.name] = _Member(
                permissions=f"{member.mode:o}",
                time=_format_time(member.mtime),
                owner=f"{member.uid}:{member.gid} {member.uname}:{member.gname}",
                content=f"{member.type!r} {digest.hexdigest()} {member.linkname}",
            )
    return members


def _format_time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
