"""The last bump on this machine, requested again: nothing is left to do, except missing tags and the push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.commands.bump.observation import observe_remote
from relnox.commands.bump.options import command_line_words
from relnox.commands.bump.project_state import RemoteState
from relnox.commands.bump.snapshot import RepeatedBump
from relnox.core import fixes
from relnox.core.text import join_names
from relnox.errors import Blocked, Failed

if TYPE_CHECKING:
    from relnox.commands.options import BumpOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step
    from relnox.core.problems import Problem
    from relnox.steps import bump_record

ALREADY_DONE = "already done"
"""Why each step is skipped, in short: a note of the plan gives the whole reason."""
AGAIN = "to bump once more: --again"
"""The end of messages about a bump that is already done."""


def find_previous_bump(options: Options, project: Project) -> bump_record.PendingBump | None:
    """Return the last bump on this machine if the checkout has not changed since.

    Returns:
        The record of the bump; None if there is none, or with `--again`, `--pull-request` or `--part auto`.
    """
    from relnox.steps import bump_record

    if options.again or options.pull_request or options.part == "auto":
        return None
    try:
        record = bump_record.read_last(project.private_directory)
    except Failed:  # written by another version of relnox
        return None
    return record if record is not None and _is_unchanged(record, project) else None


def is_repeated(record: bump_record.PendingBump, options: Options) -> bool:
    """Return whether the options request the recorded bump again, possibly with `--push` added."""
    request = command_line_words(options)
    return request == record.request or [word for word in request if word != "--push"] == list(record.request)


def check_adds_nothing(record: bump_record.PendingBump, options: Options) -> None:
    """Check that the options do not request the recorded bump with a commit or tags in addition.

    The versions are set already, so they would be bumped a second time.

    Raises:
        Blocked: They do.
    """
    request = command_line_words(options)
    flags = ("--commit", "--tag", "--then-dev")
    added = [flag for flag in flags if flag in request and flag not in record.request]
    rest = [word for word in request if word not in added]
    if added and rest in (list(record.request), [*record.request, "--push"]):
        raise Blocked(
            "bump-already-done",
            f"the last bump has set these versions ({record.command}, without {join_names(added)})",
            fix=f"{fixes.task_command('bump', '--undo')}, then rerun the command; {AGAIN}",
        )


def observe_repeated_bump(record: bump_record.PendingBump, options: Options, project: Project) -> RepeatedBump:
    """Find out whether the tags of the last bump still exist, when the same bump is requested again.

    Raises:
        Blocked: `--push` is given, and the remote does not exist.
        Failed: `--push` is given, and the remote does not answer.
    """
    state = project.state
    tags, tagged_commit = (state.tags, state.head) if state is not None else ({}, None)
    if project.git is not None:
        tagged_commit = record.released_commit(project.git) or tagged_commit
    has_all_tags = all(tags.get(tag.name) == tagged_commit for tag in record.tags)
    remote = observe_remote(options, project) if options.push else RemoteState()
    return RepeatedBump(record, has_all_tags, tagged_commit, state, remote, project.config.remote)


def repeated_bump_plan(repeated_bump: RepeatedBump, options: Options) -> Plan:
    """Plan the steps of the last bump again, to create missing tags or to push; the others are already done.

    With `--push` the steps run even if all were done before, since the remote may have changed.
    """
    record, state = repeated_bump.record, repeated_bump.state
    planned: tuple[Step, ...] = record.steps
    note = f"already done by the last bump ({record.command}), no commits since; {AGAIN}"
    adds_push = options.push and state is not None and not any(step.remote for step in record.steps)
    if adds_push or not repeated_bump.has_all_tags:
        note = f"finishing the last bump ({record.command})"
    if adds_push and state is not None:
        tags = tuple(tag.name for tag in record.tags)
        push = steps.Push(remote_name=repeated_bump.remote_name, branch=state.branch or "", tags=tags)
        planned = (*planned, push)
    problems: tuple[Problem, ...] = ()
    if state is not None and (options.push or not repeated_bump.has_all_tags):
        problems = (
            *core.bump_checks.check_branch_unchanged(record.branch, state.branch, record.head),
            *core.bump_checks.check_tags_do_not_exist(
                record.tags,
                {},
                repeated_bump.remote.tags or {},
                repeated_bump.tag_commit,
                repeated_bump.remote_name,
            ),
        )
    is_done = repeated_bump.has_all_tags and not options.push
    return core.plan.Plan(
        task="bump",
        steps=planned,
        notes=(note,),
        skipped=ALREADY_DONE if is_done else None,
        problems=problems,
    )


def _is_unchanged(record: bump_record.PendingBump, project: Project) -> bool:
    """Return whether the checkout is unchanged since a bump: its files are edited, and no commits followed."""
    from relnox.source import file_edits

    if not file_edits.are_applied(project.root, record.edits):
        return False
    if project.git is None or project.state is None:
        return record.head is None and bool(record.edits)
    if record.commit is None:
        return project.state.head == record.head
    if record.has_development_commit:
        count = len(record.existing_commits(project.git))
        is_next = count == len(record.commits) and project.git.resolve_commit(f"HEAD~{count}") == record.head
    else:
        is_next = project.state.head != record.head and project.git.parent_commit() == record.head
    return is_next and project.git.files_match_head(edit.file for edit in record.edits)
