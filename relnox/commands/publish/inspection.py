"""Reading the state before publishing: the manifest and its files, the index, and the credentials."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.publish import attesting, index_state, locking, requirement_checks
from relnox.commands.publish.snapshot import Snapshot
from relnox.commands.shared import archive_checks, consistency, hooks, release_versions
from relnox.commands.shared.manifests import read_public_part
from relnox.errors import Blocked, ExitCode, RelnoxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.building.checks import Finding
    from relnox.commands.publish.attesting import AttestationPlan
    from relnox.commands.publish.index_state import IndexState
    from relnox.commands.publish.options import PublishingOptions
    from relnox.commands.shared.hooks import Hooks
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Problem
    from relnox.core.release.manifest import Distribution, Manifest
    from relnox.core.settings.config import Config


def read_snapshot(
    index: str,
    options: PublishingOptions,
    project: Project,
    *,
    pypi_rules: bool = False,
    will_be_cleared: bool = False,
) -> Snapshot:
    """Return the snapshot that `publish` or `publish-test` plans from, and lock its projects unless for a dry run.

    Args:
        index: The name of the index.
        options: The options of the task.
        project: The project.
        pypi_rules: Whether to enforce the rules of PyPI, including on files that the index already has.
        will_be_cleared: Whether the plan empties the index first, so that all its present files are ignored.

    Raises:
        RelnoxError: The release cannot be read, the index does not answer, or another process publishes it.
    """
    from relnox.indexes.targets import EMBEDDED

    target = project.indexes.target(index)
    project_hooks = hooks.read_hooks(project)  # before the lock, which the process that started a hook holds
    rehearsal = not project.indexes.is_production(index)
    project_hooks.check_not_recursive(("before-publish", "after-publish"), "publish", rehearsal=rehearsal)
    selected = release_versions.select_tagged(options, project).package
    manifest, private = read_public_part(options.dist, selected, project)
    if index != EMBEDDED and not options.dry_run:
        locking.lock_projects(target.upload_url, index, manifest.packages, project)
    state = index_state.read_index(index, manifest, project, will_be_cleared=will_be_cleared)
    with _add_public_files(state):
        return _read_snapshot(state, private, options, project, project_hooks, pypi_rules=pypi_rules)


@contextmanager
def _add_public_files(state: IndexState) -> Iterator[None]:
    """Add the names of files that are already public to errors raised in the context."""
    try:
        yield
    except RelnoxError as error:
        names = [file.filename for file in state.manifest.distributions]
        core.publication.add_public_files(error, state.name, names, state.public)
        raise


def _read_snapshot(  # noqa: PLR0913 - what a snapshot is made from
    state: IndexState,
    private: tuple[str, ...],
    options: PublishingOptions,
    project: Project,
    project_hooks: Hooks,
    *,
    pypi_rules: bool,
) -> Snapshot:
    """Return the snapshot: check the files and their requirements, find credentials, and decide on attestations.

    Args:
        state: The release and its files on the index.
        private: The names of packages that are not published.
        options: The options of the task.
        project: The project.
        project_hooks: The project's hooks.
        pypi_rules: Whether to enforce the rules of PyPI, including on files that the index already has.
    """
    from relnox.indexes.targets import EMBEDDED, TEST
    from relnox.system import network

    index, manifest, missing = state.name, state.manifest, state.missing
    is_embedded, production = index == EMBEDDED, project.indexes.is_production(index)
    folder = project.root / options.dist
    checked_files = manifest.distributions if pypi_rules else missing
    local_hashes = _local_hashes(folder, manifest)
    built = {file.filename: file.sha256 for file in manifest.distributions}
    unchanged = {name: folder / name for name, sha256 in local_hashes.items() if sha256 == built[name]}
    public = production or pypi_rules or index == TEST
    violations = tuple(_find_archive_errors(checked_files, manifest, unchanged, project.config, public=public))
    requirements = requirement_checks.NOT_CHECKED
    if options.check_requirements and missing and not is_embedded:  # the embedded index must need no network
        invalid_files = {violation.file for violation in violations}
        requirements = requirement_checks.check_requirements(state, project, folder, invalid_files=invalid_files)
    credentials = _find_credentials(state, project) if missing else _NO_CREDENTIALS
    versions = release_versions.read_versions(options, project, manifest.packages, manifest)
    mismatches = consistency.check_manifest(manifest, options.dist, project, versions.tag, production=production)
    return Snapshot(
        now=network.deadlines.CLOCK.today(),
        target=index,
        manifest=manifest,
        private=private,
        index_hashes=state.hashes,
        public=state.public,
        missing=missing,
        local_hashes=local_hashes,
        host="" if is_embedded else project.indexes.target(index).host,
        production=production,
        allows_dev=project.config.targets.get("dev") == index,
        credentials=credentials.origin,
        uses_oidc=credentials.uses_oidc,
        violations=violations,
        first_uploads=dict(index_state.first_uploads(state, project)) if production else {},
        frozen_projects=dict(index_state.frozen_projects(state, project)),
        unowned_projects={} if is_embedded else dict(index_state.unowned_projects(state, project)),
        warnings=(
            *versions.notes,
            *project.indexes.warnings(index),
            *index_state.listing_warnings(state, project),
            *_unbounded_siblings(manifest, project),
            *requirements.warnings,
            *credentials.warnings,
        ),
        skip_reason=credentials.skip_reason,
        attestations=_plan_attestations(state, credentials, options, project),
        mismatches=(*versions.problems, *mismatches),
        unavailable=requirements.unavailable,
        hooks=project_hooks,
    )


def _find_archive_errors(
    files: Sequence[Distribution],
    manifest: Manifest,
    unchanged: Mapping[str, Path],
    config: Config,
    *,
    public: bool,
) -> Iterator[Finding]:
    """Yield the errors found in archives that exist on disk and have not changed since the build.

    Args:
        files: The files of the manifest to check.
        manifest: The manifest.
        unchanged: Maps the name of each file that exists unchanged to its path.
        config: The project's settings.
        public: Whether the rules of a public index apply.
    """

    def existing(files: Iterable[Distribution]) -> Iterator[tuple[str, Path]]:
        return ((file.package, unchanged[file.filename]) for file in files if file.filename in unchanged)

    for _, finding in archive_checks.archive_errors(existing(files), config, public=public):
        yield finding
    packages = {file.package for file in files}
    all_files = (file for package in sorted(packages) for file in manifest.files_of(package))
    for _, finding in archive_checks.extension_errors(existing(all_files), config):
        yield finding


def _local_hashes(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Map the name of each file of the manifest that exists in the folder to its SHA-256."""
    from relnox.building.file_hashes import hash_file, is_file_inside

    paths = [folder / file.filename for file in manifest.distributions]
    return {path.name: hash_file(path).sha256 for path in paths if is_file_inside(folder, path)}


def _unbounded_siblings(manifest: Manifest, project: Project) -> Iterator[str]:
    """Return notes on packages of the manifest that require other packages of the project in any version."""
    packages = [package for package in project.workspace.packages if package.name in manifest.packages]
    return core.siblings.unbounded_sibling_warnings(packages, project.workspace, project.config)


class _Credentials(NamedTuple):
    """The credentials for an index, without their values.

    Attributes:
        origin: Where the credentials were found, or the problem if there are none; empty if nothing is uploaded.
        uses_oidc: Whether the index issues a token for each project (Trusted Publishing).
        skip_reason: Why nothing is published, if the settings allow that for missing credentials; otherwise None.
        warnings: The places that were searched, if nothing is published.
    """

    origin: str | Problem = ""
    uses_oidc: bool = False
    skip_reason: str | None = None
    warnings: tuple[str, ...] = ()


_NO_CREDENTIALS = _Credentials()


def _find_credentials(state: IndexState, project: Project) -> _Credentials:
    """Find the credentials for an index; without any, return the problem or the reason to publish nothing."""
    from relnox.indexes.credentials import CredentialsNotFound

    try:
        credentials = project.indexes.credentials(state.name)
        return _Credentials(credentials.origin, credentials.uses_oidc)
    except Blocked as error:
        may_skip = isinstance(error, CredentialsNotFound) and project.config.on_missing_credentials == "skip"
        if may_skip and not any(state.hashes.values()):
            first, *reasons = error.message.splitlines()
            return _Credentials(
                skip_reason=f"nothing is published ({first.rstrip(':')})",
                warnings=("\n".join(["credentials were searched for in:", *reasons]),),
            )
        return _Credentials(core.plan.Problem.from_error(error, ExitCode.PARTLY_PUBLIC if may_skip else None))


def _plan_attestations(
    state: IndexState, credentials: _Credentials, options: PublishingOptions, project: Project
) -> AttestationPlan:
    """Decide how this run handles attestations; there are none without credentials."""
    if isinstance(credentials.origin, core.plan.Problem) or credentials.skip_reason is not None:
        return attesting.NO_ATTESTATIONS
    listed_files = {
        package: [file.filename for file in state.manifest.files_of(package) if file.filename in hashes]
        for package, hashes in state.hashes.items()
    }
    return attesting.plan_attestations(
        options.attestations,
        state.name,
        state.missing,
        listed_files,
        project=project,
        folder=project.root / options.dist,
    )
