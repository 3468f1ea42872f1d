"""Preflight checks of `collect`: whether each job's files are intact, and whether the release is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from relnox.commands.collect.jobs import Snapshot
from relnox.commands.options import CollectOptions as Options
from relnox.core import fixes, text
from relnox.core.packages import Package
from relnox.core.release import collection
from relnox.core.release.collection import BuildJobOutput
from relnox.core.release.manifest import MANIFEST_JSON
from relnox.core.release.wheels import FileComparison, compare_files
from relnox.errors import Blocked, Conflict, Problem

_REBUILD = f"rebuild all jobs from one commit: {fixes.task_command('build-all')}"
_DOWNLOAD = "download the job's output again"


def problems(snapshot: Snapshot, options: Options) -> Iterator[Problem]:
    """Yield the problems that keep the files from being collected: first those of jobs, then those of packages."""
    if not any(job.manifest.distributions for job in snapshot.jobs):
        yield Blocked(
            "archive-missing",
            "there are no files to collect (the manifests of all jobs are empty)",
            fix="check the directory passed to --from",
        )
    yield from _commit_problems(snapshot, allow_dirty=options.allow_dirty)
    for job in snapshot.jobs:
        yield from _damaged_file_problems(job)
        yield from _attestation_problems(job)
        yield from _unlisted_file_problems(job, snapshot.workspace_packages, snapshot.wheels)
    for directory, finding in snapshot.findings:
        yield Blocked(finding.code, f"{directory}/{finding.file}: {finding.message}", fix=finding.fix)
    for conflict in collection.find_conflicts(snapshot.jobs):
        yield Conflict(
            "index-file-differs",
            (
                f"two jobs built different files named {conflict.first.filename}:\n"
                f"  {conflict.first_directory}  sha256 {conflict.first.sha256}\n"
                f"  {conflict.second_directory}  sha256 {conflict.second.sha256}"
            ),
            fix="build and sign each file in only one job: the sdist once, then the wheels from that sdist",
        )
    for package in snapshot.packages:
        yield from _version_problems(package, snapshot)
        yield from _expected_files_problems(package, snapshot, partial=options.partial)


def _commit_problems(snapshot: Snapshot, *, allow_dirty: bool) -> Iterator[Problem]:
    """Yield problems if the jobs did not all build the current commit, or built uncommitted changes."""
    commits: dict[str | None, str] = {}
    for job in snapshot.jobs:
        commits.setdefault(job.manifest.commit, job.directory)
    if len(commits) > 1:
        lines = "\n".join(f"  {directory}  {commit or 'no commit'}" for commit, directory in commits.items())
        yield Blocked(
            "branch-changed",
            f"the jobs built different commits:\n{lines}",
            fix="collect the jobs of one CI run, or rebuild all of them from one commit",
        )
    elif snapshot.head is not None and snapshot.head not in commits:
        (commit,) = commits
        yield Blocked(
            "branch-changed",
            f"the jobs built {commit or 'outside git'}, but this checkout is at {snapshot.head}",
            fix=f"git switch --detach {commit}" if commit else "rebuild in a git checkout",
        )
    dirty = [job.directory for job in snapshot.jobs if job.manifest.dirty]
    if dirty and (len(dirty) < len(snapshot.jobs) or not allow_dirty):
        all_dirty = len(dirty) == len(snapshot.jobs)
        yield Blocked(
            "build-dirty",
            f"built with uncommitted changes: {', '.join(dirty)}",
            fix="commit the changes and rebuild, or pass --allow-dirty for a test" if all_dirty else _REBUILD,
        )


def _damaged_file_problems(job: BuildJobOutput) -> Iterator[Problem]:
    """Yield a problem for each file of a job that is missing, differs from the manifest, or has a wrong name."""
    for file in job.manifest.distributions:
        content = job.files_in_directory.get(file.filename)
        if content is None:
            yield Blocked(
                "archive-missing",
                f"{job.directory}/{file.filename} is missing, although the manifest lists it",
                fix=_DOWNLOAD,
            )
        elif content != (file.size, file.sha256):
            size, sha256 = content
            yield Conflict(
                "archive-changed",
                (
                    f"{job.directory}/{file.filename} differs from the file that was built:\n"
                    f"  found  {text.format_count(size, 'byte')}, sha256 {sha256}\n"
                    f"  built  {text.format_count(file.size, 'byte')}, sha256 {file.sha256}"
                ),
                fix=f"{_DOWNLOAD}; if it still differs, rebuild: {fixes.task_command('build-all')}",
            )
        if not collection.has_valid_filename(file):
            yield Blocked(
                "manifest-invalid",
                f"{job.directory}/{file.filename} is not a file name of {file.package} {file.version}",
                fix=f"rebuild: {fixes.task_command('build-all')}",
            )


def _attestation_problems(job: BuildJobOutput) -> Iterator[Problem]:
    """Yield a problem for each attestation that is invalid or for different content.

    The identity of the signer is only checked by `publish`.
    """
    hash_by_file = {file.filename: file.sha256 for file in job.manifest.distributions}
    for attestation in job.attestations:
        if attestation.attested_sha256 is None:
            yield Conflict(
                "attestation-invalid",
                f"{job.directory}/{attestation.filename} is not a valid attestation (PEP 740)",
                fix=f"{_DOWNLOAD}, or delete the attestation: publish then signs the file again",
            )
        elif attestation.attested_sha256 != hash_by_file[attestation.archive]:
            yield Conflict(
                "attestation-invalid",
                (
                    f"{job.directory}/{attestation.filename} is an attestation for different content of "
                    f"{attestation.archive}:\n"
                    f"  signed  sha256 {attestation.attested_sha256}\n"
                    f"  built   sha256 {hash_by_file[attestation.archive]}"
                ),
                fix="sign the files after the last build, in the job that uploads them",
            )


def _unlisted_file_problems(
    job: BuildJobOutput, workspace_packages: frozenset[str], wheels: Mapping[str, tuple[str, ...]]
) -> Iterator[Problem]:
    """Yield a problem for each package that is not in the checkout, and for each archive not in the manifest.

    Wheels without a manifest are accepted only for packages whose wheels are in the settings (`wheels`).
    """
    for name in job.manifest.packages:
        if name not in workspace_packages:
            yield Blocked(
                "package-unknown",
                f"{job.directory} has files of {name}, which is not a package of this checkout",
                fix="pass --from only the directories of this project's jobs",
            )
    if not job.has_manifest:
        for name in job.manifest.packages:
            if name in workspace_packages and name not in wheels:
                yield Blocked(
                    "manifest-missing",
                    f"{job.directory} has wheels of {name} and no {MANIFEST_JSON}",
                    fix=f"build them with {fixes.task_command('build-all')}; if other tools build them, list "
                    f'them: [tool.relnox.wheels] {name} = ["cp312-manylinux_x86_64"]',
                )
    for name in job.unlisted:
        yield Blocked(
            "archive-unexpected",
            f"{job.directory}/{name} is not listed in the manifest beside it",
            fix=f"build into an empty directory: {fixes.task_command('build-all', '--output', 'DIR')}",
        )


def _version_problems(package: Package, snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a problem if the files of a package have different versions, or another version than the checkout."""
    files = {
        file.version: f"{job.directory}/{file.filename}"
        for job in snapshot.jobs
        for file in job.manifest.files_of(package.name)
    }
    if len(files) > 1 or (package.version is not None and files.keys() - {package.version}):
        lines = "\n".join(f"  {path}" for path in files.values())
        yield Blocked(
            "release-version-differs",
            f"{package.name} must be {package.version or 'one version'}, but the jobs built:\n{lines}",
            fix=_REBUILD,
        )


def _expected_files_problems(package: Package, snapshot: Snapshot, *, partial: bool) -> Iterator[Problem]:
    """Yield problems if a package lacks expected files, unless `partial`, or has files that are not expected."""
    comparison = compare_with_expected(package, snapshot)
    if comparison.missing and not partial:
        yield Blocked(
            "archive-missing",
            f"{package.name} lacks {text.join_names(comparison.missing, limit=6)}",
            fix="add --from with the missing job's directory, or collect what exists: --partial",
        )
    if comparison.unexpected:
        add = f'add its wheels: [tool.relnox.wheels] {package.name} = ["cp312-manylinux_x86_64"]'
        if package.name in snapshot.wheels:  # whose other identifiers have to stay
            add = f"add identifiers of these wheels to {package.name} in [tool.relnox.wheels]"
        yield Blocked(
            "archive-unexpected",
            f"{package.name} has files that are not expected: {', '.join(comparison.unexpected)}",
            fix=f"remove that job's directory (--from), or {add}",
        )


def compare_with_expected(package: Package, snapshot: Snapshot) -> FileComparison:
    """Compare the names of a package's files with the expected ones; private packages may have no files."""
    names = {file.filename for job in snapshot.jobs for file in job.manifest.files_of(package.name)}
    if package.is_private and not names:
        return FileComparison()
    return compare_files(package.name, names, snapshot.wheels)
