"""Whether an archive is the one that was planned: its file name, its name, its version, its requirements."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.checks.requirements import difference
from relnox.building.findings import error, refusal, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.checks.expected import Expected
    from relnox.building.findings import Found

__all__ = ["check"]

_BACKEND = "what does the backend take it from? a current version writes what pyproject.toml says"
_NO_PROJECT = frozenset({"requirements-txt", "rrequirements-txt"})
_LONGEST_NAME = 255 - len(".metadata")  # the public index stores the metadata beside the file


def check(archive: Archive, expected: Expected) -> Iterator[Found]:
    """Everything about an archive's identity that is not as planned, or not the same all over."""
    yield from _planned(archive, expected)
    yield from _stated(archive)
    yield from _file_name(archive)
    yield from _prohibited(archive)
    if expected.requires is not None:
        yield from _requirements(archive, expected.requires)


def _planned(archive: Archive, expected: Expected) -> Iterator[Found]:
    if archive.name != expected.name:
        yield error(
            "todo",
            f"it is called {archive.name}, but {expected.name} was planned",
            "what does the backend call it?",
        )
    if expected.version is not None and archive.version != expected.version:
        yield error(
            "todo",
            f"its version is {archive.version}, but {expected.version} was planned",
            "what does the backend take the version from?",
        )


def _stated(archive: Archive) -> Iterator[Found]:
    """What the metadata says of itself against what the file name says."""
    if canonicalize_name(archive.stated_name) != archive.name:
        yield error("todo", f"its metadata names {archive.stated_name!r}, its file name {archive.name}", _BACKEND)
    try:
        same = Version(archive.stated_version) == archive.version
    except InvalidVersion:
        same = False
    if not same:
        yield error(
            "todo",
            f"its metadata says version {archive.stated_version!r}, its file name {archive.version}",
            _BACKEND,
        )


def _file_name(archive: Archive) -> Iterator[Found]:
    """The name of the file, which is spelled in one way only (PEP 625; "Binary distribution format")."""
    actual, wanted = archive.path.name, _wanted_file_name(archive)
    same_name = actual.partition("-")[0] == wanted.partition("-")[0]
    fix = f'the name is {wanted}; a current backend writes it: "setuptools>=80", "hatchling>=1.26"'
    if actual != wanted and archive.kind == "wheel" and same_name:
        yield warning("todo", f"the version in its file name is not spelled {archive.version}", fix)
    elif actual != wanted:
        yield refusal("todo", "the public index refuses its file name: it is not normalised", fix)
    if len(actual) > _LONGEST_NAME:
        yield refusal("todo", f"its file name is {len(actual)} characters long", "shorten the name or the version")


def _wanted_file_name(archive: Archive) -> str:
    stem = f"{archive.name.replace('-', '_')}-{archive.version}"
    return f"{stem}.tar.gz" if archive.kind == "sdist" else "-".join([stem, *archive.path.name.split("-")[2:]])


def _prohibited(archive: Archive) -> Iterator[Found]:
    if archive.name in _NO_PROJECT:
        yield refusal(
            "todo", f"the public index takes no project called {archive.name}", "choose another project.name"
        )
    elif archive.name in _standard_library():
        yield warning(
            "todo",
            f"{archive.name} is a module of Python itself: the public index takes no new project of that name",
            "choose another project.name, unless the project is already there",
        )


@cache
def _standard_library() -> frozenset[str]:
    return frozenset(canonicalize_name(name.strip("_")) for name in sys.stdlib_module_names)


def _requirements(archive: Archive, planned: tuple[str, ...]) -> Iterator[Found]:
    missing, extra = difference(planned, archive.requires, name=archive.name)
    for each in missing:
        yield error("todo", f"its metadata lacks the requirement {each}", _BACKEND)
    for each in extra:
        yield error(
            "todo",
            f"its metadata requires {each}, which is not in pyproject.toml",
            'a build hook that adds it is announced by project.dynamic = ["dependencies"]',
        )
