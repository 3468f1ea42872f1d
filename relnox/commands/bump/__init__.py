"""Bump versions: in every version location and in dependents' requirements, as one commit with tags.

Without --commit, only files are edited. An interrupted bump is finished by rerunning the command, or undone with
--abort; --undo reverts the last bump if it is not pushed yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core, steps
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.commands.bump.snapshot import NewBump, Snapshot
    from relnox.commands.options import BumpOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.core.planning.plan import Plan
    from relnox.core.planning.step import Step
    from relnox.steps import bump_record

__all__ = ["observe", "pending", "plan"]


def observe(options: Options, project: Project) -> Snapshot:
    """Read what the plan depends on; for a new bump, also decide the versions and generate files in a copy."""
    from relnox.commands.bump import development, pull_requests, undo

    pull_requests.check_options(options)
    development.check_options(options)
    if (earlier := undo.observe_earlier_bump(options, project)) is not None:
        return earlier
    return _observe_new_bump(options, project)


def _observe_new_bump(options: Options, project: Project) -> Snapshot:
    """Read what a new bump depends on, unless it repeats the last one or the release already exists."""
    from relnox.commands.bump import (
        changes,
        development,
        existing_releases,
        generated_files,
        hook_edits,
        observation,
        pull_requests,
        repeated_bumps,
        selection,
        snapshot,
    )

    previous = repeated_bumps.find_previous_bump(options, project)
    if previous is not None and repeated_bumps.is_repeated(previous, options):
        return repeated_bumps.observe_repeated_bump(previous, options, project)
    if previous is not None:
        repeated_bumps.check_adds_nothing(previous, options)
    project_observation = observation.observe_project(options, project, previous)

    if (release := existing_releases.find_release_at_head(project_observation, options, project)) is not None:
        return release

    decision = selection.decide(project_observation, options)
    if (
        release := existing_releases.find_release_after_head(project_observation, decision, options, project)
    ) is not None:
        return release

    changelogs = generated_files.generate_changelogs(project_observation, decision, project)
    after = changes.edited_contents(project_observation, decision, changelogs)
    locks = snapshot.NO_FILES
    if options.lock:
        locks = generated_files.generate_locks(project_observation, decision, after, project)
    contents = {**after, **locks.after}
    hook_changes, hook_notes = hook_edits.run_edit_hooks(project_observation, decision, contents, project)
    before = {**project_observation.contents, **changelogs.before, **locks.before, **hook_changes.before}
    edits = tuple(core.editing.edits_between(before, {**contents, **hook_changes.after}))
    target = None
    if options.pull_request and decision.bumps:
        target = pull_requests.observe_target(project_observation, edits, project)
    from relnox.source import file_edits

    file_edits.check_paths(project.root, edits)
    return snapshot.NewBump(
        observation=project_observation,
        decision=decision,
        edits=edits,
        generated=frozenset({**changelogs.after, **locks.after, **hook_changes.after}),
        generated_changelogs=changelogs.changelogs_of,
        links=frozenset(
            file_edits.find_links(
                project.root,
                {*(edit.file for edit in edits), *(bump.package.pyproject for bump in decision.bumps)},
            )
        ),
        hook_notes=hook_notes,
        target=target,
        development=development.decide_development_versions(
            project_observation, decision, edits, options, project
        ),
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan a new bump, or resume, undo or repeat an earlier one."""
    from relnox.commands.bump import existing_releases, repeated_bumps, undo
    from relnox.commands.bump.snapshot import EarlierBump, ExistingRelease, RepeatedBump

    match snapshot:
        case EarlierBump():
            return undo.resume_or_undo(snapshot, options)
        case RepeatedBump():
            return repeated_bumps.repeated_bump_plan(snapshot, options)
        case ExistingRelease():
            return existing_releases.existing_release_plan(snapshot, options)
        case _:
            return _plan_new_bump(snapshot, options)


def _plan_new_bump(new: NewBump, options: Options) -> Plan:
    """Plan the edits, the commit, the tags and the push, with the problems that block them."""
    from relnox.commands.bump import changes, preflight, pull_requests, summary

    observation, bumps = new.observation, new.decision.bumps
    notes = (*observation.workspace.warnings, *summary.notes(new, options), *new.hook_notes)
    notes = (*notes, *pull_requests.notes(new))
    if not bumps:  # with --part auto
        tag_problems = tuple(preflight.format_problems(observation, options, ()))
        return core.plan.Plan(task="bump", notes=notes, problems=tag_problems)
    tags = changes.new_tags(observation, bumps) if options.tag else ()
    if tags and new.edits and not options.commit:
        edited_files = ", ".join(edit.file for edit in new.edits[:3])
        raise Blocked(
            "option-missing", f"--tag needs --commit ({edited_files} would change as well)", fix="add --commit"
        )
    problems = tuple(preflight.blocking_problems(new, options, tags))
    for name, problem in preflight.allowable_problems(new, options):
        flag = f"--{name.replace('_', '-')}"
        if getattr(options, name):
            notes = (*notes, f"{flag} ignores: {problem.message}")
        else:
            problems = (*problems, core.records.replace(problem, fix=f"{problem.fix}; to ignore it: {flag}"))
    return core.plan.Plan(
        task="bump",
        steps=tuple(_plan_steps(new, tags, options)),
        notes=tuple(dict.fromkeys(notes)),
        problems=problems,
        tables=tuple(summary.tables(new)),
    )


def _plan_steps(new: NewBump, tags: tuple[core.changes.NewTag, ...], options: Options) -> Iterator[Step]:
    """Yield the steps of a new bump in order; only the last steps change the remote."""
    from relnox.commands.bump import changes, pull_requests

    observation = new.observation
    if new.target is not None:
        yield from pull_requests.plan_steps(new)
        return
    if new.edits:
        yield steps.EditFiles(edits=new.edits)
    if options.commit and new.edits:
        files = tuple(edit.file for edit in new.edits)
        yield steps.Commit(message=changes.commit_message(observation, new.decision.bumps), files=files)
    if tags:
        yield steps.CreateTags(tags=tags)
    if (following := new.development).edits:
        files = tuple(edit.file for edit in following.edits)
        message = changes.commit_message(observation, following.bumps, core.release_history.DEVELOPMENT_MESSAGE)
        yield steps.EditDevelopmentFiles(edits=following.edits)
        yield steps.CommitDevelopment(message=message, files=files)
    if options.push and observation.state is not None:
        branch, tag_names = observation.state.branch or "", tuple(tag.name for tag in tags)
        yield steps.Push(remote_name=observation.config.remote, branch=branch, tags=tag_names)


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> bump_record.PendingBump | None:
    """Return the record to write before the first step, so that a rerun of the command can resume the bump."""
    from relnox.commands.bump.options import command_line_words
    from relnox.commands.bump.snapshot import EarlierBump, ExistingRelease, RepeatedBump
    from relnox.steps import bump_record

    if isinstance(snapshot, EarlierBump) and snapshot.interrupted_bump is not None:
        return snapshot.interrupted_bump
    if planned.skipped is not None or options.pull_request:
        return None
    match snapshot:
        case RepeatedBump():
            head, branch = snapshot.record.head, snapshot.record.branch
        case ExistingRelease():
            head, branch = snapshot.head, snapshot.branch or None
        case _:
            state = snapshot.state if isinstance(snapshot, EarlierBump) else snapshot.observation.state
            head, branch = (state.head, state.branch) if state is not None else (None, None)
    return bump_record.PendingBump(
        request=command_line_words(options),
        steps=bump_record.steps_to_record(planned.steps),
        head=head,
        branch=branch,
    )
