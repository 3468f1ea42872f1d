"""What must hold before a bump: the state of git and of the remote, and the guards over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands import tag_checks
from relnox.errors import Blocked, Failed
from relnox.source.git import NETWORK_TIMEOUT, parse_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.commands.project import Project
    from relnox.core.plan import Problem
    from relnox.core.steps import Edit, Tag
    from relnox.core.version_bumps import DependencyUpdates, VersionBump

    Decided = tuple[tuple[VersionBump, ...], DependencyUpdates]

__all__ = ["check", "format_problems", "remote_state"]


class RemoteState(NamedTuple):
    """What the remote says.

    Attributes:
        tags: Its tags with the commit each leads to; None when it was not asked or did not answer.
        contained: Whether its branch is part of the present one; None when that is not known.
        unreachable: Why it did not answer.
    """

    tags: Mapping[str, str] | None = None
    remote_is_ancestor: bool | None = None
    error: str | None = None


def remote_state(options: Options, project: Project) -> RemoteState:
    """Ask the remote, once, before something that would be pushed to it is made."""
    git, state, remote = project.git, project.state, project.config.remote
    if git is None or state is None:
        return RemoteState()
    reads_tags = options.part == "auto" and not state.tags
    if not (options.push or options.commit or options.tag or reads_tags):
        return RemoteState()
    if remote not in git.remotes():
        if not options.push:
            return RemoteState()
        raise Blocked(
            "todo",
            f"there is no git remote called {remote} to push to",
            fix=f"git remote add {remote} URL, or set [tool.relnox] remote",
        )
    try:
        refs = git.remote_refs(remote, timeout=None if options.push else NETWORK_TIMEOUT)
    except Failed as error:
        if options.push:
            raise
        return RemoteState(error=error.message)
    theirs = refs.get(f"refs/heads/{state.branch}")
    contained = theirs is None or theirs == state.head or git.is_ancestor(theirs)
    return RemoteState(parse_tags(refs), contained)


def format_problems(snapshot: Snapshot, options: Options, moves: tuple[VersionBump, ...]) -> tuple[Problem, ...]:
    """Packages whose tags have another form than new ones would have: those that move, or could with auto."""
    moving = {move.package.name for move in moves}
    untagged = {name for name, each in snapshot.history.items() if each.tag is None}
    packages = [
        package
        for package in snapshot.workspace.packages
        if package.name in moving
        or (
            options.part == "auto"
            and package in snapshot.selected
            and package.name in untagged
            and not package.private
        )
    ]
    found = core.tag_proposals.format_problems(
        packages, snapshot.workspace, snapshot.config, snapshot.tag_formats, snapshot.known_tags
    )
    return tuple(found)


def _of_tags(
    snapshot: Snapshot,
    options: Options,
    moves: tuple[VersionBump, ...],
    tags: tuple[Tag, ...],
    names: Mapping[str, str],
) -> tuple[list[Problem], list[Problem]]:
    """What the tags say against a bump: what stands in any case, and what --force ignores."""
    guards, state = core.bump_checks, snapshot.state
    firm: list[Problem] = []
    soft: list[Problem] = []
    if options.tag:
        firm += guards.check_tag_prefixes(moves, names)
        planned = (tag.name for tag in tags)
        firm += tag_checks.any_tag_problems(
            moves, planned, snapshot.workspace, snapshot.tag_formats, snapshot.known_tags
        )
        soft += [] if options.allow_lower else guards.check_above_tags(moves, names, snapshot.newer_tags.reachable)
        local = state.tags if state is not None else {}
        soft += guards.check_tags_known(local, snapshot.remote_error, snapshot.config.remote)
    if options.tag or options.part == "auto":
        soft += format_problems(snapshot, options, moves)
    return firm, soft


def check(
    snapshot: Snapshot,
    options: Options,
    moves: tuple[VersionBump, ...],
    planned: tuple[Edit, ...],
    tags: tuple[Tag, ...],
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Guards that do not hold, all at once; those that --force ignores are named in the notes."""
    state, config = snapshot.state, snapshot.config
    if state is None:
        return (), ()
    guards = core.bump_checks
    names = {move.package.name: snapshot.tag_formats[move.package.name].render(move.after) for move in moves}
    head = state.head if not planned else None
    firm = [*guards.check_tags_free(tags, state.tags, snapshot.remote_tags or {}, head, config.remote)]
    firm += guards.check_clean(
        (name for name in state.dirty if name in snapshot.generated_files), snapshot.generated_files, ()
    )
    dirty = [name for name in state.dirty if name not in snapshot.generated_files]
    soft = [*guards.check_clean(dirty, (edit.file for edit in planned), (move.package for move in moves))]
    if options.commit or options.tag:
        soft += guards.check_imports(snapshot.untracked_imports)
    find_existing_release = _of_tags(snapshot, options, moves, tags, names)
    firm += find_existing_release[0]
    soft += find_existing_release[1]
    if options.commit and state.branch is None:
        firm.append(
            core.plan.Problem(
                code="todo",
                message="the head is detached: a commit would be on no branch",
                fix="git switch BRANCH",
            )
        )
    elif options.commit:
        soft += guards.check_branch(state.branch, config.branch)
    if snapshot.remote_is_ancestor is False:
        missing = core.plan.Problem(
            code="todo",
            message=f"{config.remote} has commits on {state.branch} that are not here",
            fix=f"git pull --rebase {config.remote} {state.branch}",
        )
        (firm if options.push else soft).append(missing)
    elif options.commit and snapshot.remote_is_ancestor is None and state.upstream is not None:
        soft += guards.check_behind(state.behind, state.upstream)
    if options.commit and not planned and not tags:
        firm.append(
            core.plan.Problem(
                code="todo", message="nothing changes: there is nothing to commit", fix="choose another version"
            )
        )
    if options.force:
        return tuple(firm), tuple(f"--force ignores: {refusal.message}" for refusal in soft)
    return (*firm, *soft), ()
