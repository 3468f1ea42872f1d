"""Reading the state before publishing: the manifest and its files, the index, and the credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.publish import attesting, index_state, requirement_checks
from relnox.commands.shared import archive_checks, consistency, hooks
from relnox.commands.shared.manifests import read_public_part
from relnox.errors import Blocked, ExitCode, RelnoxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from packaging.version import Version

    from relnox.building.findings import Finding
    from relnox.commands.options import PublishingOptions
    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.publish.index_state import IndexState
    from relnox.commands.shared.hooks import Hooks
    from relnox.commands.shared.project import Project
    from relnox.core.problems import Problem
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.core.settings.config import Config
    from relnox.indexes.listings import Listing


class CredentialSearch(NamedTuple):
    """What the search for the credentials of an index found, without their values.

    Attributes:
        origin: Where the credentials were found, or the problem if there are none; empty if nothing is uploaded.
        uses_oidc: Whether the index issues a token for each project (Trusted Publishing).
        skip_reason: Why nothing is published, if the settings allow that for missing credentials; otherwise None.
        warnings: Warnings that name the places that were searched, if nothing is published.
    """

    origin: str | Problem = ""
    uses_oidc: bool = False
    skip_reason: str | None = None
    warnings: tuple[str, ...] = ()


class Snapshot(NamedTuple):
    """What publishing is planned from: the release, the state of the index, and the credentials.

    Attributes:
        now: The current time, with a time zone.
        state: The index, the manifest without private packages, and its files on the index.
        private: The names of private packages in the manifest, which are not published.
        local_hashes: Maps the name of each file of the manifest that exists on disk to its SHA-256.
        host: The host name of the index; empty for the embedded index.
        production: Whether the index is a production index.
        allows_dev: Whether `[tool.relnox.targets]` selects this index for development versions.
        credentials: The credentials for the index.
        violations: The errors found in the archives, by the rules of the index.
        first_uploads: Maps each package to the upload time of the first file of the version to publish; empty
            unless the index is a production index.
        frozen_projects: Maps each archived or quarantined project with files to upload to its listing (PEP 792).
        unowned_projects: Maps each project that may belong to another account to its versions on the index.
        warnings: Warnings about versions, settings, credentials, requirements and listings.
        attestations: How attestations are handled.
        mismatches: Contradictions between the tag, the versions, the commit and the manifest, and
            requirements on siblings that users could not install.
        hooks: The project's hooks.
        unreleased_commit: Problems with the commit of the build: on no release branch, and without a release tag.
    """

    now: datetime
    state: IndexState
    private: tuple[str, ...]
    local_hashes: Mapping[str, str]
    host: str
    production: bool
    allows_dev: bool
    credentials: CredentialSearch
    violations: tuple[Finding, ...]
    first_uploads: Mapping[str, datetime]
    frozen_projects: Mapping[str, Listing]
    unowned_projects: Mapping[str, tuple[Version, ...]]
    warnings: tuple[str, ...]
    attestations: AttestationPlan
    mismatches: tuple[Problem, ...]
    hooks: Hooks
    unreleased_commit: tuple[Problem, ...] = ()


def read_snapshot(
    index: str,
    options: PublishingOptions,
    project: Project,
    *,
    pypi_rules: bool = False,
    clear: bool = False,
) -> Snapshot:
    """Return the snapshot that `publish` or `publish-test` plans from.

    Args:
        index: The name of the index.
        options: The options of the task.
        project: The project.
        pypi_rules: Whether to enforce the rules of PyPI, including on files that the index already has.
        clear: Whether the plan empties the index first, unless it holds exactly the files to publish.

    Raises:
        RelnoxError: The release cannot be read, or the index does not answer.
    """
    project.indexes.target(index)  # an unknown index is reported first
    package_names = consistency.selected_packages(options, options.package, project)
    manifest, private = read_public_part(options.dist, package_names, project)
    files = {file.filename: file.sha256 for file in manifest.distributions}
    will_be_cleared = clear and not project.indexes.embedded.store.holds_only(files)
    insisted = frozenset(manifest.packages if clear or package_names else ())
    state = index_state.read_index(index, manifest, project, insisted=insisted, will_be_cleared=will_be_cleared)
    try:
        return _inspect_projects(state, private, options, project, pypi_rules=pypi_rules)
    except RelnoxError as error:
        names = [file.filename for file in state.manifest.distributions]
        core.publication.add_public_files(error, index, names, state.public)
        raise


def _inspect_projects(
    state: IndexState,
    private: tuple[str, ...],
    options: PublishingOptions,
    project: Project,
    *,
    pypi_rules: bool,
) -> Snapshot:
    """Check the files and their requirements, find credentials, and decide on attestations."""
    from relnox.indexes.targets import EMBEDDED, TEST
    from relnox.system import network

    index, manifest, missing = state.name, state.manifest, state.missing
    is_embedded, production = index == EMBEDDED, project.indexes.is_production(index)
    directory = project.root / options.dist
    checked_files = manifest.distributions if pypi_rules else missing
    local_hashes = _local_hashes(directory, manifest)
    built = {file.filename: file.sha256 for file in manifest.distributions}
    unchanged = {name: directory / name for name, sha256 in local_hashes.items() if sha256 == built[name]}
    public = production or pypi_rules or index == TEST
    violations = tuple(_find_archive_errors(checked_files, manifest, unchanged, project.config, public=public))
    invalid_files = {violation.file for violation in violations}
    unavailable: Iterable[Problem] = ()
    if missing and options.check_requirements and not is_embedded:  # the embedded index must need no network
        unavailable = requirement_checks.unavailable_sibling_problems(
            state, project, directory, invalid_files=invalid_files
        )
    credentials = _find_credentials(state, project) if missing else CredentialSearch()
    can_upload = isinstance(credentials.origin, str) and credentials.skip_reason is None
    versions = consistency.compare_versions(options, project, manifest.packages, manifest)
    mismatches = consistency.check_manifest(manifest, options.dist, project, versions.tag, production=production)
    packages = [package for package in project.workspace.packages if package.name in manifest.packages]
    return Snapshot(
        now=network.deadlines.CLOCK.today(),
        state=state,
        private=private,
        local_hashes=local_hashes,
        host="" if is_embedded else project.indexes.target(index).host,
        production=production,
        allows_dev=project.config.targets.get("dev") == index,
        credentials=credentials,
        violations=violations,
        first_uploads=dict(index_state.first_uploads(state, project)) if production else {},
        frozen_projects=dict(index_state.frozen_projects(state, project)),
        unowned_projects={} if is_embedded else dict(index_state.unowned_projects(state, project)),
        warnings=(
            *versions.notes,
            *project.indexes.warnings(index),
            *index_state.listing_warnings(state, project),
            *core.siblings.unbounded_sibling_warnings(packages, project.workspace, project.config),
            *credentials.warnings,
        ),
        attestations=(
            attesting.plan_attestations(options, state, project) if can_upload else attesting.NO_ATTESTATIONS
        ),
        mismatches=(*versions.problems, *mismatches, *unavailable),
        hooks=hooks.read_hooks(project),
    )


def _find_archive_errors(
    files: Sequence[Distribution],
    manifest: Manifest,
    unchanged_files: Mapping[str, Path],
    config: Config,
    *,
    public: bool,
) -> Iterator[Finding]:
    """Yield the errors found in the files that have not changed since the build, whose paths are given."""

    def existing(files: Iterable[Distribution]) -> Iterator[tuple[str, Path]]:
        return (
            (file.package, unchanged_files[file.filename]) for file in files if file.filename in unchanged_files
        )

    for _, finding in archive_checks.archive_errors(existing(files), config, public=public):
        yield finding
    packages = {file.package for file in files}
    all_files = (file for package in sorted(packages) for file in manifest.files_of(package))
    for _, finding in archive_checks.extension_errors(existing(all_files), config):
        yield finding


def _local_hashes(directory: Path, manifest: Manifest) -> dict[str, str]:
    """Map the name of each file of the manifest that exists in the directory to its SHA-256."""
    from relnox.building.file_hashes import hash_file, is_file_inside

    paths = [directory / file.filename for file in manifest.distributions]
    return {path.name: hash_file(path).sha256 for path in paths if is_file_inside(directory, path)}


def _find_credentials(state: IndexState, project: Project) -> CredentialSearch:
    """Find the credentials for an index; without any, return the problem or the reason to publish nothing."""
    from relnox.indexes.credentials import CredentialsNotFound

    try:
        credentials = project.indexes.credentials(state.name)
        return CredentialSearch(credentials.origin, credentials.uses_oidc)
    except Blocked as error:
        may_skip = isinstance(error, CredentialsNotFound) and project.config.on_missing_credentials == "skip"
        if may_skip and not any(state.hashes.values()):
            first, *reasons = error.message.splitlines()
            return CredentialSearch(
                skip_reason=f"nothing is published ({first.rstrip(':')})",
                warnings=("\n".join(["credentials were searched for in:", *reasons]),),
            )
        return CredentialSearch(
            core.problems.Problem.from_error(error, ExitCode.PARTLY_PUBLIC if may_skip else None)
        )
