"""A strict reader of wheels (zip files) that accepts only files that all readers interpret in the same way.

The central directory at the end of a zip file and the local header before each entry contain the same data, and
readers differ in which they use. Here, both must agree, the entries must fill the file without gaps or overlaps,
and sizes and checksums must match the content.
"""

from __future__ import annotations

import struct
import zlib
from typing import IO, TYPE_CHECKING

from relnox.building import zip_directory
from relnox.building.archive_entries import ArchiveEntry, ArchiveError, too_large_error, unpacked_size_limit
from relnox.building.findings import error, rejected_by_index
from relnox.building.zip_directory import REWRITE_FIX, find_zip64_field, quote_name, resolve_zip64
from relnox.core.text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from relnox.building.findings import Finding
    from relnox.building.zip_directory import DirectoryEntry
    from relnox.core.settings.config_tables import ArchiveLimits

_CHUNK_SIZE = 1 << 20
_DESCRIPTOR_SIGNATURE = b"PK\x07\x08"
_LOCAL_HEADER_FIELDS = struct.Struct("<4s5H3L2H")
_ENCRYPTED_FLAG, _STREAMED_FLAG, _UTF8_FLAG = 0x2041, 0x8, 0x800
_COMPARED_FLAGS = _ENCRYPTED_FLAG | _STREAMED_FLAG | _UTF8_FLAG
"""Flags that must be the same in the central directory and in the entry's local header."""
_STORED, _DEFLATED = 0, 8
_FILE_TYPE_MASK = 0o170000
_FILE_TYPE, _DIRECTORY_TYPE, _LINK_TYPE = 0o100000, 0o040000, 0o120000


def read_entries(file: IO[bytes], limits: ArchiveLimits) -> tuple[list[ArchiveEntry], list[Finding]]:
    """Return the entries of a zip file in the order of its central directory, and findings about its format."""
    start, end, count = zip_directory.find_directory(file)
    if count > limits.max_entries:
        raise too_large_error(f"has more than {limits.max_entries} entries", "max-entries")
    if end - start > count * zip_directory.MAX_ENTRY_SIZE:
        raise ArchiveError("has a zip directory that is too large for its entries")
    file.seek(start)
    findings: list[Finding] = []
    add = findings.append
    records = zip_directory.parse_directory(file.read(end - start), count, findings)
    limit, too_large = unpacked_size_limit(file.seek(0, 2), limits)
    if sum(record.size for record in records) > limit:
        raise too_large
    entries: dict[int, ArchiveEntry] = {}
    expected = 0
    in_file = sorted(range(count), key=lambda number: records[number].header_position)
    following = [records[number].header_position for number in in_file[1:]] + [start]
    for number, next_start in zip(in_file, following, strict=True):
        record = records[number]
        quoted_name = quote_name(record.name)
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
                f"has a file {entry.name!r} that unpacks to more than "
                f"its stated {format_count(entry.size, 'byte')}"
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


def _check_local_header(file: IO[bytes], record: DirectoryEntry, findings: list[Finding]) -> int:
    """Return the position of an entry's content, and append findings about its local header to `findings`."""
    add = findings.append
    quoted_name = quote_name(record.name)
    file.seek(record.header_position)
    packed = file.read(_LOCAL_HEADER_FIELDS.size)
    if len(packed) < _LOCAL_HEADER_FIELDS.size or not packed.startswith(zip_directory.LOCAL_HEADER_SIGNATURE):
        raise ArchiveError(f"has no file at the stated position of {quoted_name}")
    _, _, flags, method, _, _, crc, packed_size, size, names, extras = _LOCAL_HEADER_FIELDS.unpack(packed)
    name, extra = file.read(names), file.read(extras)
    fields64 = find_zip64_field(extra, name, findings)
    expected: tuple[int, ...] = (record.size, record.compressed_size, record.crc32)
    actual = (*resolve_zip64((size, packed_size), fields64, record.name), crc)
    if (flags ^ record.flags) & _COMPARED_FLAGS or method != record.compression_method:
        add(error("zip-ambiguous", f"has contradicting headers for {quoted_name} (flags, compression)"))
    if name != record.name:
        add(error("zip-ambiguous", f"has two names for one file: {quoted_name} and {quote_name(name)}"))
    if record.flags & _STREAMED_FLAG:
        add(
            rejected_by_index(
                "zip-rejected",
                f"stores the size of {quoted_name} after its content (rejected by the public index)",
                REWRITE_FIX,
            )
        )
        # Zeros mean that the values follow the content.
        expected = tuple(here and there for here, there in zip(actual, expected, strict=True))
    if actual[:-1] != expected[:-1]:
        add(error("zip-ambiguous", f"has two sizes for {quoted_name}"))
    elif actual != expected:
        add(error("zip-ambiguous", f"has two checksums for {quoted_name}"))
    return file.seek(record.header_position + _LOCAL_HEADER_FIELDS.size + names + extras)


def _find_descriptor_end(file: IO[bytes], record: DirectoryEntry, start: int, end: int) -> int:
    """Return the end of the data descriptor at `start`, after a streamed entry, or `start` if there is none."""
    file.seek(start)
    data = file.read(min(end - start, 24))
    for form in ("<LLL", "<LQQ"):
        fields = struct.pack(form, record.crc32, record.compressed_size, record.size)
        for descriptor in (_DESCRIPTOR_SIGNATURE + fields, fields):
            if data == descriptor:
                return start + len(descriptor)
    return start


def _make_entry(record: DirectoryEntry, data: int, findings: list[Finding]) -> ArchiveEntry:
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
                REWRITE_FIX,
            )
        )
    quoted_name = repr(name)
    kind: Literal["file", "directory", "symlink"] = "directory" if name.endswith("/") else "file"
    type_ = record.mode & _FILE_TYPE_MASK
    if type_ == _LINK_TYPE:
        kind = "symlink"
        add(error("link-in-wheel", f"contains a symbolic link: {quoted_name}", "replace it with the file"))
    elif type_ not in (0, _FILE_TYPE, _DIRECTORY_TYPE):
        add(error("device-in-wheel", f"contains a device or a pipe: {quoted_name}", "exclude it from the wheel"))
    elif type_ == _DIRECTORY_TYPE and kind == "file":
        add(error("zip-ambiguous", f"contains a directory whose name does not end in a slash: {quoted_name}"))
    if kind == "directory" and record.size:
        add(error("zip-ambiguous", f"has a directory with content: {quoted_name}"))
    if record.flags & _ENCRYPTED_FLAG:
        raise ArchiveError(f"contains an encrypted file: {quoted_name}", "build it again without encryption")
    if record.compression_method not in (_STORED, _DEFLATED):
        reason = f"contains a file with unsupported compression method {record.compression_method}: {quoted_name}"
        raise ArchiveError(reason, REWRITE_FIX)
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
