"""What a release is, decided here for all tasks: its tag, its packages, and which files of a build belong to it.

A build may have more packages than its release: private ones, and those that were released earlier, from other
commits. The release has the packages whose release tag is at the built commit, or that are not public yet.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from relnox.building import archives, checks
from relnox.building.checks.expected import ExpectedArchive
from relnox.ci import matrices
from relnox.commands.options import DEFAULT_OUTPUT, ReleaseOptions
from relnox.core import fixes, graph
from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.release import public_index
from relnox.core.release.manifest import MANIFEST_JSON, Distribution, Manifest
from relnox.core.text import format_size, join_names
from relnox.errors import Blocked, ExitCode, Problem
from relnox.indexes import targets
from relnox.indexes.index import Index
from relnox.indexes.listings import Listing
from relnox.indexes.targets import EMBEDDED, Target
from relnox.project import Project
from relnox.system.files import read_file

_REBUILD = f"rebuild: {fixes.task_command('build-all')}"
_MAX_EXCERPT = 100
_NO_WHEELS = {"name": "none", "runner": "ubuntu-24.04", "sdist": "", "platform": "linux", "archs": "", "build": ""}
_MAX_LISTED = 5


# --- what a run is asked to release ------------------------------------------------------------------------------


class ReleaseTag(NamedTuple):
    """The tag that a run was started for, and the environment variable or option that names it (`origin`).

    `versions` has the version of each package that the tag releases, or None for a floating tag such as `v1`,
    which is moved at every release; it is empty if this is no release tag. `is_elsewhere` is whether the tag is
    known to be on another commit than the current one.
    """

    name: str
    origin: str
    versions: Mapping[str, Version | None]
    is_elsewhere: bool

    def __str__(self) -> str:
        return f"tag {self.name} ({self.origin})"


class ReleaseRequest(NamedTuple):
    """What a run is asked to release: the tag that it was started for, and the version of `--expect-version`.

    `names` are the packages of `--package`, or else those of the tag; empty means all packages.
    """

    tag: ReleaseTag | None
    expected: Version | None
    names: frozenset[str]

    def packages(self, project: Project) -> tuple[Package, ...]:
        """Return the requested packages, or all, with the packages that others need before these."""
        return project.select(tuple(self.names))


def read_release_request(
    options: ReleaseOptions, package: tuple[str, ...], project: Project, *, tagged: bool = False
) -> ReleaseRequest:
    """Return what the options and the CI job ask to release; a rehearsal has neither tag nor expected version.

    `package` are the values of `--package`. With `tagged`, only packages with a release tag at the current commit
    are requested. Raise `Blocked` if there is none, a package is unknown, or the expected version is invalid.
    """
    names = frozenset(selected.name for selected in project.workspace.select(package))
    if project.is_rehearsal:
        return ReleaseRequest(None, None, names)
    tag = _read_release_tag(options, project)
    of_tag = frozenset(tag.versions) if tag is not None else frozenset()
    if not names and len(of_tag) < len(project.workspace.packages):
        names = of_tag
    if tagged:
        tagged_here = packages_tagged_here(project)
        names = tagged_here & names if names else tagged_here
        if not names:
            raise Blocked(
                "package-not-tagged",
                f"no package has a release tag at {project.commit:.10} (--tagged builds only packages with one)",
                fix=f"tag it: {fixes.task_command('auto-tag')}; or remove --tagged",
            )
    return ReleaseRequest(tag, _expected_version(options.expect_version.strip(), project), names)


def _read_release_tag(options: ReleaseOptions, project: Project) -> ReleaseTag | None:
    """Return the tag of `--release-tag`, or else of the CI job; None if neither names one.

    If all packages share tags such as `v1.2.0` or `1.2.0`, the `v` is optional.
    """
    origins = {"--release-tag": options.release_tag, "CI_COMMIT_TAG": os.environ.get("CI_COMMIT_TAG")}
    if os.environ.get("GITHUB_REF_TYPE") == "tag":
        origins["GITHUB_REF_NAME"] = os.environ.get("GITHUB_REF_NAME")
    origin, name = next(((origin, name) for origin, name in origins.items() if name), ("", ""))
    if not name:
        return None
    formats = project.once(project.tag_formats_with, name)
    is_plain = len(set(formats.values())) == 1 and next(iter(formats.values())).prefix in ("", "v")
    versions: dict[str, Version | None] = {}
    for package in project.workspace.packages:
        tag_format = formats[package.name]
        version = tag_format.parse(name)
        if version is None and is_plain and not tag_format.suffix:
            version = tag_format.parse(f"{tag_format.prefix}{name.removeprefix('v')}")
        if version is not None:
            moves = package.version is not None and is_floating_tag(version, package.version)
            versions[package.name] = None if moves else version
    is_elsewhere = name in project.tags and project.commit not in (None, project.tags[name])
    return ReleaseTag(name, origin, versions, is_elsewhere)


def is_floating_tag(tag: Version, version: Version) -> bool:
    """Return whether a tag moves at each release: it has only the major number of `version`, as `v1` of 1.4.2."""
    return len(tag.release) == 1 < len(version.release) and str(tag) == str(version.major)


def _expected_version(text: str, project: Project) -> Version | None:
    """Return the version of `--expect-version`, which may be a tag; None if it is empty, `Blocked` if invalid."""
    if not text:
        return None
    try:
        return Version(text)
    except (InvalidVersion, ValueError):  # a number of thousands of digits is a ValueError
        for tag_format in project.tag_formats.values():
            if (version := tag_format.parse(text)) is not None:
                return version
    excerpt = text if len(text) <= _MAX_EXCERPT else f"{text[:_MAX_EXCERPT]}…"
    raise Blocked(
        "version-invalid",
        f"--expect-version = {excerpt!r} is not a version (PEP 440)",
        fix="pass a version: --expect-version 1.2.0",
    )


def packages_tagged_here(project: Project) -> frozenset[str]:
    """Return the names of the packages that have a release tag at the current commit.

    The tag must have the version in the package's files; if that is unknown, any release tag counts.
    """
    return frozenset(
        package.name
        for package in project.workspace.packages
        for tag, version in project.package_tags.get(package.name, {}).items()
        if project.tags[tag] == project.commit and package.version in (None, version)
    )


def tags_of_version(name: str, version: Version, project: Project) -> dict[str, str]:
    """Map the release tags of a package in one version to their commits."""
    tags = project.package_tags.get(name, {})
    return {tag: project.tags[tag] for tag, tagged in tags.items() if tagged == version}


def latest_reachable_tag(names: Iterable[str], project: Project) -> tuple[str, Version] | None:
    """Return the highest release tag of these packages at HEAD or an ancestor, with its version; None without one.

    Development versions do not count.
    """
    if project.git is None or project.commit is None:
        return None
    merged_tags = set(project.once(project.git.merged_tags))
    tags = (
        (tag, version)
        for name in names
        for tag, version in project.package_tags.get(name, {}).items()
        if tag in merged_tags and not version.is_devrelease
    )
    return max(tags, key=lambda tagged: tagged[1], default=None)


def is_last_release(manifest: Manifest, project: Project) -> bool:
    """Return whether a build is that of the last release, whatever commit is checked out now.

    One of its packages must have a release tag, of the built version, at the built commit. No package may have a
    higher version in the files of the checkout, or in a tag on HEAD or an ancestor; development versions do not
    count.
    """
    versions = {name: manifest.version_of(name) for name in manifest.packages}
    if not any(manifest.commit in tags_of_version(name, own, project).values() for name, own in versions.items()):
        return False
    for name, version in versions.items():
        package, tagged = project.workspace.by_name.get(name), latest_reachable_tag([name], project)
        current = package.version if package is not None else None
        if current is not None and current > version and not current.is_devrelease:
            return False
        if tagged is not None and tagged[1] > version:
            return False
    return True


def fixed_groups(project: Project, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yield `names` in groups of packages that are released together.

    A group has the packages of a version group of kind `fixed`; each other package is a group of its own.
    """
    others = dict.fromkeys(names)
    for group in project.version_groups:
        members = tuple(package.name for package in group.packages if package.name in others)
        if group.kind == "fixed" and members:
            yield members
            others = dict.fromkeys(name for name in others if name not in members)
    yield from ((name,) for name in others)


# --- the files of a build ----------------------------------------------------------------------------------------


def directory_option(directory: str, project: Project, flag: str = "--dist") -> tuple[str, ...]:
    """Return the option `flag` and its value for a directory of archives, to build a command for users.

    The result is empty if it is the directory that tasks use by default.
    """
    default = project.config.build.options.get("output", DEFAULT_OUTPUT)
    return () if directory == default else (flag, directory)


def read_manifest(root: Path, directory: str) -> Manifest:
    """Read the manifest in a directory of archives; raise `Blocked` if there is no valid one."""
    path = root / directory / MANIFEST_JSON
    where = f"{directory}/{MANIFEST_JSON}"
    if not path.is_file():
        raise Blocked(
            "manifest-missing", f"{where} does not exist: nothing was built", fix=fixes.task_command("build-all")
        )
    try:
        text = read_file(path).decode()
    except UnicodeDecodeError:
        raise Blocked(
            "manifest-invalid", f"{where} is not a valid manifest (it is not in UTF-8)", fix=_REBUILD
        ) from None
    except OSError as error:
        raise Blocked("manifest-invalid", f"cannot read {where} ({error.strerror})", fix=_REBUILD) from error
    return Manifest.from_json(text, where=where)


def distribution_of_wheel(root: Path, directory: str, filename: str) -> Distribution:
    """Return the entry that a manifest would have for a wheel; raise `Blocked` if its file name is invalid."""
    try:
        package, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise Blocked(
            "archive-invalid",
            f"{directory}/{filename} is not a valid file name of a wheel ({error})",
            fix=_REBUILD,
        ) from error
    digests = archives.hash_file(root / directory / filename)
    return Distribution(package=package, version=version, filename=filename, kind="wheel", **vars(digests))


def read_manifest_of_packages(root: Path, directory: str, names: Iterable[str]) -> Manifest:
    """Read the manifest in a directory, and check that it has files of packages with these names.

    Raises:
        Blocked: The manifest is missing or invalid, files are missing or do not match their package and version,
            or packages need each other in a cycle.
    """
    manifest = read_manifest(root, directory)
    where = f"{directory}/{MANIFEST_JSON}"
    for file in manifest.distributions:
        if not file.has_valid_name:
            raise Blocked(
                "manifest-invalid",
                f"{where} lists {file.filename} for {file.package} {file.version}, which its name contradicts",
                fix=_REBUILD,
            )
        if file.version != manifest.version_of(file.package):
            raise Blocked(
                "manifest-invalid", f"{where} lists files of two versions of {file.package}", fix=_REBUILD
            )
    graph.sort_into_waves(dict(manifest.needs))
    if not manifest.distributions:
        raise Blocked("archive-missing", f"{where} lists no files (a release needs at least one)", fix=_REBUILD)
    if missing := sorted(set(names) - set(manifest.packages)):
        raise Blocked(
            "archive-missing",
            f"{where} lists no files of {', '.join(missing)} (which --package or the tag selects)",
            fix=_REBUILD,
        )
    return manifest


class Build(NamedTuple):
    """A build in a directory relative to the root, and what of it a run is asked to publish.

    `public_part` has all packages but the private ones, `manifest` those of them that are requested. `private` and
    `incomplete` name requested packages: the private ones, and those that lack files.
    """

    request: ReleaseRequest
    directory: str
    manifest: Manifest
    public_part: Manifest
    private: tuple[str, ...]
    incomplete: tuple[str, ...]


def read_build(directory: str, request: ReleaseRequest, project: Project) -> Build:
    """Read the manifest in a directory of archives, and select which of its packages to publish.

    Raises:
        Blocked: The manifest is missing or invalid, or lacks a requested package; or neither `--package` nor a tag
            selects packages, and the build lacks files, since a build failed, has not run, or is in another job.
    """
    manifest = project.once(read_manifest_of_packages, project.root, directory, request.names)
    packages = frozenset(manifest.packages)
    private = {package.name for package in project.workspace.packages if package.is_private}
    groups = fixed_groups(project, [package.name for package in project.workspace.packages])
    siblings = {name for group in groups if not packages.isdisjoint(group) for name in group}
    incomplete = {*manifest.missing, *siblings - packages} - private
    if incomplete and not request.names:
        complete = [name for name in manifest.packages if name not in incomplete | private]
        options = " ".join(f"--package {name}" for name in complete)
        raise Blocked(
            "manifest-incomplete",
            f"{directory}/{MANIFEST_JSON} lacks files of {join_names(sorted(incomplete), limit=6)} (their builds "
            "failed or have not run, or are in another job's output)",
            fix=f"{fixes.task_command('build-all')}; or merge the output of all jobs: "
            f"{fixes.task_command('collect', '--from', 'DIR')}"
            + (f"; or publish only the others: {options}" if complete else ""),
        )
    requested = request.names or packages
    public_part, _ = split_private_packages(manifest, project)
    own, own_private = split_private_packages(manifest.restricted_to(requested), project)
    return Build(request, directory, own, public_part, own_private, tuple(sorted(incomplete & requested)))


def archive_problems(
    package: str, paths: Iterable[Path], all_paths: Iterable[Path], project: Project, *, public: bool
) -> Iterator[Problem]:
    """Yield the problems that the checks of archives find in the sdist and wheels at `paths`.

    `package` is their package. `all_paths` has all its archives, since its wheels must match its sdist. With
    `public`, violations of the rules of public indexes are problems as well.
    """
    config = project.config
    expected = ExpectedArchive(
        name=package,
        is_private=not public,
        may_be_empty=package in project.metadata_only_packages,
        extensions_are_optional=config.has_optional_extensions(package),
        fake_secrets=config.fake_secrets,
    )
    for path in paths:
        yield from project.once(checks.find_archive_errors, path, expected)
    yield from project.once(
        checks.find_errors_against_sdist, tuple(all_paths), optional_extensions=expected.extensions_are_optional
    )


def split_private_packages(manifest: Manifest, project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest without private packages (`Private ::` classifier), and the names of those packages."""
    names = {package.name for package in project.workspace.packages if package.is_private}
    private = tuple(name for name in manifest.packages if name in names)
    return manifest.restricted_to(frozenset(manifest.packages).difference(private)), private


def private_package_notes(private: Iterable[str]) -> Iterator[str]:
    """Yield a note for each private package, saying that it is not published."""
    for name in private:
        yield f"{name} is private (a Private :: classifier) and is not published"


# --- the release, as an index has it -----------------------------------------------------------------------------


class Release(Record):
    """The files of a build that a run publishes (`manifest`), and which of them the index has.

    Attributes:
        manifest: The files to publish, of the requested packages.
        siblings: The files of other packages that belong to the release, but were not requested.
        earlier: The files of packages that were released earlier, which this run skips.
        hashes: By file name, the SHA-256 on the index of the files of `manifest` and `siblings` that it lists;
            empty with `clears`.
        clears: Whether the plan empties the index first.
    """

    build: Build
    index: Index
    manifest: Manifest
    siblings: Manifest
    earlier: Manifest
    hashes: Mapping[str, str]
    clears: bool

    @property
    def public_filenames(self) -> tuple[str, ...]:
        """The names of the files of `manifest` that the index lists with the same hash."""
        files = self.manifest.distributions
        return tuple(file.filename for file in files if self.hashes.get(file.filename) == file.sha256)

    @property
    def missing_files(self) -> tuple[Distribution, ...]:
        """The files of `manifest` that the index does not list."""
        return tuple(file for file in self.manifest.distributions if file.filename not in self.hashes)


def find_release(
    build: Build, index: Index, project: Project, *, insists: bool = False, clears: bool = False
) -> Release:
    """Decide which packages of a build are the release, and read which of its files the index has.

    The requested packages, and those that they need or share a version with, belong to it unless they were
    released earlier. Packages that `--package` or the tag names always belong to it; with `insists`, so do all of
    `build.manifest`. With `clears`, the plan empties the index first, so that what the index has is ignored.

    Raises:
        Problem: The index cannot be read. The exit code does not say that nothing is public, since the index may
            have files of an earlier run.
    """
    whole, requested = build.public_part, frozenset(build.manifest.packages)
    related = requested | graph.reachable_names(requested, dict(whole.needs))
    for group in fixed_groups(project, whole.packages):
        related |= frozenset(group if not requested.isdisjoint(group) else ())
    candidates = whole.restricted_to(related & frozenset(whole.packages))
    try:
        project.once(index.fetch_listings, candidates.packages)
        insisted = requested if insists or build.request.names else frozenset[str]()
        release, earlier = split_earlier_packages(candidates, index, project, insisted)
        hashes = {} if clears else project.once(_listed_hashes, index, release)
    except Problem as error:
        if error.exit_code in (ExitCode.BLOCKED, ExitCode.FAILED) and error.code != "credentials-rejected":
            error.exit_code = ExitCode.TRY_LATER
        raise
    others = frozenset(release.packages) - requested
    own, siblings = release.restricted_to(requested), release.restricted_to(others)
    return Release(build, index, own, siblings, earlier, hashes, clears)


def outputs_of_build(packages: Iterable[Package], project: Project) -> dict[str, str]:
    """Return the values that later CI jobs get, by name: `index` and `wheels`, as far as they apply.

    `index` is the one that the tags at the current commit select, and `wheels` a JSON matrix of the wheels that
    other jobs build, if the settings list any.
    """
    versions = {package.name: package.version for package in packages}
    matrix = matrices.matrix("wheels", tuple(versions), settings=project.config.wheels, pythons=project.pythons)
    outputs = {}
    if any(project.config.wheels.values()):
        # A job with a matrix has at least one row: one without sdists builds nothing.
        rows = {"include": matrix["include"] or [_NO_WHEELS]}
        outputs["wheels"] = json.dumps(matrix | rows, separators=(",", ":"))
    tags = {
        name: (tag, version)
        for name, version in versions.items()
        if version is not None
        for tag, commit in tags_of_version(name, version, project).items()
        if commit == project.commit
    }
    if project.config.targets and tags:
        with contextlib.suppress(Blocked):  # `publish` says that they choose different ones
            outputs["index"] = targets.select_index_by_tags(project.config, tags)
    return outputs


def index_of_release_tags(build: Build, project: Project) -> str:
    """Return the index that `[tool.relnox.targets]` selects for the release tag or tags of the built commit.

    Without that table, it is the production index. Raise `Blocked` if they select none or different ones.
    """
    config, manifest, tag = project.config, build.manifest, build.request.tag
    if not config.targets:
        return targets.PRODUCTION
    versions = {name: manifest.version_of(name) for name in manifest.packages}
    if tag is not None and all(tag.versions.get(name) == version for name, version in versions.items()):
        return targets.select_index_by_tags(
            config, {name: (tag.name, version) for name, version in versions.items()}
        )
    tag_by_package: dict[str, tuple[str, Version] | None] = {}
    others: set[str] = set()  # which were tagged at another commit
    for name, version in versions.items():
        tags = tags_of_version(name, version, project)
        own = next((tag for tag, commit in tags.items() if commit == manifest.commit), None)
        tag_by_package[name] = (own, version) if own is not None else None
        others |= {name} if tags and own is None else set()
    if others and others != tag_by_package.keys():
        index = targets.select_index_by_tags(
            config, {name: tag_by_package[name] for name in versions.keys() - others}
        )
        release = find_release(build, project.indexes[index], project)
        tag_by_package = {name: tag_by_package[name] for name in release.manifest.packages}
    return targets.select_index_by_tags(config, tag_by_package)


def differing_files(manifest: Manifest, release: Release) -> Iterator[list[tuple[Distribution, str]]]:
    """Yield, for each package that has any, a list of its files in `manifest` whose hash differs on the index.

    Each file comes with the SHA-256 (hex) that the index has.
    """
    for package in manifest.packages:
        hashes = [(file, release.hashes.get(file.filename, file.sha256)) for file in manifest.files_of(package)]
        if files := [(file, sha256) for file, sha256 in hashes if sha256 != file.sha256]:
            yield files


def _listed_hashes(index: Index, manifest: Manifest) -> dict[str, str]:
    """Map the name of each file in a manifest that the index lists to the SHA-256 (hex) that it has there."""
    hashes: dict[str, str] = {}
    for package in manifest.packages:
        names = [file.filename for file in manifest.files_of(package)]
        hashes |= index.hashes(package, names, refresh=False)
    return hashes


def split_earlier_packages(
    manifest: Manifest, index: Index, project: Project, insisted: frozenset[str] = frozenset()
) -> tuple[Manifest, Manifest]:
    """Split the manifest of a build in two: packages that are the release, and those that were released earlier.

    The manifest must have no private packages. Packages that share a version are in the same part; those in
    `insisted` are in the release. A package with a tag at the built commit is part of the release as well. If
    every package was released earlier, all are the release, so that they are compared with the public files.
    """
    packages = frozenset(manifest.packages)
    earlier: set[str] = set()
    if any(public_files(name, manifest.version_of(name), index) for name in packages - insisted):
        for names in fixed_groups(project, manifest.packages):
            tags = {name: tags_of_version(name, manifest.version_of(name), project) for name in names}
            is_tagged_here = any(manifest.commit in tags[name].values() for name in names)
            if insisted.isdisjoint(names) and not is_tagged_here:
                is_released = (
                    _is_released_from_other_commit(name, manifest, index, is_tagged_elsewhere=bool(tags[name]))
                    for name in names
                )
                earlier |= {*names} if all(is_released) else set()
    if earlier == packages:
        earlier = set()
    return manifest.restricted_to(packages - earlier), manifest.restricted_to(frozenset(earlier))


def _is_released_from_other_commit(
    name: str, manifest: Manifest, index: Index, *, is_tagged_elsewhere: bool
) -> bool:
    """Return whether the version of a package is public, and its files were built from another commit.

    With `is_tagged_elsewhere` (a tag of the version is at another commit), any public file is enough. Without it,
    the index must have all files of the build, each with other content: a file with the same content means that
    the others were damaged, or uploaded by another job.
    """
    public = public_files(name, manifest.version_of(name), index)
    if is_tagged_elsewhere:
        return bool(public)
    return all(public.get(file.filename) not in (None, file.sha256) for file in manifest.files_of(name))


def public_files(name: str, version: Version, index: Index) -> dict[str, str | None]:
    """Map the names of the files that an index lists for a version to their SHA-256, or None if it lists no hash.

    The listing is requested if it was not yet read in this run.
    """
    listing = index.cached_listing(name)
    return {file.filename: file.sha256 for file in listing.values() if file.version == version}


def released_earlier_notes(earlier: Manifest, index: str) -> Iterator[str]:
    """Yield a note on the packages that a run skips, since they were released earlier."""
    if earlier.packages:
        names = join_names(f"{name} {earlier.version_of(name)}" for name in earlier.packages)
        yield f"not part of this release: {names} (released earlier, already on {index})"


def closed_project_problems(package: str, listing: Listing, index: str) -> Iterator[Problem]:
    """Yield a problem if an index accepts no files for a project that is archived or quarantined (PEP 792)."""
    reason = f" ({listing.reason})" if listing.reason else ""
    if listing.status == "archived":
        yield Blocked(
            "project-archived",
            f"project {package} is archived on {index}, and accepts no files{reason}",
            f"unarchive it in the project's settings on {index}, then rerun the command",
        )
    elif listing.status == "quarantined":
        yield Blocked(
            "project-quarantined",
            f"project {package} is quarantined on {index}, and accepts no files{reason}",
            "contact the index operator, and rerun the command when the quarantine has ended",
        )


def foreign_project_messages(package: str, listing: Listing, index: str, project: Project) -> Iterator[str]:
    """Yield a message if a project on an index may belong to another account.

    Indexes do not say who may upload. A project is assumed to be the user's if a version of it is tagged in this
    repository, or may be, since the clone is shallow.
    """
    versions = {file.version for file in listing.values() if file.version is not None}
    has_all_tags = project.state is not None and not project.state.is_shallow
    is_tagged = not has_all_tags or not versions.isdisjoint(project.package_tags.get(package, {}).values())
    if versions and not is_tagged and index != EMBEDDED:
        latest = ", ".join(map(str, sorted(versions)[-_MAX_LISTED:]))
        yield (
            f"project {package} on {index} ({latest}) may belong to another account, which would reject "
            "the uploads (none of its versions is tagged in this repository)"
        )


def storage_problems(
    package: str, listing: Listing, added: int, index: Target, limit: int | None
) -> Iterator[Problem]:
    """Yield a problem if `added` bytes do not fit into the storage of a project on an index.

    `limit` is the limit in MB that the settings have. If it is None, the usual limit applies: exceeding it is a
    warning, on public indexes only, since the index may have raised it.
    """
    size = public_index.storage_limit_in_bytes(limit)
    if listing.total_size + added > size and (limit is not None or index.has_public_rules):
        yield Blocked(
            "storage-low",
            f"project {package} has {format_size(listing.total_size)} on {index.name}, and the new files have "
            f"{format_size(added)} (the limit is {format_size(size)}{' unless it was raised' * (limit is None)})",
            "delete files of old development versions on the index; or request a higher limit there, and set it: "
            "[tool.relnox.check] storage-limit = 20000",
            level="error" if limit is not None else "warning",
        )
