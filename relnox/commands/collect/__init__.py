"""Merge the output of many build jobs into one directory with one complete manifest.

Each --from names the directory of a job, which holds its manifest.json and its files, or a directory of such
directories. Platform wheels in [tool.relnox.wheels] need no manifest: cibuildwheel and maturin write none. If a
file is damaged, missing or not expected, or if two jobs built different files of one name, nothing is copied. The
merged manifest is the one to publish. Attestations are copied with their files.
"""

from __future__ import annotations

from collections.abc import Iterator

from relnox.commands.collect import jobs as build_jobs
from relnox.commands.collect import preflight
from relnox.commands.collect.jobs import Snapshot
from relnox.commands.options import CollectOptions as Options
from relnox.commands.shared import consistency, releases
from relnox.commands.shared.project import Project
from relnox.core import text
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import after
from relnox.core.release import collection
from relnox.core.release.manifest import Manifest
from relnox.steps.collect import Collect
from relnox.steps.write_manifest import WriteMergedManifest


def observe(options: Options, project: Project) -> Snapshot:
    """Read the manifests of the jobs, hash and check their files, and compare the versions with the tag."""
    names = consistency.selected_packages(options, options.package, project)
    selected_packages = frozenset(package.name for package in project.workspace.select(names))
    directories = build_jobs.find_job_directories(project.root, options.from_)
    jobs = tuple(build_jobs.read_job(directory, selected_packages, project) for directory in directories)
    output = project.root / options.output
    packages = project.select(names)
    if not names and (tagged := releases.packages_tagged_here(project)):
        built = {name for job in jobs for name in job.manifest.packages}
        packages = tuple(package for package in packages if package.name in tagged | built)
    findings = tuple(build_jobs.check_archives(jobs, project))
    return Snapshot(
        jobs=jobs,
        findings=findings,
        packages=packages,
        versions=consistency.compare_versions(options, project, tuple(package.name for package in packages)),
        workspace_packages=frozenset(project.workspace.by_name),
        needs=build_jobs.needed_packages(jobs, project, {finding.file for _, finding in findings}),
        head=project.state.head if project.state is not None else None,
        wheels=project.config.wheels,
        old_archives=build_jobs.archive_names(output) if output.is_dir() else (),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to copy the files of each package, and then to write the merged manifest."""
    problems = tuple(preflight.problems(snapshot, options))
    incomplete = [
        package.name for package in snapshot.packages if preflight.compare_with_expected(package, snapshot).missing
    ]
    manifest = collection.merge_manifests(snapshot.jobs, snapshot.needs, missing=incomplete)
    files = collection.file_sources(snapshot.jobs)
    attestations = collection.attestation_sources(snapshot.jobs)
    copies = [
        Collect(
            package=package,
            version=manifest.version(package),
            files=tuple(files[file.filename] for file in manifest.files_of(package)),
            attestations=tuple(
                (directory, attestation.filename, attestation.sha256)
                for file in manifest.files_of(package)
                if file.filename in attestations
                for directory, attestation in [attestations[file.filename]]
            ),
            output=options.output,
        )
        for package in manifest.packages
    ]
    writing = WriteMergedManifest(output=options.output, manifest=manifest, needs=after(*copies))
    return Plan(
        task="collect",
        steps=(*copies, writing),
        notes=tuple(_notes(snapshot, manifest, options)),
        problems=problems if options.allow_mismatch else (*snapshot.versions.problems, *problems),
    )


def _notes(snapshot: Snapshot, manifest: Manifest, options: Options) -> Iterator[str]:
    """Yield notes on versions, missing files, uncommitted changes, the files of each job, and old archives."""
    yield from snapshot.versions.notes
    if options.allow_mismatch:
        yield from consistency.ignored_mismatch_notes(snapshot.versions.problems)
    names = {package.name for package in snapshot.packages}
    if not options.package and (others := sorted(snapshot.workspace_packages - names)):
        yield f"not part of this release: {text.join_names(others)} (no tag at this commit)"
    for package in snapshot.packages:
        if options.partial and (missing := preflight.compare_with_expected(package, snapshot).missing):
            yield f"INCOMPLETE (--partial): {package.name} lacks {text.join_names(missing, limit=6)}"
    if manifest.dirty:
        yield "the files were built with uncommitted changes and cannot be published to a production index"
    for job in snapshot.jobs:
        attestations = f", {text.format_count(len(job.attestations), 'attestation')}" if job.attestations else ""
        yield f"{job.directory}: {text.format_count(len(job.manifest.distributions), 'file')}{attestations}"
    filenames = {file.filename for file in manifest.distributions}
    if old_archives := [name for name in snapshot.old_archives if name not in filenames]:
        names_text = ", ".join(old_archives)
        yield f"left out: {options.output} has archives that are not part of this release: {names_text}"
