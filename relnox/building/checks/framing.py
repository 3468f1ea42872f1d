"""How a zip file is put together: what lets one reader see another archive than the next one does.

The public index walks a wheel from its first byte and from its directory at the end, and refuses it when both ways
do not tell the same.
"""

from __future__ import annotations

import struct
import zipfile
from itertools import pairwise
from typing import IO, TYPE_CHECKING

from relnox.building.checks.findings import error, refusal
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.building.checks.findings import Found

__all__ = ["check"]

_LOCAL = struct.Struct("<4s5H3L2H")
_EXTRA = struct.Struct("<HH")
_END_SIZE = 22
_ENCRYPTED, _STREAMED = 0x1, 0x8
_BIG = 0xFFFFFFFF  # the size is elsewhere (ZIP64)
_ONCE = frozenset({0x0001, 0x7075})
"""Extra fields that may be there once: ZIP64, and a second name."""
_AGAIN = "build it again, with nothing that changes the wheel afterwards"
_ZIPFILE = "write wheels as Python's zipfile does: to a file, stored or deflated"


class _Header(Record):
    """What stands before a file's bytes."""

    flags: int
    packed: int
    size: int
    name: bytes
    extra: bytes


def check(path: Path) -> Iterator[Found]:
    """Every part of a zip file that is not where its directory says."""
    with path.open("rb") as content, zipfile.ZipFile(content) as wheel:
        entries = sorted(wheel.infolist(), key=lambda entry: entry.header_offset)
        headers = [_header(content, entry) for entry in entries]
        starts = [*(entry.header_offset for entry in entries), wheel.start_dir]
        yield from _around(content, starts[0], len(wheel.comment))
    for entry, header, (start, end) in zip(entries, headers, pairwise(starts), strict=True):
        yield from _as_listed(entry, header)
        length = _LOCAL.size + len(header.name) + len(header.extra) + entry.compress_size
        if start + length != end and not header.flags & _STREAMED:
            yield error(f"there are bytes behind {entry.filename} that belong to no file", _AGAIN)


def _header(content: IO[bytes], entry: zipfile.ZipInfo) -> _Header:
    content.seek(entry.header_offset)
    packed = content.read(_LOCAL.size)
    if len(packed) < _LOCAL.size or not packed.startswith(b"PK\x03\x04"):
        raise zipfile.BadZipFile(f"there is no file at the place of {entry.filename}")
    _, _, flags, _, _, _, _, packed_size, size, name, extra = _LOCAL.unpack(packed)
    return _Header(flags, packed_size, size, content.read(name), content.read(extra))


def _around(content: IO[bytes], start: int, comment: int) -> Iterator[Found]:
    """Bytes before the first and behind the last part."""
    if start:
        yield error("there are bytes before the archive", _AGAIN)
    content.seek(-_END_SIZE - comment, 2)
    if content.read(4) != b"PK\x05\x06":
        yield error("there are bytes behind the archive", _AGAIN)


def _as_listed(entry: zipfile.ZipInfo, header: _Header) -> Iterator[Found]:
    """A file's own header against its line in the directory."""
    name = entry.filename
    if header.flags & _ENCRYPTED:
        yield error(f"{name} is encrypted", "wheels are not: build it again")
    if header.flags & _STREAMED:
        yield refusal(f"{name} has its size behind its bytes, which the public index refuses", _ZIPFILE)
    elif header.packed not in (entry.compress_size, _BIG) or header.size not in (entry.file_size, _BIG):
        yield error(f"{name} has two sizes", _AGAIN)
    if header.name.decode("utf-8", "replace") != entry.orig_filename:
        yield error(f"{name} has two names, or one that is not UTF-8", _ZIPFILE)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        yield refusal(f"{name} is compressed in a way that the public index refuses", _ZIPFILE)
    if entry.comment:
        yield refusal(f"{name} has a comment, which the public index refuses", _ZIPFILE)
    kinds = list(_kinds(header.extra))
    if any(kinds.count(kind) > 1 for kind in _ONCE):
        yield refusal(f"{name} has an extra field twice, which the public index refuses", _ZIPFILE)


def _kinds(extra: bytes) -> Iterator[int]:
    """The kinds of a header's extra fields."""
    while len(extra) >= _EXTRA.size:
        kind, size = _EXTRA.unpack_from(extra)
        yield kind
        extra = extra[_EXTRA.size + size :]
