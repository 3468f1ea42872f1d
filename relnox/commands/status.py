"""Show every package with its version, its last tag, what changed since, and what that would be released as.

What would be released is what `bump --part auto` does. Stays offline unless --index asks an index which of its
files are there, or this clone has no tags: then the remote is asked for its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands import tag_checks
from relnox.core.options import CommonOptions, option
from relnox.errors import Blocked, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.levels import ReleaseHistory
    from relnox.core.options import Given
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Table
    from relnox.core.version_bumps import VersionBump
    from relnox.network import Deadline

__all__ = ["Options", "Row", "Snapshot", "explain", "observe", "plan", "summarize"]

_PATIENCE = 10.0
"""Seconds of trouble that asking an index outlasts: somebody sits before it."""


class Options(CommonOptions):
    """Options of `status`."""

    package: tuple[str, ...] = option(
        (),
        "Show this package only (distribution or folder name; repeatable).",
        metavar="NAME",
        anywhere=False,
    )
    index: tuple[str, ...] = option((), "Ask this index as well (repeatable).", metavar="NAME", anywhere=False)
    explain: bool = option(False, "Show where the value of each option of each task comes from.", anywhere=False)


class Row(NamedTuple):
    """What is known of one package.

    Attributes:
        package: The package.
        history: Its last tag and the commits since; None outside git and before the first commit.
        move: What `bump --part auto` would do with it; None where nothing asks for a release.
        listed: For each index that was asked the versions it lists.
    """

    package: Package
    history: ReleaseHistory | None
    move: VersionBump | None
    listed: tuple[frozenset[Version], ...]


class Snapshot(NamedTuple):
    """What `status` looked at.

    Attributes:
        rows: What is known of each package.
        notes: What discovery passed over, and why nothing can be said of a release.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, the history, and the indexes that were asked for."""
    tags, unreachable = tag_checks.remote_tags(project)
    project = project.with_remote_tags(tags)
    packages = project.workspace.select(options.package) if options.package else project.workspace.packages
    moves, notes = _moves(project)
    asked = _asked(options.index)
    rows = (
        Row(
            package,
            project.history.get(package.name),
            moves.get(package.name),
            tuple(_listed(index, package, project, deadline) for index, deadline in asked),
        )
        for package in packages
    )
    every = (
        *project.workspace.warnings,
        *_of_tags(packages, project, unreachable),
        *_disagreements(project),
        *notes,
        *_unlisted(project),
    )
    return Snapshot(tuple(rows), every)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Nothing to do: a table."""
    rows = tuple(_row(row) for row in snapshot.rows)
    columns = ("package", "version", "last tag", "changed since", "next", "why", *options.index)
    table = core.plan.Table(title="", columns=columns, rows=rows)
    return core.plan.Plan(task="status", tables=(table,), notes=snapshot.notes)


def explain(given: Mapping[str, Mapping[str, Given]]) -> Table:
    """Where the value of each option of each task comes from."""
    rows = tuple(
        (task, name.rstrip("_").replace("_", "-"), repr(each.value), each.origin)
        for task, options in given.items()
        for name, each in options.items()
    )
    return core.plan.Table(title="Options", columns=("task", "option", "value", "comes from"), rows=rows)


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The plan's table says it all."""
    del outcome, folder
    return ()


def _moves(project: Project) -> tuple[dict[str, VersionBump], tuple[str, ...]]:
    """What `bump --part auto` would do, by package, or why it would not."""
    from datetime import UTC, datetime

    if project.state is None or project.state.head is None:
        return {}, ()
    if project.state.shallow:
        return {}, ("this clone is shallow: tags and commits may be missing (git fetch --unshallow --tags)",)
    if not project.state.tags and project.remote_tags:
        return {}, ()
    try:
        released = {name: each.version for name, each in project.history.items() if each.version is not None}
        if not project.known_tags.forms:  # or else it is told which form they have
            core.levels.check_tag_format_fits(project.history, project.state.tags)
        fragments, _ = project.fragments()
        config = project.release_config
        bump_requests = core.levels.bump_requests(project.workspace, project.history, fragments, config)
        moved, _ = core.version_bumps.plan_bumps(
            project.workspace, bump_requests, released=released, config=config, today=datetime.now(UTC).date()
        )
    except Blocked as error:
        return {}, (f"nothing could be released as it is: {error.message}; {error.fix}",)
    return {move.package.name: move for move in moved}, ()


def _of_tags(shown: tuple[Package, ...], project: Project, unreachable: str | None) -> Iterator[str]:
    """What tags say of packages: how they move, other forms, newer ones, and those that are not here."""
    if project.state is None or project.state.head is None:
        return
    yield from tag_checks.missing_tags(project, unreachable)
    try:
        if project.lockstep_reason is not None:
            yield project.lockstep_reason
        packages = [package for package in shown if not package.private]
        problems = core.tag_proposals.format_problems(
            packages, project.workspace, project.release_config, project.tag_formats, project.known_tags
        )
        yield from (f"{problem.message}\n  {problem.fix}" for problem in problems)
        yield from tag_checks.newer_tags(project).notes(
            [package.name for package in shown], project.config, project.state.tags
        )
    except Blocked:  # the formats cannot work, which is said where the next versions would be
        return


def _unlisted(project: Project) -> Iterator[str]:
    """Packages of the checkout that are not of the project."""
    if project.unlisted:
        yield core.unlisted.summary(project.unlisted, project.workspace, project.config)


def _disagreements(project: Project) -> Iterator[str]:
    """Packages whose places state several versions, literals in their modules among them."""
    for package in project.literals.workspace.packages:
        if package.other_locations and not core.version_bumps.locations_agree(package, package.version):
            fix = core.fixes.command("bump", "--to", "VERSION")
            yield f"{core.version_bumps.describe_disagreement(package)}\n  to fix it: {fix}"


def _asked(indexes: Sequence[str]) -> list[tuple[str, Deadline]]:
    """How long each index is asked for all packages together."""
    if not indexes:
        return []
    from relnox.network import Deadline

    return [(index, Deadline(_PATIENCE)) for index in indexes]


def _listed(index: str, package: Package, project: Project, deadline: Deadline) -> frozenset[Version]:
    """The versions that an index lists of a package.

    Raises:
        TryLater: It does not answer.
    """
    from relnox.network import TransientError

    try:
        files = project.indexes.files(index, package.name, deadline).values()
    except TransientError as transient_error:
        raise TryLater(
            "todo",
            f"{index} cannot be asked what it lists: {transient_error.message}",
            fix=f"type the same command again later, or leave --index {index} out",
        ) from transient_error
    return frozenset(file.version for file in files if file.version is not None)


def _row(row: Row) -> tuple[str, ...]:
    package, history, move = row.package, row.history, row.move
    if package.version is not None:
        version = str(package.version)
    elif package.source.kind == "tags" and history is not None and history.version is not None:
        version = str(history.version)
    else:
        version = f"({package.source.text})"
    tag, changed = "-", "-"
    if history is not None and history.tag is not None:
        tag, count = history.tag, len(history.commits)
        changed = "no" if not count else f"{count} commit{'s' if count > 1 else ''}"
    following = (str(move.after), move.reason) if move is not None else ("-", "-")
    on_indexes = [_on_index(package.version, versions) for versions in row.listed]
    private = " (private)" if package.private else ""
    return (package.name + private, version, tag, changed, *following, *on_indexes)


def _on_index(version: Version | None, listed: frozenset[Version]) -> str:
    if not listed:
        return "nothing"
    latest = max(listed)
    return (
        f"{latest} (this one)" if latest == version else f"{latest}{', this one too' if version in listed else ''}"
    )
