"""What is in an sdist ("Source distribution format", PEP 625), and what its pyproject.toml says is in it."""

from __future__ import annotations

import tomllib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from relnox.building.archives import file_content, path_of
from relnox.building.findings import error, refusal, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relnox.building.archives import Archive
    from relnox.building.entries import Entry
    from relnox.building.findings import Found

__all__ = ["check"]

_SETTINGS_LIMIT = 1 << 20
_DOTS_LIMIT = 1000
"""In a line of pyproject.toml: the parser takes time by the square of the length of a dotted key."""
_LINKS_LIMIT = 40
"""As many as Linux follows."""
_LONGEST_TARGET = 1000
_LINK_HINT = "ship the file itself"
_INCLUDE = "let the build configuration include it"


def check(archive: Archive) -> Iterator[Found]:
    """Everything about an sdist that is not as its format, or its own pyproject.toml, wants it."""
    top = archive.path.name.removesuffix(".tar.gz")
    tops = {parts[0] for member in archive.members if (parts := path_of(member).parts)}
    if len(tops) > 1:
        yield refusal(
            "todo",
            f"its top-level entries are {', '.join(sorted(tops))}, not the one folder {top}: "
            "the public index refuses that",
            "see PEP 625: what does the backend put beside it?",
        )
    elif tops != {top}:
        yield warning("todo", f"its top-level entry is {', '.join(tops)}, not the folder {top}", "see PEP 625")
    inside = {"/".join(path_of(member).parts[1:]) for member in archive.members}
    yield from _links(archive.entries)
    yield from _needed(_settings(archive), inside)


def _links(entries: Sequence[Entry]) -> Iterator[Found]:
    """Links that lead out of the sdist, and entries that would be unpacked through one (PEP 706)."""
    links = {_parts(entry.name): entry.target for entry in entries if entry.kind == "symlink"}
    files = {_parts(entry.name) for entry in entries if entry.kind == "file"}
    for entry in entries:
        parts = _parts(entry.name)
        if links and any(parts[:length] in links for length in range(1, len(parts))):
            yield error("todo", f"has an entry that is unpacked through a link: {entry.name!r}", _LINK_HINT)
        if entry.kind == "hardlink" and _parts(entry.target) not in files:
            yield error("todo", f"has a hard link to what is no file of it: {_arrow(entry)}", _LINK_HINT)
        elif entry.kind == "symlink" and not _stays_inside(parts, links):
            yield error("todo", f"has a link that leads out of it: {_arrow(entry)}", _LINK_HINT)
        elif entry.kind in ("hardlink", "symlink"):
            yield warning("todo", f"has a link: {_arrow(entry)}", "ship the file itself")


def _arrow(entry: Entry) -> str:
    return f"{entry.name!r} -> {entry.target!r}"


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))


def _stays_inside(link: tuple[str, ...], links: Mapping[tuple[str, ...], str]) -> bool:
    """Whether what a link points to is in its top-level folder, all links on the way followed."""
    place, left, followed = link[:-1], [link[-1]], 0
    while left:
        part = left.pop(0)
        place = place[:-1] if part == ".." else (*place, part)
        if place in links:
            target, followed = links[place], followed + 1
            if target.startswith(("/", "\\")) or target[1:2] == ":" or followed > _LINKS_LIMIT:
                return False
            place, left = place[:-1], [*_parts(target), *left]
            if len(left) > _LONGEST_TARGET:
                return False
        if place[:1] != link[:1]:
            return False
    return True


def _settings(archive: Archive) -> Mapping[str, Any] | None:
    """`[project]` of the pyproject.toml that is in it; None where there is no pyproject.toml."""
    for entry in archive.entries:
        if entry.kind == "file" and _parts(entry.name)[1:] == ("pyproject.toml",):
            text = file_content(archive, entry.name, _SETTINGS_LIMIT)
            if any(line.count(b".") > _DOTS_LIMIT for line in text.split(b"\n")):
                return {}
            try:
                project = tomllib.loads(text.decode()).get("project", {})
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                return {}
            return project if isinstance(project, dict) else {}
    return None


def _needed(project: Mapping[str, Any] | None, inside: set[str]) -> Iterator[Found]:
    """The files that it cannot be built without."""
    if project is None and "setup.py" in inside:
        yield warning("todo", "there is no pyproject.toml in it", f"{_INCLUDE}; setup.py alone is the old way")
    elif project is None:
        yield error("todo", "there is no pyproject.toml in it: nothing can be built from it", _INCLUDE)
    for key, file in _named(project or {}):
        if file not in inside and ".." not in PurePosixPath(file).parts:
            yield error("todo", f"{file} is not in it, which project.{key} names", _INCLUDE)


def _named(project: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The files that `[project]` names, each with its key; patterns are the backend's."""
    for key in ("readme", "license"):
        value = project.get(key)
        file = value.get("file") if isinstance(value, dict) else value if key == "readme" else None
        if isinstance(file, str):
            yield key, PurePosixPath(file).as_posix()
    files = project.get("license-files")
    for each in files if isinstance(files, list) else ():
        if isinstance(each, str) and not set(each) & set("*?["):
            yield "license-files", PurePosixPath(each).as_posix()
