"""Read wheels (zip files) strictly: what one reader sees in them is what every other one sees.

The directory at the end of a zip file and the headers before each entry tell the same things twice, and readers
differ in which of them they believe. Here both have to agree, the entries have to fill the file without gaps or
overlaps, and nothing is believed that the content does not bear out.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from relnox.building.entries import LIMIT_HINT, REBUILD, ArchiveError, Entry, unpacked_limit
from relnox.building.findings import error, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from relnox.building.findings import Found
    from relnox.core.config import ArchiveLimits

__all__ = ["content", "listing"]

_CHUNK = 1 << 20
_END, _END64, _LOCATOR, _CENTRAL, _LOCAL, _DESCRIPTOR = (
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"PK\x06\x07",
    b"PK\x01\x02",
    b"PK\x03\x04",
    b"PK\x07\x08",
)
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_CENTRAL_FIELDS = struct.Struct("<4s6H3L5H2L")
_LOCAL_FIELDS = struct.Struct("<4s5H3L2H")
_EXTRA_FIELDS = struct.Struct("<HH")
_COMMENT_LIMIT = (1 << 16) - 1
_BIG, _MANY = 0xFFFFFFFF, 0xFFFF  # the number is elsewhere (ZIP64)
_ENCRYPTED, _STREAMED, _UTF8 = 0x2041, 0x8, 0x800
_READ_ALIKE = _ENCRYPTED | _STREAMED | _UTF8
"""Flags that the directory and an entry's own header have to agree about."""
_STORED, _DEFLATED = 0, 8
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_NAME_LIMIT = 1 << 12
_TYPES = 0o170000
_FILE, _FOLDER, _LINK = 0o100000, 0o040000, 0o120000
_HINT = "write wheels as Python's zipfile does: to a file, stored or deflated"


class _Record(NamedTuple):
    """What the directory says of an entry, and where its own header is."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int


def listing(file: IO[bytes], limits: ArchiveLimits) -> tuple[list[Entry], list[Found]]:
    """The entries of a zip file in the order of its directory, and what is wrong with how it is written.

    Raises:
        ArchiveError: It is not a zip file, too large, or so wrong that its entries cannot be told.
    """
    start, end, count = _directory_position(file)
    if count > limits.max_entries:
        raise ArchiveError(f"has more than {limits.max_entries} entries", LIMIT_HINT)
    if end - start > count * (_CENTRAL_FIELDS.size + 2 * _NAME_LIMIT):
        raise ArchiveError("has a directory that is too large for its entries")
    file.seek(start)
    records, found = _directory(file.read(end - start), count)
    limit = unpacked_limit(file.seek(0, 2), limits)
    if sum(record.size for record in records) > limit.size:
        raise ArchiveError(limit.fault, LIMIT_HINT)
    entries: dict[int, Entry] = {}
    expected = 0
    in_file = sorted(range(count), key=lambda number: records[number].start)
    following = [records[number].start for number in in_file[1:]] + [start]
    for number, next_start in zip(in_file, following, strict=True):
        record = records[number]
        shown = _shown(record.name)
        if record.start != expected and not entries:
            found.append(error("todo", "has bytes before the archive", REBUILD))
        data, faults = _local(file, record)
        found += faults
        entries[number] = _entry(record, data, found)
        expected = data + record.packed
        if record.flags & _STREAMED and expected < next_start:
            expected = _behind_descriptor(file, record, expected, next_start)
        if expected > next_start:
            raise ArchiveError(f"has entries that overlap: {shown} and the next one")
        if expected < next_start:
            found.append(error("todo", f"has bytes behind {shown} that belong to no file", REBUILD))
            expected = next_start
    return [entries[number] for number in range(count)], found


def content(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    """The content of an entry in pieces of at most 1 MiB, as long and as checksummed as the directory says.

    Raises:
        ArchiveError: It is not.
    """
    file.seek(entry.offset)
    left, size, crc = entry.packed, 0, 0
    inflate = zlib.decompressobj(wbits=-15) if entry.method == _DEFLATED else None
    while True:
        packed = (inflate.unconsumed_tail if inflate else b"") or file.read(min(left, _CHUNK))
        if inflate is None or not inflate.unconsumed_tail:
            left -= len(packed)
        try:
            piece = packed if inflate is None else inflate.decompress(packed, _CHUNK)
        except zlib.error as broken:
            raise ArchiveError(f"has a damaged file {entry.name!r} ({broken})") from broken
        size += len(piece)
        if size > entry.size:
            raise ArchiveError(f"has a file {entry.name!r} that unpacks to more than its {entry.size} bytes")
        crc = zlib.crc32(piece, crc)
        if piece:
            yield piece
        if inflate is None and not packed:
            break
        if inflate is not None and (inflate.eof or not (packed or piece)):
            break
    whole = inflate is None or not entry.packed or (inflate.eof and not inflate.unused_data and not left)
    if size != entry.size or not whole:
        raise ArchiveError(f"has a file {entry.name!r} with another size than it states")
    if crc != entry.crc:
        raise ArchiveError(f"has a damaged file {entry.name!r} (CRC)")


def _directory_position(file: IO[bytes]) -> tuple[int, int, int]:
    """Where the directory starts and ends, and how many entries it has."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_FIELDS.size - _COMMENT_LIMIT, 0))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        file.seek(0)
        what = "is truncated (a zip file without its directory)" if file.read(4) == _LOCAL else "is not a zip file"
        raise ArchiveError(f"cannot be opened: it {what}")
    if len(tail) - at < _END_FIELDS.size:
        raise ArchiveError("cannot be opened: it is truncated (in the last record of the zip file)")
    _, disk, first_disk, here, count, length, start, comment = _END_FIELDS.unpack_from(tail, at)
    end = size - len(tail) + at
    if len(tail) - at - _END_FIELDS.size != comment:
        raise ArchiveError("has bytes behind the archive")
    if comment:
        raise ArchiveError("has a comment on the archive, in which another archive can hide", _HINT)
    if tail[at - _LOCATOR_FIELDS.size : at].startswith(_LOCATOR) and at >= _LOCATOR_FIELDS.size:
        file.seek(end - _LOCATOR_FIELDS.size - _END64_FIELDS.size)
        big = _END64_FIELDS.unpack(file.read(_END64_FIELDS.size))
        _, located_disk, located, disks = _LOCATOR_FIELDS.unpack_from(tail, at - _LOCATOR_FIELDS.size)
        end -= _LOCATOR_FIELDS.size + _END64_FIELDS.size
        signature, record, _, _, disk64, first64, here64, count64, length64, start64 = big
        small = ((disk, disk64), (first_disk, first64), (here, here64), (count, count64))
        agree = all(one in (other, _MANY) for one, other in small)
        agree = agree and length in (length64, _BIG) and start in (start64, _BIG)
        expected = (_END64, 44, 0, end, True)
        if (signature, record, located_disk, located, agree) != expected or disks > 1:
            raise ArchiveError("has ZIP64 records that contradict the others")
        disk, first_disk, here, count, length, start = disk64, first64, here64, count64, length64, start64
    if disk or first_disk or here != count:
        raise ArchiveError("is one part of a zip file of several")
    if start + length != end:
        what = "has bytes before the archive" if start + length < end else "cannot be opened: it is truncated"
        raise ArchiveError(f"{what} (its directory is not where it says)")
    return start, end, count


def _directory(data: bytes, count: int) -> tuple[list[_Record], list[Found]]:
    """What the directory says."""
    records: list[_Record] = []
    found: list[Found] = []
    at = 0
    for _ in range(count):
        if len(data) - at < _CENTRAL_FIELDS.size or data[at : at + 4] != _CENTRAL:
            raise ArchiveError("has a damaged directory (it lacks entries that it counts)")
        fields = _CENTRAL_FIELDS.unpack_from(data, at)
        _, _, _, flags, method, _, _, crc, packed, size, names, extras, comments, disk, _, attributes, start = (
            fields
        )
        at += _CENTRAL_FIELDS.size
        name, extra = data[at : at + names], data[at + names : at + names + extras]
        at += names + extras + comments
        shown = _shown(name)
        if len(name) != names or len(extra) != extras or at > len(data) or disk:
            raise ArchiveError(f"has a damaged directory (at {shown})")
        fields64 = _extras(extra, name, found)
        size, packed, start = _real((size, packed, start), fields64, shown)
        if comments:
            found.append(refusal("todo", f"has a comment on {shown}, which the public index refuses", _HINT))
        records.append(_Record(name, flags, method, crc, packed, size, start, attributes >> 16))
    if at != len(data):
        raise ArchiveError("has bytes in its directory that belong to no entry")
    return records, found


def _local(file: IO[bytes], record: _Record) -> tuple[int, list[Found]]:
    """Where the content of an entry starts, and what its own header says otherwise than the directory."""
    found: list[Found] = []
    shown = _shown(record.name)
    file.seek(record.start)
    packed = file.read(_LOCAL_FIELDS.size)
    if len(packed) < _LOCAL_FIELDS.size or not packed.startswith(_LOCAL):
        raise ArchiveError(f"has no file where its directory says {shown} is")
    _, _, flags, method, _, _, crc, packed_size, size, names, extras = _LOCAL_FIELDS.unpack(packed)
    name, extra = file.read(names), file.read(extras)
    fields64 = _extras(extra, name, found)
    wanted: tuple[int, ...] = (record.size, record.packed, record.crc)
    stated = (*_real((size, packed_size), fields64, shown), crc)
    if (flags ^ record.flags) & _READ_ALIKE or method != record.method:
        found.append(
            error("todo", f"has two headers for {shown} that contradict each other (flags, compression)", REBUILD)
        )
    if name != record.name:
        found.append(error("todo", f"has two names for one file: {shown} and {_shown(name)}", REBUILD))
    if record.flags & _STREAMED:
        found.append(
            refusal("todo", f"has the size of {shown} behind its content, which the public index refuses", _HINT)
        )
        wanted = tuple(here and there for here, there in zip(stated, wanted, strict=True))  # zeros mean: later
    if stated[:-1] != wanted[:-1]:
        found.append(error("todo", f"has two sizes for {shown}", REBUILD))
    elif stated != wanted:
        found.append(error("todo", f"has two checksums for {shown}", REBUILD))
    return record.start + _LOCAL_FIELDS.size + names + extras, found


def _behind_descriptor(file: IO[bytes], record: _Record, start: int, end: int) -> int:
    """Where the data descriptor of a streamed entry ends, if it is one."""
    file.seek(start)
    data = file.read(min(end - start, 24))
    for form in ("<LLL", "<LQQ"):
        fields = struct.pack(form, record.crc, record.packed, record.size)
        for descriptor in (_DESCRIPTOR + fields, fields):
            if data == descriptor:
                return start + len(descriptor)
    return start


def _entry(record: _Record, data: int, found: list[Found]) -> Entry:
    """An entry of which the name and the type are plain."""
    try:
        name = record.name.decode("utf-8" if record.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        name = record.name.decode("utf-8", "replace")
        found.append(error("todo", f"has a name that is not UTF-8, or not marked so: {name!r}", _HINT))
    shown = repr(name)
    kind: Literal["file", "directory", "symlink"] = "directory" if name.endswith("/") else "file"
    type_ = record.mode & _TYPES
    if type_ == _LINK:
        kind = "symlink"
        found.append(error("todo", f"has a symbolic link: {shown}", "ship the file itself"))
    elif type_ not in (0, _FILE, _FOLDER):
        found.append(error("todo", f"has a device or a pipe: {shown}", "leave it out of the wheel"))
    elif type_ == _FOLDER and kind == "file":
        found.append(error("todo", f"has a folder with the name of a file: {shown}", REBUILD))
    if kind == "directory" and record.size:
        found.append(error("todo", f"has content in a folder: {shown}", REBUILD))
    if record.flags & _ENCRYPTED:
        raise ArchiveError(f"has an encrypted file: {shown}", "wheels are not encrypted: build it again")
    if record.method not in (_STORED, _DEFLATED):
        text = f"has a file compressed by method {record.method}: {shown}; wheels are stored or deflated"
        raise ArchiveError(text, _HINT)
    return Entry(
        name=name,
        kind=kind,
        size=record.size,
        mode=record.mode & 0o7777,
        offset=data,
        packed=record.packed,
        method=record.method,
        crc=record.crc,
    )


def _real(values: tuple[int, ...], fields64: bytes, shown: str) -> tuple[int, ...]:
    """The values of a header, with those that are in its ZIP64 field in their places."""
    numbers = [int.from_bytes(fields64[at : at + 8], "little") for at in range(0, len(fields64), 8)]
    if _BIG not in values:
        if numbers and tuple(numbers) != values[: len(numbers)]:
            raise ArchiveError(f"has ZIP64 fields that contradict the others (at {shown})")
        return values
    real = tuple(numbers.pop(0) if value == _BIG and numbers else value for value in values)
    if _BIG in real or numbers:
        raise ArchiveError(f"has ZIP64 fields that contradict the others (at {shown})")
    return real


def _extras(extra: bytes, name: bytes, found: list[Found]) -> bytes:
    """The ZIP64 field of a header's extra fields, empty where there is none."""
    big, seen = b"", set()
    while extra:
        kind, size = _EXTRA_FIELDS.unpack_from(extra) if len(extra) >= _EXTRA_FIELDS.size else (0, len(extra))
        value, extra = extra[_EXTRA_FIELDS.size :][:size], extra[_EXTRA_FIELDS.size + size :]
        if len(value) != size:
            raise ArchiveError(f"has a damaged extra field (of {_shown(name)})")
        if kind in (_ZIP64, _UNICODE_PATH) and kind in seen:
            found.append(
                refusal("todo", f"has an extra field twice, which the public index refuses: {_shown(name)}", _HINT)
            )
        seen.add(kind)
        if kind == _ZIP64:
            big = value
        elif kind == _UNICODE_PATH and value[5:] != name:
            found.append(
                error("todo", f"has two names for one file: {_shown(name)} and {_shown(value[5:])}", REBUILD)
            )
    return big


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace")[:200])
