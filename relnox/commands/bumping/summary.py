"""What the plan of a bump tells besides its steps: the table of moves, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands import tag_checks
from relnox.commands.bumping import changes, preflight, selection
from relnox.core.steps.base import listing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.core.plan import Table
    from relnox.core.version_bumps import DependencyUpdates, VersionBump

    Decided = tuple[tuple[VersionBump, ...], DependencyUpdates]

__all__ = ["notes", "table"]

_MOST_LINES = 20
"""How many notes about single requirements somebody reads."""


def notes(
    snapshot: Snapshot, moves: tuple[VersionBump, ...], following: DependencyUpdates, options: Options
) -> Iterator[str]:
    """What a reader of the plan should know, line by line."""
    if not moves:
        yield "nothing asks for a release: no package has changes that its commits or fragments give a level"
    yield from _left_out(snapshot, options)
    yield from _context(snapshot, moves)
    yield from _of_tags(snapshot, moves, options)
    if options.part == "auto":
        yield from _never_tagged(snapshot, moves)
    told: dict[str, list[str]] = {}
    for move in moves:
        for remark in _remarks(move, snapshot, options):
            told.setdefault(remark, []).append(move.package.name)
    for remark, names in told.items():
        yield remark if len(names) == len(moves) else f"{', '.join(names)}: {remark}"
    stale = [name for name in changes.foreign_locks(snapshot, following) if name in snapshot.contents]
    if stale and not options.lock:
        yield f"{', '.join(stale)}: made for the old requirements; --lock has it made anew"
    yield from _written_elsewhere(snapshot, moves)
    yield from core.unlisted.outdated_pins(snapshot.unlisted, moves)
    lines = [
        f"{name}: {need.text} becomes {changed}" for name, needs in following.items() for need, changed in needs
    ]
    if len(lines) <= _MOST_LINES:
        yield from lines
    else:
        yield f"{len(lines)} requirements of {len(following)} packages follow; --dry-run shows each in its diff"


def _left_out(snapshot: Snapshot, options: Options) -> Iterator[str]:
    """Packages that --all leaves out, and how their first release is made."""
    if left_out := selection.never_tagged(snapshot, options):
        names = listing([package.name for package in left_out])
        first = core.fixes.command("bump", "--package", left_out[0].name, "--to", "0.1.0", "--tag")
        yield f"{names}: never tagged, so there is no version to raise; the first release: {first}"


def _of_tags(snapshot: Snapshot, moves: tuple[VersionBump, ...], options: Options) -> Iterator[str]:
    """What the tags say that a reader should know, and that does not refuse this bump."""
    if snapshot.lockstep_reason is not None:
        yield snapshot.lockstep_reason
    if snapshot.state is not None:
        yield from snapshot.newer_tags.notes(
            [move.package.name for move in moves], snapshot.config, snapshot.state.tags
        )
    if options.tag:
        yield from tag_checks.any_tag_notes(moves, snapshot.workspace)
    if not options.tag and options.part != "auto":
        for problem in preflight.format_problems(snapshot, options, moves):
            yield f"{problem.message}\n  fix: {problem.fix}"


def _context(snapshot: Snapshot, moves: tuple[VersionBump, ...]) -> Iterator[str]:
    """What is not known of the remote, and a bump right after another one."""
    if snapshot.remote_error is not None:
        yield (
            f"{snapshot.remote_error}: whether {snapshot.config.remote} has these tags already, or newer commits, "
            "is not known"
        )
    untracked = snapshot.state.untracked if snapshot.state is not None else ()
    folders = {move.package.folder for move in moves}
    left_out = [name for name in untracked if any(_is_in(name, folder) for folder in folders)]
    if left_out:
        are = "is" if len(left_out) == 1 else "are"
        yield f"{listing(left_out)} {are} not in git (untracked), nor in the release"
    yield from core.siblings.unbounded_siblings(
        [move.package for move in moves], snapshot.workspace, snapshot.config
    )
    if snapshot.config.changelog in ("auto", "keep-a-changelog"):
        ours = [move for move in moves if move.package.name not in snapshot.generated_changelogs]
        for file in core.release_notes.find_empty_changelogs(
            ours, snapshot.contents, snapshot.fragments or (), snapshot.config
        ):
            yield f"{file}: nothing stands under Unreleased, so it gets no section for this release"
    if moves and snapshot.previous is not None:
        yield f"there is no commit since the last bump ({snapshot.previous.record.command})"


def _is_in(file: str, folder: str) -> bool:
    return folder == "." or file.startswith(f"{folder}/")


def _written_elsewhere(snapshot: Snapshot, moves: tuple[VersionBump, ...]) -> Iterator[str]:
    """Literals that move along, and files that name a version which moves and are not edited."""
    moving = {place.file for move in moves for place in move.package.other_locations}
    literals = [f"{place.key[0]} in {place.file}" for place in snapshot.literals if place.file in moving]
    if literals:
        yield f"{listing(literals)} changes too ([tool.relnox] version-literals = false leaves it as it is)"
    mentions = dict.fromkeys(
        file for move in moves for file in snapshot.version_mentions.get(move.package.name, ())
    )
    if files := [file for file in mentions if file not in snapshot.generated_files]:
        yield (
            f"{listing(files, 5)} {'names' if len(files) == 1 else 'name'} the present version and "
            f"{'is' if len(files) == 1 else 'are'} not changed (to change a file too, "
            "add it to [[tool.relnox.version-files]])"
        )


def _remarks(move: VersionBump, snapshot: Snapshot, options: Options) -> Iterator[str]:
    """What is to be said of one move besides its versions."""
    source, scheme = move.package.source, snapshot.config.scheme
    if (
        source.in_file
        and not source.semver
        and (remark := core.versioning.normalization_note(source.text, scheme=scheme))
    ):
        yield remark
    if options.part != "auto" and options.to is None and move.before is not None:
        asked = selection.bump_of(options)
        if remark := core.versioning.explain(move.before, asked, move.after, scheme=scheme):
            yield remark


def _never_tagged(snapshot: Snapshot, moves: tuple[VersionBump, ...]) -> Iterator[str]:
    """Packages that have no tag, though others have: whether they are new is not clear."""
    moving = {move.package.name for move in moves}
    names = [
        package.name
        for package in snapshot.selected
        if package.name not in moving
        and not package.private
        and package.version is not None
        and (stands := snapshot.history.get(package.name)) is not None
        and stands.tag is None
    ]
    if names:
        tag = snapshot.tag_formats[names[0]].prefix
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")  # noqa: PLR2004 - enough to see
        yield f"no tag is of {listed} ({tag}…): for a first release name it, --package {names[0]}"


def table(moves: tuple[VersionBump, ...]) -> Table:
    """Each move with its reason."""
    rows = tuple(
        (move.package.name, str(move.before) if move.before is not None else "-", str(move.after), move.reason)
        for move in moves
    )
    return core.plan.Table(title="", columns=("package", "from", "to", "why"), rows=rows)
