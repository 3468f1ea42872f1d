"""What is in a wheel against what it says of itself (PEP 427, "Binary distribution format")."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import stat
import zipfile
from typing import TYPE_CHECKING

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename

from relnox.building.archives import UNREADABLE, info_file
from relnox.building.checks import framing
from relnox.building.checks.findings import error, few, refusal, warning
from relnox.building.modules import import_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.checks.findings import Found

__all__ = ["check", "is_bomb"]

_HEXADECIMAL = re.compile(r"sha(256|384|512)=[0-9a-f]{64,}")
_CHUNK = 1 << 20
_BOMB_RATIO = 50
_BOMB_SIZE = 64 << 20
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_AGAIN = "the backend, or something after it, changed the wheel: build it again"


def check(archive: Archive) -> Iterator[Found]:
    """Everything about a wheel's own files that is not as its format wants it."""
    yield from _folder(archive)
    yield from framing.check(archive.path)
    with zipfile.ZipFile(archive.path) as opened:
        for entry in opened.infolist():
            if stat.S_ISLNK(entry.external_attr >> 16):
                yield error(f"{entry.filename} is a symbolic link", "ship the file itself")
        yield from _record(opened, archive)
        yield from _tags(opened, archive)
    if not import_names(archive) and not any(_is_useful(member) for member in archive.members):
        yield warning("it contains no module", "which packages does the build configuration include?")


def is_bomb(path: Path) -> bool:
    """Whether a wheel unpacks to so much more than it is that the public index refuses it."""
    with zipfile.ZipFile(path) as opened:
        unpacked = sum(entry.file_size for entry in opened.infolist())
    return unpacked > _BOMB_SIZE and unpacked > _BOMB_RATIO * path.stat().st_size


def _folder(archive: Archive) -> Iterator[Found]:
    """The folder of the metadata has the name and the version as the file name spells them."""
    tops = {member.partition("/")[0] for member in archive.members}
    found = {top for top in tops if top.endswith(".dist-info")}
    wanted = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    said = f"its metadata folders are {', '.join(sorted(found))}, not {wanted}"
    if {canonicalize_name(each) for each in found} != {canonicalize_name(wanted)}:
        yield error(said, "what puts a second one there? build it again from an empty folder")
    elif found != {wanted}:
        yield refusal(f"{said}: the public index looks there", "was the file renamed? build it again")


def _record(opened: zipfile.ZipFile, archive: Archive) -> Iterator[Found]:
    """RECORD against what is there (PEP 427, "Signed wheel files")."""
    name = info_file(archive, "RECORD")
    if name is None:
        yield error("there is no RECORD in it", _AGAIN)
        return
    try:
        rows = _rows(opened.read(name).decode())
    except (csv.Error, *UNREADABLE) as told:
        yield error(f"RECORD cannot be read: {told}", _AGAIN)
        return
    unrecorded = {name, f"{name}.jws", f"{name}.p7s"}
    present = {member for member in archive.members if not member.endswith("/")}
    if gone := rows.keys() - present:
        yield error(f"in RECORD, but not in the wheel: {few(gone)}", _AGAIN)
    if added := present - rows.keys() - unrecorded:
        yield error(f"not in RECORD: {few(added)}", _AGAIN)
    if any(_HEXADECIMAL.fullmatch(cell) for row in rows.values() for cell in row[:1]):
        yield warning(
            "RECORD has hashes in hexadecimal: installers look for URL-safe base64 (PEP 427)",
            "a newer backend writes them so (uv_build since 0.8)",
        )
    for member in sorted(present & rows.keys() - unrecorded):
        yield from _recorded(opened, member, rows[member])


def _rows(text: str) -> Mapping[str, Sequence[str]]:
    return {row[0]: row[1:] for row in csv.reader(io.StringIO(text)) if row}


def _recorded(opened: zipfile.ZipFile, member: str, row: Sequence[str]) -> Iterator[Found]:
    """A file against its line in RECORD."""
    algorithm, _, expected = row[0].partition("=") if row else ("", "", "")
    if algorithm not in hashlib.algorithms_guaranteed or algorithm in ("md5", "sha1") or "shake" in algorithm:
        yield error(f"{member} has no sound hash in RECORD", _AGAIN)
    else:
        try:
            actual = _hash(opened, member, algorithm)
        except UNREADABLE as told:
            yield error(f"{member} is damaged: {told}", "build it again")
        else:
            if expected not in actual:
                yield error(f"{member} is not the file that RECORD tells of", _AGAIN)


def _hash(opened: zipfile.ZipFile, member: str, algorithm: str) -> tuple[str, str]:
    """The hash of a file, in the form of RECORD and in hexadecimal."""
    digest = hashlib.new(algorithm)
    with opened.open(member) as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return base64.urlsafe_b64encode(digest.digest()).decode().rstrip("="), digest.hexdigest()


def _tags(opened: zipfile.ZipFile, archive: Archive) -> Iterator[Found]:
    """The file WHEEL against the file's name, and against what is compiled."""
    name = info_file(archive, "WHEEL")
    if name is None:
        yield error("there is no WHEEL in it", "see PEP 427: build it again")
        return
    text = opened.read(name).decode("utf-8", "replace")
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    stated = {tag for key, value in lines if key == "Tag" for tag in _tags_in(value)}
    named = parse_wheel_filename(archive.path.name)[3]
    if stated != named:
        yield error(
            "the tags of its WHEEL file are not those of its name", "was the file renamed? `wheel tags` does it"
        )
    version = dict(lines).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        yield error(f"its Wheel-Version is {version!r}: installers know 1.0", "build it with a current backend")
    compiled = [member for member in archive.members if member.endswith(_COMPILED)]
    if compiled and {tag.platform for tag in named} == {"any"}:
        yield warning(
            f"it is for any platform, but {compiled[0]} is compiled for one",
            "say that the wheel is not pure: has_ext_modules (setuptools), infer_tag (hatchling)",
        )


def _tags_in(text: str) -> Iterable[Tag]:
    try:
        return parse_tag(text)
    except ValueError:
        return ()


def _is_useful(member: str) -> bool:
    return ".data/" in member or member.endswith((".dist-info/entry_points.txt", ".pyi"))
