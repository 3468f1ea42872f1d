"""An archive against what was planned and against what its format wants; every fault has its own finding."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import stat
import tarfile
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from relnox.building.modules import import_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from relnox.building.archives import Archive

__all__ = ["Finding", "verify"]

_CHUNK = 1 << 20
_BOMB_RATIO = 100
_BOMB_SIZE = 1 << 30
_UNRECORDED = ("RECORD", "RECORD.jws", "RECORD.p7s")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be."""

    level: Literal["error", "warning"]
    file: str
    message: str
    hint: str


def verify(archive: Archive, *, name: str, version: Version | None) -> tuple[Finding, ...]:
    """Everything about an archive that is not as planned, or not as the formats want it.

    Args:
        archive: What `read` gave.
        name: The planned name, normalised.
        version: The planned version; None where only the backend knows it.
    """
    found = [*_identity(archive, name, version), *_names(archive)]
    found += _wheel_findings(archive) if archive.kind == "wheel" else _sdist_findings(archive)
    return tuple(
        Finding(level=level, file=archive.path.name, message=told, hint=hint) for level, told, hint in found
    )


_Found = tuple[Literal["error", "warning"], str, str]


def _identity(archive: Archive, name: str, version: Version | None) -> Iterator[_Found]:
    if archive.name != name:
        yield "error", f"it is called {archive.name}, but {name} was planned", "what does the backend call it?"
    if version is not None and archive.version != version:
        yield (
            "error",
            f"its version is {archive.version}, but {version} was planned",
            "what does the backend take the version from?",
        )
    if canonicalize_name(archive.stated_name) != archive.name:
        yield (
            "error",
            f"its metadata names {archive.stated_name!r}, its file name {archive.name}",
            "mend the backend",
        )
    try:
        same = Version(archive.stated_version) == archive.version
    except InvalidVersion:
        same = False
    if not same:
        yield (
            "error",
            f"its metadata says version {archive.stated_version!r}, its file name {archive.version}",
            "mend the backend",
        )


def _names(archive: Archive) -> Iterator[_Found]:
    """Names in the archive that could be unpacked to another place, or over one another."""
    hint = "what does the build configuration include?"
    for member, count in Counter(archive.members).items():
        path = PurePosixPath(member)
        if count > 1:
            yield "error", f"{member} is in it {count} times", hint
        if path.is_absolute() or ".." in path.parts or "\\" in member:
            yield "error", f"{member!r} would be unpacked elsewhere", hint
        if not member.isprintable() or "\ufffd" in member:
            yield "error", f"{member!r} is no name for a file", hint
    folded = Counter(member.casefold() for member in set(archive.members))
    for member in sorted(set(archive.members)):
        if folded[member.casefold()] > 1:
            yield (
                "warning",
                f"{member} differs from another name by case only",
                "Windows and macOS keep one of them",
            )


def _sdist_findings(archive: Archive) -> Iterator[_Found]:
    tops = {PurePosixPath(member).parts[0] for member in archive.members if PurePosixPath(member).parts}
    expected = archive.path.name.removesuffix(".tar.gz")
    if tops != {expected}:
        yield (
            "error" if len(tops) != 1 else "warning",
            f"its top-level entries are {', '.join(sorted(tops))}, not the one folder {expected}",
            "see PEP 625",
        )
    if f"{next(iter(tops), '')}/pyproject.toml" not in archive.members:
        yield "warning", "there is no pyproject.toml in it", "let the build configuration include it"
    with tarfile.open(archive.path) as sdist:
        unpacked = 0
        for member in sdist:
            unpacked += member.size
            try:
                tarfile.data_filter(member, "/nowhere")
            except tarfile.FilterError as error:
                yield "error", str(error), "leave it out of the sdist"
            if member.islnk() or member.issym():
                yield "warning", f"{member.name} is a link to {member.linkname}", "ship the file itself"
    if _is_bomb(archive.path, unpacked):
        yield "error", f"it unpacks to {unpacked:,} bytes", "what huge file is in it?"


def _wheel_findings(archive: Archive) -> Iterator[_Found]:
    infos = {member.partition("/")[0] for member in archive.members if ".dist-info/" in member}
    escaped = archive.path.name.split("-", 2)
    expected = f"{escaped[0]}-{escaped[1]}.dist-info"
    if infos != {expected} and {canonicalize_name(each) for each in infos} != {canonicalize_name(expected)}:
        yield "error", f"its metadata folders are {', '.join(sorted(infos))}, not {expected}", "see PEP 427"
    with zipfile.ZipFile(archive.path) as wheel:
        unpacked = sum(entry.file_size for entry in wheel.infolist())
        if _is_bomb(archive.path, unpacked):
            yield "error", f"it unpacks to {unpacked:,} bytes", "what huge file is in it?"
            return
        for entry in wheel.infolist():
            if stat.S_ISLNK(entry.external_attr >> 16):
                yield "error", f"{entry.filename} is a symbolic link", "ship the file itself"
        if wheel.testzip() is not None:
            yield "error", f"{wheel.testzip()} is damaged", "build it again"
            return
        yield from _record_findings(wheel, archive.members)
        yield from _tag_findings(wheel, archive)
    yield from _trailing(archive.path)
    if not import_names(archive) and not any(_is_useful(member) for member in archive.members):
        yield "warning", "it contains no module", "which packages does the build configuration include?"


def _record_findings(wheel: zipfile.ZipFile, members: Iterable[str]) -> Iterator[_Found]:
    """RECORD against what is there (PEP 427, "Signed wheel files")."""
    hint = "the backend, or something after it, changed the wheel: build it again"
    name = next((member for member in members if member.endswith(".dist-info/RECORD")), None)
    if name is None:
        yield "error", "there is no RECORD in it", hint
        return
    rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(wheel.read(name).decode())) if row}
    present = {member for member in members if not member.endswith("/")}
    for member in sorted(rows.keys() - present):
        yield "error", f"{member} is in RECORD, but not in the wheel", hint
    for member in sorted(present):
        if PurePosixPath(member).name in _UNRECORDED and ".dist-info/" in member:
            continue
        if member not in rows:
            yield "error", f"{member} is not in RECORD", hint
            continue
        algorithm, _, expected = rows[member][0].partition("=") if rows[member] else ("", "", "")
        if algorithm not in hashlib.algorithms_guaranteed or algorithm in ("md5", "sha1"):
            yield "error", f"{member} has no sound hash in RECORD", hint
        elif _hash(wheel, member, algorithm) != expected:
            yield "error", f"{member} is not the file that RECORD tells of", hint


def _hash(wheel: zipfile.ZipFile, member: str, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with wheel.open(member) as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")


def _tag_findings(wheel: zipfile.ZipFile, archive: Archive) -> Iterator[_Found]:
    name = next((member for member in archive.members if member.endswith(".dist-info/WHEEL")), None)
    if name is None:
        yield "error", "there is no WHEEL in it", "see PEP 427"
        return
    lines = wheel.read(name).decode().splitlines()
    stated = {
        tag for line in lines if line.startswith("Tag:") for tag in parse_tag(line.partition(":")[2].strip())
    }
    if stated != parse_wheel_filename(archive.path.name)[3]:
        yield "error", "the tags of its WHEEL file are not those of its name", "was the file renamed?"


def _trailing(path: Path) -> Iterator[_Found]:
    """Bytes before the first or behind the last part of a zip file: another reader may see another archive."""
    content = path.read_bytes()
    with zipfile.ZipFile(path) as wheel:
        comment = len(wheel.comment)
    if not content.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield "error", "there are bytes before the archive", "build it again"
    if content[-22 - comment :][:4] != b"PK\x05\x06":
        yield "error", "there are bytes behind the archive", "build it again"


def _is_bomb(path: Path, unpacked: int) -> bool:
    return unpacked > _BOMB_SIZE and unpacked > _BOMB_RATIO * path.stat().st_size


def _is_useful(member: str) -> bool:
    return ".data/" in member or member.endswith((".dist-info/entry_points.txt", ".pyi"))
