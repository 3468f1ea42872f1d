"""A strict parser of the central directory of a zip file (PKWARE's APPNOTE.TXT, sections 4.3.12 to 4.3.16)."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, NamedTuple

from relnox.building.entries import ArchiveError
from relnox.building.findings import error, rejected

if TYPE_CHECKING:
    from relnox.building.findings import Finding

LOCAL = b"PK\x03\x04"
"""The signature of an entry's local header."""
FIX = "write the wheel as Python's zipfile does: to a file, stored or deflated"
_END, _END64, _LOCATOR, _CENTRAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02"
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_CENTRAL_FIELDS = struct.Struct("<4s6H3L5H2L")
_EXTRA_FIELDS = struct.Struct("<HH")
_MAX_COMMENT = (1 << 16) - 1
MAX_RECORD = _CENTRAL_FIELDS.size + 2 * (1 << 12)
"""The maximum size in bytes of a directory entry: its fixed part, and 4 KiB each for its name and extra fields."""
_BIG, _MANY = 0xFFFFFFFF, 0xFFFF  # the number is elsewhere (ZIP64)
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075


class Record(NamedTuple):
    """An entry of the central directory; `start` is the position of the entry's local header in the file."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    start: int
    mode: int


def find(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the start and end positions of the central directory, and the number of its entries."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_FIELDS.size - _MAX_COMMENT, 0))
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        file.seek(0)
        truncated = file.read(4) == LOCAL
        raise ArchiveError("is truncated (no zip directory)" if truncated else "is not a zip file")
    if len(tail) - at < _END_FIELDS.size:
        raise ArchiveError("is truncated (in the last record of the zip file)")
    _, disk, first_disk, here, count, length, start, comment = _END_FIELDS.unpack_from(tail, at)
    end = size - len(tail) + at
    if len(tail) - at - _END_FIELDS.size != comment:
        raise ArchiveError("has bytes after the archive")
    if comment:
        raise ArchiveError("has an archive comment (another archive could be hidden in it)", FIX)
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


def parse(data: bytes, count: int, findings: list[Finding]) -> list[Record]:
    """Return the entries of the central directory, and append findings about them to `findings`."""
    records: list[Record] = []
    at = 0
    for _ in range(count):
        if len(data) - at < _CENTRAL_FIELDS.size or data[at : at + 4] != _CENTRAL:
            raise ArchiveError("has a damaged zip directory (fewer entries than stated)")
        _, _, _, flags, method, _, _, crc, packed, size, *others = _CENTRAL_FIELDS.unpack_from(data, at)
        names, extras, comments, disk, _, attributes, start = others
        at += _CENTRAL_FIELDS.size
        name, extra = data[at : at + names], data[at + names : at + names + extras]
        at += names + extras + comments
        if len(name) != names or len(extra) != extras or at > len(data) or disk:
            raise ArchiveError(f"has a damaged zip directory (at {quoted(name)})")
        fields64 = zip64_field(extra, name, findings)
        size, packed, start = resolve_zip64((size, packed, start), fields64, name)
        if comments:
            findings.append(
                rejected("zip-rejected", f"has a comment on {quoted(name)} (rejected by the public index)", FIX)
            )
        records.append(Record(name, flags, method, crc, packed, size, start, attributes >> 16))
    if at != len(data):
        raise ArchiveError("has bytes in its zip directory that belong to no entry")
    return records


def zip64_field(extra: bytes, name: bytes, findings: list[Finding]) -> bytes:
    """Return the content of the ZIP64 extra field, or b"" if there is none; append findings to `findings`."""
    zip64, kinds = b"", set()
    while extra:
        kind, size = _EXTRA_FIELDS.unpack_from(extra) if len(extra) >= _EXTRA_FIELDS.size else (0, len(extra))
        value, extra = extra[_EXTRA_FIELDS.size :][:size], extra[_EXTRA_FIELDS.size + size :]
        if len(value) != size:
            raise ArchiveError(f"has a damaged extra field (at {quoted(name)})")
        if kind in (_ZIP64, _UNICODE_PATH) and kind in kinds:
            findings.append(
                rejected(
                    "zip-rejected",
                    f"has a duplicate extra field at {quoted(name)} (rejected by the public index)",
                    FIX,
                )
            )
        kinds.add(kind)
        if kind == _ZIP64:
            zip64 = value
        elif kind == _UNICODE_PATH and value[5:] != name:
            names = f"{quoted(name)} and {quoted(value[5:])}"
            findings.append(error("zip-ambiguous", f"has two names for one file: {names}"))
    return zip64


def resolve_zip64(values: tuple[int, ...], fields64: bytes, name: bytes) -> tuple[int, ...]:
    """Return the values of a header, taking those that it marks as too large from its ZIP64 field."""
    numbers = [int.from_bytes(fields64[at : at + 8], "little") for at in range(0, len(fields64), 8)]
    if _BIG not in values:
        if numbers and tuple(numbers) != values[: len(numbers)]:
            raise _contradiction(name)
        return values
    resolved = tuple(numbers.pop(0) if value == _BIG and numbers else value for value in values)
    if _BIG in resolved or numbers:
        raise _contradiction(name)
    return resolved


def _contradiction(name: bytes) -> ArchiveError:
    return ArchiveError(f"has ZIP64 fields that contradict the other ones (at {quoted(name)})")


def quoted(name: bytes) -> str:
    """Return the first 200 characters of a name, quoted for messages."""
    return repr(name.decode("utf-8", "replace")[:200])
