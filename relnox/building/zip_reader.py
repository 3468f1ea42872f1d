"""A strict reader of wheels (zip files): what it accepts, all readers interpret in the same way.

The directory at the end of a zip file and the header before every entry hold the same data, and readers differ in
which of them they use. Here both have to agree, the entries have to fill the file without gaps or overlaps, and
sizes and checksums have to match the content.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from relnox.building.entries import REBUILD, ArchiveError, Entry, too_large, unpacked_limit
from relnox.building.findings import error, rejected
from relnox.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from relnox.building.findings import Finding
    from relnox.core.settings.config import ArchiveLimits

__all__ = ["read_content", "read_entries"]

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
_MAX_COMMENT = (1 << 16) - 1
_BIG, _MANY = 0xFFFFFFFF, 0xFFFF  # the number is elsewhere (ZIP64)
_ENCRYPTED, _STREAMED, _UTF8 = 0x2041, 0x8, 0x800
_COMPARED_FLAGS = _ENCRYPTED | _STREAMED | _UTF8
"""Flags that have to be the same in the directory and in the entry's own header."""
_STORED, _DEFLATED = 0, 8
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
_MAX_NAME = 1 << 12
_TYPES = 0o170000
_FILE, _FOLDER, _LINK = 0o100000, 0o040000, 0o120000
_FIX = "write the wheel as Python's zipfile does: to a file, stored or deflated"


class _Record(NamedTuple):
    """An entry of the directory, with the position of the entry's own header."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int


def read_entries(file: IO[bytes], limits: ArchiveLimits) -> tuple[list[Entry], list[Finding]]:
    """Return the entries of a zip file in the order of its directory, and findings about its format.

    Raises:
        ArchiveError: It is not a zip file, is too large, or its entries cannot be determined.
    """
    start, end, count = _directory_position(file)
    if count > limits.max_entries:
        raise too_large(f"has more than {limits.max_entries} entries")
    if end - start > count * (_CENTRAL_FIELDS.size + 2 * _MAX_NAME):
        raise ArchiveError("has a zip directory that is too large for its entries")
    file.seek(start)
    records, findings = _parse_directory(file.read(end - start), count)
    limit = unpacked_limit(file.seek(0, 2), limits)
    if sum(record.size for record in records) > limit.size:
        raise too_large(limit.message)
    entries: dict[int, Entry] = {}
    expected = 0
    in_file = sorted(range(count), key=lambda number: records[number].start)
    following = [records[number].start for number in in_file[1:]] + [start]
    for number, next_start in zip(in_file, following, strict=True):
        record = records[number]
        quoted_name = _quoted(record.name)
        if record.start != expected and not entries:
            findings.append(error("zip-ambiguous", "has bytes before the archive", REBUILD))
        data, more = _check_local_header(file, record)
        findings += more
        entries[number] = _make_entry(record, data, findings)
        expected = data + record.packed
        if record.flags & _STREAMED and expected < next_start:
            expected = _end_of_descriptor(file, record, expected, next_start)
        if expected > next_start:
            raise ArchiveError(f"has entries that overlap: {quoted_name} and the next one")
        if expected < next_start:
            findings.append(
                error("zip-ambiguous", f"has bytes after {quoted_name} that belong to no file", REBUILD)
            )
            expected = next_start
    return [entries[number] for number in range(count)], findings


def read_content(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    """Yield the content of an entry in pieces of at most 1 MiB.

    Raises:
        ArchiveError: Its size or checksum is not that of the directory.
    """
    file.seek(entry.offset)
    remaining, size, crc = entry.packed, 0, 0
    inflate = zlib.decompressobj(wbits=-15) if entry.method == _DEFLATED else None
    while True:
        packed = (inflate.unconsumed_tail if inflate else b"") or file.read(min(remaining, _CHUNK))
        if inflate is None or not inflate.unconsumed_tail:
            remaining -= len(packed)
        try:
            piece = packed if inflate is None else inflate.decompress(packed, _CHUNK)
        except zlib.error as broken:
            raise ArchiveError(f"has a damaged file {entry.name!r} ({broken})") from broken
        size += len(piece)
        if size > entry.size:
            raise ArchiveError(
                f"has a file {entry.name!r} that unpacks to more than its stated {counted(entry.size, 'byte')}"
            )
        crc = zlib.crc32(piece, crc)
        if piece:
            yield piece
        if inflate is None and not packed:
            break
        if inflate is not None and (inflate.eof or not (packed or piece)):
            break
    whole = inflate is None or not entry.packed or (inflate.eof and not inflate.unused_data and not remaining)
    if size != entry.size or not whole:
        raise ArchiveError(f"has a file {entry.name!r} that does not have its stated size")
    if crc != entry.crc:
        raise ArchiveError(f"has a damaged file {entry.name!r} (CRC)")


def _directory_position(file: IO[bytes]) -> tuple[int, int, int]:
    """Return where the directory starts and ends, and how many entries it has."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_FIELDS.size - _MAX_COMMENT, 0))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        file.seek(0)
        truncated = file.read(4) == _LOCAL
        raise ArchiveError("is truncated (no zip directory)" if truncated else "is not a zip file")
    if len(tail) - at < _END_FIELDS.size:
        raise ArchiveError("is truncated (in the last record of the zip file)")
    _, disk, first_disk, here, count, length, start, comment = _END_FIELDS.unpack_from(tail, at)
    end = size - len(tail) + at
    if len(tail) - at - _END_FIELDS.size != comment:
        raise ArchiveError("has bytes after the archive")
    if comment:
        raise ArchiveError("has an archive comment (another archive could be hidden in it)", _FIX)
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
            raise ArchiveError("has ZIP64 records that contradict the other ones")
        disk, first_disk, here, count, length, start = disk64, first64, here64, count64, length64, start64
    if disk or first_disk or here != count:
        raise ArchiveError("is one part of a multi-part zip file")
    if start + length != end:
        problem = "has bytes before the archive" if start + length < end else "is truncated"
        raise ArchiveError(f"{problem} (the zip directory is not at its stated position)")
    return start, end, count


def _parse_directory(data: bytes, count: int) -> tuple[list[_Record], list[Finding]]:
    """Parse the directory."""
    records: list[_Record] = []
    findings: list[Finding] = []
    at = 0
    for _ in range(count):
        if len(data) - at < _CENTRAL_FIELDS.size or data[at : at + 4] != _CENTRAL:
            raise ArchiveError("has a damaged zip directory (fewer entries than stated)")
        fields = _CENTRAL_FIELDS.unpack_from(data, at)
        _, _, _, flags, method, _, _, crc, packed, size, names, extras, comments, disk, _, attributes, start = (
            fields
        )
        at += _CENTRAL_FIELDS.size
        name, extra = data[at : at + names], data[at + names : at + names + extras]
        at += names + extras + comments
        quoted_name = _quoted(name)
        if len(name) != names or len(extra) != extras or at > len(data) or disk:
            raise ArchiveError(f"has a damaged zip directory (at {quoted_name})")
        fields64 = _zip64_field(extra, name, findings)
        size, packed, start = _resolve_zip64((size, packed, start), fields64, quoted_name)
        if comments:
            findings.append(
                rejected("zip-rejected", f"has a comment on {quoted_name} (rejected by the public index)", _FIX)
            )
        records.append(_Record(name, flags, method, crc, packed, size, start, attributes >> 16))
    if at != len(data):
        raise ArchiveError("has bytes in its zip directory that belong to no entry")
    return records, findings


def _check_local_header(file: IO[bytes], record: _Record) -> tuple[int, list[Finding]]:
    """Return where the content of an entry starts, and how its own header differs from the directory."""
    findings: list[Finding] = []
    quoted_name = _quoted(record.name)
    file.seek(record.start)
    packed = file.read(_LOCAL_FIELDS.size)
    if len(packed) < _LOCAL_FIELDS.size or not packed.startswith(_LOCAL):
        raise ArchiveError(f"has no file at the stated position of {quoted_name}")
    _, _, flags, method, _, _, crc, packed_size, size, names, extras = _LOCAL_FIELDS.unpack(packed)
    name, extra = file.read(names), file.read(extras)
    fields64 = _zip64_field(extra, name, findings)
    expected: tuple[int, ...] = (record.size, record.packed, record.crc)
    actual = (*_resolve_zip64((size, packed_size), fields64, quoted_name), crc)
    if (flags ^ record.flags) & _COMPARED_FLAGS or method != record.method:
        findings.append(
            error("zip-ambiguous", f"has contradicting headers for {quoted_name} (flags, compression)", REBUILD)
        )
    if name != record.name:
        findings.append(
            error("zip-ambiguous", f"has two names for one file: {quoted_name} and {_quoted(name)}", REBUILD)
        )
    if record.flags & _STREAMED:
        findings.append(
            rejected(
                "zip-rejected",
                f"has the size of {quoted_name} after its content (rejected by the public index)",
                _FIX,
            )
        )
        # Zeros mean that the values follow the content.
        expected = tuple(here and there for here, there in zip(actual, expected, strict=True))
    if actual[:-1] != expected[:-1]:
        findings.append(error("zip-ambiguous", f"has two sizes for {quoted_name}", REBUILD))
    elif actual != expected:
        findings.append(error("zip-ambiguous", f"has two checksums for {quoted_name}", REBUILD))
    return record.start + _LOCAL_FIELDS.size + names + extras, findings


def _end_of_descriptor(file: IO[bytes], record: _Record, start: int, end: int) -> int:
    """Return where the data descriptor of a streamed entry ends; the start if there is none."""
    file.seek(start)
    data = file.read(min(end - start, 24))
    for form in ("<LLL", "<LQQ"):
        fields = struct.pack(form, record.crc, record.packed, record.size)
        for descriptor in (_DESCRIPTOR + fields, fields):
            if data == descriptor:
                return start + len(descriptor)
    return start


def _make_entry(record: _Record, data: int, findings: list[Finding]) -> Entry:
    """Return an entry; findings about its name and type are appended."""
    try:
        name = record.name.decode("utf-8" if record.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        name = record.name.decode("utf-8", "replace")
        findings.append(
            error("member-name-unsafe", f"member name is not UTF-8, or not marked as UTF-8: {name!r}", _FIX)
        )
    quoted_name = repr(name)
    kind: Literal["file", "directory", "symlink"] = "directory" if name.endswith("/") else "file"
    type_ = record.mode & _TYPES
    if type_ == _LINK:
        kind = "symlink"
        findings.append(
            error("link-in-wheel", f"contains a symbolic link: {quoted_name}", "replace it with the file")
        )
    elif type_ not in (0, _FILE, _FOLDER):
        findings.append(
            error("device-in-wheel", f"contains a device or a pipe: {quoted_name}", "exclude it from the wheel")
        )
    elif type_ == _FOLDER and kind == "file":
        findings.append(
            error("zip-ambiguous", f"contains a folder with the name of a file: {quoted_name}", REBUILD)
        )
    if kind == "directory" and record.size:
        findings.append(error("zip-ambiguous", f"has content for a folder: {quoted_name}", REBUILD))
    if record.flags & _ENCRYPTED:
        raise ArchiveError(f"contains an encrypted file: {quoted_name}", "build it again without encryption")
    if record.method not in (_STORED, _DEFLATED):
        reason = f"contains a file with unsupported compression method {record.method}: {quoted_name}"
        raise ArchiveError(reason, _FIX)
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


def _resolve_zip64(values: tuple[int, ...], fields64: bytes, quoted_name: str) -> tuple[int, ...]:
    """Return the values of a header, with those of its ZIP64 field filled in."""
    numbers = [int.from_bytes(fields64[at : at + 8], "little") for at in range(0, len(fields64), 8)]
    if _BIG not in values:
        if numbers and tuple(numbers) != values[: len(numbers)]:
            raise ArchiveError(f"has ZIP64 fields that contradict the other ones (at {quoted_name})")
        return values
    resolved = tuple(numbers.pop(0) if value == _BIG and numbers else value for value in values)
    if _BIG in resolved or numbers:
        raise ArchiveError(f"has ZIP64 fields that contradict the other ones (at {quoted_name})")
    return resolved


def _zip64_field(extra: bytes, name: bytes, findings: list[Finding]) -> bytes:
    """Return the ZIP64 field of a header's extra fields; empty if there is none."""
    zip64, kinds = b"", set()
    while extra:
        kind, size = _EXTRA_FIELDS.unpack_from(extra) if len(extra) >= _EXTRA_FIELDS.size else (0, len(extra))
        value, extra = extra[_EXTRA_FIELDS.size :][:size], extra[_EXTRA_FIELDS.size + size :]
        if len(value) != size:
            raise ArchiveError(f"has a damaged extra field (at {_quoted(name)})")
        if kind in (_ZIP64, _UNICODE_PATH) and kind in kinds:
            findings.append(
                rejected(
                    "zip-rejected",
                    f"has a duplicate extra field at {_quoted(name)} (rejected by the public index)",
                    _FIX,
                )
            )
        kinds.add(kind)
        if kind == _ZIP64:
            zip64 = value
        elif kind == _UNICODE_PATH and value[5:] != name:
            findings.append(
                error(
                    "zip-ambiguous",
                    f"has two names for one file: {_quoted(name)} and {_quoted(value[5:])}",
                    REBUILD,
                )
            )
    return zip64


def _quoted(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace")[:200])
