"""The state of an index before publishing, according to its listings of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox.commands.shared import releases
from relnox.errors import Blocked, ExitCode, RelnoxError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from packaging.version import Version

    from relnox.commands.shared.project import Project
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.indexes.listings import Listing

_FROZEN = ("archived", "quarantined")


class IndexState(NamedTuple):
    """A release, and its files that an index has.

    Attributes:
        manifest: The manifest of the release, without packages that are private or were released earlier.
        hashes: Maps each package to its files of the manifest that the index lists: their names and SHA-256.
        public: The names of files that the index lists with the same hash as the manifest.
        missing: The files of the manifest that the index does not list.
        earlier: The manifest of the packages that were released earlier, which are skipped.
    """

    name: str
    manifest: Manifest
    hashes: Mapping[str, Mapping[str, str]]
    public: tuple[str, ...]
    missing: tuple[Distribution, ...]
    earlier: Manifest


def read_index(
    index: str,
    manifest: Manifest,
    project: Project,
    *,
    insisted: frozenset[str] = frozenset(),
    will_be_cleared: bool = False,
) -> IndexState:
    """Read which files of a build an index has, and which of its packages are released.

    Args:
        index: The name of the index.
        manifest: The manifest of the build, without private packages.
        project: The project.
        insisted: The packages that are part of the release even if their versions were released earlier.
        will_be_cleared: Whether the plan empties the index first, so that its files are ignored.

    Raises:
        RelnoxError: The index cannot be read. The exit code does not say that nothing is public, since the index
            may have files of an earlier run.
    """
    indexes = project.indexes
    try:
        indexes.fetch_listings(index, manifest.packages)
        release, earlier = releases.split_release(manifest, index, project, insisted)
        hashes = {
            name: indexes.hashes(index, name, [file.filename for file in release.files_of(name)], refresh=False)
            for name in release.packages
        }
    except RelnoxError as error:
        if error.exit_code in (ExitCode.BLOCKED, ExitCode.FAILED):
            error.exit_code = ExitCode.TRY_LATER
        raise
    if will_be_cleared:
        hashes = {name: {} for name in hashes}
    files = release.distributions
    public = tuple(file.filename for file in files if hashes[file.package].get(file.filename) == file.sha256)
    missing = tuple(file for file in files if file.filename not in hashes[file.package])
    return IndexState(index, release, hashes, public, missing, earlier)


def listing_warnings(state: IndexState, project: Project) -> Iterator[str]:
    """Yield warnings about yanked files (PEP 592), and about projects that are not active (PEP 792)."""
    index = state.name
    for package in state.manifest.packages:
        listing, files = project.indexes.cached_listing(index, package), state.manifest.files_of(package)
        for file in files:
            if file.filename in listing and listing[file.filename].yanked:
                yield f"{file.filename} is yanked on {index}: installers ignore it"
        is_incomplete = any(file.filename not in listing for file in files)
        if listing.status != "active" and not (is_incomplete and listing.status in _FROZEN):
            reason = f": {listing.reason}" if listing.reason else ""
            yield f"project {package} is {listing.status} on {index}{reason}"


def frozen_projects(state: IndexState, project: Project) -> Iterator[tuple[str, Listing]]:
    """Yield each archived or quarantined project that has files to upload, with its listing (PEP 792)."""
    for package in dict.fromkeys(file.package for file in state.missing):
        listing = project.indexes.cached_listing(state.name, package)
        if listing.status in _FROZEN:
            yield package, listing


def unowned_projects(state: IndexState, project: Project) -> Iterator[tuple[str, tuple[Version, ...]]]:
    """Yield each project on the index that may belong to another account, with its versions there.

    Indexes do not say who may upload. A project is assumed to belong to the user if the index has one of the built
    files, or if one of its versions on the index is tagged in this repository.
    """
    for package in dict.fromkeys(file.package for file in state.missing):
        built_hashes = {file.sha256 for file in state.manifest.files_of(package)}
        index_files = project.indexes.cached_listing(state.name, package).values()
        versions = {file.version for file in index_files if file.version is not None}
        if versions and built_hashes.isdisjoint(file.sha256 for file in index_files):
            tagged_versions = _tagged_versions(package, project)
            if tagged_versions is not None and versions.isdisjoint(tagged_versions):
                yield package, tuple(sorted(versions))


def _tagged_versions(package: str, project: Project) -> set[Version] | None:
    """Return the tagged versions of a package; None if this clone may lack tags, or a tag cannot be parsed."""
    if project.state is None or project.state.is_shallow:
        return None
    try:
        return {version for _, version in project.tag_formats[package].matching_tags(project.state.tags)}
    except Blocked:  # invalid settings of tag formats, which publishing does not need
        return None


def first_uploads(state: IndexState, project: Project) -> Iterator[tuple[str, datetime]]:
    """Yield each package with the earliest upload time among its files of the version to publish, if known."""
    for package in state.manifest.packages:
        version = state.manifest.version(package)
        times = [
            file.upload_time
            for file in project.indexes.cached_listing(state.name, package).values()
            if file.upload_time is not None and file.version == version
        ]
        if times:
            yield package, min(times)
