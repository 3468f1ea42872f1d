"""A strict parser of the central directory of a zip file (PKWARE's APPNOTE.TXT, sections 4.3.12 to 4.3.16)."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, NamedTuple

from relnox.building.archive_entries import ArchiveError
from relnox.building.findings import error, rejected_by_index

if TYPE_CHECKING:
    from relnox.building.findings import Finding

LOCAL_HEADER_SIGNATURE = b"PK\x03\x04"
"""The signature of an entry's local header."""
REWRITE_FIX = "write the wheel with Python's zipfile, to a seekable file, and store or deflate its members"
_END_SIGNATURE, _END64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x06"
_LOCATOR_SIGNATURE, _ENTRY_SIGNATURE = b"PK\x06\x07", b"PK\x01\x02"
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_ENTRY_FIELDS = struct.Struct("<4s6H3L5H2L")
_EXTRA_FIELDS = struct.Struct("<HH")
_MAX_COMMENT = (1 << 16) - 1
MAX_ENTRY_SIZE = _ENTRY_FIELDS.size + 2 * (1 << 12)
"""The maximum size in bytes of a directory entry: its fixed part, and 4 KiB each for its name and extra fields."""
_ZIP64_SIZE_MARKER, _ZIP64_COUNT_MARKER = 0xFFFFFFFF, 0xFFFF  # the number is elsewhere (ZIP64)
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075


class DirectoryEntry(NamedTuple):
    """An entry of the central directory; `header_position` is where the entry's local header starts."""

    name: bytes
    flags: int
    compression_method: int
    crc32: int
    compressed_size: int
    size: int
    header_position: int
    mode: int


def find_directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the start and end positions of the central directory, and the number of its entries."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_FIELDS.size - _MAX_COMMENT, 0))
    tail = file.read()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0:
        file.seek(0)
        is_truncated = file.read(4) == LOCAL_HEADER_SIGNATURE
        raise ArchiveError("is truncated (the zip directory is missing)" if is_truncated else "is not a zip file")
    if len(tail) - at < _END_FIELDS.size:
        raise ArchiveError("is truncated (the last record of the zip file is incomplete)")
    _, disk, first_disk, here, count, length, start, comment = _END_FIELDS.unpack_from(tail, at)
    end = size - len(tail) + at
    if len(tail) - at - _END_FIELDS.size != comment:
        raise ArchiveError("has extra bytes after the end of the zip archive")
    if comment:
        raise ArchiveError("has an archive comment (another archive could be hidden in it)", REWRITE_FIX)
    if tail[at - _LOCATOR_FIELDS.size : at].startswith(_LOCATOR_SIGNATURE) and at >= _LOCATOR_FIELDS.size:
        file.seek(end - _LOCATOR_FIELDS.size - _END64_FIELDS.size)
        big = _END64_FIELDS.unpack(file.read(_END64_FIELDS.size))
        _, located_disk, directory_offset, disks = _LOCATOR_FIELDS.unpack_from(tail, at - _LOCATOR_FIELDS.size)
        end -= _LOCATOR_FIELDS.size + _END64_FIELDS.size
        signature, record, _, _, disk64, first64, here64, count64, length64, start64 = big
        small = ((disk, disk64), (first_disk, first64), (here, here64), (count, count64))
        agree = all(one in (other, _ZIP64_COUNT_MARKER) for one, other in small)
        agree = agree and length in (length64, _ZIP64_SIZE_MARKER) and start in (start64, _ZIP64_SIZE_MARKER)
        expected = (_END64_SIGNATURE, 44, 0, end, True)
        if (signature, record, located_disk, directory_offset, agree) != expected or disks > 1:
            raise ArchiveError("has ZIP64 records that contradict its other records")
        disk, first_disk, here, count, length, start = disk64, first64, here64, count64, length64, start64
    if disk or first_disk or here != count:
        raise ArchiveError("is one part of a multi-part zip file")
    if start + length != end:
        problem = "has extra bytes before the zip archive" if start + length < end else "is truncated"
        raise ArchiveError(f"{problem} (the zip directory is not at its stated position)")
    return start, end, count


def parse_directory(data: bytes, count: int, findings: list[Finding]) -> list[DirectoryEntry]:
    """Return the entries of the central directory, and append findings about them to `findings`."""
    records: list[DirectoryEntry] = []
    at = 0
    for _ in range(count):
        if len(data) - at < _ENTRY_FIELDS.size or data[at : at + 4] != _ENTRY_SIGNATURE:
            raise ArchiveError("has a damaged zip directory (fewer entries than stated)")
        _, _, _, flags, method, _, _, crc, packed_size, size, *others = _ENTRY_FIELDS.unpack_from(data, at)
        names, extras, comments, disk, _, attributes, start = others
        at += _ENTRY_FIELDS.size
        name, extra = data[at : at + names], data[at + names : at + names + extras]
        at += names + extras + comments
        if len(name) != names or len(extra) != extras or at > len(data) or disk:
            raise ArchiveError(f"has a damaged zip directory (in the record of {quote_name(name)})")
        fields64 = find_zip64_field(extra, name, findings)
        size, packed_size, start = resolve_zip64((size, packed_size, start), fields64, name)
        if comments:
            findings.append(
                rejected_by_index(
                    "zip-rejected",
                    f"has a comment for {quote_name(name)} (rejected by the public index)",
                    REWRITE_FIX,
                )
            )
        records.append(DirectoryEntry(name, flags, method, crc, packed_size, size, start, attributes >> 16))
    if at != len(data):
        raise ArchiveError("has bytes in its zip directory that belong to no entry")
    return records


def find_zip64_field(extra: bytes, name: bytes, findings: list[Finding]) -> bytes:
    """Return the content of the ZIP64 extra field, or b"" if there is none; append findings to `findings`."""
    zip64, field_ids = b"", set()
    while extra:
        kind, size = _EXTRA_FIELDS.unpack_from(extra) if len(extra) >= _EXTRA_FIELDS.size else (0, len(extra))
        value, extra = extra[_EXTRA_FIELDS.size :][:size], extra[_EXTRA_FIELDS.size + size :]
        if len(value) != size:
            raise ArchiveError(f"has a damaged extra field (of {quote_name(name)})")
        if kind in (_ZIP64_FIELD, _UNICODE_PATH_FIELD) and kind in field_ids:
            findings.append(
                rejected_by_index(
                    "zip-rejected",
                    f"has a duplicate extra field for {quote_name(name)} (rejected by the public index)",
                    REWRITE_FIX,
                )
            )
        field_ids.add(kind)
        if kind == _ZIP64_FIELD:
            zip64 = value
        elif kind == _UNICODE_PATH_FIELD and value[5:] != name:
            names = f"{quote_name(name)} and {quote_name(value[5:])}"
            findings.append(error("zip-ambiguous", f"has two names for one file: {names}"))
    return zip64


def resolve_zip64(values: tuple[int, ...], fields64: bytes, name: bytes) -> tuple[int, ...]:
    """Return the values of a header, taking those that it marks as too large from its ZIP64 field."""
    numbers = [int.from_bytes(fields64[at : at + 8], "little") for at in range(0, len(fields64), 8)]
    if _ZIP64_SIZE_MARKER not in values:
        if numbers and tuple(numbers) != values[: len(numbers)]:
            raise _zip64_contradiction(name)
        return values
    sizes = tuple(numbers.pop(0) if value == _ZIP64_SIZE_MARKER and numbers else value for value in values)
    if _ZIP64_SIZE_MARKER in sizes or numbers:
        raise _zip64_contradiction(name)
    return sizes


def _zip64_contradiction(name: bytes) -> ArchiveError:
    return ArchiveError(f"has ZIP64 fields that contradict other fields (of {quote_name(name)})")


def quote_name(name: bytes) -> str:
    """Return the first 200 characters of a name, quoted for messages."""
    return repr(name.decode("utf-8", "replace")[:200])
