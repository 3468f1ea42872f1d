"""Preflight checks of a bump: the state of git and of the remote, and the problems found there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.shared import tag_checks
from relnox.errors import Blocked, Failed
from relnox.source.git import NETWORK_TIMEOUT, parse_tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.bump.snapshot import Options, Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.planning.plan import Problem
    from relnox.core.steps import Edit, Tag

__all__ = ["RemoteState", "check", "format_problems", "remote_state"]


class RemoteState(NamedTuple):
    """The state of the remote.

    Attributes:
        tags: Its tags, each with its commit; None if it was not queried or did not answer.
        is_ancestor: Whether the present branch contains its branch; None if that is not known.
        error: Why it did not answer.
    """

    tags: Mapping[str, str] | None = None
    is_ancestor: bool | None = None
    error: str | None = None


def remote_state(options: Options, project: Project) -> RemoteState:
    """Query the remote, once, before anything is made that would be pushed to it."""
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
            "remote-missing",
            f"git remote {remote} does not exist (--push needs it)",
            fix=f"git remote add {remote} URL, or set [tool.relnox] remote",
        )
    try:
        refs = git.remote_refs(remote, timeout=None if options.push else NETWORK_TIMEOUT)
    except Failed as error:
        if options.push:
            raise
        return RemoteState(error=error.message)
    remote_head = refs.get(f"refs/heads/{state.branch}")
    is_ancestor = remote_head is None or remote_head == state.head or git.is_ancestor(remote_head)
    return RemoteState(parse_tags(refs), is_ancestor)


def format_problems(snapshot: Snapshot, options: Options, bumps: tuple[VersionBump, ...]) -> tuple[Problem, ...]:
    """Check the tags' form for packages that are bumped, or that --part auto could bump."""
    bumped = {bump.package.name for bump in bumps}
    untagged = {name for name, history in snapshot.history.items() if history.tag is None}
    packages = [
        package
        for package in snapshot.workspace.packages
        if package.name in bumped
        or (
            options.part == "auto"
            and package in snapshot.selected
            and package.name in untagged
            and not package.private
        )
    ]
    problems = core.tag_proposals.format_problems(
        packages, snapshot.workspace, snapshot.config, snapshot.tag_formats, snapshot.known_tags
    )
    return tuple(problems)


def _check_tags(
    snapshot: Snapshot,
    options: Options,
    bumps: tuple[VersionBump, ...],
    tags: tuple[Tag, ...],
    names: Mapping[str, str],
) -> tuple[list[Problem], list[Problem]]:
    """Check the tags; return the problems that always block, and those that --force ignores."""
    checks, state = core.bump_checks, snapshot.state
    blocking: list[Problem] = []
    forcible: list[Problem] = []
    if options.tag:
        blocking += checks.check_tag_prefixes(bumps, names)
        planned = (tag.name for tag in tags)
        blocking += tag_checks.any_tag_problems(
            bumps, planned, snapshot.workspace, snapshot.tag_formats, snapshot.known_tags
        )
        if not options.allow_lower:
            forcible += checks.check_above_tags(bumps, names, snapshot.newer_tags.reachable)
        local = state.tags if state is not None else {}
        forcible += checks.check_tags_known(local, snapshot.remote_error, snapshot.config.remote)
    if options.tag or options.part == "auto":
        forcible += format_problems(snapshot, options, bumps)
    return blocking, forcible


def check(
    snapshot: Snapshot,
    options: Options,
    bumps: tuple[VersionBump, ...],
    edits: tuple[Edit, ...],
    tags: tuple[Tag, ...],
) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Run all preflight checks; return their problems, and notes on those that --force ignores."""
    state, config = snapshot.state, snapshot.config
    if state is None:
        return (), ()
    checks, generated = core.bump_checks, snapshot.generated_files
    names = {bump.package.name: snapshot.tag_formats[bump.package.name].render(bump.after) for bump in bumps}
    head = state.head if not edits else None
    blocking = [*checks.check_tags_free(tags, state.tags, snapshot.remote_tags or {}, head, config.remote)]
    blocking += checks.check_clean((name for name in state.dirty if name in generated), generated, ())
    dirty = [name for name in state.dirty if name not in generated]
    forcible = [*checks.check_clean(dirty, (edit.file for edit in edits), (bump.package for bump in bumps))]
    if options.commit or options.tag:
        forcible += checks.check_imports(snapshot.untracked_imports)
    tag_problems = _check_tags(snapshot, options, bumps, tags, names)
    blocking += tag_problems[0]
    forcible += tag_problems[1]
    if options.commit and state.branch is None:
        blocking.append(
            core.plan.Problem(
                code="head-detached",
                message="HEAD is detached (the commit would be on no branch)",
                fix="git switch BRANCH",
            )
        )
    elif options.commit:
        forcible += checks.check_branch(state.branch, config.branch)
    if snapshot.remote_is_ancestor is False:
        behind = core.plan.Problem(
            code="branch-behind",
            message=f"{config.remote} has commits on {state.branch} that are missing here",
            fix=f"git pull --rebase {config.remote} {state.branch}",
        )
        (blocking if options.push else forcible).append(behind)
    elif options.commit and snapshot.remote_is_ancestor is None and state.upstream is not None:
        forcible += checks.check_behind(state.behind, state.upstream)
    if options.commit and not edits and not tags:
        blocking.append(
            core.plan.Problem(
                code="nothing-to-commit",
                message="nothing to commit (no file changes)",
                fix="choose another version",
            )
        )
    if options.force:
        return tuple(blocking), tuple(f"--force ignores: {problem.message}" for problem in forcible)
    return (*blocking, *forcible), ()
