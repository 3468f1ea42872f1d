"""Go on with an interrupted bump, take it back, or take the last whole one back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bumping import selection
from relnox.commands.bumping.snapshot import UndoTarget
from relnox.core.fixes import command
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.commands.project import Project
    from relnox.core.plan import Plan, Problem
    from relnox.core.steps import Edit
    from relnox.core.version_bumps import DependencyUpdates, VersionBump
    from relnox.source import edits
    from relnox.source.git import GitState

    Decided = tuple[tuple[VersionBump, ...], DependencyUpdates]

__all__ = ["find_undo_target", "resume", "undo"]

_ABORT = command("bump", "--abort")


def find_undo_target(options: Options, project: Project, found: edits.Pending | None) -> UndoTarget | None:
    """The bump whose commit or tags are to be taken back: the last one, or an interrupted one that came so far."""
    if found is None:
        return last_bump(project) if options.undo else None
    if not (options.abort or options.undo) or "--undo" in found.request or not _is_committed(found, project):
        return None
    has_refs = any(isinstance(step, core.steps.Commit | core.steps.CreateTags) for step in found.steps)
    return last_bump(project, found) if has_refs else None


def _is_committed(found: edits.Pending, project: Project) -> bool:
    """Whether the files of an interrupted bump are committed, once a git that it started has ended."""
    if project.git is None:
        return False
    from relnox.source import edits
    from relnox.source.lock import exclusive_lock

    with exclusive_lock(project.private_folder):  # or else a run is at work, and has not been interrupted
        project.git.wait_for_leftover_process()
    changes = _edited(found)
    return edits.is_applied(project.root, changes) and project.git.matches_head(edit.file for edit in changes)


def resume(found: edits.Pending, snapshot: Snapshot, options: Options) -> Plan:
    """Go on with an interrupted bump, or take it back."""
    from relnox.source import edits

    if options.abort and "--undo" in found.request:
        raise Blocked("todo", "an undo was interrupted: it goes on, not back", fix=f"finish it: {found.command}")
    if options.abort or (options.undo and "--undo" not in found.request):
        if snapshot.undo_target is not None:
            return _taken_back(snapshot.undo_target, snapshot)
        return core.plan.Plan(
            task="bump",
            steps=(core.steps.EditFiles(edits=edits.reverse(_edited(found))),),
            notes=(f"takes back: {found.command}",),
        )
    if found.request != selection.request(options):
        raise Blocked(
            "todo",
            f"a bump was interrupted here: {found.command}",
            fix=f"finish it: {found.command}, or take it back: {_ABORT}",
        )
    return core.plan.Plan(
        task="bump",
        steps=found.steps,
        notes=("goes on with the bump that was interrupted",),
        problems=tuple(_moved_on(found, snapshot)) if options.push else (),
    )


def last_bump(project: Project, record: edits.Pending | None = None) -> UndoTarget | None:
    """The last bump, or the one of a record, and where it was pushed to."""
    from relnox.source import edits

    found = record or edits.read_last(project.private_folder)
    if found is None or project.git is None or project.state is None or project.state.head is None:
        return None if found is None else UndoTarget(found, (), "")
    committed = any(isinstance(step, core.steps.Commit) for step in found.steps)
    places = project.git.remote_branches_with(project.state.head) if committed else ()
    remote, local = project.config.remote, project.state.tags
    tags = [tag for tag in _tags_of(found) if tag in local]
    if not places and tags and remote in project.git.remotes():
        theirs = project.git.remote_tags(remote)
        places = (remote,) if any(theirs.get(tag) == local[tag] for tag in tags) else ()
    return UndoTarget(found, places, project.git.subject())


def undo(snapshot: Snapshot, options: Options) -> Plan:
    """Take the last bump back."""
    if selection.request(options) != ("--undo",):
        raise Blocked("todo", "--undo goes alone", fix=command("bump", "--undo"))
    if snapshot.undo_target is None:
        raise Blocked(
            "todo", "there is no last bump on this machine to take back", fix="git log -1 shows the last commit"
        )
    return _taken_back(snapshot.undo_target, snapshot)


def _taken_back(last: UndoTarget, snapshot: Snapshot) -> Plan:
    """Take back what a bump did, unless others may have it or something came after it."""
    from relnox.source import edits

    found, places, _ = last
    if places:
        raise Blocked(
            "todo",
            f"the last bump ({found.command}) is on {', '.join(places)} already: others may have it",
            fix="release a higher version instead" if snapshot.pending is None else f"finish it: {found.command}",
        )
    committed = any(isinstance(step, core.steps.Commit) for step in found.steps)
    commit = snapshot.state.head if committed and snapshot.state is not None else None
    back = core.steps.UndoBump(commit=commit, tags=_tags_of(found), edits=edits.reverse(_edited(found)))
    return core.plan.Plan(
        task="bump",
        steps=(back,),
        notes=(f"takes back: {found.command}",),
        problems=tuple(_since(last, snapshot.state)) if committed or back.tags else (),
    )


def _moved_on(found: edits.Pending, snapshot: Snapshot) -> Iterator[Problem]:
    """Why the push of an interrupted bump would be refused: the remote moved since."""
    state, remote = snapshot.state, snapshot.config.remote
    if state is None or snapshot.remote_tags is None:
        return
    if snapshot.remote_is_ancestor is False:
        yield core.plan.Problem(
            code="todo",
            message=f"{remote} has commits on {state.branch} that are not here",
            fix=f"git pull --rebase {remote} {state.branch}, then rerun the command; "
            f"or undo the bump here: {_ABORT}",
        )
    tags = tuple(tag for step in found.steps if isinstance(step, core.steps.CreateTags) for tag in step.tags)
    yield from core.bump_checks.check_tags_free(tags, {}, snapshot.remote_tags, state.head, remote)


def _since(last: UndoTarget, state: GitState | None) -> Iterator[Problem]:
    """Why the last bump is not the last thing that happened."""
    found = last.record
    message = next((step.message for step in found.steps if isinstance(step, core.steps.Commit)), "")
    if message and last.subject != message.partition("\n")[0].strip():
        yield core.plan.Problem(
            code="todo",
            message=f"the last commit is not that of the bump ({found.command})",
            fix="take back what came after it first, or release a higher version",
        )
    moved = [tag for tag in _tags_of(found) if state is not None and state.tags.get(tag, state.head) != state.head]
    if moved:
        yield core.plan.Problem(
            code="todo",
            message=f"the tag {moved[0]} leads to another commit than the last bump's",
            fix=f"git show {moved[0]}",
        )
    dirty = [edit.file for edit in _edited(found) if state is not None and edit.file in state.dirty]
    if message and dirty:
        yield core.plan.Problem(
            code="todo", message=f"{', '.join(dirty[:5])} changed since the last bump", fix="git stash, or commit"
        )


def _tags_of(found: edits.Pending) -> tuple[str, ...]:
    return tuple(tag.name for step in found.steps if isinstance(step, core.steps.CreateTags) for tag in step.tags)


def _edited(found: edits.Pending) -> tuple[Edit, ...]:
    return tuple(edit for step in found.steps if isinstance(step, core.steps.EditFiles) for edit in step.edits)
