"""Merge the output of many build jobs into one directory with one complete manifest.

Each --from names the directory of a job, which holds its manifest.json and its files, or a directory of such
directories. Platform wheels in [tool.relnox.wheels] need no manifest: cibuildwheel and maturin write none. If a
file is damaged, missing or not expected, or if two jobs built different files of one name, nothing is copied. The
merged manifest is the one to publish. Attestations are copied with their files.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from relnox.building import archives
from relnox.building.archives import hash_file, is_file_inside
from relnox.commands.options import CollectOptions as Options
from relnox.commands.shared import consistency, policies, releases
from relnox.core import fixes, graph
from relnox.core.packages import Package
from relnox.core.planning.plan import Plan, PlanBuilder
from relnox.core.planning.step import keys_of
from relnox.core.records import replace
from relnox.core.release.manifest import MANIFEST_JSON, Distribution, Manifest
from relnox.core.release.publication import ATTESTATION_SUFFIX
from relnox.core.release.wheels import FileComparison, compare_files
from relnox.core.requirements import transitive_dependencies_among
from relnox.core.text import format_count, join_names
from relnox.errors import Blocked, Conflict, Failed, Problem
from relnox.project import Project
from relnox.steps.built_archives import changed_archive_error
from relnox.steps.manifest import Collect, WriteMergedManifest

_ATTESTATION_LIMIT = 1 << 20
"""The maximum size of a file with attestations, in bytes; larger files are ignored."""
_MAX_SOURCE_SIZE = 8 << 20
_REBUILD = f"rebuild all jobs from one commit: {fixes.task_command('build-all')}"
_COMMAND = fixes.task_command("collect", "--from", "DIR")
_DOWNLOAD = "download the job's output again"


class JobOutput(NamedTuple):
    """The output of one build job.

    Attributes:
        directory: The path that `--from` names, or one directly below it.
        manifest: The manifest of the job; or one made from its wheels, as if built from the current commit.
        has_manifest: Whether the manifest is from the job.
        files: Maps the name of each file in the manifest that exists to the SHA-256 of that file.
        attestations: Maps the name of each file with an attestation beside it (PEP 740) to the SHA-256 of the
            attestation.
        unlisted: The names of wheels and sdists in the directory that its manifest does not list, and of their
            attestations.
    """

    directory: str
    manifest: Manifest
    has_manifest: bool
    files: Mapping[str, str]
    attestations: Mapping[str, str]
    unlisted: tuple[str, ...]

    def is_intact(self, file: Distribution) -> bool:
        """Return whether a file of the manifest exists in the directory with the hash that the manifest has."""
        return self.files.get(file.filename) == file.sha256


def plan(options: Options, project: Project) -> Plan:
    """Plan to copy the files of all build jobs into one directory, and then to write one manifest of them all."""
    new = PlanBuilder("collect")
    request = releases.read_release_request(options, options.package, project)
    directories = project.once(_find_job_directories, project.root, options.from_)
    jobs = tuple(
        project.once(_read_job_output, project.root, directory, request.names, project.commit)
        for directory in directories
    )
    packages = request.packages(project)
    if not request.names and (tagged_packages := releases.packages_tagged_here(project)):
        built_packages = {name for job in jobs for name in job.manifest.packages}
        packages = tuple(package for package in packages if package.name in tagged_packages | built_packages)
    names = [package.name for package in packages]
    comparisons = {package.name: _compare_with_expected_files(package, jobs, project) for package in packages}
    mismatches, version_notes = consistency.compare_versions(request, project, names)
    new.add_problems(mismatches, options)
    new.add_problems(_collection_problems(jobs, packages, comparisons, project), options)

    # Each file is copied from the first job that lists it.
    sources = {
        file.filename: (job.directory, file) for job in reversed(jobs) for file in job.manifest.distributions
    }
    incomplete = [name for name, comparison in comparisons.items() if comparison.missing]
    manifest = _merge_manifests(jobs, [file for _, file in sources.values()], incomplete, project)
    attestations = {
        name: (job.directory, f"{name}{ATTESTATION_SUFFIX}", sha256)
        for job in reversed(jobs)
        for name, sha256 in job.attestations.items()
    }
    copies = new.add(
        *(
            Collect(
                package=package,
                version=manifest.version_of(package),
                files=tuple(sources[file.filename] for file in manifest.files_of(package)),
                attestations=tuple(
                    attestations[file.filename]
                    for file in manifest.files_of(package)
                    if file.filename in attestations
                ),
                output=options.output,
            )
            for package in manifest.packages
        )
    )
    new.add(WriteMergedManifest(output=options.output, manifest=manifest, needs=keys_of(*copies)))

    new.notes += version_notes
    if not options.package and (others := sorted(project.workspace.by_name.keys() - set(names))):
        new.notes.append(f"not part of this release: {join_names(others)} (no tag at this commit)")
    if manifest.dirty:
        new.notes.append(
            "the files were built with uncommitted changes and cannot be published to a production index"
        )
    for job in jobs:
        attestations_text = f", {format_count(len(job.attestations), 'attestation')}" if job.attestations else ""
        new.notes.append(
            f"{job.directory}: {format_count(len(job.manifest.distributions), 'file')}{attestations_text}"
        )
    old_archives = project.once(_archive_names, project.root / options.output)
    if left_out := [name for name in old_archives if name not in sources]:
        new.notes.append(
            f"left out: {options.output} has archives that are not part of this release: {', '.join(left_out)}"
        )
    words = ("--from", "dist", *releases.directory_option(options.output, project))
    new.next_command = fixes.task_command("verify-install", *words)
    new.outputs |= releases.outputs_of_build(packages, project)
    return new.build()


# --- the output of jobs ------------------------------------------------------------------------------------------


def _find_job_directories(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the directories of jobs that the values of `--from` name or contain, relative to `root`, each once.

    Raises:
        Blocked: There is no value; or neither the directory that a value names nor one directly in it has a
            manifest, or wheels and no sdist.
    """
    if not names:
        raise Blocked(
            "option-missing",
            "--from is required (no directory of a build job was given)",
            fix=f"download the output of the build jobs into one directory; then {_COMMAND}",
        )
    directories: dict[Path, str] = {}
    for name in names:
        path_name = name.rstrip("/") or name
        inner = [f"{path_name}/{path.name}" for path in sorted((root / name).glob("*"))]
        jobs = [job for job in (path_name, *inner) if _is_output_of_job(root / job)]
        if not jobs:
            raise Blocked(
                "manifest-missing",
                f"{name} is not a directory of build jobs (no {MANIFEST_JSON} or wheels in it or below)",
                fix=f"upload all of dist/ in each job that builds, download these, then {_COMMAND}",
            )
        for job in jobs[:1] if jobs[0] == path_name else jobs:
            directories.setdefault((root / job).resolve(), job)
    return tuple(directories.values())


def _is_output_of_job(directory: Path) -> bool:
    """Return whether a directory has a manifest or, like the jobs of cibuildwheel, wheels and no sdist."""
    names = _archive_names(directory)
    return (directory / MANIFEST_JSON).is_file() or (bool(names) and all(name.endswith(".whl") for name in names))


def _archive_names(directory: Path, *suffixes: str) -> tuple[str, ...]:
    """Return the sorted names of a directory's wheels and sdists, and of files that end in one of `suffixes`.

    The result is empty if the directory does not exist.
    """
    paths = directory.iterdir() if directory.is_dir() else ()
    return tuple(sorted(path.name for path in paths if path.name.endswith((".whl", ".tar.gz", *suffixes))))


def _read_job_output(root: Path, directory: str, selected: frozenset[str], head: str | None) -> JobOutput:
    """Read the manifest in a job's directory, hash its files, and find attestations and unlisted archives.

    `selected` has the names of the packages whose files count; if it is empty, those of all count. `head` is the
    current commit, or None outside git: wheels without a manifest count as built from it.
    """
    path = root / directory
    has_manifest = (path / MANIFEST_JSON).is_file()
    if has_manifest:
        manifest = releases.read_manifest(root, directory)
    else:
        manifest = _manifest_of_wheels(root, directory, head)
    listed_names = {file.filename for file in manifest.distributions}
    manifest = manifest.restricted_to(selected) if selected else manifest
    names = [file.filename for file in manifest.distributions]
    hashes = {name: archives.hash_of_file_inside(path, path / name) for name in names}
    return JobOutput(
        directory,
        manifest,
        has_manifest,
        {name: sha256 for name, sha256 in hashes.items() if sha256 is not None},
        dict(_hash_attestations(path, names)),
        tuple(
            name
            for name in _archive_names(path, ATTESTATION_SUFFIX)
            if name.removesuffix(ATTESTATION_SUFFIX) not in listed_names
        ),
    )


def _manifest_of_wheels(root: Path, directory: str, head: str | None) -> Manifest:
    """Return a manifest of the wheels in a directory that has none, as if built from `head` (None outside git)."""
    path = root / directory
    names = [name for name in _archive_names(path) if is_file_inside(path, path / name)]
    wheels = [releases.distribution_of_wheel(root, directory, name) for name in names]
    latest = max(((path / wheel.filename).stat().st_mtime for wheel in wheels), default=0)
    time = datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds")
    return Manifest(distributions=tuple(wheels), commit=head, dirty=False, time=time)


def _hash_attestations(directory: Path, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield those of the file names `names` that have an attestation beside them, each with its SHA-256.

    The hash is that of the attestation. Attestations larger than 1 MiB are ignored.
    """
    for name in names:
        path = directory / f"{name}{ATTESTATION_SUFFIX}"
        if is_file_inside(directory, path) and path.stat().st_size <= _ATTESTATION_LIMIT:
            yield name, hash_file(path).sha256


def _merge_manifests(
    jobs: Sequence[JobOutput], files: Sequence[Distribution], incomplete: Sequence[str], project: Project
) -> Manifest:
    """Return one manifest that lists `files`, and which of their packages need each other to be installed.

    What they need is read from the manifests of the jobs, the project, and intact wheels. `incomplete` names the
    packages that lack files. The commit and the time are those of the latest job.
    """
    names = {file.package for file in files}
    needs: dict[str, set[str]] = {name: set() for name in names}
    for package in project.workspace.packages:
        if package.name in names:
            needs[package.name] |= project.workspace.runtime_dependencies(package) & names
    requires: dict[str, set[str]] = {name: set() for name in names}
    for job in jobs:
        for name, needed in job.manifest.needs:
            if name in names:
                needs[name] |= set(needed) & names
        for file in job.manifest.distributions:
            if file.kind == "wheel" and job.is_intact(file):
                with contextlib.suppress(Failed):  # a problem already
                    wheel = project.once(archives.read_archive, project.root / job.directory / file.filename)
                    requires[file.package].update(wheel.requires)
    for name, siblings in transitive_dependencies_among(requires).items():
        needs[name] |= siblings
    order = {
        name: place for place, name in enumerate(name for wave in graph.sort_into_waves(needs) for name in wave)
    }
    latest = max(jobs, key=lambda job: job.manifest.time).manifest
    is_here = latest.commit == project.commit  # or else a job of a commit built earlier knows it
    return replace(
        latest,
        policy=policies.publishing_policy(project, latest.commit) if is_here else latest.policy,
        distributions=tuple(sorted(files, key=lambda file: (order[file.package], file.kind, file.filename))),
        needs=tuple((name, tuple(sorted(graph.reachable_names([name], needs) - {name}))) for name in order),
        missing=tuple(sorted(incomplete)),
    )


# --- checks ------------------------------------------------------------------------------------------------------


def _compare_with_expected_files(package: Package, jobs: Sequence[JobOutput], project: Project) -> FileComparison:
    """Compare the names of the files that all jobs have of a package with those that the settings expect.

    A private package may have no files.
    """
    names = {file.filename for job in jobs for file in job.manifest.files_of(package.name)}
    if package.is_private and not names:
        return FileComparison()
    return compare_files(package.name, names, project.config.wheels)


def _collection_problems(  # noqa: C901, PLR0912 - a list of checks
    jobs: Sequence[JobOutput],
    packages: Sequence[Package],
    comparisons: Mapping[str, FileComparison],
    project: Project,
) -> Iterator[Problem]:
    """Yield problems that prevent the merge of the jobs' files: first those of jobs, then those of packages.

    `packages` are those to collect; `comparisons` has, by package name, which files are missing or unexpected.
    """
    if not any(job.manifest.distributions for job in jobs):
        yield Blocked(
            "archive-missing",
            "there are no files to collect (the manifests of all jobs are empty)",
            f"pass the directory with the output of the build jobs: {_COMMAND}",
        )
    commits: dict[str | None, str] = {}
    for job in jobs:
        commits.setdefault(job.manifest.commit, job.directory)
    if len(commits) > 1:
        lines = "\n".join(f"  {directory}  {commit or 'no commit'}" for commit, directory in commits.items())
        yield Blocked(
            "branch-changed",
            f"the jobs built different commits:\n{lines}",
            f"collect the jobs of one CI run: {_COMMAND}; or {_REBUILD}",
        )
    elif project.commit is not None and project.commit not in commits:
        (commit,) = commits
        yield Blocked(
            "branch-changed",
            f"the jobs built {commit or 'outside git'}, but this checkout is at {project.commit}",
            f"git switch --detach {commit}"
            if commit
            else f"rebuild in a git checkout: {fixes.task_command('build-all')}",
        )
    if dirty := [job.directory for job in jobs if job.manifest.dirty]:
        all_dirty = len(dirty) == len(jobs)
        yield Blocked(
            "build-dirty",
            f"the files in {', '.join(dirty)} were built with uncommitted changes",
            f"commit the changes, and {_REBUILD}" if all_dirty else _REBUILD,
            allow="allow_dirty" if all_dirty else "",
        )
    for job in jobs:
        yield from _job_output_problems(job, project)
    yield from _archive_problems(jobs, project)
    firsts: dict[str, tuple[str, Distribution]] = {}
    for job in jobs:
        for file in job.manifest.distributions:
            directory, first = firsts.setdefault(file.filename, (job.directory, file))
            if file != first:
                yield Conflict(
                    "index-file-differs",
                    f"two jobs built different files named {file.filename}:\n"
                    f"  {directory}  sha256 {first.sha256}\n  {job.directory}  sha256 {file.sha256}",
                    "build each file in only one job: the sdist once, then the wheels from that sdist",
                )
    for package in packages:
        versions = {
            file.version: f"{job.directory}/{file.filename}"
            for job in jobs
            for file in job.manifest.files_of(package.name)
        }
        if len(versions) > 1 or (package.version is not None and versions.keys() - {package.version}):
            lines = "\n".join(f"  {path}" for path in versions.values())
            yield Blocked(
                "release-version-differs",
                f"{package.name} must be {package.version or 'one version'}, but the jobs built:\n{lines}",
                _REBUILD,
            )
        missing_files, unexpected_files = comparisons[package.name].missing, comparisons[package.name].unexpected
        if missing_files:
            yield Blocked(
                "archive-missing",
                f"the files of {package.name} lack {join_names(missing_files, limit=6)}",
                f"add the directory of the missing job: {_COMMAND}",
                allow="partial",
            )
        if unexpected_files:
            add = f'add its wheels: [tool.relnox.wheels] {package.name} = ["cp312-manylinux_x86_64"]'
            if package.name in project.config.wheels:  # whose other identifiers have to stay
                add = f"add identifiers of these wheels to {package.name} in [tool.relnox.wheels]"
            yield Blocked(
                "archive-unexpected",
                f"{package.name} has files that [tool.relnox.wheels] does not list: {', '.join(unexpected_files)}",
                f"leave the directory of the job that built them out of --from; or {add}",
            )


def _job_output_problems(job: JobOutput, project: Project) -> Iterator[Problem]:
    """Yield a problem for each file of a job that is missing, changed, or not in its manifest.

    Yield one as well for each package of the job that the project does not have, or whose wheels need a manifest
    and have none.
    """
    for file in job.manifest.distributions:
        if not job.is_intact(file):
            sha256 = job.files.get(file.filename)
            fix = _DOWNLOAD if sha256 is None else f"{_DOWNLOAD}; if it still differs, {_REBUILD}"
            yield changed_archive_error(
                f"{job.directory}/{file.filename}", file.sha256, sha256, fix, missing=Blocked
            )
    for name in job.manifest.packages:
        if name not in project.workspace.by_name:
            yield Blocked(
                "package-unknown",
                f"{job.directory} has files of {name}, which is not a package of this checkout",
                "pass --from only the directories of this project's jobs",
            )
        elif not job.has_manifest and name not in project.config.wheels:
            yield Blocked(
                "manifest-missing",
                f"{job.directory} has wheels of {name} and no {MANIFEST_JSON}",
                f"build them with {fixes.task_command('build-all')}; if other tools build them, list them: "
                f'[tool.relnox.wheels] {name} = ["cp312-manylinux_x86_64"]',
            )
    for name in job.unlisted:
        yield Blocked(
            "archive-unexpected",
            f"{job.directory}/{name} is not listed in the manifest beside it",
            f"build into an empty directory in that job ({fixes.task_command('build-all', '--output', 'DIR')})",
        )


def _archive_problems(jobs: Sequence[JobOutput], project: Project) -> Iterator[Problem]:
    """Yield problems for errors in intact archives, and for wheels whose modules differ from those in the sdist.

    Modules are compared only for wheels without a manifest, which tools such as cibuildwheel build.
    """
    paths: dict[str, dict[tuple[str, str], Path]] = {}  # by package; the same file of two jobs is checked once
    for job in jobs:
        for file in filter(job.is_intact, job.manifest.distributions):
            path = project.root / job.directory / file.filename
            paths.setdefault(file.package, {}).setdefault((file.filename, file.sha256), path)
    directories = {project.root / job.directory: job for job in jobs}
    for package, by_file in paths.items():
        archive_paths = tuple(by_file.values())
        for finding in releases.archive_problems(package, archive_paths, archive_paths, project, public=False):
            (directory, *_) = (
                directories[path.parent].directory for path in archive_paths if path.name == finding.file
            )
            yield Blocked(finding.code, f"{directory}/{finding.file}: {finding.message}", finding.fix)
        sdist = next((path for path in archive_paths if path.name.endswith(".tar.gz")), None)
        for path in archive_paths:
            job = directories[path.parent]
            is_foreign = path.suffix == ".whl" and not job.has_manifest
            if (
                sdist
                and is_foreign
                and (changed_modules := project.once(_modules_differing_from_sdist, path, sdist))
            ):
                yield Blocked(
                    "archive-content",
                    f"{job.directory}/{path.name} was built from other sources than {sdist.name}: "
                    f"{join_names(changed_modules, limit=6)} differ",
                    "build the wheels from the collected sdist, or from the commit that it was built from",
                    allow="allow_mismatch",
                )


def _modules_differing_from_sdist(wheel: Path, sdist: Path) -> tuple[str, ...]:
    """Return the modules of a wheel whose content differs from that in the sdist; empty if one cannot be read.

    Modules that the sdist lacks are left out; so is each `__init__.py` of a wheel with a `DELVEWHEEL` file, since
    delvewheel changes them.
    """
    try:
        built, source = archives.read_archive(wheel), archives.read_archive(sdist)
        checksums: dict[str, set[int]] = {}
        for name, content in archives.iter_files(source, _MAX_SOURCE_SIZE):
            if name.endswith(".py") and len(content) < _MAX_SOURCE_SIZE:
                parts = name.split("/")
                for start in range(1, len(parts)):
                    checksums.setdefault("/".join(parts[start:]), set()).add(zlib.crc32(content))
    except (Failed, *archives.READ_ERRORS):  # a problem already
        return ()
    is_repaired = archives.find_dist_info_file(built, "DELVEWHEEL") is not None
    return tuple(
        entry.name
        for entry in built.entries
        if entry.crc32 not in checksums.get(entry.name, {entry.crc32})
        and not (is_repaired and entry.name.endswith("/__init__.py"))
    )
