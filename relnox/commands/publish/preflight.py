"""Preflight checks of publishing, and the notes that are shown before anything is uploaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.shared import consistency
from relnox.commands.shared.manifests import private_notes
from relnox.commands.shared.releases import released_earlier_notes
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.options import PublishingOptions
    from relnox.commands.publish.inspection import Snapshot
    from relnox.core.problems import Problem
    from relnox.core.release.manifest import Distribution

_MAX_LISTED = 5


def problems(snapshot: Snapshot, options: PublishingOptions) -> tuple[Problem, ...]:
    """Return the problems that block publishing, whatever the index is for."""
    blockers = [] if options.allow_mismatch else [*snapshot.mismatches]
    for file in snapshot.state.manifest.distributions:
        blockers += _check_local_file(file, snapshot, options.dist)
        blockers += _check_index_file(file, snapshot)
    blockers += _check_projects(snapshot)
    blockers += _check_archives(snapshot)
    if snapshot.production:
        blockers += _check_upload_window(snapshot)
    if isinstance(snapshot.credentials.origin, core.problems.Problem):
        blockers.append(snapshot.credentials.origin)
    blockers += snapshot.attestations.problems
    return tuple(blockers)


def development_problems(snapshot: Snapshot, *, allowed: bool) -> Iterator[Problem]:
    """Yield a problem if development versions would be published to a production index by accident.

    `--allow-dev` allows them, and so do settings that name this index for `dev`.
    """
    versions = _development_versions(snapshot)
    if not versions or allowed or snapshot.allows_dev:
        return
    are = "is a development version" if len(versions) == 1 else "are development versions"
    index = snapshot.state.name
    yield core.problems.Problem(
        code="development-version",
        message=f"{core.text.join_names(versions)} {are}, and {index} is a production index "
        "(files there cannot be replaced)",
        fix=f"publish to a test index: {core.fixes.task_command('publish-test')}; to publish anyway: "
        f'--allow-dev, or [tool.relnox.targets] dev = "{index}"',
    )


def _development_versions(snapshot: Snapshot) -> list[str]:
    """Return the development versions to be published to a production index, as `NAME VERSION`."""
    if not snapshot.production:
        return []
    files = (file for file in snapshot.state.missing if file.version.is_devrelease)
    return list(dict.fromkeys(f"{file.package} {file.version}" for file in files))


def public_files(snapshot: Snapshot, options: PublishingOptions) -> tuple[str, ...]:
    """Return the names of files that are already public, which determine the exit code of a blocked run.

    None are returned if all files of the manifest are public and it contradicts the checkout, because the manifest
    is then that of an earlier release.
    """
    is_earlier_release = snapshot.mismatches and not options.allow_mismatch and not snapshot.state.missing
    return () if is_earlier_release else snapshot.state.public


def _check_local_file(file: Distribution, snapshot: Snapshot, dist: str) -> Iterator[Problem]:
    """Yield a problem if a file to upload is missing on disk, or if a file has changed since the build."""
    sha256 = snapshot.local_hashes.get(file.filename)
    if sha256 is None and file.filename in snapshot.state.hashes.get(file.package, {}):
        return  # it is public already, and needs no upload
    if sha256 is None:
        yield core.problems.Problem(
            code="archive-missing",
            message=f"{dist}/{file.filename} is missing, although the manifest lists it",
            fix=f"rebuild: {core.fixes.task_command('build-all')}",
        )
    elif sha256 != file.sha256:
        yield core.problems.Problem(
            code="archive-changed",
            message=(
                f"{dist}/{file.filename} differs from the file that was built:\n"
                f"  found  sha256 {sha256}\n  built  sha256 {file.sha256}"
            ),
            fix=f"rebuild: {core.fixes.task_command('build-all')}",
            exit_code=ExitCode.CONFLICT,
        )


def _check_index_file(file: Distribution, snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a problem if the index has a different file of the same name."""
    index_hash = snapshot.state.hashes.get(file.package, {}).get(file.filename, file.sha256)
    if index_hash != file.sha256:
        from relnox.steps.published_files import different_file_error

        yield core.problems.Problem.from_error(different_file_error(snapshot.state.name, file, index_hash))


def _check_projects(snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a problem for each archived or quarantined project, which currently accepts no files (PEP 792)."""
    index = snapshot.state.name
    for package, listing in snapshot.frozen_projects.items():
        reason = f" ({listing.reason})" if listing.reason else ""
        if listing.status == "archived":
            yield core.problems.Problem(
                code="project-archived",
                message=f"project {package} is archived on {index}, and accepts no files{reason}",
                fix=f"unarchive it in the project's settings on {index}, then rerun the command",
            )
        else:
            yield core.problems.Problem(
                code="project-quarantined",
                message=f"project {package} is quarantined on {index}, and accepts no files{reason}",
                fix="contact the index operator, and rerun the command when the quarantine has ended",
            )


def _check_archives(snapshot: Snapshot) -> Iterator[Problem]:
    """Yield the errors found in the archives, and a problem if they were built with uncommitted changes."""
    for finding in snapshot.violations:
        yield core.problems.Problem(
            code=finding.code, message=f"{finding.file}: {finding.message}", fix=finding.fix
        )
    if snapshot.state.manifest.dirty and snapshot.production:
        yield core.problems.Problem(
            code="build-dirty",
            message="the files were built from a tree with uncommitted changes",
            fix=f"commit them, then rebuild: {core.fixes.task_command('build-all')}",
        )


def _check_upload_window(snapshot: Snapshot) -> Iterator[Problem]:
    """Yield a problem for each release too old to accept more files, as on PyPI since July 2026."""
    from relnox.indexes import upload_fixes

    state, index = snapshot.state, snapshot.state.name
    missing = {file.package: file for file in state.missing if file.package in snapshot.first_uploads}
    for package, file in missing.items():
        ends = snapshot.first_uploads[package] + upload_fixes.UPLOAD_WINDOW
        if ends < snapshot.now:
            yield core.problems.Problem(
                code="release-too-old",
                message=f"{package} {file.version} is too old for more files on {index} "
                f"since {ends:%Y-%m-%d} (its first file is more than {upload_fixes.UPLOAD_WINDOW.days} days old)",
                fix=upload_fixes.post_release_hint(file),
                exit_code=ExitCode.CONFLICT,
            )


def notes(snapshot: Snapshot, options: PublishingOptions) -> Iterator[str]:
    """Yield the notes that are shown before anything is uploaded."""
    index, credentials = snapshot.state.name, snapshot.credentials
    if options.allow_mismatch:
        yield from consistency.ignored_mismatch_notes(snapshot.mismatches)
    if isinstance(credentials.origin, str) and credentials.origin:
        yield f"credentials for {index} ({snapshot.host}): {credentials.origin}"
    if credentials.skip_reason is not None:
        yield credentials.skip_reason
    if development := _development_versions(snapshot):
        verb = "is a development version" if len(development) == 1 else "are development versions"
        yield f"{core.text.join_names(development)} {verb}, published to the production index {index}"
    yield from snapshot.warnings
    files = snapshot.state.manifest.distributions
    if count := len(snapshot.state.public):
        yield f"skipping {count} of {core.text.format_count(len(files), 'file')}: already on {index}"
    for package, versions in snapshot.unowned_projects.items():
        latest = ", ".join(map(str, versions[-_MAX_LISTED:]))
        yield (
            f"project {package} on {index} ({latest}) may belong to another account, which would reject the "
            "uploads (none of its versions is tagged in this repository)"
        )
    yield from snapshot.attestations.notes()
    yield from released_earlier_notes(snapshot.state.earlier, index)
    yield from private_notes(snapshot.private)
