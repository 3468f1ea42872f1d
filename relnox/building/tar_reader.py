"""A strict reader of tar files that streams and enforces limits.

Readers of tar files tolerate different violations of the format, so that two readers may see different files. This
one accepts only what all of them agree on: ustar, GNU and pax headers (POSIX.1-2001) of files, directories and
links.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.building.archive_entries import ArchiveEntry, ArchiveError, too_large_error
from relnox.core.text import format_count

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    from relnox.building.gzip_reader import TarStream
    from relnox.core.settings.config_tables import ArchiveLimits

_BLOCK_SIZE = 512
_ZERO_BLOCK = bytes(_BLOCK_SIZE)
_MAX_EXTENDED_HEADER_SIZE = 1 << 20
"""The maximum size in bytes of an extended header; file attributes from macOS take several KiB."""
_MAX_PAX_RECORDS = 100
"""The maximum number of records in a pax header."""
_MIN_PAX_SIZE = 1 << 33
"""The size in bytes from which a file's size no longer fits into the tar header itself."""
_ENTRY_KINDS: dict[bytes, Literal["file", "directory", "symlink", "hardlink"]] = {
    b"0": "file",
    b"\0": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"5": "directory",
}
_DEVICES = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe (FIFO)"}
_SPARSE = b"S"
_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK = b"x", b"g", b"L", b"K"
_EXTENDED_HEADER_KINDS = (_PAX, _PAX_GLOBAL, _GNU_NAME, _GNU_LINK)
_POSIX_MAGIC, _GNU_MAGIC = b"ustar\x0000", b"ustar  \0"
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_NUMBER_FIELDS = tuple(slice(*span) for span in ((100, 108), (108, 116), (116, 124), (329, 337), (337, 345)))
"""The fields for mode, owner, group and device numbers, which must be valid since other readers parse them."""
_SUPPORTED_PAX_KEYS = ("path", "linkpath", "size", "hdrcharset")
_UTF8 = b"ISO-IR 10646 2000 UTF-8"
_EXCLUDE_FIX = "exclude it from the sdist in the build configuration"


def read_entries(stream: TarStream, limits: ArchiveLimits) -> Iterator[ArchiveEntry]:
    """Yield the entries of a tar file; when an entry is yielded, the stream is at the start of its content."""
    extended_headers = _ExtendedHeaders()
    headers = 0
    while True:
        block = stream.read(_BLOCK_SIZE)
        if len(block) < _BLOCK_SIZE:
            raise ArchiveError("is truncated (tar archive without an end marker)")
        if block == _ZERO_BLOCK:
            if not stream.is_zero_to_the_end():
                raise ArchiveError("has trailing data after the end of its tar archive")
            if extended_headers.kinds:
                raise ArchiveError("is truncated (an extended tar header without its entry)")
            return
        headers += 1
        if headers > limits.max_entries:
            raise too_large_error(f"has more than {limits.max_entries} entries", "max-entries")
        kind, size, name = _parse_header(block)
        end = stream.position + -(-size // _BLOCK_SIZE) * _BLOCK_SIZE
        if kind in _EXTENDED_HEADER_KINDS:
            if size > _MAX_EXTENDED_HEADER_SIZE:
                raise ArchiveError(
                    f"has an extended tar header that is too large ({format_count(size, 'byte')}, for {name!a})"
                )
            extended_headers.add(kind, stream.read(size))
        else:
            yield _make_entry(block, size, name, extended_headers, stream.position)
            extended_headers = _ExtendedHeaders()
        if not stream.skip_to(end):
            raise ArchiveError(f"is truncated (in the content of {name!a})")


def _parse_header(block: bytes) -> tuple[bytes, int, bytes]:
    """Return the type flag, the size in bytes and the name in a tar header."""
    checksum = _OCTAL.fullmatch(block[148:156])
    if checksum is None or int(checksum[1] or b"0", 8) not in _valid_checksums(block):
        raise ArchiveError("is not a tar archive, or has a header with a wrong checksum")
    for field in _NUMBER_FIELDS:
        _parse_number(block[field])
    _parse_number(block[136:148], negative=True)
    name = block[:100].partition(b"\0")[0]
    magic = block[257:265]
    if magic == _POSIX_MAGIC:
        if prefix := block[345:500].partition(b"\0")[0]:
            name = prefix + b"/" + name
    elif block[345:500].strip(b"\0") or magic not in (_GNU_MAGIC, bytes(8)):
        raise ArchiveError(f"has a tar header of an unknown format ({name!a})")
    return block[156:157], _parse_number(block[124:136]), name


def _valid_checksums(block: bytes) -> Iterator[int]:
    """Yield the valid checksums of a tar header: of unsigned bytes, and of signed bytes as old writers use."""
    summed_bytes = block[:148] + b" " * 8 + block[156:]  # without the checksum itself
    total = sum(summed_bytes)
    yield total
    yield total - 256 * sum(byte > 127 for byte in summed_bytes)  # noqa: PLR2004 - old writers treat bytes as signed


def _parse_number(field: bytes, *, negative: bool = False) -> int:
    """Parse a number in a tar header, in octal digits or in GNU's base-256 form."""
    if field[0] in (0x80, 0xFF):
        value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1  # noqa: PLR2004
        if value >= 0 or negative:
            return value
    elif (digits := _OCTAL.fullmatch(field)) is not None:
        return int(digits[1] or b"0", 8)
    raise ArchiveError(f"has a damaged tar header ({field!a} is not a number)")


def _make_entry(
    block: bytes, size: int, name: bytes, extended_headers: _ExtendedHeaders, offset: int
) -> ArchiveEntry:
    """Return the entry described by a tar header and the extended headers before it."""
    kind = block[156:157]
    quoted_name = repr(extended_headers.name or name.decode("utf-8", "replace"))
    if kind in _DEVICES:
        raise ArchiveError(f"contains {_DEVICES[kind]}: {quoted_name}", _EXCLUDE_FIX)
    if kind == _SPARSE or extended_headers.is_sparse:
        raise ArchiveError(f"contains a sparse file: {quoted_name}", _EXCLUDE_FIX)
    if kind not in _ENTRY_KINDS:
        raise ArchiveError(f"contains an entry of unknown type {kind!a}: {quoted_name}")
    # A name that an extended header completes may be cut inside a character.
    short_name = name.decode("utf-8", "replace") if extended_headers.name else _decode_utf8(name)
    if extended_headers.name and (short_name.startswith("/") or ".." in short_name.split("/")):
        raise ArchiveError(f"has two names for one entry: {short_name!r} and {quoted_name}")
    if extended_headers.size not in (None, size) and (size or extended_headers.size < _MIN_PAX_SIZE):
        raise ArchiveError(f"has two sizes for one entry: {quoted_name}")
    entry_kind = _ENTRY_KINDS[kind]
    short_name = extended_headers.name or short_name
    if entry_kind == "file" and short_name.endswith("/"):
        if kind != b"\0":
            raise ArchiveError(f"has a file whose name ends in a slash: {quoted_name}")
        entry_kind = "directory"
    if entry_kind != "file" and size:
        raise ArchiveError(f"has a directory or a link with content: {quoted_name}")
    target = extended_headers.target or _decode_utf8(block[157:257].partition(b"\0")[0])
    return ArchiveEntry(
        name=short_name.rstrip("/"),
        kind=entry_kind,
        size=size,
        mode=_parse_number(block[100:108]),
        link_target=target if entry_kind in ("symlink", "hardlink") else "",
        content_offset=offset,
    )


class _ExtendedHeaders:
    """The values that extended headers set for the next entry."""

    def __init__(self) -> None:
        self.name = ""
        self.target = ""
        self.size: int | None = None
        self.is_sparse = False
        self.kinds: set[bytes] = set()

    def add(self, kind: bytes, content: bytes) -> None:
        if kind == _PAX_GLOBAL:  # git archive puts the commit into one
            for key, _ in _parse_pax_records(content):
                if key in _SUPPORTED_PAX_KEYS or key.startswith("GNU.sparse."):
                    raise ArchiveError(f"has a pax header that sets {key!r} for all entries")
            return
        if kind in self.kinds or (self.kinds and _PAX in (kind, *self.kinds)):
            raise ArchiveError("has two extended tar headers for one entry")
        self.kinds.add(kind)
        if kind == _GNU_NAME:
            self.name = _parse_long_name(content)
        elif kind == _GNU_LINK:
            self.target = _parse_long_name(content)
        else:
            self._add_pax(content)

    def _add_pax(self, content: bytes) -> None:
        keys: set[str] = set()
        for key, value in _parse_pax_records(content):
            if key in _SUPPORTED_PAX_KEYS and key in keys:
                raise ArchiveError(f"has a pax header that sets {key!r} twice")
            keys.add(key)
            if key == "path":
                self.name = _decode_utf8(value)
            elif key == "linkpath":
                self.target = _decode_utf8(value)
            elif key == "size":
                if not value.isdigit() or len(value) > 18:  # noqa: PLR2004 - as far as 64 bits go
                    raise ArchiveError(f"has a pax header with an invalid size: {value!a}")
                self.size = int(value)
            elif key == "hdrcharset" and value != _UTF8:
                raise ArchiveError("has a pax header that is not in UTF-8")
            elif key.startswith("GNU.sparse."):
                self.is_sparse = True


def _parse_long_name(content: bytes) -> str:
    name, _, rest = content.partition(b"\0")
    if not name or rest.strip(b"\0"):
        raise ArchiveError(f"has a damaged tar header (invalid long name {content[:100]!a})")
    return _decode_utf8(name)


def _parse_pax_records(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the key and value of each record in a pax header."""
    start = count = 0
    while start < len(content):
        digits, _, _ = content[start : start + 9].partition(b" ")
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = content[start + len(digits) + 1 : end].partition(b"=")
        count += 1
        if not (equals and key and value.endswith(b"\n")) or end > len(content) or count > _MAX_PAX_RECORDS:
            raise ArchiveError(f"has a damaged pax header ({content[start : start + 40]!a})")
        yield _decode_utf8(key), value[:-1]
        start = end


def _decode_utf8(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise ArchiveError(f"has a name that is not UTF-8: {name!a}") from None
