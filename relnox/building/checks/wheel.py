"""Checks of a wheel against its RECORD, its WHEEL file and its file name (PEP 427), and of its entry points."""

from __future__ import annotations

import csv
import re
from configparser import Error as ConfigError
from typing import TYPE_CHECKING, BinaryIO, cast

from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from relnox.building.archives import ArchiveError, find_dist_info_file, open_files, read_file
from relnox.building.checks import index_rules
from relnox.building.findings import error, format_names, rejected_by_index, warning
from relnox.building.wheel_contents import RECORD_FILES, parse_entry_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from packaging.tags import Tag

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_MAX_ENTRY_POINTS_SIZE = 1 << 20
_SECURE_HASHES = ("sha256", "sha384", "sha512")
_GROUP_NAME = re.compile(r"\w+(\.\w+)*")
_OBJECT_REFERENCE = re.compile(
    r"[^\W\d]\w*(\.[^\W\d]\w*)*(?P<attribute>\s*:\s*[^\W\d]\w*(\.[^\W\d]\w*)*)?\s*(\[[^\[\]]*\])?"
)
_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
_ENTRY_POINT_FIX = 'write it like demo = "demo.cli:main" in [project.scripts]'
_MAX_RECORD_SIZE = 64 << 20
_INSTALL_SCHEME_KEYS = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
_REBUILD_FIX = "build it again, and change wheels only with tools that update RECORD (wheel, auditwheel)"
_EXTENSION_SUFFIXES = (".so", ".pyd", ".dylib", ".dll")
_FIXES_BY_PLATFORM = {
    "linux_": "add the package to packages in [tool.relnox.wheels], build its wheels with cibuildwheel: "
    "relnox build-all --wheels JOB, and merge them: relnox collect --from DIR; "
    "to release the sdist only, add the package to sdist-only there",
    "macosx_": "set MACOSX_DEPLOYMENT_TARGET=11.0 (since macOS 11 the minor version is 0), or use cibuildwheel",
}
_DEFAULT_PLATFORM_FIX = "publish this wheel to a private index only; elsewhere installers build from the sdist"


def check_wheel(archive: Archive) -> Iterator[Finding]:
    """Yield violations of the wheel format, and rejected tags."""
    yield from _check_tags(archive)
    yield from _check_wheel_file(archive)
    yield from _check_dist_info_directory(archive)
    yield from _check_record(archive)
    yield from _check_entry_points(archive)


def _check_tags(archive: Archive) -> Iterator[Finding]:
    """Yield platform tags of a wheel that the public index rejects, and tags that contradict its content."""
    for platform in sorted(archive.platforms):
        if index_rules.ACCEPTED_PLATFORMS.fullmatch(platform) is None:
            fix = next(
                (fix for start, fix in _FIXES_BY_PLATFORM.items() if platform.startswith(start)),
                _DEFAULT_PLATFORM_FIX,
            )
            yield rejected_by_index(
                "archive-invalid", f"platform tag {platform} is rejected by the public index", fix
            )


def _check_wheel_file(archive: Archive) -> Iterator[Finding]:
    """Yield problems with the WHEEL file, and tags that do not match the file name or compiled files."""
    name = find_dist_info_file(archive, "WHEEL")
    if name is None:
        yield error("archive-missing", "the WHEEL file is missing (PEP 427)", _REBUILD_FIX)
        return
    text = read_file(archive, name).decode("utf-8", "replace")
    lines = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    tags = [value for key, value in lines if key == "Tag"]
    if {parsed for tag in tags for parsed in _parse_tags(tag)} != archive.tags:
        yield error(
            "archive-invalid",
            "the tags in the WHEEL file differ from those in the file name",
            "build it again, or change the tags with `wheel tags` instead of renaming the file",
        )
    version = dict(lines).get("Wheel-Version", "")
    if version.partition(".")[0] != "1":
        yield error(
            "archive-invalid",
            f"Wheel-Version is {version!r} in the WHEEL file (installers support 1.x)"
            if version
            else "the WHEEL file has no Wheel-Version field (PEP 427)",
            "build with a current version of the build backend",
        )
    extension_modules = [member for member in archive.member_names if member.endswith(_EXTENSION_SUFFIXES)]
    if extension_modules and archive.platforms == {"any"}:
        yield warning(
            "archive-invalid",
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
            "archive-invalid",
            f"has files for unknown install schemes: .data/{format_names(unknown)}",
            _REBUILD_FIX,
        )
    directories = {top for top in tops if top.endswith(".dist-info")}
    expected = "-".join(archive.path.name.split("-")[:2]) + ".dist-info"
    message = f"metadata directory is {', '.join(sorted(directories))}, expected {expected}"
    if {canonicalize_name(directory) for directory in directories} != {canonicalize_name(expected)}:
        yield error("archive-invalid", message, "remove the build directory, then build it again")
    elif directories != {expected}:
        yield rejected_by_index(
            "archive-invalid",
            f"{message} (rejected by the public index)",
            "build it again, and do not rename the file",
        )


def _check_record(archive: Archive) -> Iterator[Finding]:
    """Yield differences between RECORD and the files (PEP 427)."""
    name = find_dist_info_file(archive, "RECORD")
    if name is None:
        yield error("archive-invalid", "RECORD is missing", _REBUILD_FIX)
        return
    try:
        lines = read_file(archive, name, _MAX_RECORD_SIZE).decode().splitlines()
        rows = [RecordEntry.from_elements(*row) for row in parse_record_file(filter(None, lines))]
    except (InvalidRecordEntry, csv.Error, UnicodeDecodeError, ArchiveError) as problem:
        yield error("archive-invalid", f"RECORD cannot be read: {problem}", _REBUILD_FIX)
        return
    records = {row.path: row for row in rows}
    secure = {row.path for row in rows if row.hash_ is not None and row.hash_.name in _SECURE_HASHES}
    unrecorded = {f"{name.rpartition('/')[0]}/{signature}" for signature in RECORD_FILES}
    files = {entry.name for entry in archive.entries if entry.kind != "directory"} - unrecorded
    for message, names in (
        ("RECORD lists files twice", {row.path for row in rows if records[row.path] is not row}),
        ("files listed in RECORD are missing", records.keys() - files - unrecorded),
        ("files are missing from RECORD", files - records.keys()),
        ("files have no secure hash in RECORD", (files & records.keys()) - secure),
        (
            "files do not match their hash or size in RECORD",
            set(_differing_files(archive, records, files & secure)),
        ),
    ):
        if names:
            yield error("archive-invalid", f"{message}: {format_names(names)}", _REBUILD_FIX)


def _differing_files(
    archive: Archive, records: Mapping[str, RecordEntry], files: AbstractSet[str]
) -> Iterator[str]:
    """Yield the names of the files that do not match their rows in RECORD."""
    for entry, content in open_files(archive):
        if entry.name in files and not records[entry.name].validate_stream(cast("BinaryIO", content)):
            yield entry.name


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
        yield error("archive-invalid", f"entry_points.txt cannot be parsed: {first_line}", _ENTRY_POINT_FIX)
        return
    for group in parser.sections():
        if _GROUP_NAME.fullmatch(group) is None:
            yield error(
                "archive-invalid",
                f"entry point group {group!r} has an invalid name",
                "use only letters, digits, _ and dots",
            )
        for key, value in parser.items(group):
            yield from _check_entry_point(group, key, value)


def _check_entry_point(group: str, name: str, value: str) -> Iterator[Finding]:
    reference = _OBJECT_REFERENCE.fullmatch(value)
    if group in _SCRIPT_GROUPS and ("/" in name or "\\" in name or name in ("", ".", "..")):
        yield error(
            "archive-invalid",
            f"script {name!r} would be installed outside the scripts directory",
            "remove the path from its name",
        )
    if reference is None:
        yield error(
            "archive-invalid",
            f"entry point {name} = {value!r} is not an object reference (module:object)",
            _ENTRY_POINT_FIX,
        )
    elif group in _SCRIPT_GROUPS and reference["attribute"] is None:
        yield error("archive-invalid", f"script {name} = {value!r} does not refer to a function", _ENTRY_POINT_FIX)
