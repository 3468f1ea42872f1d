"""The summary of a planned bump: the table of versions, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump import changes, preflight, selection
from relnox.commands.shared import tag_checks
from relnox.core.steps.base import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bump.snapshot import Options, Snapshot
    from relnox.core.bump.version_bumps import DependencyUpdates, VersionBump
    from relnox.core.planning.plan import Table

__all__ = ["notes", "table"]

_MAX_LINES = 20
"""Notes about single requirements; more are summed up in one."""
_MAX_LISTED = 5


def notes(
    snapshot: Snapshot, bumps: tuple[VersionBump, ...], updates: DependencyUpdates, options: Options
) -> Iterator[str]:
    """Yield the notes of the plan, one per line."""
    if not bumps:
        yield "nothing to release: no commit or change fragment since the last release asks for a bump"
    yield from _left_out(snapshot, options)
    yield from _context(snapshot, bumps)
    yield from _tag_notes(snapshot, bumps, options)
    if options.part == "auto":
        yield from _never_tagged(snapshot, bumps)
    packages_by_note: dict[str, list[str]] = {}
    for bump in bumps:
        for note in _version_notes(bump, snapshot, options):
            packages_by_note.setdefault(note, []).append(bump.package.name)
    for note, names in packages_by_note.items():
        yield note if len(names) == len(bumps) else f"{', '.join(names)}: {note}"
    stale = [name for name in changes.foreign_locks(snapshot, updates) if name in snapshot.contents]
    if stale and not options.lock:
        yield f"{', '.join(stale)}: out of date after this bump; to update it: --lock"
    yield from _other_files(snapshot, bumps)
    yield from core.unlisted.outdated_pins(snapshot.unlisted, bumps)
    lines = [
        f"{name}: {need.text} becomes {changed}" for name, needs in updates.items() for need, changed in needs
    ]
    if len(lines) <= _MAX_LINES:
        yield from lines
    else:
        yield f"{len(lines)} requirements of {len(updates)} packages change; --dry-run shows them in its diff"


def _left_out(snapshot: Snapshot, options: Options) -> Iterator[str]:
    """Name the packages that --all leaves out, and the command for their first release."""
    if left_out := selection.never_tagged(snapshot, options):
        names = listing([package.name for package in left_out])
        first = core.fixes.command("bump", "--package", left_out[0].name, "--to", "0.1.0", "--tag")
        yield f"{names}: skipped, no tag to derive a version from; for the first release: {first}"


def _tag_notes(snapshot: Snapshot, bumps: tuple[VersionBump, ...], options: Options) -> Iterator[str]:
    """Yield findings about tags that do not block this bump."""
    if snapshot.lockstep_reason is not None:
        yield snapshot.lockstep_reason
    if snapshot.state is not None:
        yield from snapshot.newer_tags.notes(
            [bump.package.name for bump in bumps], snapshot.config, snapshot.state.tags
        )
    if options.tag:
        yield from tag_checks.any_tag_notes(bumps, snapshot.workspace)
    if not options.tag and options.part != "auto":
        for problem in preflight.format_problems(snapshot, options, bumps):
            yield f"{problem.message}\n  fix: {problem.fix}"


def _context(snapshot: Snapshot, bumps: tuple[VersionBump, ...]) -> Iterator[str]:
    """Yield notes on the remote, untracked files, unbounded requirements, changelogs and the previous bump."""
    if snapshot.remote_error is not None:
        remote = snapshot.config.remote
        yield f"{snapshot.remote_error}: tags and commits of {remote} were not checked"
    untracked = snapshot.state.untracked if snapshot.state is not None else ()
    folders = {bump.package.folder for bump in bumps}
    left_out = [name for name in untracked if any(_is_in(name, folder) for folder in folders)]
    if left_out:
        are = "is" if len(left_out) == 1 else "are"
        yield f"{listing(left_out)} {are} untracked and not part of the release"
    packages = [bump.package for bump in bumps]
    yield from core.siblings.unbounded_siblings(packages, snapshot.workspace, snapshot.config)
    if snapshot.config.changelog in ("auto", "keep-a-changelog"):
        own = [bump for bump in bumps if bump.package.name not in snapshot.generated_changelogs]
        for file in core.release_notes.find_empty_changelogs(
            own, snapshot.contents, snapshot.fragments or (), snapshot.config
        ):
            yield f"{file}: no section for this release (Unreleased is empty)"
    if bumps and snapshot.previous is not None:
        yield f"no commits since the last bump ({snapshot.previous.record.command})"


def _is_in(file: str, folder: str) -> bool:
    return folder == "." or file.startswith(f"{folder}/")


def _other_files(snapshot: Snapshot, bumps: tuple[VersionBump, ...]) -> Iterator[str]:
    """Name the literals that change as well, and files that contain a bumped version and are not edited."""
    bumped_files = {location.file for bump in bumps for location in bump.package.other_locations}
    literals = [
        f"{location.key[0]} in {location.file}" for location in snapshot.literals if location.file in bumped_files
    ]
    if literals:
        yield f"{listing(literals)} changes as well; to leave it unchanged: [tool.relnox] version-literals = false"
    mentions = dict.fromkeys(
        file for bump in bumps for file in snapshot.version_mentions.get(bump.package.name, ())
    )
    if files := [file for file in mentions if file not in snapshot.generated_files]:
        is_single = len(files) == 1
        yield (
            f"{listing(files, _MAX_LISTED)} {'contains' if is_single else 'contain'} the present version and "
            f"{'is' if is_single else 'are'} not changed; to change a file as well: [[tool.relnox.version-files]]"
        )


def _version_notes(bump: VersionBump, snapshot: Snapshot, options: Options) -> Iterator[str]:
    """Yield notes on how one version is written and derived."""
    source, scheme = bump.package.source, snapshot.config.scheme
    if (
        source.in_file
        and not source.semver
        and (note := core.versioning.normalization_note(source.text, scheme=scheme))
    ):
        yield note
    if options.part != "auto" and options.to is None and bump.before is not None:
        requested = selection.bump_of(options)
        if note := core.versioning.explain(bump.before, requested, bump.after, scheme=scheme):
            yield note


def _never_tagged(snapshot: Snapshot, bumps: tuple[VersionBump, ...]) -> Iterator[str]:
    """Name the packages without any tag, which --part auto does not release unless they are named."""
    bumped = {bump.package.name for bump in bumps}
    names = [
        package.name
        for package in snapshot.selected
        if package.name not in bumped
        and not package.private
        and package.version is not None
        and (history := snapshot.history.get(package.name)) is not None
        and history.tag is None
    ]
    if names:
        prefix = snapshot.tag_formats[names[0]].prefix
        listed_names = ", ".join(names[:_MAX_LISTED]) + (" …" if len(names) > _MAX_LISTED else "")
        yield f"{listed_names}: no tag found ({prefix}…); for a first release: --package {names[0]}"


def table(bumps: tuple[VersionBump, ...]) -> Table:
    """Return the table of the bumps, each with its reason."""
    rows = tuple(
        (bump.package.name, str(bump.before) if bump.before is not None else "-", str(bump.after), bump.reason)
        for bump in bumps
    )
    return core.plan.Table(title="", columns=("package", "from", "to", "why"), rows=rows)
