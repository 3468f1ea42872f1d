"""The contents of a wheel, against its own RECORD, WHEEL and file name (PEP 427, "Binary distribution format")."""

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

from relnox.building.archives import ArchiveError, find_dist_info_file, iter_files, read_file
from relnox.building.checks import secrets
from relnox.building.findings import abbreviate, error, rejected, warning
from relnox.core.text import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

__all__ = ["check_wheel"]

_HEXADECIMAL = re.compile(r"sha(256|384|512)=[0-9a-f]{64,}")
_SIGNATURES = ("RECORD", "RECORD.jws", "RECORD.p7s")
_MAX_RECORD = 64 << 20
_MAX_TAGS = 10_000
_SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_BOMB_RATIO = 50
_BOMB_SIZE = 64 << 20
_EXTENSION_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")
_REBUILD = "build it again, and run nothing on the wheel that does not update RECORD"


def check_wheel(archive: Archive) -> Iterator[Finding]:
    """Find violations of the wheel format, and secrets."""
    unpacked = sum(entry.size for entry in archive.entries)
    if unpacked > _BOMB_SIZE and unpacked > _BOMB_RATIO * archive.path.stat().st_size:
        yield rejected(
            "compression-ratio-too-high",
            f"unpacks to more than {_BOMB_RATIO} times its size (rejected by the public index)",
            "exclude large files from the build",
        )
    yield from _check_dist_info_folder(archive)
    yield from _check_record(archive)
    yield from _check_tags(archive)


def _check_dist_info_folder(archive: Archive) -> Iterator[Finding]:
    """Check that the `.dist-info` folder has the name and version of the file name, and `.data` known schemes."""
    tops = {member.partition("/")[0] for member in archive.members}
    schemes = {
        scheme
        for member in archive.members
        if ".data/" in member and (parts := member.split("/", 2))[0].endswith(".data") and (scheme := parts[1])
    }
    if unknown := schemes - _SCHEMES:
        yield error(
            "data-scheme-unknown",
            f"has files for install schemes that do not exist: .data/{abbreviate(unknown)}",
            _REBUILD,
        )
    folders = {top for top in tops if top.endswith(".dist-info")}
    expected = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    message = f"metadata folder is {', '.join(sorted(folders))}, expected {expected}"
    if {canonicalize_name(folder) for folder in folders} != {canonicalize_name(expected)}:
        yield error("metadata-folder-wrong", message, "build it again, in an empty folder")
    elif folders != {expected}:
        yield rejected(
            "metadata-folder-wrong",
            f"{message} (rejected by the public index)",
            "build it again, and do not rename the file",
        )


def _check_record(archive: Archive) -> Iterator[Finding]:
    """Compare RECORD with the files (PEP 427, "Signed wheel files"), and search them for secrets, in one pass."""
    name = find_dist_info_file(archive, "RECORD")
    rows: dict[str, list[str]] | None = None
    if name is None:
        yield error("record-missing", "RECORD is missing", _REBUILD)
    else:
        try:
            rows = yield from _parse_record_rows(read_file(archive, name, _MAX_RECORD))
        except (csv.Error, UnicodeDecodeError, ArchiveError) as problem:
            yield error("record-invalid", f"RECORD cannot be read: {problem}", _REBUILD)
    sizes = {entry.name: entry.size for entry in archive.entries if entry.kind != "directory"}
    for signature in _SIGNATURES:
        sizes.pop(f"{(name or '').rpartition('/')[0]}/{signature}", None)
    if rows is not None:
        rows.pop(name or "", None)
        if missing := rows.keys() - sizes.keys():
            yield error("record-differs", f"files of RECORD are missing: {abbreviate(missing)}", _REBUILD)
        if added := sizes.keys() - rows.keys():
            yield error("record-differs", f"files are not in RECORD: {abbreviate(added)}", _REBUILD)
    recorded = {member: row for member, row in (rows or {}).items() if member in sizes}
    hashes = {member: digest for member, row in recorded.items() if (digest := _hash_object(row)) is not None}
    yield from secrets.find_secrets(iter_files(archive, secrets.INSPECTED_BYTES, hashes.get), None)
    for member, row in sorted(recorded.items()):
        yield from _check_row(member, row, sizes[member], hashes.get(member))


def _parse_record_rows(content: bytes) -> Generator[Finding, None, dict[str, list[str]]]:
    """Parse RECORD: return the further cells of its rows by file name."""
    rows: dict[str, list[str]] = {}
    for row in csv.reader(io.StringIO(content.decode())):
        if row and row[0] in rows:
            yield error("record-invalid", f"file is listed twice in RECORD: {row[0]}", _REBUILD)
        elif row:
            rows[row[0]] = row[1:]
    if any(_HEXADECIMAL.fullmatch(cell) for row in rows.values() for cell in row[:1]):
        yield warning(
            "hexadecimal-hash",
            "hashes in RECORD are hexadecimal instead of URL-safe base64 (PEP 427)",
            "build with a newer version of the build backend (uv_build 0.8)",
        )
    return rows


def _hash_object(row: list[str]) -> hashlib._Hash | None:
    """Return a hash object of the algorithm in a row of RECORD; None if it is not allowed there."""
    algorithm = row[0].partition("=")[0] if row else ""
    if algorithm not in hashlib.algorithms_guaranteed or algorithm in ("md5", "sha1") or "shake" in algorithm:
        return None
    return hashlib.new(algorithm)


def _check_row(member: str, row: list[str], size: int, digest: hashlib._Hash | None) -> Iterator[Finding]:
    """Compare a file with its row in RECORD: the hash in base64 or hexadecimal, and the size."""
    if digest is None:
        yield error("record-invalid", f"{member} has no secure hash in RECORD", _REBUILD)
        return
    encoded = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    if row[0].partition("=")[2].rstrip("=") not in (encoded, digest.hexdigest()):
        yield error("record-differs", f"{member} does not match its hash in RECORD", _REBUILD)
    elif row[1:2] not in ([], [""], [str(size)]):
        yield error("record-differs", f"{member} has {counted(size, 'byte')}, but {row[1]} in RECORD", _REBUILD)


def _check_tags(archive: Archive) -> Iterator[Finding]:
    """Compare WHEEL with the file name, and the tags with compiled files."""
    name = find_dist_info_file(archive, "WHEEL")
    if name is None:
        yield error("wheel-file-missing", "WHEEL is missing (PEP 427)", _REBUILD)
        return
    text = read_file(archive, name).decode("utf-8", "replace")
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    if (
        sum(prod(part.count(".") + 1 for part in value.split("-")) for key, value in lines if key == "Tag")
        > _MAX_TAGS
    ):
        yield error("too-many-tags", "WHEEL has too many tags", _REBUILD)
        return
    in_file = {tag for key, value in lines if key == "Tag" for tag in _parse_tags(value)}
    in_name = parse_wheel_filename(archive.path.name)[3]
    if in_file != in_name:
        yield error(
            "tags-differ-from-file-name",
            "tags in WHEEL differ from those of the file name",
            "build it again, or change the tags with `wheel tags` instead of renaming the file",
        )
    version = dict(lines).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        yield error(
            "wheel-version-unsupported",
            f"Wheel-Version is {version!r} (installers support 1.x)",
            "build with a current version of the build backend",
        )
    compiled = [member for member in archive.members if member.endswith(_EXTENSION_SUFFIXES)]
    if compiled and {tag.platform for tag in in_name} == {"any"}:
        yield warning(
            "extension-in-pure-wheel",
            f"is tagged for any platform, but contains {compiled[0]}",
            "mark the wheel as platform-specific: has_ext_modules (setuptools), infer_tag (hatchling)",
        )


def _parse_tags(text: str) -> Iterable[Tag]:
    try:
        return parse_tag(text)
    except ValueError:
        return ()
