"""Merge the output of many build jobs into one folder with one complete manifest.

Each --from names the folder of a job, which holds its manifest.json and its files, or a folder of such folders.
If a file is damaged, missing or not expected, or if two jobs built different files of one name, nothing is copied.
The merged manifest is the one to publish. Attestations are copied with their files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core, steps
from relnox.commands.shared.manifests import read_manifest
from relnox.core.planning.step import after
from relnox.core.settings.options import CommonOptions, option
from relnox.errors import Blocked, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.building.checks import Finding
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Problem, Table
    from relnox.core.release.collection import Attestation, Job
    from relnox.core.release.manifest import Manifest
    from relnox.core.settings.config import WheelsConfig

__all__ = ["Options", "Snapshot", "observe", "plan", "summarize"]

_ATTESTATION_LIMIT = 1 << 20
_REBUILD = f"rebuild all jobs from one commit: {core.fixes.command('build-all')}"
_DOWNLOAD = "download the job's output again"


class Options(CommonOptions):
    """Options of `collect`."""

    from_: tuple[str, ...] = option(
        (), "A job's folder, or a folder of jobs' folders (repeatable).", metavar="DIR", anywhere=False
    )
    package: tuple[str, ...] = option(
        (), "Collect this package only (repeatable).", metavar="NAME", anywhere=False
    )
    output: str = option("dist", "The folder for the archives and the manifest.", metavar="DIR")
    partial: bool = option(False, "Collect what exists although files are missing.", anywhere=False)
    allow_dirty: bool = option(False, "Accept files that were all built with uncommitted changes.", anywhere=False)


class Snapshot(NamedTuple):
    """The state that `collect` plans from.

    Attributes:
        jobs: The output of the jobs, without packages that are not selected.
        packages: The packages to collect, in release order.
        workspace_packages: Names of all packages of the checkout.
        needs: For each of them the others that installing it needs, by its sources and its wheels.
        head: The checkout's commit; None outside git.
        wheels: Which packages have platform wheels.
        old_archives: Archives that exist in the output folder.
        findings: Errors in the jobs' files, with the folder of each.
    """

    jobs: tuple[Job, ...]
    packages: tuple[Package, ...]
    workspace_packages: frozenset[str]
    needs: Mapping[str, frozenset[str]]
    head: str | None
    wheels: WheelsConfig
    old_archives: tuple[str, ...]
    findings: tuple[tuple[str, Finding], ...] = ()


def observe(options: Options, project: Project) -> Snapshot:
    """Read the jobs' manifests and hash their files."""
    selected = frozenset(package.name for package in project.workspace.select(options.package))
    jobs = tuple(_job(project.root, folder, selected) for folder in _folders(project.root, options.from_))
    output = project.root / options.output
    findings = tuple(_findings(jobs, project))
    return Snapshot(
        jobs=jobs,
        findings=findings,
        packages=project.select(options.package),
        workspace_packages=frozenset(project.workspace.by_name),
        needs=_needs(jobs, project, frozenset(finding.file for _, finding in findings)),
        head=project.state.head if project.state is not None else None,
        wheels=project.config.wheels,
        old_archives=_archives(output) if output.is_dir() else (),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Copy the files of each package, then write the merged manifest."""
    problems = tuple(_problems(snapshot, options))
    manifest = core.collection.merge(snapshot.jobs, snapshot.needs)
    files = core.collection.file_sources(snapshot.jobs)
    attestations = core.collection.attestation_sources(snapshot.jobs)
    copies = [
        steps.Collect(
            package=package,
            version=manifest.version(package),
            files=tuple(files[file.filename] for file in manifest.files_of(package)),
            attestations=tuple(
                (folder, attestation.filename, attestation.sha256)
                for file in manifest.files_of(package)
                if file.filename in attestations
                for folder, attestation in [attestations[file.filename]]
            ),
            output=options.output,
        )
        for package in manifest.packages
    ]
    writing = steps.WriteCollection(output=options.output, manifest=manifest, needs=after(*copies))
    return core.plan.Plan(
        task="collect",
        steps=(*copies, writing),
        notes=tuple(_notes(snapshot, manifest, options)),
        problems=problems,
    )


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """Return no table: the manifest lists everything."""
    del outcome, folder
    return ()


# observation


def _folders(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Resolve the jobs' folders, without duplicates."""
    if not names:
        raise Blocked(
            "option-missing",
            "--from is missing: no folder of a build job is given",
            fix=f"{core.fixes.command('collect', '--from', 'artifacts')} (with a folder for each job in it)",
        )
    folders: dict[Path, str] = {}
    for name in names:
        folder = root / name
        if not folder.is_dir():
            raise Blocked(
                "folder-missing", f"{name} is not a folder", fix="pass --from a folder with a build job's output"
            )
        stripped = name.rstrip("/") or name
        inner = [f"{stripped}/{path.name}" for path in sorted(folder.iterdir())]
        jobs = [job for job in (stripped, *inner) if (root / job / core.manifest.MANIFEST_JSON).is_file()]
        if not jobs:
            raise Blocked(
                "manifest-missing",
                f"{name} has no {core.manifest.MANIFEST_JSON}, and neither has a folder in it",
                fix=f"upload dist/ of the job, with the manifest that {core.fixes.command('build-all')} writes",
            )
        for job in jobs[:1] if jobs[0] == stripped else jobs:
            folders.setdefault((root / job).resolve(), job)
    return tuple(folders.values())


def _job(root: Path, folder: str, selected: frozenset[str]) -> Job:
    from relnox.building.archives import digests, is_in

    suffix = core.publishers.SUFFIX
    manifest = read_manifest(root, folder)
    listed_names = {file.filename for file in manifest.distributions}
    manifest = manifest.only(selected) if selected else manifest
    paths = [root / folder / file.filename for file in manifest.distributions]
    hashes = {path.name: digests(path) for path in paths if is_in(root / folder, path)}
    return core.collection.Job(
        folder=folder,
        manifest=manifest,
        present={name: (digest.size, digest.sha256) for name, digest in hashes.items()},
        attestations=tuple(_attestations(paths)),
        unlisted=tuple(
            name for name in _archives(root / folder, suffix) if name.removesuffix(suffix) not in listed_names
        ),
    )


def _attestations(archives: Iterable[Path]) -> Iterator[Attestation]:
    """Read the attestations beside archives."""
    from hashlib import sha256

    from relnox.building.archives import is_in

    for archive in archives:
        path = archive.with_name(f"{archive.name}{core.publishers.SUFFIX}")
        if is_in(archive.parent, path) and path.stat().st_size <= _ATTESTATION_LIMIT:
            content = path.read_bytes()
            yield core.collection.Attestation(
                filename=path.name,
                archive=archive.name,
                sha256=sha256(content).hexdigest(),
                attested_sha256=core.collection.attested_sha256(content),
            )


def _archives(folder: Path, *suffixes: str) -> tuple[str, ...]:
    """List the archives in a folder, and the files with one of the other suffixes."""
    return tuple(
        sorted(path.name for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz", *suffixes)))
    )


def _findings(jobs: Sequence[Job], project: Project) -> Iterator[tuple[str, Finding]]:
    """Check the files with the right hash: a job may have run anywhere, with other settings or an older relnox."""
    from relnox.building import checks

    config = project.config
    checked: set[tuple[str, str]] = set()
    for job in jobs:
        for file in job.manifest.distributions:
            identity = (file.filename, file.sha256)
            if job.present.get(file.filename) == (file.size, file.sha256) and identity not in checked:
                checked.add(identity)
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
            for file in job.manifest.files_of(package)
            if (file.filename, file.sha256) in checked
        }
        by_name = {path.name: path for path in folders}
        for finding in checks.extension_errors(by_name.values(), config.archives):
            yield folders[by_name[finding.file]], finding


def _needs(jobs: Sequence[Job], project: Project, faulty: frozenset[str]) -> dict[str, frozenset[str]]:
    """Find what each package needs in sources and wheels, since a job saw only its own packages."""
    from relnox.building import archives

    workspace = project.workspace
    needs = {package.name: workspace.needed_by(package) for package in workspace.packages}
    built = {name for job in jobs for name in job.manifest.packages}
    for job in jobs:
        if built == set(job.manifest.packages):
            continue
        for file in job.manifest.distributions:
            readable = file.filename in job.present and file.filename not in faulty
            if file.kind == "wheel" and file.package in needs and readable:
                wheel = archives.read(project.root / job.folder / file.filename, project.config.archives)
                needs[file.package] |= core.collection.required_names(wheel.requires) & built - {file.package}
    return needs


# problems


def _problems(snapshot: Snapshot, options: Options) -> Iterator[Problem]:
    core.wheels.check_settings(snapshot.wheels, snapshot.workspace_packages)
    if not any(job.manifest.distributions for job in snapshot.jobs):
        yield core.plan.Problem(
            code="manifest-empty",
            message="no file to collect: the manifests of all jobs are empty",
            fix="check the folder passed to --from",
        )
    yield from _origin(snapshot, allow_dirty=options.allow_dirty)
    for job in snapshot.jobs:
        yield from _damaged_files(job)
        yield from _mismatched_attestations(job)
        yield from _foreign_files(job, snapshot.workspace_packages)
    for folder, finding in snapshot.findings:
        yield core.plan.Problem(
            code=finding.code, message=f"{folder}/{finding.file}: {finding.message}", fix=finding.fix
        )
    for conflict in core.collection.conflicts(snapshot.jobs):
        yield core.plan.Problem(
            code="job-files-differ",
            message=(
                f"two jobs built different files named {conflict.first.filename}:\n"
                f"  {conflict.first_folder}  sha256 {conflict.first.sha256}\n"
                f"  {conflict.second_folder}  sha256 {conflict.second.sha256}"
            ),
            fix="build and sign each file in one job: the sdist once, and the wheels of every platform from it",
            exit_code=ExitCode.CONFLICT,
        )
    for package in snapshot.packages:
        yield from _version_mismatches(package, snapshot)
        yield from _incomplete(package, snapshot, partial=options.partial)


def _origin(snapshot: Snapshot, *, allow_dirty: bool) -> Iterator[Problem]:
    """Check that all files were built from the checkout's commit."""
    commits: dict[str | None, str] = {}
    for job in snapshot.jobs:
        commits.setdefault(job.manifest.commit, job.folder)
    if len(commits) > 1:
        lines = "\n".join(f"  {folder}  {commit or 'no commit'}" for commit, folder in commits.items())
        yield core.plan.Problem(
            code="job-commits-differ",
            message=f"the jobs built different commits:\n{lines}",
            fix="collect the jobs of one CI run, or rebuild all of them from one commit",
        )
    elif snapshot.head is not None and snapshot.head not in commits:
        (commit,) = commits
        yield core.plan.Problem(
            code="commit-differs",
            message=f"the jobs built {commit or 'outside git'}, but this checkout is at {snapshot.head}",
            fix=f"git switch --detach {commit}" if commit else "build in a git checkout",
        )
    dirty = [job.folder for job in snapshot.jobs if job.manifest.dirty]
    if dirty and (len(dirty) < len(snapshot.jobs) or not allow_dirty):
        all_dirty = len(dirty) == len(snapshot.jobs)
        yield core.plan.Problem(
            code="build-dirty",
            message=f"built with uncommitted changes: {', '.join(dirty)}",
            fix="commit the changes and rebuild, or pass --allow-dirty for a test" if all_dirty else _REBUILD,
        )


def _damaged_files(job: Job) -> Iterator[Problem]:
    for file in job.manifest.distributions:
        content = job.present.get(file.filename)
        if content is None:
            yield core.plan.Problem(
                code="archive-missing",
                message=f"{job.folder}/{file.filename} is missing, although the manifest lists it",
                fix=_DOWNLOAD,
            )
        elif content != (file.size, file.sha256):
            size, sha256 = content
            yield core.plan.Problem(
                code="archive-changed",
                message=(
                    f"{job.folder}/{file.filename} differs from the file that was built:\n"
                    f"  found  {size:,} bytes, sha256 {sha256}\n"
                    f"  built  {file.size:,} bytes, sha256 {file.sha256}"
                ),
                fix=f"{_DOWNLOAD}; if it still differs, rebuild: {core.fixes.command('build-all')}",
                exit_code=ExitCode.CONFLICT,
            )
        if not core.collection.has_valid_filename(file):
            yield core.plan.Problem(
                code="manifest-invalid",
                message=f"{job.folder}/{file.filename} is not a file name of {file.package} {file.version}",
                fix=f"rebuild: {core.fixes.command('build-all')}",
            )


def _mismatched_attestations(job: Job) -> Iterator[Problem]:
    """Find attestations for other content. The identity of the signer is checked by `publish`."""
    built = {file.filename: file.sha256 for file in job.manifest.distributions}
    for attestation in job.attestations:
        if attestation.attested_sha256 is None:
            yield core.plan.Problem(
                code="attestation-invalid",
                message=f"{job.folder}/{attestation.filename} is not a valid attestation (PEP 740)",
                fix=f"{_DOWNLOAD}, or delete this file: publish signs files without an attestation",
                exit_code=ExitCode.CONFLICT,
            )
        elif attestation.attested_sha256 != built[attestation.archive]:
            yield core.plan.Problem(
                code="attestation-differs",
                message=(
                    f"{job.folder}/{attestation.filename} is an attestation for different content of "
                    f"{attestation.archive}:\n"
                    f"  signed  sha256 {attestation.attested_sha256}\n"
                    f"  built   sha256 {built[attestation.archive]}"
                ),
                fix="sign the files after the last build, in the job that uploads them",
                exit_code=ExitCode.CONFLICT,
            )


def _foreign_files(job: Job, workspace_packages: frozenset[str]) -> Iterator[Problem]:
    for name in job.manifest.packages:
        if name not in workspace_packages:
            yield core.plan.Problem(
                code="package-unknown",
                message=f"{job.folder} has files of {name}, which is not a package of this checkout",
                fix="pass --from only the folders of this project's jobs",
            )
    for name in job.unlisted:
        yield core.plan.Problem(
            code="archive-unlisted",
            message=f"{job.folder}/{name} is not listed in the manifest beside it",
            fix=f"build into an empty folder: {core.fixes.command('build-all', '--clean')}",
        )


def _version_mismatches(package: Package, snapshot: Snapshot) -> Iterator[Problem]:
    """Check that all files of a package have the version of the checkout."""
    files = {
        file.version: f"{job.folder}/{file.filename}"
        for job in snapshot.jobs
        for file in job.manifest.files_of(package.name)
    }
    if len(files) > 1 or (package.version is not None and files.keys() - {package.version}):
        lines = "\n".join(f"  {path}" for path in files.values())
        yield core.plan.Problem(
            code="version-differs",
            message=f"{package.name} must be {package.version or 'one version'}, but the jobs built:\n{lines}",
            fix=_REBUILD,
        )


def _incomplete(package: Package, snapshot: Snapshot, *, partial: bool) -> Iterator[Problem]:
    comparison = _compare(package, snapshot)
    if comparison.missing and not partial:
        yield core.plan.Problem(
            code="archives-incomplete",
            message=f"{package.name} is incomplete: {_listing(comparison.missing)} missing",
            fix="add --from with the missing job's folder, or collect what exists: --partial",
        )
    if comparison.extra:
        has_matrix = bool(core.wheels.jobs(package, snapshot.wheels))
        yield core.plan.Problem(
            code="archive-unexpected",
            message=f"{package.name} has files that are not expected: {', '.join(comparison.extra)}",
            fix=(
                "correct [tool.relnox.wheels], or remove that job's --from"
                if has_matrix
                else f'if it has platform wheels, set [tool.relnox.wheels] packages = ["{package.name}"]'
            ),
        )


def _compare(package: Package, snapshot: Snapshot) -> core.wheels.Comparison:
    """Compare a package's files with the expected ones; a private package needs none."""
    names = {file.filename for job in snapshot.jobs for file in job.manifest.files_of(package.name)}
    if package.private and not names:
        return core.wheels.Comparison()
    return core.wheels.expected_files(package, snapshot.wheels).compare(names)


# notes


def _notes(snapshot: Snapshot, manifest: Manifest, options: Options) -> Iterator[str]:
    for package in snapshot.packages:
        if options.partial and (missing := _compare(package, snapshot).missing):
            yield f"INCOMPLETE (--partial): {package.name} lacks {_listing(missing)}"
    if manifest.dirty:
        yield "the files were built with uncommitted changes and cannot be published to a production index"
    for job in snapshot.jobs:
        signed = f", {len(job.attestations)} attestations" if job.attestations else ""
        yield f"{job.folder}: {len(job.manifest.distributions)} files{signed}"
    names = {file.filename for file in manifest.distributions}
    if others := [name for name in snapshot.old_archives if name not in names]:
        yield f"not part of this release, left in {options.output}: {', '.join(others)}"


def _listing(names: Sequence[str], limit: int = 6) -> str:
    text = ", ".join(names[:limit])
    return f"{text} and {len(names) - limit} more" if len(names) > limit else text
