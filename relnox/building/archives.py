"""Wheels and sdists: their hashes, names, metadata and entries, and how they are read and unpacked.

The formats are those of PEP 427, PEP 625 and the specification "Source distribution format". Archives may come
from other machines: nothing is read beyond the limits, and members are unpacked only below the target directory.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, NamedTuple, TypeAlias

from packaging.metadata import parse_email
from packaging.tags import Tag
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

from relnox.core import fixes
from relnox.core.release.manifest import DistributionKind
from relnox.core.text import format_count, join_names
from relnox.errors import Failed

COPY_FILE_FIX = "copy the file into the package, in place of the link"
EXCLUDE_SETTINGS = "[tool.hatch.build] exclude (hatchling), MANIFEST.in (setuptools)"
"""Where the build configuration of a project excludes files, for fixes."""
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
_VERSIONS_WITH_LICENSE_FILES = ("2.4", "2.5")
_WHEEL_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SDIST_METADATA = re.compile(r"(?:\./)?[^/]+/PKG-INFO")  # in the one top-level directory
_ZIP_END_SIZE = 22
_ZIP_END_SIGNATURE = b"PK\x05\x06"
_ZIP_UTF8_FLAG = 0x800
_CHUNK_SIZE = 1 << 18


EntryKind: TypeAlias = Literal["file", "directory", "symlink", "hardlink", "special"]
"""The kind of an entry of an archive; `special` are devices, pipes and sparse files."""


class ArchiveEntry(NamedTuple):
    """A file, directory or link in an archive.

    Attributes:
        name: The path in the archive; for directories of zip files, it ends in a slash.
        kind: `file`, `directory`, `symlink`, `hardlink`, or `special`: devices, pipes and sparse files.
        size: The unpacked size in bytes.
        link_target: The target of a link in an sdist; otherwise empty.
        crc32: The checksum of a file in a wheel; 0 in sdists.
    """

    name: str
    kind: EntryKind
    size: int
    link_target: str = ""
    crc32: int = 0


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A wheel or an sdist.

    Attributes:
        name: Normalized name (PEP 503), from the file name, as is the version.
        tags: The tags in the file name of a wheel; empty for an sdist.
        fields: The fields of its metadata, by the names of `packaging.metadata`, such as `requires_dist`.
        malformed_fields: The values of fields that are unknown or cannot be parsed, by lowercase names.
    """

    path: Path
    kind: DistributionKind
    name: str
    version: Version
    tags: frozenset[Tag]
    entries: tuple[ArchiveEntry, ...] = field(repr=False)
    fields: Mapping[str, Any] = field(repr=False, compare=False)
    malformed_fields: Mapping[str, list[str]] = field(repr=False, compare=False)

    @cached_property
    def member_names(self) -> tuple[str, ...]:
        """The names of the entries, in the same order."""
        return tuple(entry.name for entry in self.entries)

    @property
    def platforms(self) -> set[str]:
        """The platform tags of a wheel, such as `any` or `win_amd64`; empty for an sdist."""
        return {tag.platform for tag in self.tags}

    @property
    def requires(self) -> tuple[str, ...]:
        """The `Requires-Dist` values of the metadata, as written there; empty if there are none."""
        return tuple(self.fields.get("requires_dist", ()))

    @property
    def declared_import_names(self) -> tuple[str, ...] | None:
        """The values of `Import-Name` and `Import-Namespace` (PEP 794), such as `demo; private`; None if unset.

        An empty value states that there are no modules.
        """
        places = (
            *((self.fields, name) for name in ("import_names", "import_namespaces")),
            *((self.malformed_fields, name) for name in ("import-name", "import-namespace")),
        )
        declared = [fields[name] for fields, name in places if name in fields]
        return tuple(name for names in declared for name in names) if declared else None


@dataclass(frozen=True, kw_only=True)
class Digests:
    """The size of a file in bytes, and the hexadecimal hashes of its content."""

    size: int
    sha256: str
    blake2b_256: str


def hash_file(path: Path) -> Digests:
    """Return the size and hashes of a file, reading it only once."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b(digest_size=32)
    size = 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK_SIZE):
            size += len(chunk)
            sha256.update(chunk)
            blake2b.update(chunk)
    return Digests(size=size, sha256=sha256.hexdigest(), blake2b_256=blake2b.hexdigest())


def is_file_inside(directory: Path, path: Path) -> bool:
    """Return whether `path` (below `directory`) is a file, and not a symbolic link out of the directory."""
    return path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(directory.resolve()))


def hash_of_file_inside(directory: Path, path: Path) -> str | None:
    """Return the SHA-256 (hex) of a file below a directory; None if missing, or a symbolic link out of it."""
    return hash_file(path).sha256 if is_file_inside(directory, path) else None


def read_archive(path: Path) -> Archive:
    """Read the entries and the metadata of an archive; raise `Failed` if it, or its file name, is not valid."""
    kind: DistributionKind = "wheel" if path.name.endswith(".whl") else "sdist"
    tags: frozenset[Tag] = frozenset()
    try:
        if kind == "wheel":
            name, version, _, tags = parse_wheel_filename(path.name)
        else:
            name, version = parse_sdist_filename(path.name)
        entries, metadata = (_read_wheel if kind == "wheel" else _read_sdist)(path)
    except (InvalidWheelFilename, InvalidSdistFilename) as error:
        raise _invalid_archive_error(
            f"{path.name} is not a valid file name of a wheel or an sdist ({error})",
            "build it again instead of renaming it (PEP 427, PEP 625)",
            file=path.name,
        ) from error
    except Failed as error:
        raise error.but(message=f"{path.name} {error.message}", file=path.name) from error
    except READ_ERRORS as error:
        raise _invalid_archive_error(f"{path.name} cannot be read ({error})", file=path.name) from error
    fields, malformed = parse_email(metadata)
    if fields.get("metadata_version") not in _VERSIONS_WITH_LICENSE_FILES:  # the others do not define the field
        fields.pop("license_files", None)
        malformed.pop("license-file", None)
    return Archive(
        path=path,
        kind=kind,
        name=name,
        version=version,
        tags=tags,
        entries=entries,
        fields={**fields},
        malformed_fields=malformed,
    )


def _open_files(archive: Archive) -> Iterator[tuple[ArchiveEntry, IO[bytes]]]:
    """Yield the entry of each file in an archive, with a stream that is open until the next one."""
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
    """Yield the name and the first `limit` bytes of every file in an archive, reading the archive only once."""
    for entry, content in _open_files(archive):
        yield entry.name, content.read(limit)


def read_file(archive: Archive, name: str, limit: int = _MAX_METADATA_SIZE) -> bytes:
    """Return the content of a file; raise `Failed` if the archive lacks it, or it has more than `limit` bytes."""
    for entry, content in _open_files(archive):
        if entry.name == name:
            if entry.size > limit:
                size = format_count(entry.size, "byte")
                raise _invalid_archive_error(
                    f"contains a file that is too large: {name!r} ({size}, the limit is {limit})"
                )
            return content.read()
    raise _invalid_archive_error(f"has no file {name!r}")


def unpack_sdist(path: Path, into: Path) -> Path:
    """Unpack an sdist into an empty directory; return the path of its only top-level entry.

    Raises:
        Failed: It is damaged, has a link to a target outside, or not exactly one top-level entry.
    """
    try:
        with _open_sdist(path) as (sdist, _):
            sdist.extractall(into, filter="data")
    except (tarfile.LinkOutsideDestinationError, tarfile.AbsoluteLinkError) as error:
        link = f"{error.tarinfo.name!r} -> {error.tarinfo.linkname!r}"
        raise _invalid_archive_error(
            f"{path.name} contains a link to a target outside the sdist: {link}", COPY_FILE_FIX
        ) from error
    except READ_ERRORS as error:
        raise _invalid_archive_error(
            f"{path.name} cannot be unpacked ({error})",
            "exclude the file that the error names from the sdist (in the build configuration), then rebuild",
        ) from error
    entries = sorted(into.iterdir())
    if len(entries) != 1:
        names = join_names([entry.name for entry in entries], 5)
        raise _invalid_archive_error(
            f"{path.name} has {len(entries)} top-level entries instead of one directory: {names}",
            "configure the build backend to put all files into one directory (PEP 625): a file of a parent "
            'directory, such as readme = "../README.md", has to be copied into that of the package',
        )
    return entries[0]


def limit_sdist_times(path: Path, epoch: int) -> None:
    """Set each time in an sdist that is later than `epoch` (Unix time) to `epoch`, as SOURCE_DATE_EPOCH requires.

    setuptools and pdm-backend write the time of the build. If any time is later, the sdist is rewritten, also
    without the owners of its files (users of this machine); otherwise it stays unchanged.
    """
    with tarfile.open(path) as archive:
        members = archive.getmembers()
        if all(member.mtime <= epoch for member in members) and _read_gzip_time(path) <= epoch:
            return
        limited = path.with_name(f"{path.name}.new")
        with (
            limited.open("wb") as file,
            gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as compressed,
            tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as rewritten,
        ):
            for member in members:
                member.mtime = min(int(member.mtime), epoch)
                member.uid = member.gid = 0
                member.uname = member.gname = ""
                member.pax_headers = {name: value for name, value in member.pax_headers.items() if name != "mtime"}
                rewritten.addfile(member, archive.extractfile(member) if member.isreg() else None)
    limited.replace(path)


def _read_gzip_time(path: Path) -> int:
    """Return the Unix time in the header of a gzip file (RFC 1952); 0 if it has none."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little")


@lru_cache(maxsize=1 << 12)
def member_path(member: str) -> PurePosixPath:
    """Return the name of a member as a path; cached, since many checks use the same names."""
    return PurePosixPath(member)


def find_dist_info_file(archive: Archive, name: str) -> str | None:
    """Return the full path of a file in the `.dist-info` directory of a wheel (`RECORD`); None if missing."""
    matches = (member for member in archive.member_names if member.endswith(f".dist-info/{name}"))
    return next((member for member in matches if member.count("/") == 1), None)


def _read_wheel(path: Path) -> tuple[tuple[ArchiveEntry, ...], bytes]:
    """Return the entries of a wheel and the content of METADATA.

    Raise `Failed` if it exceeds a limit, has bytes around the zip archive, or does not have exactly one METADATA
    file; a damaged one raises one of `READ_ERRORS`.
    """
    with path.open("rb") as file, zipfile.ZipFile(file) as wheel:
        members = wheel.infolist()
        file.seek(-_ZIP_END_SIZE, io.SEEK_END)
        if file.read(len(_ZIP_END_SIGNATURE)) != _ZIP_END_SIGNATURE:
            raise _invalid_archive_error("has bytes after the end of the zip archive")
        if min((member.header_offset for member in members), default=0) != 0:
            raise _invalid_archive_error("has bytes before the zip archive")
        if len(members) > MAX_ENTRIES:
            raise _too_many_entries_error()
        if sum(member.file_size for member in members) > MAX_UNPACKED_SIZE:
            raise _unpacked_size_error()
        entries = tuple(map(_make_wheel_entry, members))
        number = _find_metadata_position(entries, _WHEEL_METADATA)
        if entries[number].size > _MAX_METADATA_SIZE:
            raise _invalid_archive_error("has metadata that is too large")
        return entries, wheel.read(members[number])


def _make_wheel_entry(member: zipfile.ZipInfo) -> ArchiveEntry:
    """Return a member of a wheel as an entry; raise `Failed` for a name that is not UTF-8."""
    name, mode = member.orig_filename, member.external_attr >> 16
    if not (name.isascii() or member.flag_bits & _ZIP_UTF8_FLAG):
        raise _invalid_archive_error(f"has a name that is not UTF-8, or not marked as UTF-8: {name!r}")
    kind: EntryKind = "directory" if name.endswith("/") else "file"
    if stat.S_ISLNK(mode):
        kind = "symlink"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "special"
    return ArchiveEntry(name, kind, member.file_size, crc32=member.CRC)


def _read_sdist(path: Path) -> tuple[tuple[ArchiveEntry, ...], bytes]:
    """Return the entries of an sdist and the content of PKG-INFO.

    Raise `Failed` for a zip file, or if it exceeds a limit, has data after the tar archive, or does not have
    exactly one PKG-INFO in its top-level directory; a damaged one raises one of `READ_ERRORS`.
    """
    if path.name.endswith(".zip"):
        raise _invalid_archive_error(
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
                raise _unpacked_size_error()
            entries.append(_make_sdist_entry(member))
            if _SDIST_METADATA.fullmatch(member.name) and (content := sdist.extractfile(member)) is not None:
                metadata = content.read(_MAX_METADATA_SIZE)
        stream.seek(sdist.offset)
        while data := stream.read(_CHUNK_SIZE):
            if data.strip(b"\0"):
                raise _invalid_archive_error("has a damaged header, or data after the end of its tar archive")
    _find_metadata_position(entries, _SDIST_METADATA)
    return tuple(entries), metadata


def _make_sdist_entry(member: tarfile.TarInfo) -> ArchiveEntry:
    kind: EntryKind = "special"
    if member.isfile() and not member.issparse():
        kind = "file"
    elif member.isdir():
        kind = "directory"
    elif member.issym() or member.islnk():
        kind = "symlink" if member.issym() else "hardlink"
    return ArchiveEntry(member.name, kind, member.size, member.linkname)


@contextlib.contextmanager
def _open_sdist(path: Path) -> Iterator[tuple[tarfile.TarFile, gzip.GzipFile]]:
    """Open an sdist; yield its tar archive, and the decompressed stream that the archive is read from."""
    with _LimitedGzipFile(path) as stream, tarfile.open(fileobj=stream, mode="r:") as sdist:
        yield sdist, stream


class _LimitedGzipFile(gzip.GzipFile):
    """A gzip file that raises `Failed` instead of unpacking more than `MAX_UNPACKED_SIZE` bytes."""

    def read(self, size: int | None = -1) -> bytes:
        """Return at most the next `size` bytes.

        Raise `ReadError` if `size` is negative or None, which a damaged tar header causes.
        """
        if size is None or size < 0:
            raise tarfile.ReadError("damaged header")
        data = super().read(max(0, min(size, MAX_UNPACKED_SIZE + 1 - self.tell())))
        if self.tell() > MAX_UNPACKED_SIZE:
            raise _unpacked_size_error()
        return data


def _find_metadata_position(entries: Sequence[ArchiveEntry], pattern: re.Pattern[str]) -> int:
    """Return the index of the file whose name matches; raise `Failed` unless there is exactly one."""
    positions = [
        number for number, entry in enumerate(entries) if entry.kind == "file" and pattern.fullmatch(entry.name)
    ]
    if len(positions) != 1:
        raise _invalid_archive_error(f"has {len(positions)} metadata files instead of one")
    return positions[0]


def _invalid_archive_error(message: str, fix: str = REBUILD_FIX, *, file: str = "") -> Failed:
    """Return the error for an invalid archive.

    Without `file`, the name of the archive, `message` is only a predicate, such as `has no file`: a caller that
    knows the name adds it.
    """
    return Failed("archive-invalid", message, fix, file=file)


def _archive_too_large_error(message: str) -> Failed:
    """Return the error for an archive beyond a limit; `message` is a predicate, to which callers add the name."""
    return Failed("archive-too-large", message, f"exclude large data: {EXCLUDE_SETTINGS}")


def _too_many_entries_error() -> Failed:
    """Return the error for an archive with more than `MAX_ENTRIES` entries."""
    return _archive_too_large_error(f"has more than {MAX_ENTRIES} entries")


def _unpacked_size_error() -> Failed:
    """Return the error for an archive that unpacks to more than `MAX_UNPACKED_SIZE` bytes."""
    return _archive_too_large_error(f"unpacks to more than {MAX_UNPACKED_SIZE >> 20} MiB")
