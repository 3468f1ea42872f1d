"""Publish exactly the manifest's files to the production index, and see that they are there.

Packages go up after those that they need. A file that the index has with our hash is skipped; one that it has
with another hash stops everything before the first byte. The same command finishes what was interrupted.
"""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands import attesting
from relnox.commands.verify_install import private_notes, public_part, read_manifest
from relnox.core.options import CommonOptions, option
from relnox.errors import ExitCode, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.building.checks import Finding
    from relnox.commands.attesting import Attesting
    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.manifest import Distribution, Manifest
    from relnox.core.plan import Plan, Refusal, Table
    from relnox.core.steps import Step

__all__ = ["Options", "Snapshot", "conclude", "look", "notes", "observe", "plan", "publication", "refusals"]

_PATIENCE = 2700
"""Seconds that an index may take to list what it took: caches before one were stale for half an hour and more."""


class Options(CommonOptions):
    """Options of `publish`."""

    index: str | None = option(
        None,
        "The index to publish to; without it what [tool.relnox.targets] says of the release's tag, or else pypi.",
        metavar="NAME",
        anywhere=False,
    )
    package: tuple[str, ...] = option(
        (), "Publish this package only (repeatable).", metavar="NAME", anywhere=False
    )
    dist: str = option("dist", "The folder with the manifest and its files.", metavar="DIR")
    attestations: str = option("auto", attesting.HELP, choices=attesting.CHOICES, metavar="POLICY")
    yes: bool = option(False, "Publish without asking.", anywhere=False)


class Snapshot(NamedTuple):
    """What publishing must know.

    Attributes:
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
        staged: Whether the index takes releases whole (PEP 694).
        begun: When the first file of a version came to the production index, for each package that has one there.
        remarks: What a reader should know of variables that do not count.
        skipped: Why nothing is published, where the settings say that this is no failure.
        attesting: Whether files go with attestations.
    """

    target: str
    manifest: Manifest
    private: tuple[str, ...]
    listed: Mapping[str, Mapping[str, str]]
    present: Mapping[str, str]
    host: str
    production: bool
    credentials: str | Refusal
    minted: bool = False
    unfit: tuple[Finding, ...] = ()
    staged: bool = False
    begun: Mapping[str, datetime] = MappingProxyType({})
    remarks: tuple[str, ...] = ()
    skipped: str | None = None
    attesting: Attesting = attesting.NOTHING

    def publication(self, dist: str) -> Iterator[Step]:
        """The steps that make it public from a folder; see `publication`."""
        missing = dict.fromkeys(file.package for file in _missing(self)) if self.minted else ()
        return publication(
            self.manifest,
            self.target,
            dist,
            staged=self.staged,
            minted=tuple(missing),
            attests=self.attesting,
        )


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifest, hash its files, ask the index what it has, look for credentials."""
    index = options.index or _by_rule(options, project)
    return look(index, options.dist, options.package, project, options.attestations)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Upload what is missing, package after package, and see that it is listed."""
    index = snapshot.target
    steps = tuple(snapshot.publication(options.dist))
    missing = _missing(snapshot)
    consent = None
    if missing and snapshot.production and not options.yes and snapshot.skipped is None:
        listed = ", ".join(f"{name} {snapshot.manifest.version(name)}" for name in snapshot.manifest.packages)
        consent = f"Publish {listed} to {index} ({snapshot.host}), for good?"
    return core.plan.Plan(
        task="publish",
        steps=steps,
        notes=tuple(notes(snapshot, index)),
        refusals=refusals(snapshot, index, options.dist),
        consent=consent,
        continue_on_error=True,
        skipped=snapshot.skipped,
    )


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The steps say it all."""
    del outcome, folder
    return ()


def look(  # noqa: PLR0913 - what both are asked for
    index: str,
    dist: str,
    names: tuple[str, ...],
    project: Project,
    attestations: str,
    *,
    as_public: bool = False,
) -> Snapshot:
    """What `publish` and `publish-test` both must know.

    Args:
        index: Where to.
        dist: The folder with the manifest.
        names: The packages that were asked for; none for all.
        project: The project.
        attestations: The policy that was asked for.
        as_public: Whether an index that takes more is to be treated like the public one.
    """
    from relnox.indexes.targets import TEST

    target = project.indexes.target(index)
    as_public = as_public or target.production or index == TEST
    manifest = read_manifest(project.root, dist)
    chosen = frozenset(package.name for package in project.workspace.select(names)) or frozenset(manifest.packages)
    manifest, private = public_part(manifest.only(chosen), project)
    project.indexes.look(index, manifest.packages)
    listed = {
        name: project.indexes.hashes(index, name, [file.filename for file in manifest.of(name)], anew=False)
        for name in manifest.packages
    }
    snapshot = Snapshot(
        target=index,
        manifest=manifest,
        private=private,
        listed=listed,
        present=_present(project.root / dist, manifest),
        host="" if index == "embedded" else target.host,
        production=target.production,
        credentials="",
        staged=target.staged,
        begun=dict(_begun(manifest, index, project)) if target.production else {},
        remarks=project.indexes.remarks(index),
    )
    if missing := _missing(snapshot):
        if as_public:
            snapshot = snapshot._replace(unfit=tuple(_unfit(project.root / dist, missing)))
        snapshot = _with_credentials(snapshot, index, project)
    return _with_attestations(snapshot, attestations, project, project.root / dist)


def _by_rule(options: Options, project: Project) -> str:
    """The index that the project's rules have for the tags at the commit that was built."""
    from relnox.indexes import targets

    if not project.config.targets:
        return targets.PRODUCTION
    manifest = read_manifest(project.root, options.dist)
    chosen = frozenset(package.name for package in project.workspace.select(options.package))
    manifest, _ = public_part(manifest.only(chosen or frozenset(manifest.packages)), project)
    tags = project.state.tags if project.state is not None else {}
    here = [name for name, commit in tags.items() if commit == manifest.commit]
    return targets.by_rule(
        project.config,
        {
            name: next(
                (
                    (tag, version)
                    for tag, version in project.tag_formats[name].parsed(sorted(here))
                    if version == manifest.version(name)
                ),
                None,
            )
            for name in manifest.packages
        },
    )


def publication(  # noqa: PLR0913 - how a release goes out
    manifest: Manifest,
    index: str,
    dist: str,
    *,
    staged: bool = False,
    minted: Sequence[str] = (),
    attests: Attesting = attesting.NOTHING,
) -> Iterator[Step]:
    """The steps that make a manifest public.

    Before the first file is sent all are signed, where they go with attestations, and there are tokens for all. A
    package waits for those that it needs to be there.

    Args:
        manifest: What is to be public.
        index: Where.
        dist: The folder with the files.
        staged: Whether the index takes a release into a session and makes it public at once (PEP 694).
        minted: The packages that the index mints tokens for (Trusted Publishing).
        attests: Whether files go with attestations.
    """
    yield from attests.signing(index, dist)
    entered: tuple[str, ...] = ()
    if minted:
        login = core.steps.LogIn(index=index, packages=tuple(minted))
        yield login
        entered = (login.key,)
    needs = dict(manifest.needs)
    for package in manifest.packages:
        files = manifest.of(package)
        before = tuple(f"await {name}" for name in needs.get(package, ()) if name in manifest.packages)
        send = _at_once if staged else _one_by_one
        sent = [attests.attached(step) for step in send(files, index, dist, entered, before)]
        yield from sent
        yield core.steps.AwaitIndex(
            index=index,
            package=package,
            version=manifest.version(package),
            files=files,
            patience=_PATIENCE,
            needs=tuple(step.key for step in sent if step.remote),
        )
        yield from attests.proof(index, manifest, package)


def _at_once(
    files: Sequence[Distribution], index: str, dist: str, entered: tuple[str, ...], before: tuple[str, ...]
) -> Iterator[core.steps.UploadToStage | core.steps.PublishStage]:
    """Uploads of one package into a session, and what makes all of them public."""
    staged = [core.steps.UploadToStage(index=index, file=file, folder=dist, needs=entered) for file in files]
    yield from staged
    yield core.steps.PublishStage(
        index=index,
        package=files[0].package,
        version=files[0].version,
        files=tuple(files),
        needs=(*(step.key for step in staged), *before),
    )


def _one_by_one(
    files: Sequence[Distribution], index: str, dist: str, entered: tuple[str, ...], before: tuple[str, ...]
) -> Iterator[core.steps.Upload]:
    """Uploads of one package, each public at once.

    The first goes alone, since it creates the project or the release, and the sdist last: an installer that comes
    in between does not have to build.
    """
    keys: list[str] = []
    for file in sorted(files, key=lambda file: file.kind == "sdist"):
        after = tuple(keys if file.kind == "sdist" else keys[:1])
        step = core.steps.Upload(index=index, file=file, folder=dist, needs=entered + before + after)
        keys.append(step.key)
        yield step


def refusals(snapshot: Snapshot, index: str, dist: str) -> tuple[Refusal, ...]:
    """What stands against publishing, all of it at once."""
    found = [
        refusal
        for file in snapshot.manifest.distributions
        for refusal in (_wrong_on_disk(file, snapshot, dist), _other_on_index(file, snapshot, index))
        if refusal is not None
    ]
    found += _not_for_the_public(snapshot)
    if snapshot.production:
        found += _too_late(snapshot, index)
    if isinstance(snapshot.credentials, core.plan.Refusal):
        found.append(snapshot.credentials)
    found += snapshot.attesting.refusals
    return tuple(found)


def _present(folder: Path, manifest: Manifest) -> dict[str, str]:
    from relnox.building.archives import digests

    paths = [folder / file.filename for file in manifest.distributions]
    return {path.name: digests(path).sha256 for path in paths if path.is_file()}


def _unfit(folder: Path, files: Iterable[Distribution]) -> Iterator[Finding]:
    """What the public index would refuse of those of the files that are there."""
    for file in files:
        if (path := folder / file.filename).is_file():
            yield from errors(path)


def errors(path: Path) -> Iterator[Finding]:
    """What the public index would refuse of an archive."""
    from relnox.building import archives, checks

    archive = archives.read(path)
    found = checks.verify(archive, checks.Expected(name=archive.name, version=archive.version))
    yield from (finding for finding in found if finding.level == "error")


def _missing(snapshot: Snapshot) -> list[Distribution]:
    return [
        file
        for file in snapshot.manifest.distributions
        if file.filename not in snapshot.listed.get(file.package, {})
    ]


def _with_credentials(snapshot: Snapshot, index: str, project: Project) -> Snapshot:
    from relnox.indexes.credentials import NoCredentials

    try:
        found = project.indexes.credentials(index)
        return snapshot._replace(credentials=found.origin, minted=found.trusted)
    except Refused as error:
        nobody = isinstance(error, NoCredentials) and project.config.without_credentials == "skip"
        partly = any(snapshot.listed.values())
        if nobody and not partly:
            first, *looked = error.message.splitlines()
            skipped = f"nothing is published, since {first.rstrip(':')}"
            remark = "\n".join(["this is where they were looked for:", *looked])
            return snapshot._replace(skipped=skipped, remarks=(*snapshot.remarks, remark))
        exit_code = ExitCode.PARTLY_PUBLIC if nobody else error.exit_code
        refusal = core.plan.Refusal(message=error.message, hint=error.hint or "", exit_code=exit_code)
        return snapshot._replace(credentials=refusal)


def _with_attestations(snapshot: Snapshot, choice: str, project: Project, folder: Path) -> Snapshot:
    if isinstance(snapshot.credentials, core.plan.Refusal) or snapshot.skipped is not None:
        return snapshot
    public = {
        package: [file.filename for file in snapshot.manifest.of(package) if file.filename in listed]
        for package, listed in snapshot.listed.items()
    }
    missing = _missing(snapshot)
    return snapshot._replace(
        attesting=attesting.look(choice, snapshot.target, missing, public, project=project, folder=folder)
    )


def _wrong_on_disk(file: Distribution, snapshot: Snapshot, dist: str) -> Refusal | None:
    sha256 = snapshot.present.get(file.filename)
    if sha256 is None and file.filename in snapshot.listed.get(file.package, {}):
        return None  # it is public already; what is on disk does not matter
    if sha256 is None:
        return core.plan.Refusal(
            message=f"{dist}/{file.filename} is in the manifest, but not there",
            hint="build again: nox -s build-all",
        )
    if sha256 != file.sha256:
        return core.plan.Refusal(
            message=(
                f"{dist}/{file.filename} is not the file that was built:\n"
                f"  there  sha256 {sha256}\n  built  sha256 {file.sha256}"
            ),
            hint="who changed it? to build again: nox -s build-all",
            exit_code=ExitCode.NEEDS_A_PERSON,
        )
    return None


def _other_on_index(file: Distribution, snapshot: Snapshot, index: str) -> Refusal | None:
    listed = snapshot.listed.get(file.package, {})
    there = listed.get(file.filename)
    if there is None or there == file.sha256:
        return None
    from relnox.executor.publishing import other_file

    error = other_file(index, file, there)
    return core.plan.Refusal(message=error.message, hint=error.hint or "", exit_code=error.exit_code)


def _not_for_the_public(snapshot: Snapshot) -> Iterator[Refusal]:
    manifest = snapshot.manifest
    for finding in snapshot.unfit:
        yield core.plan.Refusal(message=f"{finding.file}: {finding.message}", hint=finding.hint)
    if manifest.dirty and snapshot.production:
        yield core.plan.Refusal(
            message="the manifest is of a tree with uncommitted changes",
            hint="commit them, then build again: nox -s build-all -- --clean",
        )


def _begun(manifest: Manifest, index: str, project: Project) -> Iterator[tuple[str, datetime]]:
    """When the first file of each package's version came to an index, as far as the index tells it."""
    for package in manifest.packages:
        version = manifest.version(package)
        times = [
            datetime.fromisoformat(listed.upload_time)
            for listed in project.indexes.seen(index, package).values()
            if listed.upload_time is not None and listed.version == version
        ]
        if times:
            yield package, min(times)


def _too_late(snapshot: Snapshot, index: str) -> Iterator[Refusal]:
    """Releases that the index takes no more files for (since July 2026)."""
    from relnox import network
    from relnox.indexes import uploader

    late = {file.package: file for file in _missing(snapshot) if file.package in snapshot.begun}
    for package, file in late.items():
        ends = snapshot.begun[package] + uploader.WINDOW
        if ends < network.CLOCK.today():
            yield core.plan.Refusal(
                message=f"{index} takes no more files for {package} {file.version} since {ends:%Y-%m-%d}: "
                f"its first file is more than {uploader.WINDOW.days} days old",
                hint=uploader.publish_again(file),
                exit_code=ExitCode.NEEDS_A_PERSON,
            )


def notes(snapshot: Snapshot, index: str) -> Iterator[str]:
    """What a reader should know before anything is sent."""
    if isinstance(snapshot.credentials, str) and snapshot.credentials:
        yield f"credentials for {index}: {snapshot.credentials}"
    if snapshot.skipped is not None:
        yield snapshot.skipped
    yield from snapshot.remarks
    yield from snapshot.attesting.notes()
    yield from private_notes(snapshot.private)
