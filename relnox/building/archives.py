"""Wheels and sdists: their names, metadata and entries, and how they are read and unpacked.

The formats are those of PEP 427, PEP 625 and the specification "Source distribution format". Archives may come
from other machines: nothing is read beyond the limits, and members are unpacked only below the target directory.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Literal, NamedTuple

from packaging.metadata import RawMetadata, parse_email
from packaging.tags import Tag
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.core import fixes
from relnox.core.release.manifest import DistributionKind
from relnox.core.text import format_count
from relnox.errors import Failed

COPY_FILE_FIX = "copy the file into the package, in place of the link"
_SMALLER_FIX = "leave large data out of the archive (in the build configuration)"
REBUILD_FIX = f"build it again: {fixes.task_command('build-all')}"
READ_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError),
    *(ValueError, RuntimeError),  # among them UnicodeError, NotImplementedError and RecursionError
)
"""The errors of truncated, damaged, encrypted or unsupported archives."""

MAX_ENTRIES = 100_000
MAX_UNPACKED_SIZE = 4 << 30
"""The number of bytes to which an archive may unpack; archives are never read beyond the limits."""
_MAX_METADATA_SIZE = 4 << 20
_WHEEL_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SDIST_METADATA = re.compile(r"(?:\./)?[^/]+/PKG-INFO")  # in the one top-level directory
_ZIP_END_SIZE = 22
_ZIP_END_SIGNATURE = b"PK\x05\x06"
_ZIP_UTF8_FLAG = 0x800
_CHUNK_SIZE = 1 << 18


class ArchiveEntry(NamedTuple):
    """A file, directory or link in an archive.

    Attributes:
        name: The path in the archive; for directories of zip files, it ends in a slash.
        kind: `special` are devices, pipes and sparse files.
        mode: The permission bits, including setuid and setgid, or 0 if the archive does not have them.
        crc32: The checksum of a file in a wheel.
    """

    name: str
    kind: Literal["file", "directory", "symlink", "hardlink", "special"]
    size: int
    mode: int = 0
    link_target: str = ""
    crc32: int = 0


class ArchiveError(Failed):
    """The error for an archive that cannot be read safely."""

    def __init__(
        self, message: str, fix: str = REBUILD_FIX, *, file: str = "", code: str = "archive-invalid"
    ) -> None:
        super().__init__(code, f"{file} {message}".lstrip(), fix=fix)
        self.reason = message


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A wheel or an sdist.

    Attributes:
        name: Normalized name (PEP 503), from the file name.
        tags: The tags in the file name of a wheel; empty for an sdist.
        requires: `Requires-Dist` of the metadata.
        import_names: `Import-Name` and `Import-Namespace` of the metadata (PEP 794); None if it has neither.
        member_names: The names of the entries, in the same order.
        metadata: The content of the metadata file.
    """

    path: Path
    kind: DistributionKind
    name: str
    version: Version
    tags: frozenset[Tag]
    name_in_metadata: str
    version_in_metadata: str
    requires: tuple[str, ...]
    import_names: tuple[str, ...] | None
    entries: tuple[ArchiveEntry, ...] = field(repr=False)
    member_names: tuple[str, ...] = field(repr=False)
    metadata: bytes = field(repr=False)

    @property
    def platforms(self) -> set[str]:
        """The platform tags of a wheel, such as `any` or `win_amd64`."""
        return {tag.platform for tag in self.tags}


def read(path: Path) -> Archive:
    """Read the entries and the metadata of an archive; raise `ArchiveError` if that is not possible safely."""
    kind: DistributionKind = "wheel" if path.name.endswith(".whl") else "sdist"
    tags: frozenset[Tag] = frozenset()
    try:
        if kind == "wheel":
            name, version, _, tags = parse_wheel_filename(path.name)
        else:
            name, version = parse_sdist_filename(path.name)
    except ValueError as error:
        raise ArchiveError(
            f"is not a valid file name of a wheel or an sdist ({error})",
            "build it again instead of renaming it (PEP 427, PEP 625)",
            file=path.name,
            code="archive-invalid",
        ) from error
    try:
        entries, metadata = (_read_wheel if kind == "wheel" else _read_sdist)(path)
    except ArchiveError as error:
        raise ArchiveError(error.reason, error.fix or REBUILD_FIX, file=path.name, code=error.code) from error
    except READ_ERRORS as error:
        raise ArchiveError(f"cannot be read ({error})", file=path.name) from error
    raw, unparsed = parse_metadata(metadata)
    by_field = [
        *(raw.get("import_names"), raw.get("import_namespaces")),
        *(unparsed.get("import-name"), unparsed.get("import-namespace")),
    ]
    field_names = [names for names in by_field if names is not None]  # an empty field declares that there are none
    return Archive(
        path=path,
        kind=kind,
        name=name,
        version=version,
        tags=tags,
        name_in_metadata=raw.get("name", ""),
        version_in_metadata=raw.get("version", ""),
        requires=tuple(raw.get("requires_dist", ())),
        import_names=tuple(name for names in field_names for name in names) if field_names else None,
        entries=entries,
        member_names=tuple(entry.name for entry in entries),
        metadata=metadata,
    )


def open_files(archive: Archive) -> Iterator[tuple[ArchiveEntry, IO[bytes]]]:
    """Yield every file of an archive with a stream of its content, in one pass."""
    if archive.kind == "wheel":
        with zipfile.ZipFile(archive.path) as wheel:
            for entry, member in zip(archive.entries, wheel.infolist(), strict=True):
                if entry.kind != "directory":
                    with wheel.open(member) as content:
                        yield entry, content
        return
    with _open_sdist(archive.path) as (sdist, _):
        for entry, tar_member in zip(archive.entries, sdist, strict=True):
            if entry.kind == "file" and (stream := sdist.extractfile(tar_member)) is not None:
                yield entry, stream


def iter_files(archive: Archive, limit: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the first `limit` bytes of every file in an archive, in one pass."""
    for entry, content in open_files(archive):
        yield entry.name, content.read(limit)


def read_file(archive: Archive, name: str, limit: int = _MAX_METADATA_SIZE) -> bytes:
    """Return the content of a file; raise `ArchiveError` if it is larger than `limit`."""
    for entry, content in open_files(archive):
        if entry.name == name:
            if entry.size > limit:
                size = format_count(entry.size, "byte")
                raise ArchiveError(f"contains a file that is too large: {name!r} ({size}, the limit is {limit})")
            return content.read()
    raise ArchiveError(f"has no file {name!r}")


def unpack_sdist(path: Path, into: Path) -> Path:
    """Unpack an sdist into an empty directory, and return the top-level directory in it.

    Raises:
        ArchiveError: A member would be outside the directory, or there is more than one top-level entry.
    """
    try:
        with _open_sdist(path) as (sdist, _):
            sdist.extractall(into, filter="data")
    except (tarfile.LinkOutsideDestinationError, tarfile.AbsoluteLinkError) as error:
        link = f"{error.tarinfo.name!r} -> {error.tarinfo.linkname!r}"
        message = f"contains a link to a target outside the sdist: {link}"
        raise ArchiveError(message, COPY_FILE_FIX, file=path.name, code="archive-invalid") from error
    except READ_ERRORS as error:
        raise ArchiveError(
            f"cannot be unpacked ({error})",
            "exclude the file that the error names from the sdist (in the build configuration), then rebuild",
            file=path.name,
        ) from error
    directories = list(into.iterdir())
    if len(directories) != 1:
        raise ArchiveError(
            f"has {len(directories)} top-level entries instead of one directory",
            "configure the build backend to put all files into one directory (PEP 625)",
            file=path.name,
        )
    return directories[0]


@lru_cache(maxsize=1 << 12)
def member_path(member: str) -> PurePosixPath:
    """Return the name of a member as a path (cached: many checks use the same names)."""
    return PurePosixPath(member)


def find_dist_info_file(archive: Archive, name: str) -> str | None:
    """Return the name of a file in the wheel's top-level `.dist-info` directory, or None if it does not exist."""
    matches = (member for member in archive.member_names if member.endswith(f".dist-info/{name}"))
    return next((member for member in matches if member.count("/") == 1), None)


@lru_cache(maxsize=8)
def _parse_cached(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    return parse_email(metadata)


def parse_metadata(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """Return the parsed fields of a metadata file, and the unknown or malformed ones; see `parse_email`."""
    raw, unparsed = _parse_cached(metadata)
    return raw.copy(), unparsed.copy()


def _read_wheel(path: Path) -> tuple[tuple[ArchiveEntry, ...], bytes]:
    with path.open("rb") as file, zipfile.ZipFile(file) as wheel:
        members = wheel.infolist()
        file.seek(-_ZIP_END_SIZE, io.SEEK_END)
        if file.read(len(_ZIP_END_SIGNATURE)) != _ZIP_END_SIGNATURE:
            raise ArchiveError("has bytes after the end of the zip archive")
        if min((member.header_offset for member in members), default=0) != 0:
            raise ArchiveError("has bytes before the zip archive")
        if len(members) > MAX_ENTRIES:
            raise _too_many_entries_error()
        if sum(member.file_size for member in members) > MAX_UNPACKED_SIZE:
            raise _too_large_error()
        entries = tuple(map(_make_wheel_entry, members))
        number = _find_metadata(entries, _WHEEL_METADATA)
        if entries[number].size > _MAX_METADATA_SIZE:
            raise ArchiveError("has metadata that is too large")
        return entries, wheel.read(members[number])


def _make_wheel_entry(member: zipfile.ZipInfo) -> ArchiveEntry:
    name, mode = member.orig_filename, member.external_attr >> 16
    if not (name.isascii() or member.flag_bits & _ZIP_UTF8_FLAG):
        raise ArchiveError(f"has a name that is not UTF-8, or not marked as UTF-8: {name!r}")
    kind: Literal["file", "directory", "symlink", "special"] = "directory" if name.endswith("/") else "file"
    if stat.S_ISLNK(mode):
        kind = "symlink"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "special"
    return ArchiveEntry(name, kind, member.file_size, stat.S_IMODE(mode), crc32=member.CRC)


def _read_sdist(path: Path) -> tuple[tuple[ArchiveEntry, ...], bytes]:
    if path.name.endswith(".zip"):
        raise ArchiveError(
            "is a zip file instead of a .tar.gz file (PEP 625)",
            f"remove the zip format from the build backend's settings, then run {fixes.task_command('build-all')}",
        )
    entries: list[ArchiveEntry] = []
    metadata = b""
    with _open_sdist(path) as (sdist, stream):
        for member in sdist:
            if len(entries) == MAX_ENTRIES:
                raise _too_many_entries_error()
            if member.size < 0 or member.offset_data + member.size > MAX_UNPACKED_SIZE:
                raise _too_large_error()
            entries.append(_make_sdist_entry(member))
            if _SDIST_METADATA.fullmatch(member.name) and (content := sdist.extractfile(member)) is not None:
                metadata = content.read(_MAX_METADATA_SIZE)
        stream.seek(sdist.offset)
        while data := stream.read(_CHUNK_SIZE):
            if data.strip(b"\0"):
                raise ArchiveError("has a damaged header, or data after the end of its tar archive")
    _find_metadata(entries, _SDIST_METADATA)
    return tuple(entries), metadata


def _make_sdist_entry(member: tarfile.TarInfo) -> ArchiveEntry:
    kind: Literal["file", "directory", "symlink", "hardlink", "special"] = "special"
    if member.isfile() and not member.issparse():
        kind = "file"
    elif member.isdir():
        kind = "directory"
    elif member.issym():
        kind = "symlink"
    elif member.islnk():
        kind = "hardlink"
    target = member.linkname if kind in ("symlink", "hardlink") else ""
    return ArchiveEntry(member.name, kind, member.size, stat.S_IMODE(member.mode), target)


@contextlib.contextmanager
def _open_sdist(path: Path) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    """Open an sdist; yield its tar archive and the decompressed stream of it."""
    with _LimitedGzipFile(path) as stream, tarfile.open(fileobj=stream, mode="r:") as sdist:
        yield sdist, stream


class _LimitedGzipFile(gzip.GzipFile):
    """A gzip file that raises an error instead of returning more than the limit."""

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes; tar headers with a negative size are damaged."""
        if size is None or size < 0:
            raise tarfile.ReadError("damaged header")
        data = super().read(max(0, min(size, MAX_UNPACKED_SIZE + 1 - self.tell())))
        if self.tell() > MAX_UNPACKED_SIZE:
            raise _too_large_error()
        return data


def _find_metadata(entries: Sequence[ArchiveEntry], pattern: re.Pattern[str]) -> int:
    """Return the position of the only metadata file."""
    positions = [
        number for number, entry in enumerate(entries) if entry.kind == "file" and pattern.fullmatch(entry.name)
    ]
    if len(positions) != 1:
        raise ArchiveError(f"has {len(positions)} metadata files instead of one")
    return positions[0]


def _too_many_entries_error() -> ArchiveError:
    return ArchiveError(f"has more than {MAX_ENTRIES} entries", _SMALLER_FIX, code="archive-too-large")


def _too_large_error() -> ArchiveError:
    message = f"unpacks to more than {MAX_UNPACKED_SIZE >> 20} MiB"
    return ArchiveError(message, _SMALLER_FIX, code="archive-too-large")
