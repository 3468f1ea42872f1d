"""Read a built archive: its name, its metadata, its members, its hashes.

The file formats are those of PEP 427 and PEP 625, and the specification "Source distribution format".
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from packaging.metadata import parse_email
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from packaging.metadata import RawMetadata
    from packaging.version import Version

    from relnox.core.manifest import Kind

__all__ = [
    "UNREADABLE",
    "Archive",
    "Digests",
    "contents",
    "digests",
    "info_file",
    "metadata_fields",
    "path_of",
    "read",
    "tar_content",
    "tar_members",
]

UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError, UnicodeError)
"""What is raised by archives that are cut off, damaged, encrypted or written in a way of their own."""

_CHUNK = 1 << 20
_MOST_METADATA = 4 << 20
_SMALL = 1 << 20
_SMALL_UNPACKED = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A wheel or an sdist.

    Attributes:
        path: Where it is.
        kind: `sdist` or `wheel`.
        name: Normalised name (PEP 503), from the file name.
        version: From the file name.
        stated_name: From the metadata, as written there.
        stated_version: From the metadata, as written there.
        requires: `Requires-Dist` of the metadata.
        import_names: `Import-Name` and `Import-Namespace` of the metadata (PEP 794); None where it states none.
        members: Names in the archive, in order.
        metadata: The metadata file, as it is there.
    """

    path: Path
    kind: Kind
    name: str
    version: Version
    stated_name: str
    stated_version: str
    requires: tuple[str, ...]
    import_names: tuple[str, ...] | None
    members: tuple[str, ...]
    metadata: bytes


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


def read(path: Path) -> Archive:
    """Look into an archive.

    Raises:
        Failed: It cannot be opened, has no name of an archive, or not exactly one metadata file.
    """
    try:
        if path.name.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(path.name)
            kind: Kind = "wheel"
            with zipfile.ZipFile(path) as wheel:
                members = tuple(wheel.namelist())
                metadata = _wheel_file(wheel, _one(path, members, _is_wheel_metadata))
        else:
            name, version = parse_sdist_filename(path.name)
            kind = "sdist"
            if path.name.endswith(".zip"):
                raise Failed(
                    f"{path.name} is a zip file: sdists are .tar.gz files (PEP 625)",
                    hint="take what makes it a zip out of the backend's settings, then: nox -s build-all",
                )
            inside = tar_members(path)
            members = tuple(member.name for member in inside)
            wanted = _one(path, members, _is_sdist_metadata)
            metadata = tar_content(path, next(each for each in inside if each.name == wanted), _MOST_METADATA)
    except (InvalidSdistFilename, InvalidWheelFilename) as error:
        raise Failed(
            f"{path.name} is no name of a wheel or an sdist: {error}", hint="see PEP 427, PEP 625"
        ) from error
    except UNREADABLE as error:
        raise Failed(f"{path.name} cannot be opened: {error}", hint="build it again: nox -s build-all") from error
    raw, unparsed = metadata_fields(metadata)
    stated = (*raw.get("import_names", ()), *raw.get("import_namespaces", ()))
    stated += tuple(each for key in ("import-name", "import-namespace") for each in unparsed.get(key, ()))
    return Archive(
        path=path,
        kind=kind,
        name=name,
        version=version,
        stated_name=raw.get("name", ""),
        stated_version=raw.get("version", ""),
        requires=tuple(raw.get("requires_dist", ())),
        import_names=stated or None,
        members=members,
        metadata=metadata,
    )


def contents(archive: Archive, most: int) -> Iterator[tuple[str, bytes]]:
    """Each file in an archive by its name, with its first bytes, in one pass.

    Args:
        archive: What `read` gave.
        most: How many bytes of each file.
    """
    if archive.kind == "wheel":
        with zipfile.ZipFile(archive.path) as wheel:
            for entry in wheel.infolist():
                if not entry.is_dir():
                    with wheel.open(entry) as content:
                        yield entry.filename, content.read(most)
        return
    if (small := _small(archive.path)) is not None:
        for member in small.members:
            if member.isreg():
                yield member.name, small.content(member, most)
        return
    with tarfile.open(archive.path, "r:gz") as sdist:
        for member in sdist:
            if member.isreg() and (extracted := sdist.extractfile(member)) is not None:
                yield member.name, extracted.read(most)


def metadata_fields(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    """The fields of a metadata file, and those that are unknown or malformed; see `parse_email`."""
    raw, unparsed = _fields(metadata)
    return raw.copy(), unparsed.copy()


@lru_cache(maxsize=1 << 12)
def path_of(member: str) -> PurePosixPath:
    """The name of a member as a path; many checks ask for the same ones."""
    return PurePosixPath(member)


def tar_members(path: Path) -> Sequence[tarfile.TarInfo]:
    """The members of an sdist, in their order."""
    if (small := _small(path)) is not None:
        return small.members
    with tarfile.open(path, "r:gz") as sdist:
        return sdist.getmembers()


def tar_content(path: Path, member: tarfile.TarInfo, most: int) -> bytes:
    """The first bytes of a member of an sdist."""
    if member.isreg() and (small := _small(path)) is not None:
        return small.content(member, most)
    with tarfile.open(path, "r:gz") as sdist:
        content = sdist.extractfile(member)
        return b"" if content is None else content.read(most)


def info_file(archive: Archive, name: str) -> str | None:
    """The member of this name in a wheel's own metadata folder; packages that it carries bring their own ones."""
    own = (path_of(member).parts for member in archive.members if member.endswith(f".dist-info/{name}"))
    return next(("/".join(parts) for parts in own if len(parts) == 2), None)  # noqa: PLR2004


def _one(path: Path, members: Iterable[str], wanted: Callable[[str], bool]) -> str:
    found = [member for member in members if wanted(member)]
    if len(found) != 1:
        raise Failed(f"{path.name} has {len(found)} metadata files instead of one", hint="build it again")
    return found[0]


def _is_wheel_metadata(member: str) -> bool:
    parts = path_of(member).parts
    return len(parts) == 2 and parts[0].endswith(".dist-info") and parts[1] == "METADATA"  # noqa: PLR2004


def _is_sdist_metadata(member: str) -> bool:
    parts = path_of(member).parts
    return len(parts) == 2 and parts[1] == "PKG-INFO"  # noqa: PLR2004 - in the one top-level folder


def _wheel_file(wheel: zipfile.ZipFile, name: str) -> bytes:
    with wheel.open(name) as content:
        return content.read(_MOST_METADATA)


@lru_cache(maxsize=8)
def _fields(metadata: bytes) -> tuple[RawMetadata, dict[str, list[str]]]:
    return parse_email(metadata)


@dataclass(frozen=True)
class _Small:
    """An sdist that is unpacked in memory: many look into it one after the other."""

    data: bytes
    members: tuple[tarfile.TarInfo, ...]

    def content(self, member: tarfile.TarInfo, most: int) -> bytes:
        return self.data[member.offset_data : member.offset_data + min(member.size, most)]


def _small(path: Path) -> _Small | None:
    """An sdist that is small, as most of them; None for one that is read from the disk each time."""
    stat = path.stat()
    return None if stat.st_size > _SMALL else _unpacked(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=8)
def _unpacked(path: str, size: int, time: int) -> _Small | None:
    """The members of an sdist of that size and time; None where it is not the one stream that it should be."""
    del size, time
    with open(path, "rb") as file:  # noqa: PTH123 - the cache's keys are plain
        stream = zlib.decompressobj(wbits=31)
        try:
            data = stream.decompress(file.read(), _SMALL_UNPACKED)
        except zlib.error:  # tarfile says better what is wrong
            return None
    if not stream.eof or stream.unused_data:
        return None
    with tarfile.open(fileobj=io.BytesIO(data)) as sdist:
        members = tuple(sdist.getmembers())
    return None if any(member.issparse() for member in members) else _Small(data, members)
