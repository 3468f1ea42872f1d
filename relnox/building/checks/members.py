"""Checks of members: names that are unsafe or clash, links, and special files."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

from relnox.building.archives import COPY_FILE_FIX, member_path
from relnox.building.checks.subject import Subject
from relnox.building.findings import Rule

_RENAME_FIX = "exclude it from the build, or rename it"
_CONTROL_CHARACTERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd\ufffe\uffff]"
)
"""Control characters, direction overrides, and code points that are not characters."""
_UNSAFE_NAMES = {
    "has control characters": _CONTROL_CHARACTERS,
    "has a backslash (a path separator on Windows)": re.compile(r"\\"),
    "is absolute": re.compile(r"^/"),
    "points outside the archive (..)": re.compile(r"(^|/)\.\.(/|$)"),
    "contains a Windows drive letter": re.compile(r"(^|/)[A-Za-z]:"),
}


def _unsafe_names(subject: Subject) -> Iterator[str]:
    for name in subject.archive.member_names:
        for problem, pattern in _UNSAFE_NAMES.items():
            if pattern.search(name) is not None:
                yield f"{problem}: {name!r}"
                break


def _duplicates(subject: Subject) -> Iterator[str]:
    names = Counter(entry.name for entry in subject.archive.entries if entry.kind != "directory")
    return (f"{name!r} {count} times" for name, count in names.items() if count > 1)


def _files_that_are_directories(subject: Subject) -> Iterator[str]:
    paths = {member_path(name) for name in subject.archive.member_names}
    directories = {str(parent) for path in paths for parent in path.parents}
    for entry in subject.archive.entries:
        if entry.kind != "directory" and entry.name in directories:
            yield repr(entry.name)


def _similar_names(subject: Subject) -> Iterator[str]:
    """Yield pairs of names that some operating system does not distinguish; Linux distinguishes all."""
    archive = subject.archive
    if archive.kind == "wheel" and all("linux" in platform for platform in archive.platforms):
        return
    first: dict[str, str] = {}
    for name in archive.member_names:
        path = name.rstrip("/")
        other = first.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            yield f"{other!r} and {path!r}"


def _special_files(subject: Subject) -> Iterator[str]:
    return (repr(entry.name) for entry in subject.archive.entries if entry.kind == "special")


def _links_in_wheel(subject: Subject) -> Iterator[str]:
    archive = subject.archive
    return (repr(entry.name) for entry in archive.entries if entry.kind == "symlink" and archive.kind == "wheel")


def _links_in_sdist(subject: Subject, *, leads_outside: bool) -> Iterator[str]:
    """Yield the links in an sdist, those with a target outside it or the others (PEP 706)."""
    for entry in subject.archive.entries if subject.archive.kind == "sdist" else ():
        if entry.kind in ("symlink", "hardlink"):
            start = posixpath.dirname(entry.name) if entry.kind == "symlink" else ""
            target = posixpath.normpath(posixpath.join(start, entry.link_target))
            if target.startswith(f"{member_path(entry.name).parts[0]}/") != leads_outside:
                yield f"{entry.name!r} -> {entry.link_target!r}"


RULES = (
    Rule(_unsafe_names, "member name {}", _RENAME_FIX),
    Rule(_duplicates, "contains {}", _RENAME_FIX),
    Rule(_files_that_are_directories, "contains {} as a file and as a directory", _RENAME_FIX),
    Rule(
        _similar_names,
        "member names differ in case or Unicode form only: {}",
        "rename one of them (Windows and macOS cannot store both)",
    ),
    Rule(
        _special_files, "contains a device, a pipe or a sparse file: {}", "exclude it in the build configuration"
    ),
    Rule(_links_in_wheel, "contains a symbolic link: {}", COPY_FILE_FIX),
    Rule(
        lambda subject: _links_in_sdist(subject, leads_outside=True),
        "contains a link to a target outside the sdist: {}",
        COPY_FILE_FIX,
    ),
    Rule(
        lambda subject: _links_in_sdist(subject, leads_outside=False),
        "contains a link: {}",
        COPY_FILE_FIX,
        level="warning",
    ),
)
