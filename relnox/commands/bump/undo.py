"""Plans that resume or undo an interrupted bump, or revert the last finished one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump import selection
from relnox.commands.bump.snapshot import UndoTarget
from relnox.core.planning.fixes import command
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bump.snapshot import Options, Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan, Problem
    from relnox.core.steps import Edit
    from relnox.source import edits
    from relnox.source.git import GitState

__all__ = ["find_undo_target", "resume", "undo"]

_ABORT = command("bump", "--abort")


def find_undo_target(options: Options, project: Project, interrupted: edits.Pending | None) -> UndoTarget | None:
    """Return the bump whose commit or tags are to be reverted: the last or the interrupted one."""
    if interrupted is None:
        return _undo_target(project) if options.undo else None
    if not (options.abort or options.undo) or "--undo" in interrupted.request:
        return None
    if not _is_committed(interrupted, project):
        return None
    has_refs = any(isinstance(step, core.steps.Commit | core.steps.CreateTags) for step in interrupted.steps)
    return _undo_target(project, interrupted) if has_refs else None


def _is_committed(interrupted: edits.Pending, project: Project) -> bool:
    """Whether the files of an interrupted bump are committed, after waiting for a git process it left running."""
    if project.git is None:
        return False
    from relnox.source import edits
    from relnox.source.lock import exclusive_lock

    with exclusive_lock(project.private_folder):  # blocked if the bump is still running and not interrupted
        project.git.wait_for_leftover_process()
    changes = _edits_of(interrupted)
    return edits.is_applied(project.root, changes) and project.git.matches_head(edit.file for edit in changes)


def resume(interrupted: edits.Pending, snapshot: Snapshot, options: Options) -> Plan:
    """Plan to finish an interrupted bump, or to undo it."""
    from relnox.source import edits

    if options.abort and "--undo" in interrupted.request:
        raise Blocked(
            "undo-interrupted",
            "an undo was interrupted and can only be finished",
            fix=f"finish it: {interrupted.command}",
        )
    if options.abort or (options.undo and "--undo" not in interrupted.request):
        if snapshot.undo_target is not None:
            return _undo_plan(snapshot.undo_target, snapshot)
        return core.plan.Plan(
            task="bump",
            steps=(core.steps.EditFiles(edits=edits.reverse(_edits_of(interrupted))),),
            notes=(f"reverting: {interrupted.command}",),
        )
    if interrupted.request != selection.request(options):
        raise Blocked(
            "bump-interrupted",
            f"another bump was interrupted: {interrupted.command}",
            fix=f"finish it: {interrupted.command}, or undo it: {_ABORT}",
        )
    return core.plan.Plan(
        task="bump",
        steps=interrupted.steps,
        notes=("resuming the interrupted bump",),
        problems=tuple(_remote_changes(interrupted, snapshot)) if options.push else (),
    )


def _undo_target(project: Project, interrupted: edits.Pending | None = None) -> UndoTarget | None:
    """Return the interrupted bump, or else the last one, with the remotes that it was pushed to."""
    from relnox.source import edits

    record = interrupted or edits.read_last(project.private_folder)
    if record is None or project.git is None or project.state is None or project.state.head is None:
        return None if record is None else UndoTarget(record, (), "")
    committed = any(isinstance(step, core.steps.Commit) for step in record.steps)
    pushed_to = project.git.remote_branches_with(project.state.head) if committed else ()
    remote, local = project.config.remote, project.state.tags
    tags = [tag for tag in _tags_of(record) if tag in local]
    if not pushed_to and tags and remote in project.git.remotes():
        remote_tags = project.git.remote_tags(remote)
        pushed_to = (remote,) if any(remote_tags.get(tag) == local[tag] for tag in tags) else ()
    return UndoTarget(record, pushed_to, project.git.subject())


def undo(snapshot: Snapshot, options: Options) -> Plan:
    """Plan to revert the last bump."""
    if selection.request(options) != ("--undo",):
        raise Blocked(
            "contradicting-options", "--undo takes no other options of bump", fix=command("bump", "--undo")
        )
    if snapshot.undo_target is None:
        raise Blocked("bump-missing", "no bump on this machine to undo", fix="git log -1 shows the last commit")
    return _undo_plan(snapshot.undo_target, snapshot)


def _undo_plan(target: UndoTarget, snapshot: Snapshot) -> Plan:
    """Plan to revert a bump, unless it was pushed or something came after it."""
    from relnox.source import edits

    record = target.record
    if target.pushed_to:
        raise Blocked(
            "bump-pushed",
            f"the last bump ({record.command}) is already pushed to {', '.join(target.pushed_to)}",
            fix="release a higher version" if snapshot.interrupted is None else f"finish it: {record.command}",
        )
    committed = any(isinstance(step, core.steps.Commit) for step in record.steps)
    commit = snapshot.state.head if committed and snapshot.state is not None else None
    step = core.steps.UndoBump(commit=commit, tags=_tags_of(record), edits=edits.reverse(_edits_of(record)))
    return core.plan.Plan(
        task="bump",
        steps=(step,),
        notes=(f"reverting: {record.command}",),
        problems=tuple(_later_changes(target, snapshot.state)) if committed or step.tags else (),
    )


def _remote_changes(interrupted: edits.Pending, snapshot: Snapshot) -> Iterator[Problem]:
    """Yield why the push of an interrupted bump would be rejected: the remote has changed since."""
    state, remote = snapshot.state, snapshot.config.remote
    if state is None or snapshot.remote_tags is None:
        return
    if snapshot.remote_is_ancestor is False:
        yield core.plan.Problem(
            code="branch-behind",
            message=f"{remote} has commits on {state.branch} that are missing here",
            fix=f"git pull --rebase {remote} {state.branch}, then rerun the command; "
            f"or undo the bump here: {_ABORT}",
        )
    tags = tuple(tag for step in interrupted.steps if isinstance(step, core.steps.CreateTags) for tag in step.tags)
    yield from core.bump_checks.check_tags_free(tags, {}, snapshot.remote_tags, state.head, remote)


def _later_changes(target: UndoTarget, state: GitState | None) -> Iterator[Problem]:
    """Yield what was committed, tagged or edited after the last bump."""
    record = target.record
    message = next((step.message for step in record.steps if isinstance(step, core.steps.Commit)), "")
    if message and target.subject != message.partition("\n")[0].strip():
        yield core.plan.Problem(
            code="commits-after-bump",
            message=f"the last commit is not that of the bump ({record.command})",
            fix="undo the commits after it first, or release a higher version",
        )
    tags_elsewhere = [
        tag for tag in _tags_of(record) if state is not None and state.tags.get(tag, state.head) != state.head
    ]
    if tags_elsewhere:
        yield core.plan.Problem(
            code="tag-moved",
            message=f"tag {tags_elsewhere[0]} is on another commit than the last bump's",
            fix=f"git show {tags_elsewhere[0]}",
        )
    dirty = [edit.file for edit in _edits_of(record) if state is not None and edit.file in state.dirty]
    if message and dirty:
        yield core.plan.Problem(
            code="tree-dirty",
            message=f"files changed since the last bump: {', '.join(dirty[:5])}",
            fix="git stash, or commit",
        )


def _tags_of(record: edits.Pending) -> tuple[str, ...]:
    return tuple(tag.name for step in record.steps if isinstance(step, core.steps.CreateTags) for tag in step.tags)


def _edits_of(record: edits.Pending) -> tuple[Edit, ...]:
    return tuple(edit for step in record.steps if isinstance(step, core.steps.EditFiles) for edit in step.edits)
