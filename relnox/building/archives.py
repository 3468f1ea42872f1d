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
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Literal, NamedTuple

from packaging.metadata import parse_email
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from relnox.core import fixes
from relnox.core.settings.config_tables import ArchiveLimits
from relnox.core.text import format_count
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from packaging.metadata import RawMetadata
    from packaging.tags import Tag
    from packaging.version import Version

    from relnox.core.release.manifest import DistributionKind

COPY_FILE_FIX = "copy the file into the package, in place of the link"
REBUILD_FIX = f"build it again: {fixes.task_command('build-all')}"
READ_ERRORS = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError),
    *(ValueError, RuntimeError),  # among them UnicodeError, NotImplementedError and RecursionError
)
"""The errors of truncated, damaged, encrypted or unsupported archives."""

DEFAULT_LIMITS = ArchiveLimits()
_MIN_UNPACKED_SIZE = 64 << 20
"""The size in bytes to which an archive may always unpack, however small it is."""
_MAX_METADATA_SIZE = 4 << 20
_WHEEL_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SDIST_METADATA = re.compile(r"(?:\./)?[^/]+/PKG-INFO")  # in the one top-level directory
_ZIP_END_SIZE = 22
_ZIP_END_SIGNATURE = b"PK\x05\x06"
_ZIP_STREAMED_FLAG, _ZIP_UTF8_FLAG = 0x8, 0x800
_CHUNK_SIZE = 1 << 18


class ArchiveEntry(NamedTuple):
    """A file, directory or link in an archive.

    Attributes:
        name: The path in the archive; for directories of zip files, it ends in a slash.
        kind: `special` are devices, pipes and sparse files.
        mode: The permission bits, including setuid and setgid, or 0 if the archive does not have them.
        crc32: The checksum of a file in a wheel.
        is_streamed: Whether a zip file has the size only after the content.
    """

    name: str
    kind: Literal["file", "directory", "symlink", "hardlink", "special"]
    size: int
    mode: int = 0
    link_target: str = ""
    crc32: int = 0
    is_streamed: bool = False


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
    limits: ArchiveLimits = DEFAULT_LIMITS

    @property
    def platforms(self) -> set[str]:
        """The platform tags of a wheel, such as `any` or `win_amd64`."""
        return {tag.platform for tag in self.tags}


def read(path: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Archive:
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
        entries, metadata = (_read_wheel if kind == "wheel" else _read_sdist)(path, limits)
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
        limits=limits,
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
    with _open_sdist(archive.path, archive.limits) as (sdist, _):
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


def unpack_sdist(path: Path, into: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> Path:
    """Unpack an sdist into an empty directory, and return the top-level directory in it.

    Raises:
        ArchiveError: A member would be outside the directory, or there is more than one top-level entry.
    """
    try:
        with _open_sdist(path, limits) as (sdist, _):
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


def _read_wheel(path: Path, limits: ArchiveLimits) -> tuple[tuple[ArchiveEntry, ...], bytes]:
    with path.open("rb") as file, zipfile.ZipFile(file) as wheel:
        members = wheel.infolist()
        file.seek(-_ZIP_END_SIZE, io.SEEK_END)
        if file.read(len(_ZIP_END_SIGNATURE)) != _ZIP_END_SIGNATURE:
            raise ArchiveError("has bytes after the end of the zip archive")
        if min((member.header_offset for member in members), default=0) != 0:
            raise ArchiveError("has bytes before the zip archive")
        if len(members) > limits.max_entries:
            raise _too_large_error(f"has more than {limits.max_entries} entries", "max-entries")
        limit, too_large = _unpacked_size_limit(path, limits)
        if sum(member.file_size for member in members) > limit:
            raise too_large
        entries = tuple(map(_make_wheel_entry, members))
        number = _find_metadata(entries, _WHEEL_METADATA)
        if entries[number].size > _MAX_METADATA_SIZE:
            raise ArchiveError("has metadata that is too large")
        return entries, wheel.read(members[number])


def _make_wheel_entry(member: zipfile.ZipInfo) -> ArchiveEntry:
    name, mode = member.orig_filename, member.external_attr >> 16
    if not (name.isascii() or member.flag_bits & _ZIP_UTF8_FLAG):
        raise ArchiveError(f"has a name that is not UTF-8, or not marked as UTF-8: {name!r}")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArchiveError(f"contains a file with an unsupported compression method: {name!r}")
    kind: Literal["file", "directory", "symlink", "special"] = "directory" if name.endswith("/") else "file"
    if stat.S_ISLNK(mode):
        kind = "symlink"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "special"
    return ArchiveEntry(
        name=name,
        kind=kind,
        size=member.file_size,
        mode=stat.S_IMODE(mode),
        crc32=member.CRC,
        is_streamed=bool(member.flag_bits & _ZIP_STREAMED_FLAG),
    )


def _read_sdist(path: Path, limits: ArchiveLimits) -> tuple[tuple[ArchiveEntry, ...], bytes]:
    if path.name.endswith(".zip"):
        raise ArchiveError(
            "is a zip file instead of a .tar.gz file (PEP 625)",
            f"remove the zip format from the build backend's settings, then run {fixes.task_command('build-all')}",
        )
    limit, too_large = _unpacked_size_limit(path, limits)
    entries: list[ArchiveEntry] = []
    metadata = b""
    with _open_sdist(path, limits) as (sdist, stream):
        for member in sdist:
            if len(entries) == limits.max_entries:
                raise _too_large_error(f"has more than {limits.max_entries} entries", "max-entries")
            if member.size < 0 or member.offset_data + member.size > limit:
                raise too_large
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
def _open_sdist(path: Path, limits: ArchiveLimits) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    """Open an sdist; yield its tar archive and the decompressed stream of it."""
    with path.open("rb") as file:
        stream = _LimitedGzipFile(file, *_unpacked_size_limit(path, limits))
        with stream, tarfile.open(fileobj=stream, mode="r:") as sdist:
            yield sdist, stream


class _LimitedGzipFile(gzip.GzipFile):
    """A gzip file that raises an error instead of returning more than `limit` bytes."""

    def __init__(self, file: IO[bytes], limit: int, error: ArchiveError) -> None:
        super().__init__(fileobj=file, mode="rb")
        self._limit = limit
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes; tar headers with a negative size are damaged."""
        if size is None or size < 0:
            raise tarfile.ReadError("damaged header")
        data = super().read(max(0, min(size, self._limit + 1 - self.tell())))
        if self.tell() > self._limit:
            raise self._error
        return data


def _find_metadata(entries: Sequence[ArchiveEntry], pattern: re.Pattern[str]) -> int:
    """Return the position of the only metadata file."""
    positions = [
        number for number, entry in enumerate(entries) if entry.kind == "file" and pattern.fullmatch(entry.name)
    ]
    if len(positions) != 1:
        raise ArchiveError(f"has {len(positions)} metadata files instead of one")
    return positions[0]


def _unpacked_size_limit(path: Path, limits: ArchiveLimits) -> tuple[int, ArchiveError]:
    """Return the number of bytes to which an archive may unpack, and the error for more."""
    total = limits.max_unpacked << 20
    by_ratio = max(path.stat().st_size * limits.max_ratio, _MIN_UNPACKED_SIZE)
    if by_ratio < total:
        return by_ratio, _too_large_error(f"unpacks to more than {limits.max_ratio} times its size", "max-ratio")
    return total, _too_large_error(f"unpacks to more than {limits.max_unpacked} MiB", "max-unpacked")


def _too_large_error(message: str, setting: str) -> ArchiveError:
    """Return the error for an archive that exceeds the limit that a setting in `[tool.relnox.archives]` sets."""
    fix = f"if the archive is meant to be that large, raise {setting} in [tool.relnox.archives]"
    return ArchiveError(message, fix, code="archive-too-large")
