"""Read a wheel or an sdist: its name, its metadata, its entries, its hashes.

Nothing is unpacked to the disk, and nothing is read beyond the limits: an archive may come from elsewhere. The
formats are those of PEP 427 and PEP 625, and the specification "Source distribution format".
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from packaging.metadata import parse_email
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from relnox.building import tar_reader, zip_reader
from relnox.building.entries import REBUILD, ArchiveError
from relnox.core import fixes
from relnox.core.config import ArchiveLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from packaging.metadata import RawMetadata
    from packaging.version import Version

    from relnox.building.entries import Entry
    from relnox.building.findings import Found
    from relnox.core.manifest import Kind

__all__ = [
    "LIMITS",
    "UNREADABLE",
    "Archive",
    "ArchiveError",
    "Digests",
    "contents",
    "digests",
    "file_content",
    "info_file",
    "is_in",
    "metadata_fields",
    "path_of",
    "read",
]

UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # RecursionError too: of parsers of what is nested too deeply
    UnicodeError,
)
"""What is raised by archives that are cut off, damaged, encrypted or written in a way of their own."""

LIMITS = ArchiveLimits()
_CHUNK = 1 << 20
_METADATA_LIMIT = 4 << 20
_FIELDS_LIMIT = 1 << 20
"""Bytes of the fields before the description."""
_NAMES_LIMIT = 100
"""Different names of fields: the parser takes time by their square."""
_SMALL = 1 << 20
_SMALL_UNPACKED = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A wheel or an sdist.

    Attributes:
        path: Where it is.
        kind: `sdist` or `wheel`.
        name: Normalized name (PEP 503), from the file name.
        version: From the file name.
        stated_name: From the metadata, as written there.
        stated_version: From the metadata, as written there.
        requires: `Requires-Dist` of the metadata.
        import_names: `Import-Name` and `Import-Namespace` of the metadata (PEP 794); None where it states none.
        entries: What is in the archive, in order.
        members: The names of the entries.
        metadata: The metadata file, as it is there.
        faults: What is wrong with how the archive is written.
        limits: How much of it is read.
    """

    path: Path
    kind: Kind
    name: str
    version: Version
    stated_name: str
    stated_version: str
    requires: tuple[str, ...]
    import_names: tuple[str, ...] | None
    entries: tuple[Entry, ...] = field(repr=False)
    members: tuple[str, ...] = field(repr=False)
    metadata: bytes = field(repr=False)
    faults: tuple[Found, ...] = ()
    limits: ArchiveLimits = LIMITS


@dataclass(frozen=True, kw_only=True)
class Digests:
    """Size in bytes and hex digests of a file."""

    size: int
    sha256: str
    blake2b_256: str


def digests(path: Path) -> Digests:
    """Hash a file, reading it once."""
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b(digest_size=32)
    size = 0
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            size += len(chunk)
            sha256.update(chunk)
            blake2b.update(chunk)
    return Digests(size=size, sha256=sha256.hexdigest(), blake2b_256=blake2b.hexdigest())


def is_in(folder: Path, path: Path) -> bool:
    """Whether a path is a file in a folder, and no link to one elsewhere."""
    return path.is_file() and (not path.is_symlink() or path.resolve().is_relative_to(folder.resolve()))


def read(path: Path, limits: ArchiveLimits = LIMITS) -> Archive:
    """Look into an archive.

    Args:
        path: Where it is.
        limits: How large it may be.

    Raises:
        ArchiveError: It cannot be opened, is written so that its entries cannot be told, is too large, has no name
            of an archive, or not exactly one metadata file.
    """
    kind: Kind
    try:
        if path.name.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(path.name)
            kind = "wheel"
        else:
            name, version = parse_sdist_filename(path.name)
            kind = "sdist"
    except (InvalidSdistFilename, InvalidWheelFilename) as error:
        raise ArchiveError(
            f"is no name of a wheel or an sdist: {error}", "see PEP 427, PEP 625", file=path.name
        ) from error
    try:
        entries, faults, metadata = _read_wheel(path, limits) if kind == "wheel" else _read_sdist(path, limits)
    except ArchiveError as error:
        raise ArchiveError(error.fault, error.fix or REBUILD, file=path.name) from error
    except UNREADABLE as error:
        raise ArchiveError(f"cannot be opened: {error}", file=path.name) from error
    raw, unparsed = metadata_fields(metadata)
    by_field = [
        *(raw.get("import_names"), raw.get("import_namespaces")),
        *(unparsed.get("import-name"), unparsed.get("import-namespace")),
    ]
    stated = [names for names in by_field if names is not None]  # an empty field states that there are none
    return Archive(
        path=path,
        kind=kind,
        name=name,
        version=version,
        stated_name=raw.get("name", ""),
        stated_version=raw.get("version", ""),
        requires=tuple(raw.get("requires_dist", ())),
        import_names=tuple(name for names in stated for name in names) if stated else None,
        entries=entries,
        members=tuple(entry.name for entry in entries),
        metadata=metadata,
        faults=faults,
        limits=limits,
    )


def contents(
    archive: Archive, limit: int, hashes: Callable[[str], hashlib._Hash | None] = lambda _: None
) -> Iterator[tuple[str, bytes]]:
    """Each file in an archive by its name, with its first bytes, in one pass that reads all of it.

    Args:
        archive: What `read` gave.
        limit: How many bytes of each file are given.
        hashes: Gives a hash to update with all of a file's content, by the file's name.

    Raises:
        ArchiveError: Its content is damaged, or not what its headers say.
    """
    with archive.path.open("rb") as file:
        if archive.kind == "wheel":
            for entry in archive.entries:
                if entry.kind != "directory":
                    yield entry.name, _head(zip_reader.content(file, entry), limit, hashes(entry.name))
            return
        if (small := _small(archive.path, archive.limits)) is not None:
            for entry in small.entries:
                if entry.kind == "file":
                    yield entry.name, small.content(entry, limit)
            return
        stream = tar_reader.Stream(tar_reader.gunzip(file, archive.path.stat().st_size, archive.limits))
        for entry in tar_reader.entries(stream, archive.limits):
            if entry.kind == "file":
                yield entry.name, stream.read(min(entry.size, limit))


def file_content(archive: Archive, name: str, limit: int = _METADATA_LIMIT) -> bytes:
    """The content of a file in an archive.

    Raises:
        ArchiveError: It is damaged, or larger than the limit.
    """
    entry = next(entry for entry in archive.entries if entry.name == name and entry.kind == "file")
    with archive.path.open("rb") as file:
        if archive.kind == "wheel":
            return _wheel_content(file, entry, limit)
        if (small := _small(archive.path, archive.limits)) is not None:
            return small.content(entry, limit)
        stream = tar_reader.Stream(tar_reader.gunzip(file, archive.path.stat().st_size, archive.limits))
        stream.skip_to(entry.offset)
        return stream.read(min(entry.size, limit))


def metadata_fields(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """The fields of a metadata file, and those that are unknown or malformed; see `parse_email`."""
    raw, unparsed = _fields(metadata)
    return raw.copy(), unparsed.copy()


@lru_cache(maxsize=1 << 12)
def path_of(member: str) -> PurePosixPath:
    """The name of a member as a path; many checks ask for the same ones."""
    return PurePosixPath(member)


def info_file(archive: Archive, name: str) -> str | None:
    """The member of this name in a wheel's own metadata folder; packages that it carries bring their own ones."""
    own = (member for member in archive.members if member.endswith(f".dist-info/{name}"))
    return next((member for member in own if member.count("/") == 1), None)


def _read_wheel(path: Path, limits: ArchiveLimits) -> tuple[tuple[Entry, ...], tuple[Found, ...], bytes]:
    with path.open("rb") as file:
        entries, faults = zip_reader.listing(file, limits)
        wanted = _one(entries, _WHEEL_METADATA)
        return tuple(entries), tuple(faults), _checked_metadata(_wheel_content(file, wanted, _METADATA_LIMIT))


def _read_sdist(path: Path, limits: ArchiveLimits) -> tuple[tuple[Entry, ...], tuple[Found, ...], bytes]:
    if path.name.endswith(".zip"):
        raise ArchiveError(
            "is a zip file: sdists are .tar.gz files (PEP 625)",
            f"take what makes it a zip out of the backend's settings, then: {fixes.command('build-all')}",
        )
    if (small := _small(path, limits)) is not None:
        wanted = _one(small.entries, _SDIST_METADATA)
        return small.entries, (), _checked_metadata(small.content(wanted, _METADATA_LIMIT))
    entries, metadata = [], b""
    with path.open("rb") as file:
        stream = tar_reader.Stream(tar_reader.gunzip(file, path.stat().st_size, limits))
        for entry in tar_reader.entries(stream, limits):
            entries.append(entry)
            if entry.kind == "file" and _SDIST_METADATA.fullmatch(entry.name):
                metadata = stream.read(min(entry.size, _METADATA_LIMIT))
    _one(entries, _SDIST_METADATA)
    return tuple(entries), (), _checked_metadata(metadata)


_WHEEL_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SDIST_METADATA = re.compile(r"(?:\./)?[^/]+/PKG-INFO")  # in the one top-level folder


def _one(entries: Iterable[Entry], wanted: re.Pattern[str]) -> Entry:
    found = [entry for entry in entries if entry.kind == "file" and wanted.fullmatch(entry.name)]
    if len(found) != 1:
        raise ArchiveError(f"has {len(found)} metadata files instead of one", "build it again")
    return found[0]


def _checked_metadata(metadata: bytes) -> bytes:
    """Metadata that a parser takes no absurd time for."""
    fields = metadata.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    names = {line.partition(b":")[0] for line in fields.split(b"\n") if not line.startswith((b" ", b"\t"))}
    if len(fields) > _FIELDS_LIMIT or len(names) > _NAMES_LIMIT:
        raise ArchiveError("has metadata with too many fields")
    return metadata


def _wheel_content(file: IO[bytes], entry: Entry, limit: int) -> bytes:
    if entry.size > limit:
        raise ArchiveError(f"has a file {entry.name!r} of {entry.size} bytes, which should be small")
    return b"".join(zip_reader.content(file, entry))


def _head(pieces: Iterator[bytes], limit: int, digest: hashlib._Hash | None) -> bytes:
    """The first bytes of what comes in pieces, all of which are read."""
    head = b""
    for piece in pieces:
        if len(head) < limit:
            head = (head + piece if head else piece)[:limit]
        if digest is not None:
            digest.update(piece)
    return head


@lru_cache(maxsize=8)
def _fields(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    return parse_email(metadata)


@dataclass(frozen=True)
class _Small:
    """An sdist that is unpacked in memory: many look into it one after the other."""

    data: bytes
    entries: tuple[Entry, ...]

    def content(self, entry: Entry, limit: int) -> bytes:
        return self.data[entry.offset : entry.offset + min(entry.size, limit)]


def _small(path: Path, limits: ArchiveLimits) -> _Small | None:
    """An sdist that is small, as most of them; None for one that is read from the disk each time."""
    stat = path.stat()
    return None if stat.st_size > _SMALL else _unpacked(str(path), stat.st_size, stat.st_mtime_ns, limits)


@lru_cache(maxsize=8)
def _unpacked(path: str, size: int, time: int, limits: ArchiveLimits) -> _Small | None:
    """What is in an sdist of that size and time; None where it is not small when it is unpacked."""
    del time
    with open(path, "rb") as file:  # noqa: PTH123 - the cache's keys are plain
        pieces, unpacked = [], 0
        for piece in tar_reader.gunzip(file, size, limits):
            pieces.append(piece)
            unpacked += len(piece)
            if unpacked > _SMALL_UNPACKED:
                return None
    data = b"".join(pieces)
    stream = tar_reader.Stream(iter((data,)))
    return _Small(data, tuple(tar_reader.entries(stream, limits)))
