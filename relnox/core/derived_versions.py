"""Comparison of versions that backends derive from tags with the tags of the commit that is built.

Most backends read the nearest tag, whichever package it belongs to. In a workspace where each package has its own
tags, they may take the version of a sibling unless they are configured to read certain tags.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from packaging.version import InvalidVersion, Version

from relnox.core.records import Record
from relnox.core.tags import TagFormat

_VERSION_VARIABLE = re.compile(
    r"(SETUPTOOLS_SCM|VCS_VERSIONING|HATCH_VCS)_PRETEND_VERSION(_FOR_\w+)?"
    r"|PDM_BUILD_SCM_VERSION|PBR_VERSION|(POETRY|UV)_DYNAMIC_VERSIONING_BYPASS"
)
"""Environment variables whose value build backends take as the version, instead of that of tags."""
_SET_VERSION_OR_TAG = "set the version of the tag, or tag the commit that has this version"


class CommitTag(Record, kw_only=True):
    """A tag of the commit that is built, and the package that it belongs to, or "" if it belongs to none."""

    name: str
    package: str
    version: Version | None


class CommitTags(Record, kw_only=True):
    """The tags of the commit that is built, from the point of view of one package.

    Attributes:
        package_tag: The package's own tag, or None if it has none at this commit.
        other_tags: The tags that do not belong to the package.
        is_version_derived: Whether the backend derives the package's version from tags.
        remedy: How to configure the backend to read only the package's own tags; empty if
            `is_version_derived` is false.
    """

    package_tag: CommitTag | None
    other_tags: tuple[CommitTag, ...] = ()
    is_version_derived: bool
    remedy: str = ""


class VersionMismatch(NamedTuple):
    """A difference between the version that a backend derived and the tags of the commit."""

    level: Literal["error", "warning"]
    message: str
    fix: str


def tags_of_commit(
    package: str, tags: Iterable[str], formats: Mapping[str, TagFormat], *, derives: bool, remedy: str
) -> CommitTags:
    """Return the tags of a commit from the point of view of one package; `derives` is `is_version_derived`."""
    here = sorted(tags)
    latest = formats[package].latest_tag(here)
    own = None if latest is None else CommitTag(name=latest[0], package=package, version=latest[1])
    others = []
    for tag in here:
        if formats[package].parse(tag) is None:
            owner = next((name for name, tag_format in formats.items() if tag_format.parse(tag) is not None), "")
            version = formats[owner].parse(tag) if owner else _version_in(tag)
            others.append(CommitTag(name=tag, package=owner, version=version))
    return CommitTags(package_tag=own, other_tags=tuple(others), is_version_derived=derives, remedy=remedy)


def find_version_variable(variables: Mapping[str, str], version: Version) -> str:
    """Return the environment variable that makes build backends use a version, or "" if none does."""
    for name, value in sorted(variables.items()):
        if _VERSION_VARIABLE.fullmatch(name) is not None:
            with contextlib.suppress(InvalidVersion):
                if Version(value) == version:
                    return name
    return ""


def find_mismatch(
    package: str, version: Version, tags: CommitTags, *, variable: str = ""
) -> VersionMismatch | None:
    """Return how the version that a backend derived differs from the tags of the commit, or None if they agree.

    The fix is to unset `variable`, if an environment variable set the version.
    """
    mismatch = _find_mismatch(package, version, tags)
    return mismatch._replace(fix=f"unset {variable}") if mismatch is not None and variable else mismatch


def _find_mismatch(package: str, version: Version, tags: CommitTags) -> VersionMismatch | None:
    other = next((tag for tag in tags.other_tags if tag.version == version), None)
    owner = f" of {other.package}" if other is not None and other.package else ""
    origin = "" if other is None else f" (as tag {other.name}{owner})"
    if tags.package_tag is not None:
        if tags.package_tag.version == version:
            return None
        return VersionMismatch(
            "error",
            f"its version is {version}{origin}, but tag {tags.package_tag.name} of this commit has "
            f"{tags.package_tag.version}",
            tags.remedy if other is not None and tags.remedy else _SET_VERSION_OR_TAG,
        )
    if not tags.is_version_derived or version.is_devrelease or version.local is not None:
        return None
    if owner:
        return VersionMismatch(
            "error",
            f"its version is {version}{origin}, but {package} has no tag at this commit",
            tags.remedy or _SET_VERSION_OR_TAG,
        )
    if other is not None:
        return VersionMismatch(
            "warning",
            f"its version is {version}{origin}, but by tag-format that tag does not belong to {package}",
            'set tag-format in [tool.relnox], or versions = "lockstep" for common tags',
        )
    return VersionMismatch(
        "warning",
        f"its version is {version}, but no tag of this commit has it",
        "run git fetch --tags, and check that no environment variable or fallback sets the version",
    )


def _version_in(tag: str) -> Version | None:
    """Return the version at the end of a tag of any form, or None."""
    for match in re.finditer(r"(?<![\d.])\d", tag):
        try:
            return Version(tag[match.start() :])
        except ValueError:  # InvalidVersion is one
            continue
    return None
