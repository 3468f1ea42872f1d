"""Checks that the name, version and requirements of an archive match the plan, its metadata and its file name."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from relnox.building.checks import index_rules
from relnox.building.checks.requirements import differing_requirements
from relnox.building.findings import error, format_names, rejected_by_index, warning
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.building.archives import Archive
    from relnox.building.findings import Finding

_UPDATE_BACKEND_FIX = "update the build backend to a version that copies the metadata from pyproject.toml"


class ExpectedArchive(Record, kw_only=True):
    """The properties that an archive is expected to have.

    Attributes:
        name: Normalized name (PEP 503).
        version: The version, or None if only the backend can compute it.
        requires: The `Requires-Dist` values, in any order and spelling, including the markers of extras; None if
            the backend computes them.
        tracked_files: The files that git tracks, relative to the package's directory; None outside git.
        generated_files: Those of the tracked files that hooks generated for this build.
        parent_directory_files: Names and contents of tracked files in parent directories, copied by some backends.
        is_private: Whether the package is never published to the public index; then its rules only cause warnings.
        may_be_empty: Whether a wheel may install nothing, because the package consists only of requirements.
        extensions_are_optional: Whether a wheel may lack the native modules that the source declares.
    """

    name: str
    version: Version | None = None
    requires: tuple[str, ...] | None = None
    tracked_files: frozenset[str] | None = None
    generated_files: frozenset[str] = frozenset()
    parent_directory_files: tuple[tuple[str, bytes], ...] = ()
    is_private: bool = False
    may_be_empty: bool = False
    extensions_are_optional: bool = False


def check_identity(archive: Archive, expected: ExpectedArchive) -> Iterator[Finding]:
    """Yield mismatches between an archive's file name, its metadata and the plan."""
    yield from _check_name_and_version(archive, expected)
    yield from _check_file_name(archive)
    yield from _check_prohibited_name(archive)
    if expected.requires is not None:
        yield from _compare_requirements(archive, expected.requires)


def _check_name_and_version(archive: Archive, expected: ExpectedArchive) -> Iterator[Finding]:
    """Yield differences between the name and version in the file name and those in the plan and the metadata."""
    if archive.name != expected.name:
        yield error(
            "manifest-invalid",
            f"name is {archive.name}, but {expected.name} was planned",
            "check where the build backend gets the name from",
        )
    if expected.version is not None and archive.version != expected.version:
        yield error(
            "manifest-invalid",
            f"version is {archive.version}, but {expected.version} was planned",
            "remove what the build adds to the version, such as tag_build in [egg_info] of setup.cfg"
            if (archive.version.release, archive.version.pre) == (expected.version.release, expected.version.pre)
            else "check where the build backend gets the version from",
        )
    if canonicalize_name(archive.name_in_metadata) != archive.name:
        yield error(
            "metadata-invalid",
            f"Name is {archive.name_in_metadata!r} in the metadata, but {archive.name} in the file name",
            _UPDATE_BACKEND_FIX,
        )
    try:
        same = Version(archive.version_in_metadata) == archive.version
    except InvalidVersion:
        same = False
    if not same:
        yield error(
            "metadata-invalid",
            f"Version is {archive.version_in_metadata!r} in the metadata, but {archive.version} in the file name",
            _UPDATE_BACKEND_FIX,
        )


def _check_file_name(archive: Archive) -> Iterator[Finding]:
    """Yield a finding if the file name is not normalized (PEP 625 for sdists) or is too long."""
    actual, stem = archive.path.name, f"{archive.name.replace('-', '_')}-{archive.version}"
    normalized_name = f"{stem}.tar.gz" if archive.kind == "sdist" else "-".join([stem, *actual.split("-")[2:]])
    same_name = actual.partition("-")[0] == normalized_name.partition("-")[0]
    fix = (
        f'the normalized name is {normalized_name}; build with a current backend: "setuptools>=80", '
        '"hatchling>=1.26"'
    )
    if actual != normalized_name and archive.kind == "wheel" and same_name:
        yield warning("archive-invalid", f"version in the file name is not normalized ({archive.version})", fix)
    elif actual != normalized_name:
        yield rejected_by_index(
            "archive-invalid", "file name is not normalized (rejected by the public index)", fix
        )
    if len(actual) > (limit := index_rules.MAX_FILE_NAME):
        yield rejected_by_index(
            "archive-invalid",
            f"file name has {len(actual)} characters (the public index accepts at most {limit})",
            "shorten the name or the version",
        )


def _check_prohibited_name(archive: Archive) -> Iterator[Finding]:
    if archive.name in index_rules.PROHIBITED_NAMES:
        yield rejected_by_index(
            "metadata-invalid",
            f"project name {archive.name} is prohibited on the public index",
            "choose another project.name",
        )
    elif archive.name in _standard_library():
        yield warning(
            "metadata-invalid",
            f"project name {archive.name} is a module of Python's standard library (the public index accepts no "
            "new project of that name)",
            "choose another project.name, unless the project already exists on the index",
        )


@cache
def _standard_library() -> frozenset[str]:
    return frozenset(canonicalize_name(name.strip("_")) for name in sys.stdlib_module_names)


def _compare_requirements(archive: Archive, planned_requirements: tuple[str, ...]) -> Iterator[Finding]:
    """Yield differences from the plan, as warnings where only redundant clauses or markers differ."""
    arguments = planned_requirements, archive.requires
    missing, extra = differing_requirements(*arguments, name=archive.name, redundant=False)
    for requirement in missing:
        yield error(
            "build-requirement-missing",
            f"requirement {requirement} is in pyproject.toml, but not in the metadata",
            _UPDATE_BACKEND_FIX,
        )
    for requirement in extra:
        yield error(
            "requirement-ahead",
            f"requirement {requirement} is in the metadata, but not in pyproject.toml",
            'if a build hook adds it, set dynamic = ["dependencies"] in [project]',
        )
    if missing or extra:
        return
    planned, _ = differing_requirements(*arguments, name=archive.name)
    if planned:
        yield warning(
            "metadata-invalid",
            f"redundant clauses of requirements differ from pyproject.toml: {format_names(planned)}",
            "remove the clauses that other clauses of the same requirement imply, such as <4 in <3,<4",
        )
    _, built = differing_requirements(*arguments, name=archive.name, markers=True, redundant=False)
    if built:
        yield warning(
            "metadata-invalid",
            f"markers of requirements differ from pyproject.toml: {format_names(built)}",
            _UPDATE_BACKEND_FIX,
        )
