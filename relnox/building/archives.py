"""Wheels and sdists: their names, metadata, entries and hashes.

Archives may come from untrusted sources: nothing is unpacked to disk, and nothing is read beyond the limits. The
formats are those of PEP 427, PEP 625 and the specification "Source distribution format".
"""

from __future__ import annotations

import re
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from packaging.metadata import parse_email
from packaging.utils import parse_sdist_filename, parse_wheel_filename

from relnox.building import gzip_reader, tar_reader, zip_reader
from relnox.building.archive_entries import REBUILD_FIX, ArchiveError
from relnox.core import fixes
from relnox.core.settings.config_tables import ArchiveLimits
from relnox.core.text import format_count

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from packaging.metadata import RawMetadata
    from packaging.tags import Tag
    from packaging.version import Version

    from relnox.building.archive_entries import ArchiveEntry
    from relnox.building.findings import Finding
    from relnox.core.release.manifest import DistributionKind

READ_ERRORS = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, UnicodeError)
"""The errors of truncated, damaged, encrypted or unsupported archives; a RuntimeError may be a RecursionError."""

DEFAULT_LIMITS = ArchiveLimits()
_MAX_METADATA_SIZE = 4 << 20
_MAX_FIELDS_SIZE = 1 << 20
"""The maximum size in bytes of the metadata fields before the description."""
_MAX_FIELD_NAMES = 100
"""The maximum number of distinct names of metadata fields; the time to parse is quadratic in it."""
_WHEEL_METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
_SDIST_METADATA = re.compile(r"(?:\./)?[^/]+/PKG-INFO")  # in the one top-level directory


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
        findings: Problems with the format of the archive file.
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
    findings: tuple[Finding, ...] = ()
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
            code="file-name-invalid",
        ) from error
    try:
        entries, findings, metadata = _read_wheel(path, limits) if kind == "wheel" else _read_sdist(path, limits)
        _check_parsing_cost(metadata)
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
        findings=findings,
        limits=limits,
    )


def iter_files(
    archive: Archive, limit: int, hashes: Callable[[str], hashlib._Hash | None] = lambda _: None
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the first `limit` bytes of every file in an archive, in one pass.

    For a wheel, `hashes` may return a hash object for the name of a file, which is updated with its whole content.
    A damaged file raises `ArchiveError`.
    """
    if archive.kind == "wheel":
        with archive.path.open("rb") as file:
            for entry in archive.entries:
                if entry.kind != "directory":
                    content = zip_reader.read_content(file, entry)
                    yield entry.name, _read_first_bytes(content, limit, hashes(entry.name))
        return
    with gzip_reader.open_tar_stream(archive.path, archive.limits) as stream:
        for entry in archive.entries:
            if entry.kind == "file":
                stream.skip_to(entry.content_offset)
                yield entry.name, stream.read(min(entry.size, limit))


def read_file(archive: Archive, name: str, limit: int = _MAX_METADATA_SIZE) -> bytes:
    """Return the content of a file; raise `ArchiveError` if it is damaged, or in a wheel larger than `limit`."""
    entry = next(entry for entry in archive.entries if entry.name == name and entry.kind == "file")
    if archive.kind == "wheel":
        with archive.path.open("rb") as file:
            return _read_wheel_member(file, entry, limit)
    with gzip_reader.open_tar_stream(archive.path, archive.limits) as stream:
        stream.skip_to(entry.content_offset)
        return stream.read(min(entry.size, limit))


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


def _check_parsing_cost(metadata: bytes) -> None:
    """Raise an error if a metadata file has too many fields to be parsed in a short time."""
    fields = metadata.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    names = {line.partition(b":")[0] for line in fields.split(b"\n") if not line.startswith((b" ", b"\t"))}
    if len(fields) > _MAX_FIELDS_SIZE or len(names) > _MAX_FIELD_NAMES:
        raise ArchiveError("has too many fields in its metadata")


def _read_wheel(path: Path, limits: ArchiveLimits) -> tuple[tuple[ArchiveEntry, ...], tuple[Finding, ...], bytes]:
    with path.open("rb") as file:
        entries, findings = zip_reader.read_entries(file, limits)
        entry = _only_entry_matching(entries, _WHEEL_METADATA)
        return tuple(entries), tuple(findings), _read_wheel_member(file, entry, _MAX_METADATA_SIZE)


def _read_sdist(path: Path, limits: ArchiveLimits) -> tuple[tuple[ArchiveEntry, ...], tuple[Finding, ...], bytes]:
    if path.name.endswith(".zip"):
        raise ArchiveError(
            "is a zip file instead of a .tar.gz file (PEP 625)",
            f"remove the zip format from the build backend's settings, then run {fixes.task_command('build-all')}",
            code="sdist-is-zip",
        )
    entries, metadata = [], b""
    with gzip_reader.open_tar_stream(path, limits) as stream:
        for entry in tar_reader.read_entries(stream, limits):
            entries.append(entry)
            if entry.kind == "file" and _SDIST_METADATA.fullmatch(entry.name):
                metadata = stream.read(min(entry.size, _MAX_METADATA_SIZE))
    _only_entry_matching(entries, _SDIST_METADATA)
    return tuple(entries), (), metadata


def _only_entry_matching(entries: Iterable[ArchiveEntry], pattern: re.Pattern[str]) -> ArchiveEntry:
    matches = [entry for entry in entries if entry.kind == "file" and pattern.fullmatch(entry.name)]
    if len(matches) != 1:
        raise ArchiveError(f"has {len(matches)} metadata files instead of one")
    return matches[0]


def _read_wheel_member(file: IO[bytes], entry: ArchiveEntry, limit: int) -> bytes:
    if entry.size > limit:
        raise ArchiveError(
            f"contains a file that is too large: {entry.name!r} "
            f"({format_count(entry.size, 'byte')}, the limit is {limit})"
        )
    return b"".join(zip_reader.read_content(file, entry))


def _read_first_bytes(pieces: Iterator[bytes], limit: int, digest: hashlib._Hash | None) -> bytes:
    """Read all pieces, update the digest with them, and return the first `limit` bytes."""
    head = b""
    for piece in pieces:
        if len(head) < limit:
            head = (head + piece if head else piece)[:limit]
        if digest is not None:
            digest.update(piece)
    return head
