"""Merge what many build jobs made into one folder with one manifest, complete and without conflict.

Each --from names the folder of a job, which holds its manifest.json and its files, or a folder of such folders. A
file that is damaged, missing, more than expected, or made twice with different bytes is refused, and nothing is
copied then. The manifest that comes out is the one that publish takes. What a job attested travels with its file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.verify_install import read_manifest
from relnox.core.options import CommonOptions, option
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.building.checks import Finding
    from relnox.commands.project import Project
    from relnox.core.collection import Attestation, Job
    from relnox.core.config import WheelsConfig
    from relnox.core.events import Outcome
    from relnox.core.manifest import Manifest
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Problem, Table

__all__ = ["Options", "Snapshot", "observe", "plan", "summarize"]

_ATTESTATION_LIMIT = 1 << 20


class Options(CommonOptions):
    """Options of `collect`."""

    from_: tuple[str, ...] = option(
        (), "A job's folder, or a folder of jobs' folders (repeatable).", metavar="DIR", anywhere=False
    )
    package: tuple[str, ...] = option(
        (), "Collect this package only (repeatable).", metavar="NAME", anywhere=False
    )
    output: str = option("dist", "The folder for the archives and the manifest.", metavar="DIR")
    partial: bool = option(False, "Take what is there although files are missing.", anywhere=False)
    allow_dirty: bool = option(False, "Take files that were all built with uncommitted changes.", anywhere=False)


class Snapshot(NamedTuple):
    """What collecting must know.

    Attributes:
        jobs: What the jobs left behind, packages that are not asked for left out.
        packages: What there should be, in release order.
        known: Names of all packages of the checkout.
        needs: For each of them what installing it needs of the others, by its sources and its wheels.
        head: The checkout's commit; None outside git.
        wheels: Which packages have platform wheels.
        old: Archives that are in the output folder already.
        faults: What is wrong with the jobs' files, with the folder of each.
    """

    jobs: tuple[Job, ...]
    packages: tuple[Package, ...]
    known: frozenset[str]
    needs: Mapping[str, frozenset[str]]
    head: str | None
    wheels: WheelsConfig
    old: tuple[str, ...]
    faults: tuple[tuple[str, Finding], ...] = ()


def observe(options: Options, project: Project) -> Snapshot:
    """Read the jobs' manifests and hash their files."""
    chosen = frozenset(package.name for package in project.workspace.select(options.package))
    jobs = tuple(_job(project.root, folder, chosen) for folder in _folders(project.root, options.from_))
    output = project.root / options.output
    faults = tuple(_faults(jobs, project))
    return Snapshot(
        jobs=jobs,
        faults=faults,
        packages=project.select(options.package),
        known=frozenset(project.workspace.by_name),
        needs=_needs(jobs, project, frozenset(finding.file for _, finding in faults)),
        head=project.state.head if project.state is not None else None,
        wheels=project.config.wheels,
        old=_archives(output) if output.is_dir() else (),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Copy every package's files, then write the one manifest."""
    problems = tuple(_refusals(snapshot, options))
    manifest = core.collection.merged(snapshot.jobs, snapshot.needs)
    sources = core.collection.sources(snapshot.jobs)
    signed = core.collection.signed(snapshot.jobs)
    steps = [
        core.steps.Collect(
            package=package,
            version=manifest.version(package),
            files=tuple(sources[file.filename] for file in manifest.of(package)),
            attestations=tuple(
                (folder, each.filename, each.sha256)
                for file in manifest.of(package)
                if file.filename in signed
                for folder, each in [signed[file.filename]]
            ),
            output=options.output,
        )
        for package in manifest.packages
    ]
    writing = core.steps.WriteCollection(
        output=options.output, manifest=manifest, needs=tuple(step.key for step in steps)
    )
    return core.plan.Plan(
        task="collect",
        steps=(*steps, writing),
        notes=tuple(_notes(snapshot, manifest, options)),
        problems=problems,
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The manifest says it all."""
    del outcome, folder
    return ()


# what is there


def _folders(root: Path, named: Sequence[str]) -> tuple[str, ...]:
    """The jobs' folders, each once."""
    if not named:
        raise Blocked(
            "todo",
            "no folder of a build job is named",
            fix=f"{core.fixes.command('collect', '--from', 'artifacts')}, where each job has a folder",
        )
    found: dict[Path, str] = {}
    for name in named:
        folder = root / name
        if not folder.is_dir():
            raise Blocked("todo", f"{name} is no folder", fix="name a folder that holds what a build job made")
        spelled = name.rstrip("/") or name
        inner = [f"{spelled}/{path.name}" for path in sorted(folder.iterdir())]
        jobs = [each for each in (spelled, *inner) if (root / each / core.manifest.MANIFEST_JSON).is_file()]
        if not jobs:
            raise Blocked(
                "todo",
                f"there is no {core.manifest.MANIFEST_JSON} in {name}, nor in a folder of it",
                fix=f"{core.fixes.command('build-all')} writes it: pass it on with the archives",
            )
        for each in jobs[:1] if jobs[0] == spelled else jobs:
            found.setdefault((root / each).resolve(), each)
    return tuple(found.values())


def _job(root: Path, folder: str, chosen: frozenset[str]) -> Job:
    from relnox.building.archives import digests, is_in

    suffix = core.publishers.SUFFIX
    manifest = read_manifest(root, folder)
    told = {file.filename for file in manifest.distributions}
    manifest = manifest.only(chosen) if chosen else manifest
    paths = [root / folder / file.filename for file in manifest.distributions]
    found = {path.name: digests(path) for path in paths if is_in(root / folder, path)}
    return core.collection.Job(
        folder=folder,
        manifest=manifest,
        present={name: (each.size, each.sha256) for name, each in found.items()},
        attestations=tuple(_attestations(paths)),
        untold=tuple(name for name in _archives(root / folder, suffix) if name.removesuffix(suffix) not in told),
    )


def _attestations(archives: Iterable[Path]) -> Iterator[Attestation]:
    """What lies beside archives and says who made them."""
    from hashlib import sha256

    from relnox.building.archives import is_in

    for archive in archives:
        path = archive.with_name(f"{archive.name}{core.publishers.SUFFIX}")
        if is_in(archive.parent, path) and path.stat().st_size <= _ATTESTATION_LIMIT:
            content = path.read_bytes()
            yield core.collection.Attestation(
                filename=path.name,
                of=archive.name,
                sha256=sha256(content).hexdigest(),
                about=core.collection.attested(content),
            )


def _archives(folder: Path, *more: str) -> tuple[str, ...]:
    """The archives in a folder, and what else there is with one of the further endings."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz", *more))))


def _faults(jobs: Sequence[Job], project: Project) -> Iterator[tuple[str, Finding]]:
    """What is wrong with those of the files that are as their job made them: it may have been any machine."""
    from relnox.building import checks

    config = project.config
    checked: set[tuple[str, str]] = set()
    for job in jobs:
        for file in job.manifest.distributions:
            this = (file.filename, file.sha256)
            if job.present.get(file.filename) == (file.size, file.sha256) and this not in checked:
                checked.add(this)
                path = project.root / job.folder / file.filename
                for finding in checks.errors(
                    path,
                    public=False,
                    limits=config.archives,
                    may_be_empty=config.is_metadata_only(file.package),
                    optional_extensions=config.has_optional_extensions(file.package),
                ):
                    yield job.folder, finding
    for package in dict.fromkeys(name for job in jobs for name in job.manifest.packages):
        if config.has_optional_extensions(package):
            continue
        folders = {
            project.root / job.folder / file.filename: job.folder
            for job in jobs
            for file in job.manifest.of(package)
            if (file.filename, file.sha256) in checked
        }
        by_name = {path.name: path for path in folders}
        for finding in checks.extension_errors(by_name.values(), config.archives):
            yield folders[by_name[finding.file]], finding


def _needs(jobs: Sequence[Job], project: Project, faulty: frozenset[str]) -> dict[str, frozenset[str]]:
    """What each package needs, by the sources and the wheels: a job knew its own packages only."""
    from relnox.building import archives

    workspace = project.workspace
    needs = {package.name: workspace.needed_by(package) for package in workspace.packages}
    made = {name for job in jobs for name in job.manifest.packages}
    for job in jobs:
        if made == set(job.manifest.packages):
            continue
        for file in job.manifest.distributions:
            sound = file.filename in job.present and file.filename not in faulty
            if file.kind == "wheel" and file.package in needs and sound:
                wheel = archives.read(project.root / job.folder / file.filename, project.config.archives)
                needs[file.package] |= core.collection.required(wheel.requires) & made - {file.package}
    return needs


# what stands against it


def _refusals(snapshot: Snapshot, options: Options) -> Iterator[Problem]:
    core.wheels.check(snapshot.wheels, snapshot.known)
    if not any(job.manifest.distributions for job in snapshot.jobs):
        yield core.plan.Problem(code="todo", message="the jobs made nothing", fix="is --from the right folder?")
    yield from _origin(snapshot, allow_dirty=options.allow_dirty)
    for job in snapshot.jobs:
        yield from _damaged(job)
        yield from _not_of_it(job)
        yield from _foreign(job, snapshot.known)
    for folder, finding in snapshot.faults:
        yield core.plan.Problem(
            code="todo", message=f"{folder}/{finding.file}: {finding.message}", fix=finding.fix
        )
    for each in core.collection.conflicts(snapshot.jobs):
        yield core.plan.Problem(
            code="todo",
            message=(
                f"two jobs made different files called {each.one.filename}:\n"
                f"  {each.one_folder}  sha256 {each.one.sha256}\n  {each.other_folder}  sha256 {each.other.sha256}"
            ),
            fix="build and sign each file in one job: the sdist once, and the wheels of every platform from it",
            exit_code=ExitCode.CONFLICT,
        )
    for package in snapshot.packages:
        yield from _versions(package, snapshot)
        yield from _incomplete(package, snapshot, partial=options.partial)


def _origin(snapshot: Snapshot, *, allow_dirty: bool) -> Iterator[Problem]:
    """All files must be of one commit, the checkout's, and of nothing else."""
    commits: dict[str | None, str] = {}
    for job in snapshot.jobs:
        commits.setdefault(job.manifest.commit, job.folder)
    if len(commits) > 1:
        listed = "\n".join(f"  {folder}  {commit or 'outside git'}" for commit, folder in commits.items())
        yield core.plan.Problem(
            code="todo",
            message=f"the jobs built different commits:\n{listed}",
            fix="collect the jobs of one run, or build again",
        )
    elif snapshot.head is not None and snapshot.head not in commits:
        (commit,) = commits
        yield core.plan.Problem(
            code="todo",
            message=f"the jobs built {commit or 'outside git'}, but this checkout is at {snapshot.head}",
            fix=f"git switch --detach {commit}" if commit else "build in a checkout",
        )
    dirty = [job.folder for job in snapshot.jobs if job.manifest.dirty]
    if dirty and (len(dirty) < len(snapshot.jobs) or not allow_dirty):
        every = len(dirty) == len(snapshot.jobs)
        yield core.plan.Problem(
            code="todo",
            message=f"built from a tree with uncommitted changes: {', '.join(dirty)}",
            fix="to try it out: --allow-dirty" if every else "build again from the commit",
        )


def _damaged(job: Job) -> Iterator[Problem]:
    for file in job.manifest.distributions:
        found = job.present.get(file.filename)
        if found is None:
            yield core.plan.Problem(
                code="todo",
                message=f"{job.folder}/{file.filename} is in the manifest, but not there",
                fix="fetch what the job made again",
            )
        elif found != (file.size, file.sha256):
            yield core.plan.Problem(
                code="todo",
                message=(
                    f"{job.folder}/{file.filename} is not the file that was built:\n"
                    f"  there  {found[0]:,} bytes, sha256 {found[1]}\n"
                    f"  built  {file.size:,} bytes, sha256 {file.sha256}"
                ),
                fix="fetch what the job made again; if it is the same, who changed it?",
                exit_code=ExitCode.CONFLICT,
            )
        if not core.collection.is_named_rightly(file):
            yield core.plan.Problem(
                code="todo",
                message=f"{job.folder}/{file.filename} is no name of a file of {file.package} {file.version}",
                fix="look at the manifest beside it: did relnox write it?",
            )


def _not_of_it(job: Job) -> Iterator[Problem]:
    """Attestations of other bytes than lie beside them. Who signed, publishing looks at."""
    built = {file.filename: file.sha256 for file in job.manifest.distributions}
    for each in job.attestations:
        if each.about is None:
            yield core.plan.Problem(
                code="todo",
                message=f"{job.folder}/{each.filename} is no attestation of PEP 740",
                fix="fetch what the job made again, or remove it: publish signs what is not signed",
                exit_code=ExitCode.CONFLICT,
            )
        elif each.about != built[each.of]:
            yield core.plan.Problem(
                code="todo",
                message=(
                    f"{job.folder}/{each.filename} attests another {each.of}:\n"
                    f"  signed  sha256 {each.about}\n  built   sha256 {built[each.of]}"
                ),
                fix="was it built again after it was signed? let the job sign what it hands on",
                exit_code=ExitCode.CONFLICT,
            )


def _foreign(job: Job, known: frozenset[str]) -> Iterator[Problem]:
    for name in job.manifest.packages:
        if name not in known:
            yield core.plan.Problem(
                code="todo",
                message=f"{job.folder} has files of {name}, which is no package of this checkout",
                fix="is it the folder of another project's job?",
            )
    for name in job.untold:
        yield core.plan.Problem(
            code="todo",
            message=f"{job.folder}/{name} is there, but the manifest beside it does not tell of it",
            fix=f"let the job build into an empty folder: {core.fixes.command('build-all', '--clean')}",
        )


def _versions(package: Package, snapshot: Snapshot) -> Iterator[Problem]:
    """All files of a package have one version, and the one that the checkout states."""
    found = {file.version: (job.folder, file) for job in snapshot.jobs for file in job.manifest.of(package.name)}
    wrong = [version for version in found if package.version is not None and version != package.version]
    if len(found) > 1 or wrong:
        listed = "\n".join(f"  {folder}/{file.filename}" for folder, file in found.values())
        yield core.plan.Problem(
            code="todo",
            message=f"{package.name} should be {package.version or 'of one version'}, but there are:\n{listed}",
            fix="build again from one commit",
        )


def _incomplete(package: Package, snapshot: Snapshot, *, partial: bool) -> Iterator[Problem]:
    compared = _compared(package, snapshot)
    if compared.missing and not partial:
        yield core.plan.Problem(
            code="todo",
            message=f"{package.name} is not complete: {_listing(compared.missing)} missing",
            fix="did a job fail, or is its folder not named? to take what is there: --partial",
        )
    if compared.extra:
        mend = "mend [tool.relnox.wheels], or leave the job out"
        alone = f'if it has platform wheels: [tool.relnox.wheels] packages = ["{package.name}"]'
        pure = not core.wheels.jobs(package, snapshot.wheels)
        yield core.plan.Problem(
            code="todo",
            message=f"{package.name} has files that are not of its release: {', '.join(compared.extra)}",
            fix=alone if pure else mend,
        )


def _compared(package: Package, snapshot: Snapshot) -> core.wheels.Comparison:
    """What is missing of a package and what is too much; nothing has to be there of one that stays at home."""
    names = {file.filename for job in snapshot.jobs for file in job.manifest.of(package.name)}
    if package.private and not names:
        return core.wheels.Comparison()
    return core.wheels.expected(package, snapshot.wheels).compare(names)


# what is worth knowing


def _notes(snapshot: Snapshot, manifest: Manifest, options: Options) -> Iterator[str]:
    for package in snapshot.packages:
        if options.partial and (missing := _compared(package, snapshot).missing):
            yield f"NOT COMPLETE, by --partial: {package.name} lacks {_listing(missing)}"
    if manifest.dirty:
        yield "the files were built with uncommitted changes, which no production index is given"
    for job in snapshot.jobs:
        signed = f", {len(job.attestations)} attestations" if job.attestations else ""
        yield f"{job.folder}: {len(job.manifest.distributions)} files{signed}"
    names = {file.filename for file in manifest.distributions}
    if foreign := [name for name in snapshot.old if name not in names]:
        yield f"left alone in {options.output}, not of this release: {', '.join(foreign)}"


def _listing(names: Sequence[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
