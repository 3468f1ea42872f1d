"""Names in an archive that could be unpacked to another place, or over one another."""

from __future__ import annotations

import re
import stat
import unicodedata
from typing import TYPE_CHECKING

from packaging.utils import parse_wheel_filename

from relnox.building.findings import error, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.entries import Entry
    from relnox.building.findings import Found

__all__ = ["check"]

_HINT = "leave it out of the build, or rename it"
_PLAIN = re.compile(r"[A-Za-z0-9_+=@,~-][A-Za-z0-9_+=@,.~-]*(?:/[A-Za-z0-9_+=@,~-][A-Za-z0-9_+=@,.~-]*)*/?")
"""Most names; there is nothing to look for in them."""
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd\ufffe\uffff]")
"""Control characters, those that turn the direction of writing, and what is no character."""
_LONGEST = 255
_SET_ID = stat.S_ISUID | stat.S_ISGID
_DATA = re.compile(r"[^/]+\.data/(?:purelib|platlib)/")


def check(archive: Archive) -> Iterator[Found]:
    """Every name that is not one file's own, in the place where the archive is unpacked."""
    for entry in archive.entries:
        if (fault := _fault(entry.name)) is not None:
            yield error("todo", f"{fault}: {entry.name!r}", _HINT)
        if entry.mode & _SET_ID and entry.kind == "file":
            yield error("todo", f"has a setuid or setgid file: {entry.name!r}", "take the bits away: chmod ug-s")
    yield from _clashes(archive)


def _fault(name: str) -> str | None:
    """What is wrong with a name as such."""
    if len(name) <= _LONGEST and _PLAIN.fullmatch(name) is not None:
        return None
    if _CONTROLS.search(name) is not None:
        return "has a name with control characters"
    if "\\" in name:
        return "has a name with a backslash, which leads elsewhere on Windows"
    if name.startswith("/"):
        return "has an absolute name"
    parts = name.split("/")
    if ".." in parts:
        return "has a name that leads out of the archive (..)"
    if any(_DRIVE.match(part) for part in parts):
        return "has a name with a Windows drive"
    if not name.strip("/") or any(len(part.encode()) > _LONGEST for part in parts):
        return "has a name that no file can have"
    return None


def _clashes(archive: Archive) -> Iterator[Found]:
    """Entries that would be unpacked over one another, on any system."""
    seen: dict[str, Entry] = {}
    counts: dict[str, int] = {}
    folders: set[str] = set()
    windows_or_mac = archive.kind == "sdist" or any(
        tag.platform == "any" or tag.platform.startswith(("win", "macosx"))
        for tag in parse_wheel_filename(archive.path.name)[3]
    )
    for entry in archive.entries:
        key = _folded(entry.name)
        other = seen.setdefault(key, entry)
        if other is not entry and not entry.kind == other.kind == "directory":
            if _path(other.name) == _path(entry.name):
                counts[key] = counts.get(key, 1) + 1
            else:
                tell = error if windows_or_mac else warning
                yield tell(
                    "todo",
                    f"has names that differ by case or Unicode form only: {other.name!r} and {entry.name!r}",
                    "Windows and macOS keep one of them: rename it",
                )
        folder = key.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for key, count in counts.items():
        yield error("todo", f"has {seen[key].name!r} {count} times", _HINT)
    for key in sorted(folders & seen.keys()):
        if seen[key].kind != "directory":
            yield error("todo", f"has {seen[key].name!r} as a file and as a folder", _HINT)


def _folded(name: str) -> str:
    """What is the same for all names that some system takes for one."""
    path = _path(name)
    if not path.isascii():
        path = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
    return path.casefold()


def _path(name: str) -> str:
    """Where a name is unpacked to; files of a wheel in `.data/purelib` come beside its other ones."""
    if name.startswith("./") or "//" in name or "/./" in name or name.endswith("/"):
        name = "/".join(part for part in name.split("/") if part not in ("", "."))
    if ".data/" in name and (data := _DATA.match(name)) is not None:
        return name[data.end() :]
    return name
