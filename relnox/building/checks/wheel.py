"""Checks of a wheel against its RECORD, its WHEEL file and its file name (PEP 427), and of its entry points."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from configparser import Error as ConfigError
from math import prod
from typing import TYPE_CHECKING

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from relnox.building.archive_entries import ArchiveError
from relnox.building.archives import find_dist_info_file, iter_files, read_file
from relnox.building.checks import secrets
from relnox.building.checks.file_contents import check_file_contents
from relnox.building.findings import error, format_names, rejected_by_index, warning
from relnox.building.wheel_contents import RECORD_FILES, parse_entry_points
from relnox.core.text import format_count

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_HEXADECIMAL_HASH = re.compile(r"sha(256|384|512)=[0-9a-f]{64,}")
_MAX_ENTRY_POINTS_SIZE = 1 << 20
_GROUP_NAME = re.compile(r"\w+(\.\w+)*")
_OBJECT_REFERENCE = re.compile(
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(?P<attribute>\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[^\[\]]*\])?"
)
_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
_ENTRY_POINT_FIX = 'write it like demo = "demo.cli:main" in [project.scripts]'
_MAX_RECORD_SIZE = 64 << 20
_INSTALL_SCHEME_KEYS = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_MAX_COMPRESSION_RATIO = 50
_MIN_SIZE_OF_BOMB = 64 << 20
_REBUILD_FIX = "build it again, and change wheels only with tools that update RECORD (wheel, auditwheel)"
_MAX_TAG_COUNT = 10_000
_EXTENSION_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")
_LINUX_ARCHITECTURES = "x86_64|i686|aarch64|armv7l|ppc64le|s390x"
_MAC_ARCHITECTURES = "ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat32|fat64|universal|universal2"
ACCEPTED_PLATFORMS = re.compile(
    "any|win32|win_(arm64|amd64|ia64)|linux_armv[67]l"
    "|manylinux(1|2010)_(x86_64|i686)"
    f"|manylinux2014_({_LINUX_ARCHITECTURES}|ppc64)"
    f"|manylinux_[0-9]+_[0-9]+_({_LINUX_ARCHITECTURES}|riscv64|ppc64)"
    f"|musllinux_[0-9]+_[0-9]+_({_LINUX_ARCHITECTURES}|riscv64)"
    f"|macosx_(10_[0-9]+|(1[1-9]|[2-9][0-9])_0)_({_MAC_ARCHITECTURES})"
    "|ios_[0-9]+_[0-9]+_(arm64|x86_64)_(iphoneos|iphonesimulator)"
    "|android_[0-9]+_(armeabi_v7a|arm64_v8a|x86|x86_64)"
    "|pyodide_[0-9]+_[0-9]+_wasm32"  # PEP 783
)
"""The platform tags that the public index accepts, according to its source code."""
_FIXES_BY_PLATFORM = {
    "linux_": "build a manylinux wheel: cibuildwheel, maturin build --compatibility pypi, or auditwheel repair; "
    "to release the sdist only, add the package to sdist-only in [tool.relnox.wheels]",
    "macosx_": "set MACOSX_DEPLOYMENT_TARGET=11.0 (since macOS 11 the minor version is 0), or use cibuildwheel",
}
_DEFAULT_PLATFORM_FIX = "publish this wheel to a private index only; elsewhere installers build from the sdist"


def check_wheel(archive: Archive) -> Iterator[Finding]:
    """Yield violations of the wheel format, rejected tags, and secrets in the wheel's files."""
    yield from _check_tags(archive)
    yield from _check_wheel_file(archive)
    unpacked_size = sum(entry.size for entry in archive.entries)
    if unpacked_size > _MIN_SIZE_OF_BOMB and unpacked_size > _MAX_COMPRESSION_RATIO * archive.path.stat().st_size:
        yield rejected_by_index(
            "compression-ratio-too-high",
            f"unpacks to more than {_MAX_COMPRESSION_RATIO} times its size (rejected by the public index)",
            "exclude large files from the build",
        )
    yield from _check_dist_info_directory(archive)
    yield from _check_record(archive)
    yield from _check_entry_points(archive)


def _check_tags(archive: Archive) -> Iterator[Finding]:
    """Yield platform tags of a wheel that the public index rejects, and tags that contradict its content."""
    for platform in sorted(archive.platforms):
        if ACCEPTED_PLATFORMS.fullmatch(platform) is None:
            fix = next(
                (fix for start, fix in _FIXES_BY_PLATFORM.items() if platform.startswith(start)),
                _DEFAULT_PLATFORM_FIX,
            )
            yield rejected_by_index(
                "platform-tag-rejected", f"platform tag {platform} is rejected by the public index", fix
            )


def _check_wheel_file(archive: Archive) -> Iterator[Finding]:
    """Yield problems with the WHEEL file, and tags that do not match the file name or compiled files."""
    name = find_dist_info_file(archive, "WHEEL")
    if name is None:
        yield error("wheel-file-missing", "the WHEEL file is missing (PEP 427)", _REBUILD_FIX)
        return
    text = read_file(archive, name).decode("utf-8", "replace")
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    tags = [value for key, value in lines if key == "Tag"]
    if sum(prod(part.count(".") + 1 for part in tag.split("-")) for tag in tags) > _MAX_TAG_COUNT:
        yield error("too-many-tags", "the WHEEL file has too many tags", _REBUILD_FIX)
        return
    if {parsed for tag in tags for parsed in _parse_tags(tag)} != archive.tags:
        yield error(
            "tags-differ-from-file-name",
            "the tags in the WHEEL file differ from those in the file name",
            "build it again, or change the tags with `wheel tags` instead of renaming the file",
        )
    version = dict(lines).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        yield error(
            "wheel-version-unsupported",
            f"Wheel-Version is {version!r} in the WHEEL file (installers support 1.x)"
            if version
            else "the WHEEL file has no Wheel-Version field (PEP 427)",
            "build with a current version of the build backend",
        )
    extension_modules = [member for member in archive.member_names if member.endswith(_EXTENSION_SUFFIXES)]
    if extension_modules and archive.platforms == {"any"}:
        yield warning(
            "extension-in-pure-wheel",
            f"is tagged for any platform, but contains {extension_modules[0]}",
            "mark the wheel as platform-specific: has_ext_modules (setuptools), infer_tag (hatchling)",
        )


def _parse_tags(text: str) -> Iterable[Tag]:
    try:
        return parse_tag(text)
    except ValueError:
        return ()


def _check_dist_info_directory(archive: Archive) -> Iterator[Finding]:
    """Yield a wrongly named `.dist-info` directory, and directories in `.data` that are not install schemes."""
    tops = {member.partition("/")[0] for member in archive.member_names}
    schemes = {
        scheme
        for member in archive.member_names
        if ".data/" in member and (parts := member.split("/", 2))[0].endswith(".data") and (scheme := parts[1])
    }
    if unknown := schemes - _INSTALL_SCHEME_KEYS:
        yield error(
            "data-scheme-unknown",
            f"has files for unknown install schemes: .data/{format_names(unknown)}",
            _REBUILD_FIX,
        )
    directories = {top for top in tops if top.endswith(".dist-info")}
    expected = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    message = f"metadata directory is {', '.join(sorted(directories))}, expected {expected}"
    if {canonicalize_name(directory) for directory in directories} != {canonicalize_name(expected)}:
        yield error("metadata-directory-wrong", message, "remove the build directory, then build it again")
    elif directories != {expected}:
        yield rejected_by_index(
            "metadata-directory-wrong",
            f"{message} (rejected by the public index)",
            "build it again, and do not rename the file",
        )


def _check_record(archive: Archive) -> Iterator[Finding]:
    """Yield differences between RECORD and the files (PEP 427), and findings about the content of the files."""
    name = find_dist_info_file(archive, "RECORD")
    rows: dict[str, list[str]] | None = None
    if name is None:
        yield error("record-missing", "RECORD is missing", _REBUILD_FIX)
    else:
        try:
            rows = yield from _parse_record_rows(read_file(archive, name, _MAX_RECORD_SIZE))
        except (csv.Error, UnicodeDecodeError, ArchiveError) as problem:
            yield error("record-invalid", f"RECORD cannot be read: {problem}", _REBUILD_FIX)
    sizes = {entry.name: entry.size for entry in archive.entries if entry.kind != "directory"}
    for signature in RECORD_FILES:
        sizes.pop(f"{(name or '').rpartition('/')[0]}/{signature}", None)
    if rows is not None:
        rows.pop(name or "", None)
        if missing := rows.keys() - sizes.keys():
            yield error(
                "record-differs", f"files listed in RECORD are missing: {format_names(missing)}", _REBUILD_FIX
            )
        if added_files := sizes.keys() - rows.keys():
            yield error(
                "record-differs", f"files are missing from RECORD: {format_names(added_files)}", _REBUILD_FIX
            )
    recorded_files = {member: row for member, row in (rows or {}).items() if member in sizes}
    hashes = {member: digest for member, row in recorded_files.items() if (digest := _new_hash(row)) is not None}
    contents = iter_files(archive, secrets.MAX_INSPECTED_BYTES, hashes.get)
    yield from check_file_contents(contents, None)
    for member, row in sorted(recorded_files.items()):
        yield from _check_record_row(member, row, sizes[member], hashes.get(member))


def _parse_record_rows(content: bytes) -> Generator[Finding, None, dict[str, list[str]]]:
    """Parse RECORD, yield findings about it, and return the cells after the name in each row, by file name."""
    rows: dict[str, list[str]] = {}
    for row in csv.reader(io.StringIO(content.decode())):
        if row and row[0] in rows:
            yield error("record-invalid", f"RECORD lists a file twice: {row[0]}", _REBUILD_FIX)
        elif row:
            rows[row[0]] = row[1:]
    if any(_HEXADECIMAL_HASH.fullmatch(cell) for row in rows.values() for cell in row[:1]):
        yield warning(
            "hexadecimal-hash",
            "hashes in RECORD are hexadecimal instead of URL-safe base64 (PEP 427)",
            "build with a newer version of the build backend (uv_build 0.8 or later)",
        )
    return rows


def _new_hash(row: list[str]) -> hashlib._Hash | None:
    """Return a new hash object for the algorithm in a row of RECORD, or None if it is missing or not secure."""
    algorithm = row[0].partition("=")[0] if row else ""
    if algorithm not in hashlib.algorithms_guaranteed or algorithm in ("md5", "sha1") or "shake" in algorithm:
        return None
    return hashlib.new(algorithm)


def _check_record_row(member: str, row: list[str], size: int, digest: hashlib._Hash | None) -> Iterator[Finding]:
    """Yield a finding if the hash (base64 or hexadecimal) or size of a file differs from its row in RECORD."""
    if digest is None:
        yield error("record-invalid", f"{member} has no secure hash in RECORD", _REBUILD_FIX)
        return
    encoded_digest = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    if row[0].partition("=")[2].rstrip("=") not in (encoded_digest, digest.hexdigest()):
        yield error("record-differs", f"{member} does not match its hash in RECORD", _REBUILD_FIX)
    elif row[1:2] not in ([], [""], [str(size)]):
        yield error(
            "record-differs",
            f"{member} has {format_count(size, 'byte')}, but its size in RECORD is {row[1]}",
            _REBUILD_FIX,
        )


def _check_entry_points(archive: Archive) -> Iterator[Finding]:
    """Yield entry points that are invalid, or that installers cannot handle."""
    name = find_dist_info_file(archive, "entry_points.txt")
    if name is None:
        return
    text = read_file(archive, name, _MAX_ENTRY_POINTS_SIZE).decode("utf-8", "replace")
    try:
        parser = parse_entry_points(text)
    except ConfigError as problem:
        first_line = str(problem).splitlines()[0]
        yield error("entry-point-invalid", f"entry_points.txt cannot be parsed: {first_line}", _ENTRY_POINT_FIX)
        return
    for group in parser.sections():
        if _GROUP_NAME.fullmatch(group) is None:
            yield error(
                "entry-point-invalid",
                f"entry point group {group!r} has an invalid name",
                "use only letters, digits, _ and dots",
            )
        for key, value in parser.items(group):
            yield from _check_entry_point(group, key, value)


def _check_entry_point(group: str, name: str, value: str) -> Iterator[Finding]:
    reference = _OBJECT_REFERENCE.fullmatch(value)
    if group in _SCRIPT_GROUPS and ("/" in name or "\\" in name or name in ("", ".", "..")):
        yield error(
            "script-outside-directory",
            f"script {name!r} would be installed outside the scripts directory",
            "remove the path from its name",
        )
    if reference is None:
        yield error(
            "entry-point-invalid",
            f"entry point {name} = {value!r} is not an object reference (module:object)",
            _ENTRY_POINT_FIX,
        )
    elif group in _SCRIPT_GROUPS and reference["attribute"] is None:
        yield error(
            "entry-point-invalid", f"script {name} = {value!r} does not refer to a function", _ENTRY_POINT_FIX
        )
