"""Versions that backends derive from tags, against the tags of the commit that is built.

Most backends look at the nearest tag, whichever package it is of: where packages are tagged apart, they take a
sibling's version unless they are told which tags to look at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

from packaging.version import InvalidVersion, Version

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.core.tags import TagFormat

__all__ = ["CommitTag", "CommitTags", "Mismatch", "find_mismatch", "tags_of_commit"]


class CommitTag(Record, kw_only=True):
    """A tag of the commit that is built.

    Attributes:
        name: The tag.
        package: Whose it is; empty for a tag of none of the packages.
        version: The version that it says; None if it says none.
    """

    name: str
    package: str
    version: Version | None


class CommitTags(Record, kw_only=True):
    """The tags of the commit that is built, as one package sees them.

    Attributes:
        own: The package's own tag.
        others: All other tags.
        derives: Whether the package's version comes from tags.
        remedy: How its backend is told which tags to look at.
    """

    own: CommitTag | None
    others: tuple[CommitTag, ...] = ()
    derives: bool
    remedy: str = ""


class Mismatch(NamedTuple):
    """A version that is not what the tags say."""

    level: Literal["error", "warning"]
    message: str
    fix: str


def tags_of_commit(
    package: str, tags: Iterable[str], formats: Mapping[str, TagFormat], *, derives: bool, remedy: str
) -> CommitTags:
    """The tags of a commit, as a package sees them.

    Args:
        package: Its name.
        tags: The tags of the commit.
        formats: How the tags of each package look.
        derives: Whether its version comes from tags.
        remedy: How its backend is told which tags to look at.
    """
    here = sorted(tags)
    latest = formats[package].latest(here)
    own = None if latest is None else CommitTag(name=latest[0], package=package, version=latest[1])
    others = []
    for tag in here:
        if formats[package].parse(tag) is None:
            owner = next((name for name, each in formats.items() if each.parse(tag) is not None), "")
            version = formats[owner].parse(tag) if owner else _version_in(tag)
            others.append(CommitTag(name=tag, package=owner, version=version))
    return CommitTags(own=own, others=tuple(others), derives=derives, remedy=remedy)


def find_mismatch(package: str, version: Version, tags: CommitTags) -> Mismatch | None:
    """What a backend made against what the tags of the commit say; None where they agree."""
    taken = next((each for each in tags.others if each.version == version), None)
    whose = "" if taken is None else f", which tag {taken.name}{_of(taken)} says"
    if tags.own is not None:
        if tags.own.version == version:
            return None
        return Mismatch(
            "error",
            f"its version is {version}{whose}, but tag {tags.own.name} of this commit says {tags.own.version}",
            tags.remedy if taken is not None and tags.remedy else _MOVED,
        )
    if not tags.derives or version.is_devrelease or version.local is not None:
        return None
    if taken is not None and taken.package:
        return Mismatch(
            "error",
            f"its version is {version}{whose}, but {package} has no tag at this commit",
            tags.remedy or _MOVED,
        )
    if taken is not None:
        return Mismatch(
            "warning",
            f"its version is {version}{whose}, but by tag-format that is no tag of {package}",
            'set tag-format in [tool.relnox], and versions = "lockstep" if one tag is for all packages',
        )
    return Mismatch(
        "warning",
        f"its version is {version}, but no tag of this commit says so",
        "see that the tags are there (git fetch --tags), and that no variable or fallback sets the version",
    )


_MOVED = "set the version that the tag says, or tag the commit that has this version"


def _of(tag: CommitTag) -> str:
    return f" of {tag.package}" if tag.package else ""


def _version_in(tag: str) -> Version | None:
    """The version at the end of a tag of unknown form."""
    for found in re.finditer(r"(?<![\d.])\d", tag):
        try:
            return Version(tag[found.start() :])
        except InvalidVersion:
            continue
    return None
