"""What is in a wheel against what it says of itself (PEP 427, "Binary distribution format")."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from math import prod
from typing import TYPE_CHECKING

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name, parse_wheel_filename

from relnox.building.archives import ArchiveError, contents, file_content, info_file
from relnox.building.checks import secrets
from relnox.building.findings import error, few, refusal, warning

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.findings import Found

__all__ = ["check"]

_HEXADECIMAL = re.compile(r"sha(256|384|512)=[0-9a-f]{64,}")
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")
_RECORD_LIMIT = 64 << 20
_TAGS_LIMIT = 10_000
_SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_BOMB_RATIO = 50
_BOMB_SIZE = 64 << 20
_COMPILED = (".so", ".pyd", ".dylib", ".dll")
_AGAIN = "the backend, or something after it, changed the wheel: build it again"


def check(archive: Archive) -> Iterator[Found]:
    """Everything about a wheel's own files that is not as its format wants it, and secrets in them."""
    unpacked = sum(entry.size for entry in archive.entries)
    if unpacked > _BOMB_SIZE and unpacked > _BOMB_RATIO * archive.path.stat().st_size:
        yield refusal(
            "todo", f"it unpacks to more than {_BOMB_RATIO} times its size", "leave out the huge file in it"
        )
    yield from _folder(archive)
    yield from _record(archive)
    yield from _tags(archive)


def _folder(archive: Archive) -> Iterator[Found]:
    """The folder of the metadata has the name and the version as the file name spells them."""
    tops = {member.partition("/")[0] for member in archive.members}
    schemes = {
        scheme
        for member in archive.members
        if ".data/" in member and (parts := member.split("/", 2))[0].endswith(".data") and (scheme := parts[1])
    }
    if unknown := schemes - _SCHEMES:
        yield error("todo", f"it has files for places that installers do not know: .data/{few(unknown)}", _AGAIN)
    found = {top for top in tops if top.endswith(".dist-info")}
    wanted = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    said = f"its metadata folders are {', '.join(sorted(found))}, not {wanted}"
    if {canonicalize_name(each) for each in found} != {canonicalize_name(wanted)}:
        yield error("todo", said, "what puts a second one there? build it again from an empty folder")
    elif found != {wanted}:
        yield refusal("todo", f"{said}: the public index looks there", "was the file renamed? build it again")


def _record(archive: Archive) -> Iterator[Found]:
    """RECORD against what is there (PEP 427, "Signed wheel files"), and secrets: all in one pass."""
    name = info_file(archive, "RECORD")
    rows: dict[str, list[str]] | None = None
    if name is None:
        yield error("todo", "there is no RECORD in it", _AGAIN)
    else:
        try:
            rows = yield from _rows(file_content(archive, name, _RECORD_LIMIT))
        except (csv.Error, UnicodeDecodeError, ArchiveError) as told:
            yield error("todo", f"RECORD cannot be read: {told}", _AGAIN)
    sizes = {entry.name: entry.size for entry in archive.entries if entry.kind != "directory"}
    for each in _SIGNATURES:
        sizes.pop(f"{(name or '').rpartition('/')[0]}/{each}", None)
    if rows is not None:
        rows.pop(name or "", None)
        if gone := rows.keys() - sizes.keys():
            yield error("todo", f"in RECORD, but not in the wheel: {few(gone)}", _AGAIN)
        if added := sizes.keys() - rows.keys():
            yield error("todo", f"not in RECORD: {few(added)}", _AGAIN)
    recorded = {member: row for member, row in (rows or {}).items() if member in sizes}
    hashes = {member: digest for member, row in recorded.items() if (digest := _hash(row)) is not None}
    yield from secrets.check(contents(archive, secrets.INSPECTED_BYTES, hashes.get), None)
    for member, row in sorted(recorded.items()):
        yield from _recorded(member, row, sizes[member], hashes.get(member))


def _rows(content: bytes) -> Generator[Found, None, dict[str, list[str]]]:
    """What RECORD says of each file."""
    rows: dict[str, list[str]] = {}
    for row in csv.reader(io.StringIO(content.decode())):
        if row and row[0] in rows:
            yield error("todo", f"twice in RECORD: {row[0]}", _AGAIN)
        elif row:
            rows[row[0]] = row[1:]
    if any(_HEXADECIMAL.fullmatch(cell) for row in rows.values() for cell in row[:1]):
        yield warning(
            "todo",
            "RECORD has hashes in hexadecimal: installers look for URL-safe base64 (PEP 427)",
            "a newer backend writes them so (uv_build since 0.8)",
        )
    return rows


def _hash(row: list[str]) -> hashlib._Hash | None:
    """What makes the hash that a line of RECORD has."""
    algorithm = row[0].partition("=")[0] if row else ""
    if algorithm not in hashlib.algorithms_guaranteed or algorithm in ("md5", "sha1") or "shake" in algorithm:
        return None
    return hashlib.new(algorithm)


def _recorded(member: str, row: list[str], size: int, digest: hashlib._Hash | None) -> Iterator[Found]:
    """A file against its line in RECORD: the hash in the form of RECORD or in hexadecimal, and the size."""
    if digest is None:
        yield error("todo", f"{member} has no sound hash in RECORD", _AGAIN)
        return
    encoded = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    if row[0].partition("=")[2].rstrip("=") not in (encoded, digest.hexdigest()):
        yield error("todo", f"{member} is not the file that RECORD tells of", _AGAIN)
    elif row[1:2] not in ([], [""], [str(size)]):
        yield error("todo", f"{member} has {size} bytes, but RECORD says {row[1]}", _AGAIN)


def _tags(archive: Archive) -> Iterator[Found]:
    """The file WHEEL against the file's name, and against what is compiled."""
    name = info_file(archive, "WHEEL")
    if name is None:
        yield error("todo", "there is no WHEEL in it", "see PEP 427: build it again")
        return
    text = file_content(archive, name).decode("utf-8", "replace")
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    if (
        sum(prod(each.count(".") + 1 for each in value.split("-")) for key, value in lines if key == "Tag")
        > _TAGS_LIMIT
    ):
        yield error("todo", "its WHEEL file has too many tags", _AGAIN)
        return
    stated = {tag for key, value in lines if key == "Tag" for tag in _tags_in(value)}
    named = parse_wheel_filename(archive.path.name)[3]
    if stated != named:
        yield error(
            "todo",
            "the tags of its WHEEL file are not those of its name",
            "was the file renamed? `wheel tags` does it",
        )
    version = dict(lines).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        yield error(
            "todo", f"its Wheel-Version is {version!r}: installers know 1.0", "build it with a current backend"
        )
    compiled = [member for member in archive.members if member.endswith(_COMPILED)]
    if compiled and {tag.platform for tag in named} == {"any"}:
        yield warning(
            "todo",
            f"it is for any platform, but {compiled[0]} is compiled for one",
            "say that the wheel is not pure: has_ext_modules (setuptools), infer_tag (hatchling)",
        )


def _tags_in(text: str) -> Iterable[Tag]:
    try:
        return parse_tag(text)
    except ValueError:
        return ()
