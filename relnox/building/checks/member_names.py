"""Checks for members that could be unpacked outside the target directory, or overwrite one another."""

from __future__ import annotations

import re
import stat
import unicodedata
from typing import TYPE_CHECKING

from relnox.building.archives import COPY_FILE_FIX
from relnox.building.findings import error, format_names, rejected_by_index
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive, ArchiveEntry
    from relnox.building.findings import Finding

_EXCLUDE_OR_RENAME_FIX = "exclude it from the build, or rename it"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_+=@,~-][A-Za-z0-9_+=@,.~-]*(?:/[A-Za-z0-9_+=@,~-][A-Za-z0-9_+=@,.~-]*)*/?")
"""Names that need no further checks, as most do."""
_DRIVE_LETTER = re.compile(r"[A-Za-z]:")
_CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd\ufffe\uffff]"
)
"""Control characters, direction overrides, and code points that are not characters."""
_MAX_PART_LENGTH = 255
_SETUID_OR_SETGID = stat.S_ISUID | stat.S_ISGID
_DATA_DIRECTORY = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")


def check_names(archive: Archive) -> Iterator[Finding]:
    """Yield members with unsafe names, types or modes, and members that collide when the archive is unpacked."""
    for entry in archive.entries:
        if (problem := _why_unsafe(entry.name)) is not None:
            name = entry.name[:_MAX_PART_LENGTH]
            yield error("archive-invalid", f"{problem}: {name!r}", _EXCLUDE_OR_RENAME_FIX)
        if entry.kind == "special":
            yield error(
                "archive-invalid",
                f"contains a device, a pipe or a sparse file: {entry.name!r}",
                "exclude it in the build configuration",
            )
        if entry.kind == "symlink" and archive.kind == "wheel":
            yield error("archive-invalid", f"contains a symbolic link: {entry.name!r}", COPY_FILE_FIX)
        if entry.mode & _SETUID_OR_SETGID and entry.kind == "file":
            yield error(
                "archive-invalid",
                f"contains a setuid or setgid file: {entry.name!r}",
                "remove the bits: chmod ug-s FILE",
            )
    if streamed := [entry.name for entry in archive.entries if entry.is_streamed]:
        yield rejected_by_index(
            "file-rejected",
            f"stores the size of {format_names(streamed)} after the content (rejected by the public index)",
            "write the wheel with Python's zipfile, to a seekable file",
        )
    yield from _find_collisions(archive)


def _why_unsafe(name: str) -> str | None:
    if len(name) <= _MAX_PART_LENGTH and _PLAIN_NAME.fullmatch(name) is not None:
        return None
    if _CONTROL_CHARACTERS.search(name) is not None:
        return "member name has control characters"
    if "\\" in name:
        return "member name has a backslash (a path separator on Windows)"
    if name.startswith("/"):
        return "member name is absolute"
    parts = name.split("/")
    if ".." in parts:
        return "member name points outside the archive (..)"
    if any(_DRIVE_LETTER.match(part) for part in parts):
        return "member name contains a Windows drive letter"
    if not name.strip("/") or any(len(part.encode()) > _MAX_PART_LENGTH for part in parts):
        return "member name is not a valid file name"
    return None


def _find_collisions(archive: Archive) -> Iterator[Finding]:
    """Yield a finding for entries that overwrite one another when unpacked on some operating system."""
    first: dict[str, ArchiveEntry] = {}
    counts: dict[str, int] = {}
    directories: set[str] = set()
    windows_or_mac = archive.kind == "sdist" or any(
        platform.startswith(("any", "win", "macosx")) for platform in archive.platforms
    )
    for entry in archive.entries:
        key = _case_folded_name(entry.name)
        other = first.setdefault(key, entry)
        if other is not entry and not entry.kind == other.kind == "directory":
            if _unpacked_path(other.name) == _unpacked_path(entry.name):
                counts[key] = counts.get(key, 1) + 1
            else:
                finding = error(
                    "archive-invalid",
                    f"member names differ in case or Unicode form only: {other.name!r} and {entry.name!r}",
                    "rename one of them (Windows and macOS cannot store both)",
                )
                yield finding if windows_or_mac else replace(finding, level="warning")
        directory = key.rpartition("/")[0]
        while directory and directory not in directories:
            directories.add(directory)
            directory = directory.rpartition("/")[0]
    for key, count in counts.items():
        yield error("archive-invalid", f"contains {first[key].name!r} {count} times", _EXCLUDE_OR_RENAME_FIX)
    for key in sorted(directories & first.keys()):
        if first[key].kind != "directory":
            yield error(
                "archive-invalid",
                f"contains {first[key].name!r} as a file and as a directory",
                _EXCLUDE_OR_RENAME_FIX,
            )


def _case_folded_name(name: str) -> str:
    """Return a key that is the same for all names that some operating system does not distinguish."""
    path = _unpacked_path(name)
    if not path.isascii():
        path = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    return path.casefold()


def _unpacked_path(name: str) -> str:
    """Return the path that a name is unpacked to, without a wheel's `.data/purelib` and `.data/platlib`."""
    if name.startswith("./") or "//" in name or "/./" in name or name.endswith("/"):
        name = "/".join(part for part in name.split("/") if part not in ("", "."))
    if ".data/" in name and (data := _DATA_DIRECTORY.match(name)) is not None:
        return name[data.end() :]
    return name
