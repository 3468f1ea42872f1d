"""What the plan of a bump tells besides its steps: the table of moves, and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bumping import changing, deciding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.core.moves import Following, Move
    from relnox.core.plan import Table

    Decided = tuple[tuple[Move, ...], Following]

__all__ = ["notes", "table"]

_MOST_LINES = 20
"""How many notes about single requirements somebody reads."""


def notes(snapshot: Snapshot, moves: tuple[Move, ...], following: Following, options: Options) -> Iterator[str]:
    """What a reader of the plan should know, line by line."""
    if not moves:
        yield "nothing asks for a release: no package has changes that its commits or fragments give a level"
    if options.part == "auto":
        yield from _never_tagged(snapshot, moves)
    told: dict[str, list[str]] = {}
    for move in moves:
        for remark in _remarks(move, snapshot, options):
            told.setdefault(remark, []).append(move.package.name)
    for remark, names in told.items():
        yield remark if len(names) == len(moves) else f"{', '.join(names)}: {remark}"
    stale = [name for name in changing.foreign_locks(snapshot, following) if name in snapshot.contents]
    if stale and not options.lock:
        yield f"{', '.join(stale)}: made for the old requirements; --lock has it made anew"
    if moves and snapshot.elsewhere:
        listed = ", ".join(snapshot.elsewhere[:5]) + (" …" if len(snapshot.elsewhere) > 5 else "")  # noqa: PLR2004
        yield f"the present version stands in {listed} as well, and stays there: places that move are declared"
    lines = [
        f"{name}: {need.text} becomes {changed}" for name, needs in following.items() for need, changed in needs
    ]
    if len(lines) <= _MOST_LINES:
        yield from lines
    else:
        yield f"{len(lines)} requirements of {len(following)} packages follow; --dry-run shows each in its diff"


def _remarks(move: Move, snapshot: Snapshot, options: Options) -> Iterator[str]:
    """What is to be said of one move besides its versions."""
    source, scheme = move.package.source, snapshot.config.scheme
    if (
        source.stated
        and not source.semver
        and (remark := core.versioning.normalisation(source.text, scheme=scheme))
    ):
        yield remark
    if options.part != "auto" and options.to is None and move.before is not None:
        asked = deciding.bump_of(options)
        if remark := core.versioning.explain(move.before, asked, move.after, scheme=scheme):
            yield remark


def _never_tagged(snapshot: Snapshot, moves: tuple[Move, ...]) -> Iterator[str]:
    """Packages that have no tag, though others have: whether they are new is not clear."""
    moving = {move.package.name for move in moves}
    names = [
        package.name
        for package in snapshot.chosen
        if package.name not in moving
        and not package.private
        and package.version is not None
        and (stands := snapshot.standing.get(package.name)) is not None
        and stands.tag is None
    ]
    if names:
        tag = snapshot.tag_formats[names[0]].before
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")  # noqa: PLR2004 - enough to see
        yield f"no tag is of {listed} ({tag}…): for a first release name it, --package {names[0]}"


def table(moves: tuple[Move, ...]) -> Table:
    """Each move with its reason."""
    rows = tuple(
        (move.package.name, str(move.before) if move.before is not None else "-", str(move.after), move.reason)
        for move in moves
    )
    return core.plan.Table(title="", columns=("package", "from", "to", "why"), rows=rows)
