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
from relnox.building.entries import ArchiveError, Entry, too_large, unpacked_limit
from relnox.building.findings import error, rejected
from relnox.building.zip_directory import FIX, quoted, resolve_zip64, zip64_field
from relnox.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from relnox.building.findings import Finding
    from relnox.building.zip_directory import Record
    from relnox.core.settings.config_tables import ArchiveLimits

_CHUNK = 1 << 20
_DESCRIPTOR = b"PK\x07\x08"
_LOCAL_FIELDS = struct.Struct("<4s5H3L2H")
_ENCRYPTED, _STREAMED, _UTF8 = 0x2041, 0x8, 0x800
_COMPARED_FLAGS = _ENCRYPTED | _STREAMED | _UTF8
"""Flags that must be the same in the central directory and in the entry's local header."""
_STORED, _DEFLATED = 0, 8
_TYPES = 0o170000
_FILE, _FOLDER, _LINK = 0o100000, 0o040000, 0o120000


def read_entries(file: IO[bytes], limits: ArchiveLimits) -> tuple[list[Entry], list[Finding]]:
    """Return the entries of a zip file in the order of its central directory, and findings about its format.

    Raises:
        ArchiveError: The file is not a zip file, exceeds the limits, or its entries cannot be determined.
    """
    start, end, count = zip_directory.find(file)
    if count > limits.max_entries:
        raise too_large(f"has more than {limits.max_entries} entries")
    if end - start > count * zip_directory.MAX_RECORD:
        raise ArchiveError("has a zip directory that is too large for its entries")
    file.seek(start)
    findings: list[Finding] = []
    add = findings.append
    records = zip_directory.parse(file.read(end - start), count, findings)
    limit = unpacked_limit(file.seek(0, 2), limits)
    if sum(record.size for record in records) > limit.size:
        raise too_large(limit.message)
    entries: dict[int, Entry] = {}
    expected = 0
    in_file = sorted(range(count), key=lambda number: records[number].start)
    following = [records[number].start for number in in_file[1:]] + [start]
    for number, next_start in zip(in_file, following, strict=True):
        record = records[number]
        quoted_name = quoted(record.name)
        if record.start != expected and not entries:
            add(error("zip-ambiguous", "has bytes before the archive"))
        data = _check_local_header(file, record, findings)
        entries[number] = _make_entry(record, data, findings)
        expected = data + record.packed
        if record.flags & _STREAMED and expected < next_start:
            expected = _end_of_descriptor(file, record, expected, next_start)
        if expected > next_start:
            raise ArchiveError(f"has entries that overlap: {quoted_name} and the next one")
        if expected < next_start:
            add(error("zip-ambiguous", f"has bytes after {quoted_name} that belong to no file"))
            expected = next_start
    return [entries[number] for number in range(count)], findings


def read_content(file: IO[bytes], entry: Entry) -> Iterator[bytes]:
    """Yield the decompressed content of an entry in pieces of at most 1 MiB.

    Raises:
        ArchiveError: The content is damaged, or its size or checksum differs from that in the central directory.
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


def _check_local_header(file: IO[bytes], record: Record, findings: list[Finding]) -> int:
    """Return the position of an entry's content, and append findings about its local header to `findings`."""
    add = findings.append
    quoted_name = quoted(record.name)
    file.seek(record.start)
    packed = file.read(_LOCAL_FIELDS.size)
    if len(packed) < _LOCAL_FIELDS.size or not packed.startswith(zip_directory.LOCAL):
        raise ArchiveError(f"has no file at the stated position of {quoted_name}")
    _, _, flags, method, _, _, crc, packed_size, size, names, extras = _LOCAL_FIELDS.unpack(packed)
    name, extra = file.read(names), file.read(extras)
    fields64 = zip64_field(extra, name, findings)
    expected: tuple[int, ...] = (record.size, record.packed, record.crc)
    actual = (*resolve_zip64((size, packed_size), fields64, record.name), crc)
    if (flags ^ record.flags) & _COMPARED_FLAGS or method != record.method:
        add(error("zip-ambiguous", f"has contradicting headers for {quoted_name} (flags, compression)"))
    if name != record.name:
        add(error("zip-ambiguous", f"has two names for one file: {quoted_name} and {quoted(name)}"))
    if record.flags & _STREAMED:
        add(
            rejected(
                "zip-rejected",
                f"has the size of {quoted_name} after its content (rejected by the public index)",
                FIX,
            )
        )
        # Zeros mean that the values follow the content.
        expected = tuple(here and there for here, there in zip(actual, expected, strict=True))
    if actual[:-1] != expected[:-1]:
        add(error("zip-ambiguous", f"has two sizes for {quoted_name}"))
    elif actual != expected:
        add(error("zip-ambiguous", f"has two checksums for {quoted_name}"))
    return file.seek(record.start + _LOCAL_FIELDS.size + names + extras)


def _end_of_descriptor(file: IO[bytes], record: Record, start: int, end: int) -> int:
    """Return the end of the data descriptor at `start`, after a streamed entry, or `start` if there is none."""
    file.seek(start)
    data = file.read(min(end - start, 24))
    for form in ("<LLL", "<LQQ"):
        fields = struct.pack(form, record.crc, record.packed, record.size)
        for descriptor in (_DESCRIPTOR + fields, fields):
            if data == descriptor:
                return start + len(descriptor)
    return start


def _make_entry(record: Record, data: int, findings: list[Finding]) -> Entry:
    """Return the entry of a directory record, and append findings about its name and type to `findings`."""
    add = findings.append
    try:
        name = record.name.decode("utf-8" if record.flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        name = record.name.decode("utf-8", "replace")
        add(error("member-name-unsafe", f"member name is not UTF-8, or not marked as UTF-8: {name!r}", FIX))
    quoted_name = repr(name)
    kind: Literal["file", "directory", "symlink"] = "directory" if name.endswith("/") else "file"
    type_ = record.mode & _TYPES
    if type_ == _LINK:
        kind = "symlink"
        add(error("link-in-wheel", f"contains a symbolic link: {quoted_name}", "replace it with the file"))
    elif type_ not in (0, _FILE, _FOLDER):
        add(error("device-in-wheel", f"contains a device or a pipe: {quoted_name}", "exclude it from the wheel"))
    elif type_ == _FOLDER and kind == "file":
        add(error("zip-ambiguous", f"contains a folder with the name of a file: {quoted_name}"))
    if kind == "directory" and record.size:
        add(error("zip-ambiguous", f"has content for a folder: {quoted_name}"))
    if record.flags & _ENCRYPTED:
        raise ArchiveError(f"contains an encrypted file: {quoted_name}", "build it again without encryption")
    if record.method not in (_STORED, _DEFLATED):
        reason = f"contains a file with unsupported compression method {record.method}: {quoted_name}"
        raise ArchiveError(reason, FIX)
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
