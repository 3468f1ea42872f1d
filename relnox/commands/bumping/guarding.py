"""What must hold before a bump: the state of git and of the remote, and the guards over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.commands.project import Project
    from relnox.core.moves import Following, Move
    from relnox.core.packages import Package
    from relnox.core.plan import Refusal
    from relnox.core.steps import Edit, Tag

    Decided = tuple[tuple[Move, ...], Following]

__all__ = ["elsewhere", "guards", "overtaken", "remote_state"]

_MOST_VERSIONS = 5
_OFTEN_STATE_VERSIONS = (
    "_version.py",
    "__version__.py",
    "__init__.py",
    "__about__.py",
    "about.py",
    "version.py",
    "conf.py",
    "setup.py",
    "setup.cfg",
    "VERSION",
    "VERSION.txt",
    "version.txt",
    "CITATION.cff",
    "Cargo.toml",
    "package.json",
    "meson.build",
)


def remote_state(options: Options, project: Project) -> tuple[Mapping[str, str] | None, bool | None]:
    """The remote's tags, and whether its branch is part of the present one."""
    if not (options.push and project.git is not None and project.state is not None):
        return None, None
    remote = project.config.remote
    if remote not in project.git.remotes():
        raise Refused(
            f"there is no git remote called {remote} to push to",
            hint=f"git remote add {remote} URL, or set [tool.relnox] remote",
        )
    refs = project.git.remote_refs(remote)
    theirs = refs.get(f"refs/heads/{project.state.branch}")
    contained = theirs is None or theirs == project.state.head or project.git.contains(theirs)
    return project.git.tags_among(refs), contained


def overtaken(project: Project) -> Mapping[str, tuple[str, Version]]:
    """The last reachable tags that are newer than the versions of their packages; usually there are none.

    A tag that came before the one of the present version is of a version that was given up: it does not count.
    """
    if project.git is None or project.state is None:
        return {}
    tags, formats, by_name = project.state.tags, project.tag_formats, project.workspace.by_name

    def is_newer(name: str, version: Version) -> bool:
        present = by_name[name].version
        return present is not None and version > present

    if not any(is_newer(name, version) for name, (_, version) in core.tags.latest(formats, tags).items()):
        return {}
    newer = {}
    for name, (tag, version) in core.tags.latest(formats, project.git.merged_tags()).items():
        if is_newer(name, version):
            own = tags.get(formats[name].render(by_name[name].version or version))
            if own is None or not project.git.contains(tags[tag], own):
                newer[name] = (tag, version)
    return newer


def guards(
    snapshot: Snapshot,
    options: Options,
    moves: tuple[Move, ...],
    planned: tuple[Edit, ...],
    tags: tuple[Tag, ...],
) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    """Guards that do not hold, all at once; those that --force ignores are named in the notes."""
    state, config = snapshot.state, snapshot.config
    if state is None:
        return (), ()
    guards = core.guards
    names = {move.package.name: snapshot.tag_formats[move.package.name].render(move.after) for move in moves}
    head = state.head if not planned else None
    firm = [*guards.tags_free(tags, state.tags, snapshot.remote_tags or {}, head, config.remote)]
    firm += guards.clean((name for name in state.dirty if name in snapshot.drafts), snapshot.drafts, ())
    dirty = [name for name in state.dirty if name not in snapshot.drafts]
    soft = [*guards.clean(dirty, (edit.file for edit in planned), (move.package for move in moves))]
    if options.tag:
        firm += guards.readable_tags(moves, names)
        soft += [] if options.allow_lower else guards.ahead_of_tags(moves, names, snapshot.overtaken)
    if options.commit and state.branch is None:
        firm.append(
            core.plan.Refusal(
                message="the head is detached: a commit would be on no branch", hint="git switch BRANCH"
            )
        )
    elif options.commit:
        soft += guards.branch(state.branch, config.branch)
    if snapshot.contained is False:
        firm.append(
            core.plan.Refusal(
                message=f"{config.remote} has commits on {state.branch} that are not here",
                hint=f"git pull --rebase {config.remote} {state.branch}",
            )
        )
    elif options.commit and snapshot.contained is None and state.upstream is not None:
        soft += guards.behind(state.behind, state.upstream)
    if options.commit and not planned and not tags:
        firm.append(
            core.plan.Refusal(message="nothing changes: there is nothing to commit", hint="choose another version")
        )
    if options.force:
        return tuple(firm), tuple(f"--force ignores: {refusal.message}" for refusal in soft)
    return (*firm, *soft), ()


def elsewhere(chosen: tuple[Package, ...], project: Project) -> tuple[str, ...]:
    """Files, of the kinds that often state a version, that name a present one and are no known place."""
    versions = {package.source.text for package in chosen if package.source.stated}
    if not 0 < len(versions) <= _MOST_VERSIONS or project.git is None:
        return ()
    known = {place.file for package in project.workspace.packages for place in package.stated}
    known |= {place.file for place in project.config.places}  # those that are said to be none as well
    found = project.git.files_with(sorted(versions), _OFTEN_STATE_VERSIONS)
    return tuple(name for name in found if name not in known)
