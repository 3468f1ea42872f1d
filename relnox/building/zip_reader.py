"""A strict reader of wheels (zip files) that accepts only files that all readers interpret in the same way.

The central directory at the end of a zip file and the local header before each entry contain the same data
(PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.3.16), and readers differ in which they use. Here, both must agree, the
entries must fill the file without gaps or overlaps, and sizes and checksums must match the content.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING, NamedTuple

from relnox.building.archive_entries import ArchiveEntry, ArchiveError, too_large_error, unpacked_size_limit
from relnox.building.findings import error, rejected_by_index
from relnox.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from relnox.building.findings import Finding
    from relnox.core.settings.config_tables import ArchiveLimits

_CHUNK_SIZE = 1 << 20
_LOCAL_HEADER_SIGNATURE = b"PK\x03\x04"
_REWRITE_FIX = "write the wheel with Python's zipfile, to a seekable file, and store or deflate its members"
_END_SIGNATURE, _END64_SIGNATURE = b"PK\x05\x06", b"PK\x06\x06"
_LOCATOR_SIGNATURE, _ENTRY_SIGNATURE = b"PK\x06\x07", b"PK\x01\x02"
_END_FIELDS = struct.Struct("<4s4H2LH")
_END64_FIELDS = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_FIELDS = struct.Struct("<4sLQL")
_ENTRY_FIELDS = struct.Struct("<4s6H3L5H2L")
_EXTRA_FIELDS = struct.Struct("<HH")
_MAX_COMMENT = (1 << 16) - 1
_MAX_ENTRY_SIZE = _ENTRY_FIELDS.size + 2 * (1 << 12)
"""The maximum size in bytes of a directory entry: its fixed part, and 4 KiB each for its name and extra fields."""
_ZIP64_SIZE_MARKER, _ZIP64_COUNT_MARKER = 0xFFFFFFFF, 0xFFFF  # the number is elsewhere (ZIP64)
_ZIP64_FIELD, _UNICODE_PATH_FIELD = 0x0001, 0x7075
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_LOCAL_HEADER_FIELDS = struct.Struct("<4s5H3L2H")
_ENCRYPTED_FLAG, _STREAMED_FLAG, _UTF8_FLAG = 0x2041, 0x8, 0x800
_COMPARED_FLAGS = _ENCRYPTED_FLAG | _STREAMED_FLAG | _UTF8_FLAG
"""Flags that must be the same in the central directory and in the entry's local header."""
_STORED, _DEFLATED = 0, 8
_FILE_TYPE_MASK = 0o170000
_FILE_TYPE, _FOLDER_TYPE, _LINK_TYPE = 0o100000, 0o040000, 0o120000


class _DirectoryEntry(NamedTuple):
    """An entry of the central directory; `header_position` is where the entry's local header starts."""

    name: bytes
    flags: int
    compression_method: int
    crc32: int
    compressed_size: int
    size: int
    header_position: int
    mode: int


def read_entries(file: IO[bytes], limits: ArchiveLimits) -> tuple[list[ArchiveEntry], list[Finding]]:
    """Return the entries of a zip file in the order of its central directory, and findings about its format."""
    start, end, count = _find_directory(file)
    if count > limits.max_entries:
        raise too_large_error(f"has more than {limits.max_entries} entries", "max-entries")
    if end - start > count * _MAX_ENTRY_SIZE:
        raise ArchiveError("has a zip directory that is too large for its entries")
    file.seek(start)
    findings: list[Finding] = []
    add = findings.append
    records = _parse_directory(file.read(end - start), count, findings)
    limit = unpacked_size_limit(file.seek(0, 2), limits)
    if sum(record.size for record in records) > limit.size:
        raise too_large_error(limit.message, limit.setting)
    entries: dict[int, ArchiveEntry] = {}
    expected = 0
    in_file = sorted(range(count), key=lambda number: records[number].header_position)
    following = [records[number].header_position for number in in_file[1:]] + [start]
    for number, next_start in zip(in_file, following, strict=True):
        record = records[number]
        quoted_name = _quote_name(record.name)
        if record.header_position != expected and not entries:
            add(error("zip-ambiguous", "has extra bytes before the zip archive"))
        data = _check_local_header(file, record, findings)
        entries[number] = _make_entry(record, data, findings)
        expected = data + record.compressed_size
        if record.flags & _STREAMED_FLAG and expected < next_start:
            expected = _find_descriptor_end(file, record, expected, next_start)
        if expected > next_start:
            raise ArchiveError(f"has entries that overlap: {quoted_name} and the next one")
        if expected < next_start:
            add(error("zip-ambiguous", f"has bytes after {quoted_name} that belong to no file"))
            expected = next_start
    return [entries[number] for number in range(count)], findings


def read_content(file: IO[bytes], entry: ArchiveEntry) -> Iterator[bytes]:
    """Yield the decompressed content of an entry in pieces of at most 1 MiB; check its size and checksum."""
    file.seek(entry.content_offset)
    remaining, size, crc = entry.compressed_size, 0, 0
    inflate = zlib.decompressobj(wbits=-15) if entry.compression_method == _DEFLATED else None
    while True:
        packed = (inflate.unconsumed_tail if inflate else b"") or file.read(min(remaining, _CHUNK_SIZE))
        if inflate is None or not inflate.unconsumed_tail:
            remaining -= len(packed)
        try:
            piece = packed if inflate is None else inflate.decompress(packed, _CHUNK_SIZE)
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
    ended = inflate is None or (inflate.eof and not inflate.unused_data and not remaining)
    whole = ended or not entry.compressed_size
    if size != entry.size or not whole:
        raise ArchiveError(f"has a file {entry.name!r} that does not have its stated size")
    if crc != entry.crc32:
        raise ArchiveError(f"has a damaged file {entry.name!r} (wrong CRC)")


def _find_directory(file: IO[bytes]) -> tuple[int, int, int]:
    """Return the start and end positions of the central directory, and the number of its entries."""
    size = file.seek(0, 2)
    file.seek(max(size - _END_FIELDS.size - _MAX_COMMENT, 0))
    tail = file.read()
    at = tail.rfind(_END_SIGNATURE)
    if at < 0:
        file.seek(0)
        truncated = file.read(4) == _LOCAL_HEADER_SIGNATURE
        raise ArchiveError("is truncated (the zip directory is missing)" if truncated else "is not a zip file")
    if len(tail) - at < _END_FIELDS.size:
        raise ArchiveError("is truncated (the last record of the zip file is incomplete)")
    _, disk, first_disk, here, count, length, start, comment = _END_FIELDS.unpack_from(tail, at)
    end = size - len(tail) + at
    if len(tail) - at - _END_FIELDS.size != comment:
        raise ArchiveError("has extra bytes after the end of the zip archive")
    if comment:
        raise ArchiveError("has an archive comment (another archive could be hidden in it)", _REWRITE_FIX)
    if tail[at - _LOCATOR_FIELDS.size : at].startswith(_LOCATOR_SIGNATURE) and at >= _LOCATOR_FIELDS.size:
        file.seek(end - _LOCATOR_FIELDS.size - _END64_FIELDS.size)
        big = _END64_FIELDS.unpack(file.read(_END64_FIELDS.size))
        _, located_disk, located, disks = _LOCATOR_FIELDS.unpack_from(tail, at - _LOCATOR_FIELDS.size)
        end -= _LOCATOR_FIELDS.size + _END64_FIELDS.size
        signature, record, _, _, disk64, first64, here64, count64, length64, start64 = big
        small = ((disk, disk64), (first_disk, first64), (here, here64), (count, count64))
        agree = all(one in (other, _ZIP64_COUNT_MARKER) for one, other in small)
        agree = agree and length in (length64, _ZIP64_SIZE_MARKER) and start in (start64, _ZIP64_SIZE_MARKER)
        expected = (_END64_SIGNATURE, 44, 0, end, True)
        if (signature, record, located_disk, located, agree) != expected or disks > 1:
            raise ArchiveError("has ZIP64 records that contradict its other records")
        disk, first_disk, here, count, length, start = disk64, first64, here64, count64, length64, start64
    if disk or first_disk or here != count:
        raise ArchiveError("is one part of a multi-part zip file")
    if start + length != end:
        problem = "has extra bytes before the zip archive" if start + length < end else "is truncated"
        raise ArchiveError(f"{problem} (the zip directory is not at its stated position)")
    return start, end, count


def _parse_directory(data: bytes, count: int, findings: list[Finding]) -> list[_DirectoryEntry]:
    """Return the entries of the central directory, and append findings about them to `findings`."""
    records: list[_DirectoryEntry] = []
    at = 0
    for _ in range(count):
        if len(data) - at < _ENTRY_FIELDS.size or data[at : at + 4] != _ENTRY_SIGNATURE:
            raise ArchiveError("has a damaged zip directory (fewer entries than stated)")
        _, _, _, flags, method, _, _, crc, packed, size, *others = _ENTRY_FIELDS.unpack_from(data, at)
        names, extras, comments, disk, _, attributes, start = others
        at += _ENTRY_FIELDS.size
        name, extra = data[at : at + names], data[at + names : at + names + extras]
        at += names + extras + comments
        if len(name) != names or len(extra) != extras or at > len(data) or disk:
            raise ArchiveError(f"has a damaged zip directory (in the record of {_quote_name(name)})")
        fields64 = _find_zip64_field(extra, name, findings)
        size, packed, start = _resolve_zip64((size, packed, start), fields64, name)
        if comments:
            findings.append(
                rejected_by_index(
                    "zip-rejected",
                    f"has a comment for {_quote_name(name)} (rejected by the public index)",
                    _REWRITE_FIX,
                )
            )
        records.append(_DirectoryEntry(name, flags, method, crc, packed, size, start, attributes >> 16))
    if at != len(data):
        raise ArchiveError("has bytes in its zip directory that belong to no entry")
    return records


def _find_zip64_field(extra: bytes, name: bytes, findings: list[Finding]) -> bytes:
    """Return the content of the ZIP64 extra field, or b"" if there is none; append findings to `findings`."""
    zip64, kinds = b"", set()
    while extra:
        kind, size = _EXTRA_FIELDS.unpack_from(extra) if len(extra) >= _EXTRA_FIELDS.size else (0, len(extra))
        value, extra = extra[_EXTRA_FIELDS.size :][:size], extra[_EXTRA_FIELDS.size + size :]
        if len(value) != size:
            raise ArchiveError(f"has a damaged extra field (of {_quote_name(name)})")
        if kind in (_ZIP64_FIELD, _UNICODE_PATH_FIELD) and kind in kinds:
            findings.append(
                rejected_by_index(
                    "zip-rejected",
                    f"has a duplicate extra field for {_quote_name(name)} (rejected by the public index)",
                    _REWRITE_FIX,
                )
            )
        kinds.add(kind)
        if kind == _ZIP64_FIELD:
            zip64 = value
        elif kind == _UNICODE_PATH_FIELD and value[5:] != name:
            names = f"{_quote_name(name)} and {_quote_name(value[5:])}"
            findings.append(error("zip-ambiguous", f"has two names for one file: {names}"))
    return zip64


def _resolve_zip64(values: tuple[int, ...], fields64: bytes, name: bytes) -> tuple[int, ...]:
    """Return the values of a header, taking those that it marks as too large from its ZIP64 field."""
    numbers = [int.from_bytes(fields64[at : at + 8], "little") for at in range(0, len(fields64), 8)]
    if _ZIP64_SIZE_MARKER not in values:
        if numbers and tuple(numbers) != values[: len(numbers)]:
            raise _zip64_contradiction(name)
        return values
    resolved = tuple(numbers.pop(0) if value == _ZIP64_SIZE_MARKER and numbers else value for value in values)
    if _ZIP64_SIZE_MARKER in resolved or numbers:
        raise _zip64_contradiction(name)
    return resolved


def _zip64_contradiction(name: bytes) -> ArchiveError:
    return ArchiveError(f"has ZIP64 fields that contradict other fields (of {_quote_name(name)})")


def _quote_name(name: bytes) -> str:
    """Return the first 200 characters of a name, quoted for messages."""
    return repr(name.decode("utf-8", "replace")[:200])


def _check_local_header(file: IO[bytes], record: _DirectoryEntry, findings: list[Finding]) -> int:
    """Return the position of an entry's content, and append findings about its local header to `findings`."""
    add = findings.append
    quoted_name = _quote_name(record.name)
    file.seek(record.header_position)
    packed = file.read(_LOCAL_HEADER_FIELDS.size)
    if len(packed) < _LOCAL_HEADER_FIELDS.size or not packed.startswith(_LOCAL_HEADER_SIGNATURE):
        raise ArchiveError(f"has no file at the stated position of {quoted_name}")
    _, _, flags, method, _, _, crc, packed_size, size, names, extras = _LOCAL_HEADER_FIELDS.unpack(packed)
    name, extra = file.read(names), file.read(extras)
    fields64 = _find_zip64_field(extra, name, findings)
    expected: tuple[int, ...] = (record.size, record.compressed_size, record.crc32)
    actual = (*_resolve_zip64((size, packed_size), fields64, record.name), crc)
    if (flags ^ record.flags) & _COMPARED_FLAGS or method != record.compression_method:
        add(error("zip-ambiguous", f"has contradicting headers for {quoted_name} (flags, compression)"))
    if name != record.name:
        add(error("zip-ambiguous", f"has two names for one file: {quoted_name} and {_quote_name(name)}"))
    if record.flags & _STREAMED_FLAG:
        add(
            rejected_by_index(
                "zip-rejected",
                f"stores the size of {quoted_name} after its content (rejected by the public index)",
                _REWRITE_FIX,
            )
        )
        # Zeros mean that the values follow the content.
        expected = tuple(here and there for here, there in zip(actual, expected, strict=True))
    if actual[:-1] != expected[:-1]:
        add(error("zip-ambiguous", f"has two sizes for {quoted_name}"))
    elif actual != expected:
        add(error("zip-ambiguous", f"has two checksums for {quoted_name}"))
    return file.seek(record.header_position + _LOCAL_HEADER_FIELDS.size + names + extras)


def _find_descriptor_end(file: IO[bytes], record: _DirectoryEntry, start: int, end: int) -> int:
    """Return the end of the data descriptor at `start`, after a streamed entry, or `start` if there is none."""
    file.seek(start)
    data = file.read(min(end - start, 24))
    for form in ("<LLL", "<LQQ"):
        fields = struct.pack(form, record.crc32, record.compressed_size, record.size)
        for descriptor in (_DESCRIPTOR_SIGNATURE + fields, fields):
            if data == descriptor:
                return start + len(descriptor)
    return start


def _make_entry(record: _DirectoryEntry, data: int, findings: list[Finding]) -> ArchiveEntry:
    """Return the entry of a directory record, and append findings about its name and type to `findings`."""
    add = findings.append
    try:
        name = record.name.decode("utf-8" if record.flags & _UTF8_FLAG else "ascii")
    except UnicodeDecodeError:
        name = record.name.decode("utf-8", "replace")
        add(
            error(
                "member-name-unsafe",
                f"member name is not valid UTF-8, or not marked as UTF-8: {name!r}",
                _REWRITE_FIX,
            )
        )
    quoted_name = repr(name)
    kind: Literal["file", "directory", "symlink"] = "directory" if name.endswith("/") else "file"
    type_ = record.mode & _FILE_TYPE_MASK
    if type_ == _LINK_TYPE:
        kind = "symlink"
        add(error("link-in-wheel", f"contains a symbolic link: {quoted_name}", "replace it with the file"))
    elif type_ not in (0, _FILE_TYPE, _FOLDER_TYPE):
        add(error("device-in-wheel", f"contains a device or a pipe: {quoted_name}", "exclude it from the wheel"))
    elif type_ == _FOLDER_TYPE and kind == "file":
        add(error("zip-ambiguous", f"contains a folder whose name does not end in a slash: {quoted_name}"))
    if kind == "directory" and record.size:
        add(error("zip-ambiguous", f"has a folder with content: {quoted_name}"))
    if record.flags & _ENCRYPTED_FLAG:
        raise ArchiveError(f"contains an encrypted file: {quoted_name}", "build it again without encryption")
    if record.compression_method not in (_STORED, _DEFLATED):
        reason = f"contains a file with unsupported compression method {record.compression_method}: {quoted_name}"
        raise ArchiveError(reason, _REWRITE_FIX)
    return ArchiveEntry(
        name=name,
        kind=kind,
        size=record.size,
        mode=record.mode & 0o7777,
        content_offset=data,
        compressed_size=record.compressed_size,
        compression_method=record.compression_method,
        crc32=record.crc32,
    )
