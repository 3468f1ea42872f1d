"""Resuming or undoing an interrupted bump, and reverting the last finished bump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.bump.observation import observe_remote
from relnox.commands.bump.options import command_line_words
from relnox.commands.bump.project_state import RemoteState
from relnox.commands.bump.snapshot import EarlierBump, UndoTarget
from relnox.core import fixes
from relnox.errors import Blocked
from relnox.source.git import remotes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.options import BumpOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan
    from relnox.core.problems import Problem
    from relnox.steps import bump_record

_ABORT = fixes.task_command("bump", "--abort")


def observe_earlier_bump(options: Options, project: Project) -> EarlierBump | None:
    """Read the bump to resume or undo; return None for a new bump if none was interrupted."""
    from relnox.steps import bump_record

    interrupted_bump = bump_record.read_pending(project.private_directory)
    undoes = options.undo or options.abort
    if interrupted_bump is None and not undoes:
        return None
    tag_commit = None
    if interrupted_bump is not None and project.git is not None and project.state is not None:
        tag_commit = interrupted_bump.released_commit(project.git) or project.state.head
    return EarlierBump(
        interrupted_bump=interrupted_bump,
        undo_target=_find_undo_target(options, project, interrupted_bump),
        remote=observe_remote(options, project) if options.push and not undoes else RemoteState(),
        remote_name=project.config.remote,
        state=project.state,
        tag_commit=tag_commit,
    )


def resume_or_undo(earlier: EarlierBump, options: Options) -> Plan:
    """Plan to resume or undo an interrupted bump, or to revert the last finished one.

    Raises:
        Blocked: There is no such bump, it was pushed, or the options request something else.
    """
    if earlier.interrupted_bump is not None:
        return _resume_or_undo_interrupted(earlier.interrupted_bump, earlier, options)
    if options.abort:
        raise Blocked(
            "bump-missing", "no interrupted bump to abort", fix="pass --undo to revert the last finished bump"
        )
    if command_line_words(options) != ("--undo",):
        raise Blocked(
            "options-conflict", "--undo takes no other options of bump", fix=fixes.task_command("bump", "--undo")
        )
    if earlier.undo_target is None:
        raise Blocked(
            "bump-missing",
            "no bump on this machine to undo",
            fix="revert the commit with git revert, or release a higher version",
        )
    return _undo_plan(earlier.undo_target, earlier)


def _find_undo_target(
    options: Options, project: Project, interrupted_bump: bump_record.PendingBump | None
) -> UndoTarget | None:
    """Return the bump to revert: the last one, or the interrupted one if it made a commit or tags; else None."""
    from relnox.steps import bump_record

    if interrupted_bump is None:
        last_bump = bump_record.read_last(project.private_directory) if options.undo else None
        return _undo_target(last_bump, project) if last_bump is not None else None
    if not (options.abort or options.undo) or "--undo" in interrupted_bump.request:
        return None
    return _undo_target(interrupted_bump, project) if _made_commit_or_tags(interrupted_bump, project) else None


def _made_commit_or_tags(interrupted: bump_record.PendingBump, project: Project) -> bool:
    """Return whether an interrupted bump may have made a commit or tags."""
    if project.git is None:
        return False
    from relnox.source import file_edits
    from relnox.source.file_locks import lock_checkout

    with lock_checkout(project.private_directory):  # blocked if the bump is still running and not interrupted
        pass
    if interrupted.has_development_commit:
        existing_tags = project.git.tags()
        commits_made = interrupted.existing_commits(project.git)
        return bool(commits_made) or any(tag.name in existing_tags for tag in interrupted.tags)
    is_committed = file_edits.are_applied(project.root, interrupted.edits) and project.git.files_match_head(
        edit.file for edit in interrupted.edits
    )
    return is_committed and (interrupted.commit is not None or bool(interrupted.tags))


def _resume_or_undo_interrupted(
    interrupted: bump_record.PendingBump, earlier: EarlierBump, options: Options
) -> Plan:
    """Plan to resume an interrupted bump, or to undo it with `--abort` or `--undo`.

    Raises:
        Blocked: The options request another bump, or the bump to undo was pushed or is itself an undo.
    """
    from relnox.source import file_edits

    if options.abort and "--undo" in interrupted.request:
        raise Blocked(
            "bump-interrupted",
            "an undo was interrupted and must be finished first",
            fix=f"finish it: {interrupted.command}",
        )
    branch_problems = tuple(_branch_change_problems(interrupted, earlier))
    if options.abort or (options.undo and "--undo" not in interrupted.request):
        if earlier.undo_target is not None and not branch_problems:
            return _undo_plan(earlier.undo_target, earlier)
        return core.plan.Plan(
            task="bump",
            steps=(steps.EditFiles(edits=file_edits.reversed_edits(interrupted.edits)),),
            notes=(f"reverting: {interrupted.command}",),
            problems=branch_problems,
        )
    if interrupted.request != command_line_words(options):
        raise Blocked(
            "bump-interrupted",
            f"another bump was interrupted: {interrupted.command}",
            fix=f"finish it: {interrupted.command}, or undo it: {_ABORT}",
        )
    return core.plan.Plan(
        task="bump",
        steps=interrupted.steps,
        notes=("resuming the interrupted bump",),
        problems=(
            *branch_problems,
            *(_remote_change_problems(interrupted, earlier) if options.push else ()),
        ),
    )


def _branch_change_problems(interrupted: bump_record.PendingBump, earlier: EarlierBump) -> Iterator[Problem]:
    """Yield problems if a bump that makes commits or tags began on another branch, or git is not ready for it."""
    if earlier.state is not None and (interrupted.commits or interrupted.tags):
        yield from core.bump_checks.check_no_operation_in_progress(earlier.state.operation)
        if earlier.state.operation != "rebase":  # which detaches HEAD until it ends
            check = core.bump_checks.check_branch_unchanged
            yield from check(interrupted.branch, earlier.state.branch, interrupted.head)


def _undo_target(record: bump_record.PendingBump, project: Project) -> UndoTarget:
    """Return a recorded bump with its commits and where it was pushed; without these outside git."""
    if project.git is None or project.state is None or (head := project.state.head) is None:
        return UndoTarget(record, (), (), None, None)
    commits = tuple(commit for _, commit in record.existing_commits(project.git))
    local = project.state.tags
    tags = [tag for tag in _tags_of(record) if tag in local]
    tag_commit = record.released_commit(project.git) or head
    if record.commits and not commits and tags and head == record.head:
        tagged_commit = local[tags[0]]
        if project.git.parent_commit(tagged_commit) == head:  # the release, from which the branch was reset
            tag_commit = tagged_commit
    public_commit = commits[0] if commits else tag_commit if tag_commit != head else None
    pushed_to = project.git.remote_branches_containing(public_commit) if public_commit is not None else ()
    remote = project.config.remote
    if not pushed_to and tags and remote in remotes.names(project.git):
        remote_tags = remotes.read_tags(project.git, remote)
        pushed_to = (remote,) if any(remote_tags.get(tag) == local[tag] for tag in tags) else ()
    return UndoTarget(record, pushed_to, commits, tag_commit, head)


def _undo_plan(target: UndoTarget, earlier: EarlierBump) -> Plan:
    """Plan to revert a bump, with a problem for each later change that blocks this.

    Raises:
        Blocked: The bump was pushed.
    """
    from relnox.source import file_edits

    record = target.record
    if target.pushed_to:
        raise Blocked(
            "bump-missing",
            f"the last bump ({record.command}) is already pushed to {', '.join(target.pushed_to)}",
            fix="release a higher version" if earlier.interrupted_bump is None else f"finish it: {record.command}",
        )
    step = steps.UndoBump(
        commit=target.commits[-1] if target.commits else None,
        parent=target.commits[0] if len(target.commits) > 1 else None,
        tags=_tags_of(record),
        edits=file_edits.reversed_edits(record.edits),
    )
    return core.plan.Plan(
        task="bump",
        steps=(step,),
        notes=(f"reverting: {record.command}",),
        problems=tuple(_later_change_problems(target, earlier)) if record.commit is not None or step.tags else (),
    )


def _remote_change_problems(interrupted_bump: bump_record.PendingBump, earlier: EarlierBump) -> Iterator[Problem]:
    """Yield a problem for each change of the remote that would make it reject the push of an interrupted bump."""
    state, remote = earlier.state, earlier.remote_name
    if state is None or earlier.remote.tags is None:
        return
    is_ancestor = earlier.remote.is_ancestor
    is_public = any(tag.name in earlier.remote.tags for tag in interrupted_bump.tags)
    for problem in core.bump_checks.check_not_behind_remote(state.branch, remote, is_ancestor=is_ancestor):
        fix = f"{problem.fix}, then rerun the command; or undo the bump here: {_ABORT}"
        if is_public:  # a rebased release would be another commit than that of the tags
            fix = f"git pull --no-rebase --no-edit {remote} {state.branch}, then rerun the command"
        yield core.records.replace(problem, fix=fix)
    yield from core.bump_checks.check_tags_do_not_exist(
        interrupted_bump.tags, {}, earlier.remote.tags, earlier.tag_commit, remote
    )


def _later_change_problems(target: UndoTarget, earlier: EarlierBump) -> Iterator[Problem]:
    """Yield the problems that keep a bump from being reverted: later commits, moved tags and edited files."""
    record, state = target.record, earlier.state
    if target.commits and state is not None:
        yield from core.bump_checks.check_no_operation_in_progress(state.operation)
    if target.commits[-1:] not in ((), (target.head,)):
        yield core.problems.Problem(
            code="bump-missing",
            message=f"the last commit is not that of the bump ({record.command})",
            fix="undo the commits after it first, or release a higher version",
        )
    tags_elsewhere = [
        tag
        for tag in _tags_of(record)
        if state is not None and state.tags.get(tag, target.tag_commit) != target.tag_commit
    ]
    if tags_elsewhere:
        yield core.problems.Problem(
            code="branch-changed",
            message=f"tag {tags_elsewhere[0]} does not point to the commit of the last bump",
            fix=f"check what it points to: git show {tags_elsewhere[0]}",
        )
    dirty = [edit.file for edit in record.edits if state is not None and edit.file in state.changed_files]
    is_partial = earlier.interrupted_bump is not None and record.has_development_commit
    if target.commits and dirty and not is_partial:
        yield core.problems.Problem(
            code="tree-dirty",
            message=f"files changed since the last bump: {', '.join(dirty[:5])}",
            fix="commit them, or run: git stash",
        )


def _tags_of(record: bump_record.PendingBump) -> tuple[str, ...]:
    return tuple(tag.name for tag in record.tags)
