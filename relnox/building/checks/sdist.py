"""What is in an sdist ("Source distribution format", PEP 625), and what its pyproject.toml says is in it."""

from __future__ import annotations

import tarfile
import tomllib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from relnox.building.archives import path_of, tar_content, tar_members
from relnox.building.checks.findings import error, refusal, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from relnox.building.archives import Archive
    from relnox.building.checks.findings import Found

__all__ = ["check", "is_bomb"]

_BOMB_RATIO = 100
_BOMB_SIZE = 1 << 30
_MOST_SETTINGS = 4 << 20
_INCLUDE = "let the build configuration include it"


def check(archive: Archive) -> Iterator[Found]:
    """Everything about an sdist that is not as its format, or its own pyproject.toml, wants it."""
    top = archive.path.name.removesuffix(".tar.gz")
    tops = {parts[0] for member in archive.members if (parts := path_of(member).parts)}
    if len(tops) > 1:
        yield refusal(
            f"its top-level entries are {', '.join(sorted(tops))}, not the one folder {top}: "
            "the public index refuses that",
            "see PEP 625: what does the backend put beside it?",
        )
    elif tops != {top}:
        yield warning(f"its top-level entry is {', '.join(tops)}, not the folder {top}", "see PEP 625")
    inside = {"/".join(path_of(member).parts[1:]) for member in archive.members}
    members = tar_members(archive.path)
    yield from _links(members)
    yield from _needed(_settings(archive.path, members), inside)


def is_bomb(path: Path) -> bool:
    """Whether an sdist unpacks to absurdly much more than it is."""
    unpacked = sum(member.size for member in tar_members(path))
    return unpacked > _BOMB_SIZE and unpacked > _BOMB_RATIO * path.stat().st_size


def _links(members: Iterable[tarfile.TarInfo]) -> Iterator[Found]:
    """Members that are no plain files, or would be unpacked elsewhere (PEP 706)."""
    for member in members:
        try:
            tarfile.data_filter(member, "/nowhere")
        except tarfile.SpecialFileError:
            yield error(f"{member.name} is a device or a pipe", "leave it out of the sdist")
        except tarfile.FilterError as told:
            yield error(f"{member.name} leads out of the sdist: {told}", "leave it out of the sdist")
        else:
            if member.islnk() or member.issym():
                yield warning(f"{member.name} is a link to {member.linkname}", "ship the file itself")


def _settings(path: Path, members: Iterable[tarfile.TarInfo]) -> Mapping[str, Any] | None:
    """`[project]` of the pyproject.toml that is in it; None where there is no pyproject.toml."""
    for member in members:
        if path_of(member.name).parts[1:] == ("pyproject.toml",) and member.isreg():
            text = tar_content(path, member, _MOST_SETTINGS)
            try:
                project = tomllib.loads(text.decode()).get("project", {})
            except (tomllib.TOMLDecodeError, UnicodeDecodeError):
                return {}
            return project if isinstance(project, dict) else {}
    return None


def _needed(project: Mapping[str, Any] | None, inside: set[str]) -> Iterator[Found]:
    """The files that it cannot be built without."""
    if project is None and "setup.py" in inside:
        yield warning("there is no pyproject.toml in it", f"{_INCLUDE}; setup.py alone is the old way")
    elif project is None:
        yield error("there is no pyproject.toml in it: nothing can be built from it", _INCLUDE)
    for key, file in _named(project or {}):
        if file not in inside and ".." not in PurePosixPath(file).parts:
            yield error(f"{file} is not in it, which project.{key} names", _INCLUDE)


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
