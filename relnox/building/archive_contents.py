"""What users get of an archive, to compare releases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from configparser import Error as ConfigError

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from relnox.building.archives import Archive, find_dist_info_file, read_file
from relnox.building.wheel_contents import parse_entry_points
from relnox.core.release.differences import ArchiveContents

_VERSIONED = re.compile(r"([^/]+?)-[^-/]+\.(dist-info|data)/")
"""Matches the directories of a wheel whose names have the version (PEP 427)."""
_MAX_LICENSE = 60


def contents_of(archive: Archive) -> ArchiveContents:
    """Return what users get of an archive.

    Raises:
        Failed: It cannot be read.
    """
    is_wheel = archive.kind == "wheel"
    files = [entry for entry in archive.entries if entry.kind != "directory"]
    return ArchiveContents(
        filename=archive.path.name,
        kind=archive.kind,
        members={_name_without_version(file.name, is_wheel=is_wheel): file.size for file in files},
        requires=tuple(map(_normalize, archive.requires)),
        entry_points=tuple(_entry_points(archive)) if is_wheel else (),
        requires_python=str(archive.fields.get("requires_python", "")),
        license=_license(archive),
        top_level=tuple(sorted(set(_top_level_names(archive)))) if is_wheel else (),
    )


def _name_without_version(member: str, *, is_wheel: bool) -> str:
    """Return the path of a member without the version in its first part, or in an sdist without that part."""
    return _VERSIONED.sub(r"\1.\2/", member, count=1) if is_wheel else member.partition("/")[2]


def _normalize(requirement: str) -> str:
    """Return a requirement as packaging writes it, with the normalized name; an invalid one unchanged."""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return requirement
    parsed.name = canonicalize_name(parsed.name)
    return str(parsed)


def _entry_points(archive: Archive) -> Iterator[str]:
    name = find_dist_info_file(archive, "entry_points.txt")
    try:
        parser = parse_entry_points(read_file(archive, name).decode("utf-8", "replace") if name else "")
    except ConfigError:
        return
    for group in parser.sections():
        for entry, value in parser.items(group):
            yield f"[{group}] {entry} = {' '.join(value.split())}"


def _license(archive: Archive) -> str:
    """Return the license expression, or else the first line of the text, or else the classifiers."""
    fields = archive.fields
    first_line = str(fields.get("license_expression") or fields.get("license") or "").strip().partition("\n")[0]
    classifiers = (name for name in fields.get("classifiers", ()) if name.startswith("License ::"))
    return first_line[:_MAX_LICENSE] or ", ".join(name.rpartition(" :: ")[2] for name in classifiers)


def _top_level_names(archive: Archive) -> Iterator[str]:
    """Yield the modules and packages that a wheel installs, and `data/NAME` for directories of data."""
    for entry in archive.entries:
        first, *rest = entry.name.split("/")
        if entry.kind == "directory" or first.endswith(".dist-info"):
            continue
        if not first.endswith(".data"):
            yield first if rest else first.partition(".")[0]
        elif rest[:1] in (["purelib"], ["platlib"]):
            yield rest[1] if len(rest) > 2 else rest[1].partition(".")[0]  # noqa: PLR2004 - scheme, directory, file
        elif rest[:1] == ["data"] and len(rest) > 1:
            yield "/".join(rest[:2])
