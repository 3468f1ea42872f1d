"""What publishing is planned from: the release, the state of the index, and everything that blocks an upload."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from relnox.building import archives, file_hashes
from relnox.commands.options import PublishingOptions, PublishOptions
from relnox.commands.shared import (
    archive_checks,
    consistency,
    hooks,
    release_branch,
    releases,
)
from relnox.commands.shared.hooks import Hooks
from relnox.commands.shared.project import Project
from relnox.commands.shared.releases import private_notes, read_public_part
from relnox.core import fixes
from relnox.core.dependencies import requirements
from relnox.core.names import normalize_name
from relnox.core.release import publication, publishers
from relnox.core.release.manifest import Distribution, Manifest
from relnox.core.release.publishers import Publisher
from relnox.core.text import format_count, join_names
from relnox.errors import Blocked, Conflict, ExitCode, Problem
from relnox.indexes import attestations, targets, uploads
from relnox.steps.published_files import different_file_error
from relnox.system import retries

_MAX_LISTED = 5
_REBUILD = f"rebuild: {fixes.task_command('build-all')}"
_COPY = "copy it from the build whose files are public; a rebuild may differ from these"


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


class Snapshot(NamedTuple):
    """What publishing is planned from.

    Attributes:
        host: The host name of the index.
        production: Whether the index is a production index.
        uses_oidc: Whether the index issues a token for each project (Trusted Publishing).
        publisher: Who signs the files to upload; None to upload no attestations.
        public: The names of files that are already public, which determine the exit code of a blocked run.
    """

    state: IndexState
    host: str
    production: bool
    uses_oidc: bool
    publisher: Publisher | None
    hooks: Hooks
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    public: tuple[str, ...]


def read_snapshot(index: str, options: PublishingOptions, project: Project, *, clear: bool = False) -> Snapshot:
    """Return the snapshot that `publish` or `publish-test` plans from.

    Args:
        index: The name of the index.
        options: The options of the task.
        project: The project.
        clear: Whether the plan empties the index first, unless it holds exactly the files to publish.

    Raises:
        Problem: The release cannot be read, or the index does not answer.
    """
    project.indexes.open(index)  # an unknown index is reported first
    package_names = consistency.selected_packages(options, options.package, project)
    manifest, private = read_public_part(options.dist, package_names, project)
    files = {file.filename: file.sha256 for file in manifest.distributions}
    will_be_cleared = clear and not project.indexes.embedded.store.holds_only(files)
    insisted = frozenset(manifest.packages if clear or package_names else ())
    state = _read_index(index, manifest, project, insisted=insisted, will_be_cleared=will_be_cleared)
    try:
        return _inspect(state, private, options, project)
    except Problem as error:
        names = [file.filename for file in state.manifest.distributions]
        publication.add_public_files(error, index, names, state.public)
        raise


def _read_index(
    index: str, manifest: Manifest, project: Project, *, insisted: frozenset[str], will_be_cleared: bool
) -> IndexState:
    """Read which files of a build an index has, and which of its packages are released.

    Args:
        index: The name of the index.
        manifest: The manifest of the build, without private packages.
        project: The project.
        insisted: The packages that are part of the release even if their versions were released earlier.
        will_be_cleared: Whether the plan empties the index first, so that its files are ignored.

    Raises:
        Problem: The index cannot be read. The exit code does not say that nothing is public, since the index
            may have files of an earlier run.
    """
    indexes = project.indexes
    try:
        indexes[index].fetch_listings(manifest.packages)
        release, earlier = releases.split_release(manifest, index, project, insisted)
        hashes = {
            name: indexes[index].hashes(name, [file.filename for file in release.files_of(name)], refresh=False)
            for name in release.packages
        }
    except Problem as error:
        if error.exit_code in (ExitCode.BLOCKED, ExitCode.FAILED):
            error.exit_code = ExitCode.TRY_LATER
        raise
    if will_be_cleared:
        hashes = {name: {} for name in hashes}
    files = release.distributions
    public = tuple(file.filename for file in files if hashes[file.package].get(file.filename) == file.sha256)
    missing = tuple(file for file in files if file.filename not in hashes[file.package])
    return IndexState(index, release, hashes, public, missing, earlier)


def _inspect(
    state: IndexState, private: tuple[str, ...], options: PublishingOptions, project: Project
) -> Snapshot:
    """Check the files, the index and the credentials, and decide on attestations."""
    index, manifest, indexes = state.name, state.manifest, project.indexes
    production, host = indexes[index].production, indexes[index].host
    versions = consistency.compare_versions(options, project, manifest.packages, manifest)
    mismatches = [
        *versions.problems,
        *consistency.check_manifest(manifest, options.dist, project, versions.tag, production=production),
    ]
    problems: list[Problem] = []
    invalid_files: set[str] = set()
    for file, problem in _file_problems(state, project.root / options.dist, options.dist, project):
        problems.append(problem)
        invalid_files.add(file)
    if index != targets.EMBEDDED:  # which must need no network
        mismatches += _unavailable_sibling_problems(state, project, project.root / options.dist, invalid_files)
    problems += _index_problems(state, project, production=production)
    notes: list[str] = []
    uses_oidc, publisher, attestation_note = False, None, ""
    if state.missing:
        try:
            credentials = indexes[index].credentials
        except Blocked as error:
            problems.append(error)
        else:
            uses_oidc = credentials.uses_oidc
            if index != targets.EMBEDDED:
                notes.append(f"credentials for {index} ({host}): {credentials.origin}")
            publisher, attestation_note = _plan_attestations(options, project, uses_oidc=uses_oidc)
    packages = [package for package in project.workspace.packages if package.name in manifest.packages]
    notes += [
        *(_development_notes(state) if production else ()),
        *versions.notes,
        *indexes[index].warnings(),
        *_listing_notes(state, project),
        *requirements.unbounded_sibling_warnings(packages, project.workspace),
    ]
    if state.public:
        count = format_count(len(manifest.distributions), "file")
        notes.append(f"skipping {len(state.public)} of {count}: already on {index}")
    notes += [attestation_note] if attestation_note else []
    notes += [*releases.released_earlier_notes(state.earlier, index), *private_notes(private)]
    if options.allow_mismatch:
        notes = [*consistency.ignored_mismatch_notes(mismatches), *notes]
        mismatches = []
    return Snapshot(
        state=state,
        host=host,
        production=production,
        uses_oidc=uses_oidc,
        publisher=publisher,
        hooks=hooks.read_hooks(project),
        problems=(*mismatches, *problems),
        notes=tuple(notes),
        # A manifest that contradicts the checkout, and whose files are all public, is that of an earlier release.
        public=() if mismatches and not state.missing else state.public,
    )


def production_problems(state: IndexState, options: PublishOptions, project: Project) -> Iterator[Problem]:
    """Yield what blocks uploads to a production index only: development versions, and commits of no release."""
    commit = state.manifest.commit
    if commit is not None and not options.allow_branch:
        release_tag = consistency.read_tag(options, project)
        if release_tag is None or not release_tag.versions or release_tag.is_elsewhere:
            yield from release_branch.unreleased_commit_problems(commit, project)
    versions = _development_versions(state)
    if versions and not options.allow_dev and project.config.targets.get("dev") != state.name:
        are = "is a development version" if len(versions) == 1 else "are development versions"
        yield Blocked(
            "development-version",
            f"{join_names(versions)} {are}, and {state.name} is a production index "
            "(files there cannot be replaced)",
            fix=f"publish to a test index: {fixes.task_command('publish-test')}; to publish anyway: "
            f'--allow-dev, or [tool.relnox.targets] dev = "{state.name}"',
        )
    if state.manifest.dirty:
        yield Blocked(
            "build-dirty",
            "the files were built from a tree with uncommitted changes",
            fix=f"commit them, then {_REBUILD}",
        )


def _development_versions(state: IndexState) -> list[str]:
    """Return the development versions to be published, as `NAME VERSION`."""
    files = (file for file in state.missing if file.version.is_devrelease)
    return list(dict.fromkeys(f"{file.package} {file.version}" for file in files))


def _development_notes(state: IndexState) -> Iterator[str]:
    if versions := _development_versions(state):
        verb = "is a development version" if len(versions) == 1 else "are development versions"
        yield f"{join_names(versions)} {verb}, published to the production index {state.name}"


def _file_problems(
    state: IndexState, directory: Path, dist: str, project: Project
) -> Iterator[tuple[str, Problem]]:
    """Yield the problems of files with their names: missing, changed since the build, other than public, invalid.

    Archives are checked by the rules of public indexes, unless the index is a private test index.
    """
    index, manifest = state.name, state.manifest
    fix = _COPY if state.public else _REBUILD
    unchanged: dict[str, Path] = {}
    for file in manifest.distributions:
        path, index_hash = directory / file.filename, state.hashes[file.package].get(file.filename)
        exists = file_hashes.is_file_inside(directory, path)
        sha256 = file_hashes.hash_file(path).sha256 if exists else None
        if sha256 == file.sha256:
            unchanged[file.filename] = path
        elif sha256 is not None:
            yield (
                file.filename,
                Conflict(
                    "archive-changed",
                    f"{dist}/{file.filename} differs from the file that was built:\n"
                    f"  found  sha256 {sha256}\n  built  sha256 {file.sha256}",
                    fix=shlex.join(["mv", str(path), f"{path}.old"]) if index_hash == file.sha256 else fix,
                ),
            )
        elif index_hash is None:  # a public file needs no upload
            yield (
                file.filename,
                Blocked(
                    "archive-missing",
                    f"{dist}/{file.filename} is missing, although the manifest lists it",
                    fix=fix,
                ),
            )
        if index_hash not in (None, file.sha256):
            error = different_file_error(index, file, index_hash or "")
            yield file.filename, error

    def existing(files: tuple[Distribution, ...]) -> Iterator[tuple[str, Path]]:
        return ((file.package, unchanged[file.filename]) for file in files if file.filename in unchanged)

    public = project.indexes[index].production or index in (targets.TEST, targets.EMBEDDED)
    packages = {file.package for file in state.missing}
    incomplete = tuple(file for file in manifest.distributions if file.package in packages)
    for _, finding in (
        *archive_checks.archive_errors(existing(state.missing), project.config, public=public),
        *archive_checks.errors_against_sdist(existing(incomplete), project.config),
    ):
        message = f"{finding.file}: {finding.message}"
        yield finding.file, Blocked(finding.code, message, fix=finding.fix)


def _index_problems(state: IndexState, project: Project, *, production: bool) -> Iterator[Problem]:
    """Yield a problem for each project that accepts no files (PEP 792), and each release that accepts no more."""
    index = state.name
    for package, file in {file.package: file for file in state.missing}.items():
        listing = project.indexes[index].cached_listing(package)
        reason = f" ({listing.reason})" if listing.reason else ""
        if listing.status == "archived":
            yield Blocked(
                "project-archived",
                f"project {package} is archived on {index}, and accepts no files{reason}",
                fix=f"unarchive it in the project's settings on {index}, then rerun the command",
            )
        elif listing.status == "quarantined":
            yield Blocked(
                "project-quarantined",
                f"project {package} is quarantined on {index}, and accepts no files{reason}",
                fix="contact the index operator, and rerun the command when the quarantine has ended",
            )
        times = [other.upload_time for other in listing.values() if other.version == file.version]
        first_upload = min((time for time in times if time is not None), default=None)
        if production and first_upload is not None:
            ends = first_upload + uploads.UPLOAD_WINDOW
            if ends < retries.CLOCK.today():
                yield Conflict(
                    "release-too-old",
                    f"{package} {file.version} is too old for more files on {index} since {ends:%Y-%m-%d} "
                    f"(its first file is more than {uploads.UPLOAD_WINDOW.days} days old)",
                    fix=uploads.post_release_hint(file),
                )


def _listing_notes(state: IndexState, project: Project) -> Iterator[str]:
    """Yield notes on yanked files (PEP 592), and on projects that are not active (PEP 792) or not the user's.

    Indexes do not say who may upload. A project is assumed to belong to the user if the index has one of the built
    files, or if one of its versions on the index is tagged in this repository.
    """
    index, uploaded = state.name, {file.package for file in state.missing}
    for package in state.manifest.packages:
        listing, files = project.indexes[index].cached_listing(package), state.manifest.files_of(package)
        for file in files:
            if file.filename in listing and listing[file.filename].yanked:
                yield f"{file.filename} is yanked on {index}: installers ignore it"
        if listing.status != "active" and package not in uploaded:  # otherwise it is a problem
            reason = f": {listing.reason}" if listing.reason else ""
            yield f"project {package} is {listing.status} on {index}{reason}"
        versions = {file.version for file in listing.values() if file.version is not None}
        is_own = not {file.sha256 for file in files}.isdisjoint(file.sha256 for file in listing.values())
        if package in uploaded and versions and not is_own and index != targets.EMBEDDED:
            tagged_versions = _tagged_versions(package, project)
            if tagged_versions is not None and versions.isdisjoint(tagged_versions):
                latest = ", ".join(map(str, sorted(versions)[-_MAX_LISTED:]))
                yield (
                    f"project {package} on {index} ({latest}) may belong to another account, which would reject "
                    "the uploads (none of its versions is tagged in this repository)"
                )


def _tagged_versions(package: str, project: Project) -> set[Version] | None:
    """Return the tagged versions of a package; None if this clone may lack tags, or a tag cannot be parsed."""
    if project.state is None or project.state.is_shallow:
        return None
    try:
        return {version for _, version in project.tag_formats[package].matching_tags(project.state.tags)}
    except Blocked:  # invalid settings of tag formats, which publishing does not need
        return None


def _plan_attestations(
    options: PublishingOptions, project: Project, *, uses_oidc: bool
) -> tuple[Publisher | None, str]:
    """Return who signs the files to upload, or None; and a note that tells which, and why."""
    if options.attestations == "off":
        return None, "attestations: off (--attestations off)"
    if not uses_oidc:
        return None, "attestations: off (uploads do not use Trusted Publishing)"
    if not attestations.is_installed():
        return None, f"attestations: off (the packages that sign are not installed: {attestations.INSTALL})"
    identity = project.indexes.signing_identity()
    if isinstance(identity, str):
        return None, f"attestations: off ({identity})"
    publisher = publishers.publisher_from_claims(identity.claims)
    if publisher is None:
        return None, f"attestations: off (they do not support the identity {identity.description})"
    return publisher, f"attestations: signed as {publisher.description}"


def _unavailable_sibling_problems(
    state: IndexState, project: Project, directory: Path, invalid_files: Container[str]
) -> Iterator[Problem]:
    """Yield a problem for each requirement on a sibling that neither this run nor the index satisfies.

    Packages with files that are already public are not checked, so that their release can be finished. Archives
    with errors (`invalid_files`) are not read. Requirements of extras are not checked.
    """
    index, manifest = state.name, state.manifest
    task = "publish" if project.indexes[index].production else "publish-test"
    for package in manifest.packages:
        first = min(manifest.files_of(package), key=lambda file: file.kind == "sdist").filename
        is_readable = file_hashes.is_file_inside(directory, directory / first) and first not in invalid_files
        if state.hashes[package] or not is_readable:
            continue
        for requirement in _sibling_requirements(directory / first, package, project):
            name = normalize_name(requirement.name)
            in_run = name in manifest.packages
            if in_run and requirement.specifier.contains(manifest.version(name), prereleases=True):
                continue
            public = _public_versions(name, index, project)
            if any(True for _ in requirement.specifier.filter(public)):
                continue
            versions = join_names(map(str, sorted(public, reverse=True)))
            reason = f"only {versions} on {index}" if public else f"{name} is not on {index}"
            if in_run:
                reason += f", and this run publishes {manifest.version(name)}"
            command = fixes.task_command(task, "--index", index)
            fix = f"publish both in one run: {command} --package {package} --package {name}"
            if project.workspace.by_name[name].is_private:
                fix = f"remove the Private :: classifier of {name}, or the requirement of {package}"
            yield Blocked(
                "requirement-unavailable",
                f"{package} {manifest.version(package)} requires {requirement}, which cannot be installed "
                f"({reason})",
                fix=f"{fix}; to ignore it: --allow-mismatch",
            )


def _sibling_requirements(path: Path, package: str, project: Project) -> Iterator[Requirement]:
    """Yield the requirements of an archive on other packages of the workspace."""
    for text in archives.read(path).requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # reported by the checks of archives
            continue
        name = normalize_name(requirement.name)
        is_of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if name in project.workspace.by_name and name != package and not (requirement.url or is_of_extra):
            yield requirement


def _public_versions(name: str, index: str, project: Project) -> set[Version]:
    """Return the versions of a sibling that the index lists and that are not yanked.

    Packages on a test index may need siblings of the trusted index. Names are not disclosed to it otherwise, since
    a project of that name there may belong to another owner.
    """
    listings = [project.indexes[index].cached_listing(name)]
    if not project.indexes[index].production:
        listings.append(project.indexes.trusted.fetch_listing(name))
    files = (file for listing in listings if not listing.redirected for file in listing.values())
    return {file.version for file in files if file.version is not None and not file.yanked}
