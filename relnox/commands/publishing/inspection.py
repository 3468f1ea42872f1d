"""What publishing must know: the manifest and its files, what the index has of them, who would upload."""

from __future__ import annotations

from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from relnox import core, network
from relnox.commands import attesting, consistency
from relnox.commands.publishing import locking, resolving
from relnox.commands.verify_install import public_part, read_release
from relnox.core import fixes
from relnox.errors import Blocked, ExitCode, RelnoxError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from packaging.version import Version

    from relnox.building.checks import Finding
    from relnox.commands.attesting import Attesting
    from relnox.commands.project import Project
    from relnox.core.config import Config
    from relnox.core.manifest import Distribution, Manifest
    from relnox.core.plan import Problem
    from relnox.indexes.client import Listing

__all__ = ["Snapshot", "chosen", "look"]


_CLOSED = ("archived", "quarantined")


class Snapshot(NamedTuple):
    """What publishing must know.

    Attributes:
        now: The time, with its zone.
        target: The index it goes to.
        manifest: What was built, private packages left out.
        private: Packages of the manifest that stay at home.
        listed: SHA-256 by name of those of the manifest's files that the index lists, for each package.
        present: SHA-256 by file name of the manifest's files on disk; a missing file is missing here.
        host: Where files are sent.
        production: Whether that is for good.
        credentials: Where the credentials were found, or the refusal that there are none.
        minted: Whether the index mints a token for each project (Trusted Publishing).
        unfit: What the public index would refuse of the files, where that is where they go.
        begun: When the first file of a version came to the production index, for each package that has one there.
        closed: What the index has archived or put into quarantine of packages with files to send (PEP 792).
        strangers: What versions the index has of packages, where none of them is known here.
        remarks: What a reader should know: of variables that do not count, of files that are yanked.
        skipped: Why nothing is published, where the settings say that this is no failure.
        attesting: Whether files go with attestations.
        mismatches: Where tag, version, commit and manifest contradict one another.
        unmet: Requirements of packages that users could not install.
    """

    now: datetime
    target: str
    manifest: Manifest
    private: tuple[str, ...]
    listed: Mapping[str, Mapping[str, str]]
    present: Mapping[str, str]
    host: str
    production: bool
    credentials: str | Problem
    minted: bool = False
    unfit: tuple[Finding, ...] = ()
    begun: Mapping[str, datetime] = MappingProxyType({})
    closed: Mapping[str, Listing] = MappingProxyType({})
    strangers: Mapping[str, tuple[Version, ...]] = MappingProxyType({})
    remarks: tuple[str, ...] = ()
    skipped: str | None = None
    attesting: Attesting = attesting.NOTHING
    mismatches: tuple[Problem, ...] = ()
    unmet: tuple[Problem, ...] = ()

    @property
    def public(self) -> tuple[str, ...]:
        """Names of the files that the index lists with our hashes."""
        return tuple(
            file.filename
            for file in self.manifest.distributions
            if self.listed.get(file.package, {}).get(file.filename) == file.sha256
        )

    @property
    def missing(self) -> tuple[Distribution, ...]:
        """The files that the index does not list."""
        return tuple(
            file for file in self.manifest.distributions if file.filename not in self.listed.get(file.package, {})
        )


def look(  # noqa: PLR0913 - what both are asked for
    index: str,
    dist: str,
    names: tuple[str, ...],
    project: Project,
    attestations: str,
    *,
    as_public: bool = False,
    check_requirements: bool = True,
    lock: bool = False,
) -> Snapshot:
    """What `publish` and `publish-test` both must know.

    Args:
        index: Where to.
        dist: The folder with the manifest.
        names: The packages that were asked for; none for all.
        project: The project.
        attestations: The policy that was asked for.
        as_public: Whether an index that takes more is to be treated like the public one.
        check_requirements: Whether indexes are asked for what packages require.
        lock: Whether other processes on this machine have to wait until the project is closed.
    """
    from relnox.indexes.targets import EMBEDDED

    target = project.indexes.target(index)
    manifest, private = chosen(dist, names, project)
    if lock and index != EMBEDDED:
        locking.lock_projects(target.upload_url, index, manifest.packages, project)
    listed = _listed(index, manifest, project)
    with _telling_what_is_public(index, manifest, listed):
        return _look(
            index,
            dist,
            project,
            attestations,
            manifest=manifest,
            private=private,
            listed=listed,
            as_public=as_public,
            check_requirements=check_requirements,
        )


def _listed(index: str, manifest: Manifest, project: Project) -> dict[str, dict[str, str]]:
    """SHA-256 by name of those of a manifest's files that an index lists, for each package.

    Raises:
        RelnoxError: The index cannot be read. It may hold files of an earlier run, so that the exit code is none
            of those that say that nothing is public.
    """
    try:
        project.indexes.look(index, manifest.packages)
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
def _telling_what_is_public(
    index: str, manifest: Manifest, listed: Mapping[str, Mapping[str, str]]
) -> Iterator[None]:
    """Give errors the exit code that follows from what is public already, and say what that is."""
    files = manifest.distributions
    public = [file.filename for file in files if listed[file.package].get(file.filename) == file.sha256]
    try:
        yield
    except RelnoxError as error:
        names = [file.filename for file in files]
        core.publication.blocked(error, index, names, public)
        raise


def _look(  # noqa: PLR0913 - what both are asked for
    index: str,
    dist: str,
    project: Project,
    attestations: str,
    *,
    manifest: Manifest,
    private: tuple[str, ...],
    listed: Mapping[str, Mapping[str, str]],
    as_public: bool,
    check_requirements: bool,
) -> Snapshot:
    from relnox.indexes.targets import EMBEDDED, TEST

    target = project.indexes.target(index)
    production = project.indexes.is_production(index)
    snapshot = Snapshot(
        now=network.CLOCK.today(),
        target=index,
        manifest=manifest,
        private=private,
        listed=listed,
        present=_present(project.root / dist, manifest),
        host="" if index == EMBEDDED else target.host,
        production=production,
        credentials="",
        begun=dict(_begun(manifest, index, project)) if production else {},
        remarks=(
            *project.indexes.remarks(index),
            *_warnings(manifest, index, project),
            *_bare_siblings(manifest, project),
        ),
        mismatches=tuple(consistency.check_manifest(manifest, dist, project, production=production)),
    )
    if index != EMBEDDED:
        snapshot = snapshot._replace(strangers=dict(_strangers(snapshot, project)))
    snapshot = snapshot._replace(closed=dict(_closed(snapshot, project)))
    # An index that took more before is asked to be like the public one: what it holds counts for nothing then.
    checked = manifest.distributions if as_public else snapshot.missing
    public = production or as_public or index == TEST
    unfit = list(_findings(project.root / dist, checked, public=public, config=project.config))
    packages = {file.package for file in checked}
    unfit += _missing_extensions(project.root / dist, manifest, packages, project.config)
    snapshot = snapshot._replace(unfit=tuple(unfit))
    if check_requirements and snapshot.missing and index != EMBEDDED:  # the embedded one needs no network
        unmet, remarks = resolving.requirements(snapshot, project, project.root / dist)
        snapshot = snapshot._replace(unmet=unmet, remarks=(*snapshot.remarks, *remarks))
    if snapshot.missing:
        snapshot = _with_credentials(snapshot, index, project)
    return _with_attestations(snapshot, attestations, project, project.root / dist)


def _bare_siblings(manifest: Manifest, project: Project) -> Iterator[str]:
    packages = [package for package in project.workspace.packages if package.name in manifest.packages]
    return core.siblings.unbounded_siblings(packages, project.workspace, project.config)


def chosen(dist: str, names: tuple[str, ...], project: Project) -> tuple[Manifest, tuple[str, ...]]:
    """What is to be published of what was built, and the packages of it that stay at home."""
    packages = frozenset(package.name for package in project.workspace.select(names))
    manifest = read_release(project.root, dist, packages)
    if manifest.missing and not packages:
        part = " ".join(f"--package {name}" for name in manifest.packages)
        where = f"{dist}/{core.manifest.MANIFEST_JSON}"
        raise Blocked(
            "todo",
            f"{where} is not complete: {', '.join(manifest.missing)} could not be built",
            fix=f"build them: {fixes.command('build-all')}; or publish the others alone: {part}",
        )
    return public_part(manifest.only(packages or frozenset(manifest.packages)), project)


def _present(folder: Path, manifest: Manifest) -> dict[str, str]:
    from relnox.building.archives import digests, is_in

    paths = [folder / file.filename for file in manifest.distributions]
    return {path.name: digests(path).sha256 for path in paths if is_in(folder, path)}


def _findings(folder: Path, files: Iterable[Distribution], *, public: bool, config: Config) -> Iterator[Finding]:
    """What is wrong with those of the files that are there: they may come from elsewhere."""
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
    """Wheels to send that lack the native modules which the source distribution beside them declares."""
    from relnox.building import archives, checks

    for package in sorted(packages):
        if not config.has_optional_extensions(package):
            paths = [folder / file.filename for file in manifest.files_of(package)]
            there = [path for path in paths if archives.is_in(folder, path)]
            yield from checks.extension_errors(there, config.archives)


def _with_credentials(snapshot: Snapshot, index: str, project: Project) -> Snapshot:
    from relnox.indexes.credentials import NoCredentials

    try:
        found = project.indexes.credentials(index)
        return snapshot._replace(credentials=found.origin, minted=found.trusted)
    except Blocked as error:
        nobody = isinstance(error, NoCredentials) and project.config.on_missing_credentials == "skip"
        partly = any(snapshot.listed.values())
        if nobody and not partly:
            first, *looked = error.message.splitlines()
            skipped = f"nothing is published, since {first.rstrip(':')}"
            remark = "\n".join(["this is where they were looked for:", *looked])
            return snapshot._replace(skipped=skipped, remarks=(*snapshot.remarks, remark))
        exit_code = ExitCode.PARTLY_PUBLIC if nobody else error.exit_code
        refusal = core.plan.Problem(code="todo", message=error.message, fix=error.fix or "", exit_code=exit_code)
        return snapshot._replace(credentials=refusal)


def _with_attestations(snapshot: Snapshot, choice: str, project: Project, folder: Path) -> Snapshot:
    if isinstance(snapshot.credentials, core.plan.Problem) or snapshot.skipped is not None:
        return snapshot
    public = {
        package: [file.filename for file in snapshot.manifest.files_of(package) if file.filename in listed]
        for package, listed in snapshot.listed.items()
    }
    missing = snapshot.missing
    return snapshot._replace(
        attesting=attesting.look(choice, snapshot.target, missing, public, project=project, folder=folder)
    )


def _warnings(manifest: Manifest, index: str, project: Project) -> Iterator[str]:
    """What the index says against files that it has (PEP 592), and of projects that take files (PEP 792)."""
    for package in manifest.packages:
        listing, files = project.indexes.seen(index, package), manifest.files_of(package)
        for file in files:
            if file.filename in listing and listing[file.filename].yanked:
                yield f"{index} lists {file.filename} as yanked: installers pass it over"
        missing = any(file.filename not in listing for file in files)
        if listing.status != "active" and not (missing and listing.status in _CLOSED):
            yield f"{index} has {package} as {listing.status}{f': {listing.reason}' if listing.reason else ''}"


def _closed(snapshot: Snapshot, project: Project) -> Iterator[tuple[str, Listing]]:
    """Packages that the index takes no files for, whoever sends them."""
    for package in dict.fromkeys(file.package for file in snapshot.missing):
        listing = project.indexes.seen(snapshot.target, package)
        if listing.status in _CLOSED:
            yield package, listing


def _strangers(snapshot: Snapshot, project: Project) -> Iterator[tuple[str, tuple[Version, ...]]]:
    """Packages whose names may be somebody else's on the index, with the versions that it has of them.

    No index tells whose a project is. It is ours if one of its files is, or if a version of it is tagged here.
    """
    for package in dict.fromkeys(file.package for file in snapshot.missing):
        built = {file.sha256 for file in snapshot.manifest.files_of(package)}
        there = project.indexes.seen(snapshot.target, package).values()
        versions = {file.version for file in there if file.version is not None}
        if versions and built.isdisjoint(file.sha256 for file in there):
            tagged = _tagged(package, project)
            if tagged is not None and versions.isdisjoint(tagged):
                yield package, tuple(sorted(versions))


def _tagged(package: str, project: Project) -> set[Version] | None:
    """The versions of a package that are tagged here; None where the tags cannot be known."""
    if project.state is None or project.state.shallow:
        return None
    try:
        return {version for _, version in project.tag_formats[package].matches(project.state.tags)}
    except Blocked:  # the settings are such that nobody can read the tags, which publishing does not need
        return None


def _begun(manifest: Manifest, index: str, project: Project) -> Iterator[tuple[str, datetime]]:
    """When the first file of each package's version came to an index, as far as the index tells it."""
    for package in manifest.packages:
        version = manifest.version(package)
        times = [
            listed.upload_time
            for listed in project.indexes.seen(index, package).values()
            if listed.upload_time is not None and listed.version == version
        ]
        if times:
            yield package, min(times)
