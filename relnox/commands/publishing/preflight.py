"""What stands against publishing, all of it at once, and what a reader should know before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands import consistency
from relnox.commands.verify_install import private_notes
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.publishing.inspection import Snapshot
    from relnox.core.manifest import Distribution
    from relnox.core.plan import Problem

__all__ = ["notes", "problems", "public"]

_SHOWN = 5


def problems(snapshot: Snapshot, index: str, dist: str, *, allow_mismatch: bool = False) -> tuple[Problem, ...]:
    """What stands against publishing, all of it at once.

    Args:
        snapshot: What was looked at.
        index: Where the files are to go.
        dist: The folder with the files.
        allow_mismatch: Whether tag, version, commit and manifest may contradict one another.
    """
    found = [] if allow_mismatch else [*snapshot.mismatches]
    found += [
        refusal
        for file in snapshot.manifest.distributions
        for refusal in (_wrong_on_disk(file, snapshot, dist), _other_on_index(file, snapshot, index))
        if refusal is not None
    ]
    found += _closed(snapshot, index)
    found += _not_for_the_public(snapshot)
    found += snapshot.unmet
    if snapshot.production:
        found += _too_late(snapshot, index)
    if isinstance(snapshot.credentials, core.plan.Problem):
        found.append(snapshot.credentials)
    found += snapshot.attesting.problems
    return tuple(found)


def public(snapshot: Snapshot, *, allow_mismatch: bool = False) -> tuple[str, ...]:
    """The files that are public already, as far as they count for how a blocked run ends.

    A manifest that is public, all of it, and does not belong to this checkout is an earlier release: nothing of it
    is left to finish.
    """
    earlier = snapshot.mismatches and not allow_mismatch and not snapshot.missing
    return () if earlier else snapshot.public


def _wrong_on_disk(file: Distribution, snapshot: Snapshot, dist: str) -> Problem | None:
    sha256 = snapshot.present.get(file.filename)
    if sha256 is None and file.filename in snapshot.listed.get(file.package, {}):
        return None  # it is public already; what is on disk does not matter
    if sha256 is None:
        return core.plan.Problem(
            code="archive-missing",
            message=f"{dist}/{file.filename} is missing, although the manifest lists it",
            fix=f"rebuild: {core.fixes.command('build-all')}",
        )
    if sha256 != file.sha256:
        return core.plan.Problem(
            code="archive-changed",
            message=(
                f"{dist}/{file.filename} differs from the file that was built:\n"
                f"  found  sha256 {sha256}\n  built  sha256 {file.sha256}"
            ),
            fix=f"rebuild: {core.fixes.command('build-all')}",
            exit_code=ExitCode.CONFLICT,
        )
    return None


def _other_on_index(file: Distribution, snapshot: Snapshot, index: str) -> Problem | None:
    listed = snapshot.listed.get(file.package, {})
    there = listed.get(file.filename)
    if there is None or there == file.sha256:
        return None
    from relnox.executor.publishing import other_file

    error = other_file(index, file, there)
    return core.plan.Problem(code="todo", message=error.message, fix=error.fix or "", exit_code=error.exit_code)


def _closed(snapshot: Snapshot, index: str) -> Iterator[Problem]:
    """Projects that take no files at present (PEP 792)."""
    for package, listing in snapshot.closed.items():
        why = f": {listing.reason}" if listing.reason else ""
        if listing.status == "archived":
            yield core.plan.Problem(
                code="todo",
                message=f"{package} is archived on {index}, and takes no files{why}",
                fix="end that in the settings of the project there; then type the same command again",
            )
        else:
            yield core.plan.Problem(
                code="todo",
                message=f"{index} has put {package} into quarantine: nobody can upload it or install it{why}",
                fix="ask those who run the index; when it is over, type the same command again",
            )


def _not_for_the_public(snapshot: Snapshot) -> Iterator[Problem]:
    manifest = snapshot.manifest
    for finding in snapshot.unfit:
        yield core.plan.Problem(code=finding.code, message=f"{finding.file}: {finding.message}", fix=finding.fix)
    if manifest.dirty and snapshot.production:
        yield core.plan.Problem(
            code="todo",
            message="the manifest is of a tree with uncommitted changes",
            fix=f"commit them, then build again: {core.fixes.command('build-all', '--clean')}",
        )


def _too_late(snapshot: Snapshot, index: str) -> Iterator[Problem]:
    """Releases that the index takes no more files for (since July 2026)."""
    from relnox.indexes import uploader

    late = {file.package: file for file in snapshot.missing if file.package in snapshot.begun}
    for package, file in late.items():
        ends = snapshot.begun[package] + uploader.WINDOW
        if ends < snapshot.now:
            yield core.plan.Problem(
                code="todo",
                message=f"{index} takes no more files for {package} {file.version} since {ends:%Y-%m-%d}: "
                f"its first file is more than {uploader.WINDOW.days} days old",
                fix=uploader.publish_again(file),
                exit_code=ExitCode.CONFLICT,
            )


def notes(snapshot: Snapshot, index: str, *, allow_mismatch: bool = False) -> Iterator[str]:
    """What a reader should know before anything is sent; the arguments are those of `problems`."""
    if allow_mismatch:
        yield from consistency.allowed_notes(snapshot.mismatches)
    if isinstance(snapshot.credentials, str) and snapshot.credentials:
        yield f"credentials for {index}: {snapshot.credentials}"
    if snapshot.skipped is not None:
        yield snapshot.skipped
    yield from snapshot.remarks
    files = snapshot.manifest.distributions
    if there := sum(snapshot.listed[file.package].get(file.filename) == file.sha256 for file in files):
        yield f"{there} of {len(files)} files are on {index} already, and not sent again"
    for package, versions in snapshot.strangers.items():
        shown = ", ".join(map(str, versions[-_SHOWN:]))
        yield (
            f"{index} has a project {package} ({shown}), and no version of it is tagged here: if it is somebody "
            "else's, the name is taken there and uploads will be refused"
        )
    yield from snapshot.attesting.notes()
    yield from private_notes(snapshot.private)
