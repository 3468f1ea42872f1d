"""Inspection before publishing: the manifest and its files, the index, and the credentials."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.publish import attesting, locking, resolving
from relnox.commands.shared import consistency
from relnox.commands.shared.manifests import public_part, read_release
from relnox.core.planning import fixes
from relnox.errors import Blocked, ExitCode, RelnoxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from packaging.version import Version

    from relnox.building.checks import Finding
    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Problem
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.core.settings.config import Config
    from relnox.indexes.client import Listing

__all__ = ["Snapshot", "inspect", "read_manifest"]


_FROZEN = ("archived", "quarantined")


class Snapshot(NamedTuple):
    """The release, the state of the index, and the credentials.

    Attributes:
        now: The time, with its zone.
        target: Name of the index.
        manifest: The manifest without private packages.
        private: Packages of the manifest that are not published.
        index_hashes: SHA-256 by name of the manifest's files that the index lists, for each package.
        local_hashes: SHA-256 by name of the manifest's files on disk.
        host: Host of the index.
        production: Whether it is a production index.
        credentials: Where the credentials were found, or the problem that there are none.
        uses_oidc: Whether the index issues a token for each project (Trusted Publishing).
        violations: Problems of archives, by the rules of the index.
        first_uploads: Time of the first file of each package's version on a production index.
        frozen_projects: Listings of archived or quarantined projects with missing files (PEP 792).
        unowned_projects: Versions on the index of projects that may belong to another account.
        warnings: Such as ignored variables and yanked files.
        skip_reason: Why nothing is published, if the settings allow that.
        attestations: How attestations are handled.
        mismatches: Contradictions between tag, version, commit and manifest.
        unavailable: Requirements that users could not install.
    """

    now: datetime
    target: str
    manifest: Manifest
    private: tuple[str, ...]
    index_hashes: Mapping[str, Mapping[str, str]]
    local_hashes: Mapping[str, str]
    host: str
    production: bool
    credentials: str | Problem
    uses_oidc: bool = False
    violations: tuple[Finding, ...] = ()
    first_uploads: Mapping[str, datetime] = MappingProxyType({})
    frozen_projects: Mapping[str, Listing] = MappingProxyType({})
    unowned_projects: Mapping[str, tuple[Version, ...]] = MappingProxyType({})
    warnings: tuple[str, ...] = ()
    skip_reason: str | None = None
    attestations: AttestationPlan = attesting.NO_ATTESTATIONS
    mismatches: tuple[Problem, ...] = ()
    unavailable: tuple[Problem, ...] = ()

    @property
    def public(self) -> tuple[str, ...]:
        """Names of the files that the index lists with the hashes of the manifest."""
        return tuple(
            file.filename
            for file in self.manifest.distributions
            if self.index_hashes.get(file.package, {}).get(file.filename) == file.sha256
        )

    @property
    def missing(self) -> tuple[Distribution, ...]:
        """The files that the index does not list."""
        return tuple(
            file
            for file in self.manifest.distributions
            if file.filename not in self.index_hashes.get(file.package, {})
        )


def inspect(  # noqa: PLR0913 - options of both commands
    index: str,
    dist: str,
    names: tuple[str, ...],
    project: Project,
    attestations: str,
    *,
    pypi_rules: bool = False,
    check_requirements: bool = True,
    lock: bool = False,
    will_be_cleared: bool = False,
) -> Snapshot:
    """Inspect a release and its index, for `publish` and `publish-test`.

    Args:
        index: Name of the index.
        dist: The folder with the manifest.
        names: Names of the packages to publish; empty for all.
        project: The project.
        attestations: The value of `--attestations`.
        pypi_rules: Whether to enforce the rules of PyPI.
        check_requirements: Whether to check that requirements are available.
        lock: Whether to lock the projects against other processes on this machine.
        will_be_cleared: Whether the plan empties the index first, so that its present files do not count.
    """
    from relnox.indexes.targets import EMBEDDED

    target = project.indexes.target(index)
    manifest, private = read_manifest(dist, names, project)
    if lock and index != EMBEDDED:
        locking.lock_projects(target.upload_url, index, manifest.packages, project)
    index_hashes = _index_hashes(index, manifest, project)
    if will_be_cleared:
        index_hashes = {package: {} for package in index_hashes}
    with _add_public_files(index, manifest, index_hashes):
        return _inspect(
            index,
            dist,
            project,
            attestations,
            manifest=manifest,
            private=private,
            index_hashes=index_hashes,
            pypi_rules=pypi_rules,
            check_requirements=check_requirements,
        )


def _index_hashes(index: str, manifest: Manifest, project: Project) -> dict[str, dict[str, str]]:
    """Return SHA-256 by name of the manifest's files that an index lists, for each package.

    Raises:
        RelnoxError: The index cannot be read. It may have files of an earlier run, so the exit code is not one of
            those for "nothing is public".
    """
    try:
        project.indexes.fetch_listings(index, manifest.packages)
        return {
            name: project.indexes.hashes(
                index, name, [file.filename for file in manifest.files_of(name)], refresh=False
            )
            for name in manifest.packages
        }
    except RelnoxError as error:
        if error.exit_code in (ExitCode.BLOCKED, ExitCode.FAILED):
            error.exit_code = ExitCode.TRY_LATER
        raise


@contextmanager
def _add_public_files(
    index: str, manifest: Manifest, index_hashes: Mapping[str, Mapping[str, str]]
) -> Iterator[None]:
    """Add the files that are already public to errors."""
    files = manifest.distributions
    public = [file.filename for file in files if index_hashes[file.package].get(file.filename) == file.sha256]
    try:
        yield
    except RelnoxError as error:
        names = [file.filename for file in files]
        core.publication.add_public_files(error, index, names, public)
        raise


def _inspect(  # noqa: PLR0913 - options of both commands
    index: str,
    dist: str,
    project: Project,
    attestations: str,
    *,
    manifest: Manifest,
    private: tuple[str, ...],
    index_hashes: Mapping[str, Mapping[str, str]],
    pypi_rules: bool,
    check_requirements: bool,
) -> Snapshot:
    from relnox import network
    from relnox.indexes.targets import EMBEDDED, TEST

    target = project.indexes.target(index)
    production = project.indexes.is_production(index)
    snapshot = Snapshot(
        now=network.CLOCK.today(),
        target=index,
        manifest=manifest,
        private=private,
        index_hashes=index_hashes,
        local_hashes=_local_hashes(project.root / dist, manifest),
        host="" if index == EMBEDDED else target.host,
        production=production,
        credentials="",
        first_uploads=dict(_first_uploads(manifest, index, project)) if production else {},
        warnings=(
            *project.indexes.warnings(index),
            *_listing_warnings(manifest, index, project),
            *_unbounded_siblings(manifest, project),
        ),
        mismatches=tuple(consistency.check_manifest(manifest, dist, project, production=production)),
    )
    if index != EMBEDDED:
        snapshot = snapshot._replace(unowned_projects=dict(_unowned_projects(snapshot, project)))
    snapshot = snapshot._replace(frozen_projects=dict(_frozen_projects(snapshot, project)))
    # With --as-public, files that the index accepted without PyPI's rules are checked, too.
    checked = manifest.distributions if pypi_rules else snapshot.missing
    public = production or pypi_rules or index == TEST
    violations = list(_violations(project.root / dist, checked, public=public, config=project.config))
    packages = {file.package for file in checked}
    violations += _missing_extensions(project.root / dist, manifest, packages, project.config)
    snapshot = snapshot._replace(violations=tuple(violations))
    if check_requirements and snapshot.missing and index != EMBEDDED:  # the embedded index must need no network
        unavailable, warnings = resolving.requirements(snapshot, project, project.root / dist)
        snapshot = snapshot._replace(unavailable=unavailable, warnings=(*snapshot.warnings, *warnings))
    if snapshot.missing:
        snapshot = _with_credentials(snapshot, index, project)
    return _with_attestations(snapshot, attestations, project, project.root / dist)


def _unbounded_siblings(manifest: Manifest, project: Project) -> Iterator[str]:
    packages = [package for package in project.workspace.packages if package.name in manifest.packages]
    return core.siblings.unbounded_siblings(packages, project.workspace, project.config)


def read_manifest(dist: str, names: tuple[str, ...], project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """Return the manifest of the selected public packages, and the names of private ones."""
    packages = frozenset(package.name for package in project.workspace.select(names))
    manifest = read_release(project.root, dist, packages)
    if manifest.missing and not packages:
        options = " ".join(f"--package {name}" for name in manifest.packages)
        names_missing = ", ".join(manifest.missing)
        raise Blocked(
            "manifest-incomplete",
            f"{dist}/{core.manifest.MANIFEST_JSON} is incomplete ({names_missing} could not be built)",
            fix=f"build them: {fixes.command('build-all')}; or publish only the others: {options}",
        )
    return public_part(manifest.only(packages or frozenset(manifest.packages)), project)


def _local_hashes(folder: Path, manifest: Manifest) -> dict[str, str]:
    from relnox.building.archives import digests, is_in

    paths = [folder / file.filename for file in manifest.distributions]
    return {path.name: digests(path).sha256 for path in paths if is_in(folder, path)}


def _violations(folder: Path, files: Iterable[Distribution], *, public: bool, config: Config) -> Iterator[Finding]:
    """Check the archives on disk, which may not have been built by relnox."""
    from relnox.building import archives, checks

    for file in files:
        if archives.is_in(folder, path := folder / file.filename):
            yield from checks.errors(
                path,
                public=public,
                limits=config.archives,
                may_be_empty=config.is_metadata_only(file.package),
                optional_extensions=config.has_optional_extensions(file.package),
            )


def _missing_extensions(
    folder: Path, manifest: Manifest, packages: Iterable[str], config: Config
) -> Iterator[Finding]:
    """Find wheels without the extension modules that their source distribution declares."""
    from relnox.building import archives, checks

    for package in sorted(packages):
        if not config.has_optional_extensions(package):
            paths = [folder / file.filename for file in manifest.files_of(package)]
            existing = [path for path in paths if archives.is_in(folder, path)]
            yield from checks.extension_errors(existing, config.archives)


def _with_credentials(snapshot: Snapshot, index: str, project: Project) -> Snapshot:
    from relnox.indexes.credentials import CredentialsNotFound

    try:
        credentials = project.indexes.credentials(index)
        return snapshot._replace(credentials=credentials.origin, uses_oidc=credentials.uses_oidc)
    except Blocked as error:
        may_skip = isinstance(error, CredentialsNotFound) and project.config.on_missing_credentials == "skip"
        is_partly_public = any(snapshot.index_hashes.values())
        if may_skip and not is_partly_public:
            first, *reasons = error.message.splitlines()
            skip_reason = f"nothing is published ({first.rstrip(':')})"
            warning = "\n".join(["credentials were searched for in:", *reasons])
            return snapshot._replace(skip_reason=skip_reason, warnings=(*snapshot.warnings, warning))
        exit_code = ExitCode.PARTLY_PUBLIC if may_skip else error.exit_code
        problem = core.plan.Problem(
            code=error.code, message=error.message, fix=error.fix or "", exit_code=exit_code
        )
        return snapshot._replace(credentials=problem)


def _with_attestations(snapshot: Snapshot, choice: str, project: Project, folder: Path) -> Snapshot:
    if isinstance(snapshot.credentials, core.plan.Problem) or snapshot.skip_reason is not None:
        return snapshot
    public = {
        package: [file.filename for file in snapshot.manifest.files_of(package) if file.filename in hashes]
        for package, hashes in snapshot.index_hashes.items()
    }
    attestations = attesting.plan_attestations(
        choice, snapshot.target, snapshot.missing, public, project=project, folder=folder
    )
    return snapshot._replace(attestations=attestations)


def _listing_warnings(manifest: Manifest, index: str, project: Project) -> Iterator[str]:
    """Yield warnings about yanked files (PEP 592), and about the status of projects (PEP 792)."""
    for package in manifest.packages:
        listing, files = project.indexes.cached_listing(index, package), manifest.files_of(package)
        for file in files:
            if file.filename in listing and listing[file.filename].yanked:
                yield f"{file.filename} is yanked on {index}: installers ignore it"
        is_incomplete = any(file.filename not in listing for file in files)
        if listing.status != "active" and not (is_incomplete and listing.status in _FROZEN):
            reason = f": {listing.reason}" if listing.reason else ""
            yield f"project {package} is {listing.status} on {index}{reason}"


def _frozen_projects(snapshot: Snapshot, project: Project) -> Iterator[tuple[str, Listing]]:
    for package in dict.fromkeys(file.package for file in snapshot.missing):
        listing = project.indexes.cached_listing(snapshot.target, package)
        if listing.status in _FROZEN:
            yield package, listing


def _unowned_projects(snapshot: Snapshot, project: Project) -> Iterator[tuple[str, tuple[Version, ...]]]:
    """Yield the projects that may belong to another account, with their versions on the index.

    Indexes do not publish who may upload. A project is taken for ours if the index has one of the built files, or
    if one of its versions is tagged in this repository.
    """
    for package in dict.fromkeys(file.package for file in snapshot.missing):
        built = {file.sha256 for file in snapshot.manifest.files_of(package)}
        index_files = project.indexes.cached_listing(snapshot.target, package).values()
        versions = {file.version for file in index_files if file.version is not None}
        if versions and built.isdisjoint(file.sha256 for file in index_files):
            tagged = _tagged_versions(package, project)
            if tagged is not None and versions.isdisjoint(tagged):
                yield package, tuple(sorted(versions))


def _tagged_versions(package: str, project: Project) -> set[Version] | None:
    """Return the tagged versions of a package; None if the tags are incomplete or cannot be parsed."""
    if project.state is None or project.state.shallow:
        return None
    try:
        return {version for _, version in project.tag_formats[package].matches(project.state.tags)}
    except Blocked:  # invalid settings of tag formats, which publishing does not need
        return None


def _first_uploads(manifest: Manifest, index: str, project: Project) -> Iterator[tuple[str, datetime]]:
    """Yield the time of the first file of each package's version, if the index lists upload times."""
    for package in manifest.packages:
        version = manifest.version(package)
        times = [
            file.upload_time
            for file in project.indexes.cached_listing(index, package).values()
            if file.upload_time is not None and file.version == version
        ]
        if times:
            yield package, min(times)
