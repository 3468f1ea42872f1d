"""Bump versions: in every version location and in dependents' requirements, as one commit with tags.

Without --commit, only files are edited. The trailers of the commit say what it releases, so that the same command
finishes an interrupted bump; --undo reverts a release that is not pushed yet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from relnox.commands.bump import (
    changes,
    development,
    existing_releases,
    generated_files,
    hook_edits,
    interrupted_bumps,
    preflight,
    pull_requests,
    selection,
    summary,
    undo,
)
from relnox.commands.bump.observation import observe_project, observe_remote
from relnox.commands.bump.project_state import RemoteState
from relnox.commands.bump.snapshot import NO_FILES, NewBump
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared.project import Project
from relnox.core import records as records
from relnox.core.bump import editing
from relnox.core.planning.changes import NewTag
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step
from relnox.errors import Blocked, Problem
from relnox.source import file_edits
from relnox.steps.edit_files import EditFiles
from relnox.steps.git import Commit, CreateTags, Push


def observe(options: Options, project: Project) -> NewBump | Plan:
    """Decide a new bump, for which tools generate files in a copy, or plan to finish or undo a release.

    If files of the checkout are changed, the bump is planned from the files of HEAD first: if some of its edits
    are made in the checkout, it was interrupted.
    """
    pull_requests.check_options(options)
    development.check_options(options)
    if options.undo:
        return undo.undo_plan(options, project)
    remote = observe_remote(options, project)
    state = project.state
    snapshot = None
    if state is not None and state.head is not None and state.changed_files and not options.pull_request:
        # The files of the checkout, which are read next, may not have what is an error in those of HEAD.
        with contextlib.suppress(Problem), project.at_head() as committed:
            snapshot = _observe_bump(options, committed, remote, checkout=project)
    snapshot = snapshot or _observe_bump(options, project, remote)
    assert snapshot is not None  # noqa: S101 - the edits of a checkout are new
    return snapshot


def _observe_bump(
    options: Options, project: Project, remote: RemoteState, checkout: Project | None = None
) -> NewBump | Plan | None:
    """Decide a new bump, unless the release already exists.

    Args:
        options: The options of the command.
        project: The project.
        remote: The state of its remote.
        checkout: The project with the files of the checkout, if `project` has those of HEAD. Then the result is
            None if none of the edits is made in the checkout, or other changes are.
    """
    observation = observe_project(options, project, remote)
    release = existing_releases.plan_release_at_head(observation, options, project, checkout or project)
    if release is not None:
        return release
    decision = selection.decide(observation, options)
    reason = existing_releases.find_release_after_head(observation, decision, options, project)
    if reason is not None:
        return Plan(task="bump", notes=(reason,))

    own_after = changes.edited_contents(observation, decision, NO_FILES)
    own_edits = tuple(editing.edits_between(observation.contents, own_after))
    if checkout is not None and own_edits and not interrupted_bumps.edited_files(own_edits, checkout):
        return None  # before tools run for nothing
    changelogs = generated_files.generate_changelogs(observation, decision, project)
    after = own_after
    if changelogs is not NO_FILES:
        after = changes.edited_contents(observation, decision, changelogs)
    locks = NO_FILES
    if options.lock:
        locks = generated_files.generate_locks(observation, decision, after, project)
    contents = {**after, **locks.after}
    hook_changes, hook_notes = hook_edits.run_edit_hooks(observation, decision, contents, project)
    before = {**observation.contents, **changelogs.before, **locks.before, **hook_changes.before}
    edits = tuple(
        sorted(
            editing.edits_between(before, {**contents, **hook_changes.after}),
            key=lambda edit: edit.file not in own_after,  # where a later run looks first, as above
        )
    )
    edited_files: tuple[str, ...] = ()
    if checkout is not None:
        edited_files = interrupted_bumps.edited_files(edits, checkout)
        if not interrupted_bumps.is_interrupted(edits, edited_files, checkout, options):
            return None
        observation = interrupted_bumps.without_edits(observation, edited_files)
        project = checkout
    target = None
    if options.pull_request and decision.bumps:
        target = pull_requests.observe_target(observation, edits, project)
    file_edits.check_paths(project.root, edits)
    return NewBump(
        observation=observation,
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
        development=development.decide_development_versions(observation, decision, edits, options, project),
        edited_files=edited_files,
    )


def plan(snapshot: NewBump | Plan, options: Options) -> Plan:
    """Plan the edits, the commit, the tags and the push of a new bump, with the problems that block them."""
    if isinstance(snapshot, Plan):
        return snapshot
    new = snapshot
    observation, bumps = new.observation, new.decision.bumps
    notes = (*interrupted_bumps.notes(new, options), *observation.workspace.warnings)
    notes = (*notes, *summary.notes(new, options), *new.hook_notes, *pull_requests.notes(new))
    if not bumps:  # with --part auto
        tag_problems = tuple(preflight.format_problems(observation, options, ()))
        return Plan(task="bump", notes=notes, problems=tag_problems)
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
            problems = (*problems, problem.but(fix=f"{problem.fix}; to ignore it: {flag}"))
    return Plan(
        task="bump",
        steps=tuple(_plan_steps(new, tags, options)),
        notes=tuple(dict.fromkeys(notes)),
        problems=problems,
        tables=tuple(summary.tables(new)),
    )


def _plan_steps(new: NewBump, tags: tuple[NewTag, ...], options: Options) -> Iterator[Step]:
    """Yield the steps of a new bump in order; only the last steps change the remote."""
    observation = new.observation
    if new.target is not None:
        yield from pull_requests.plan_steps(new)
        return
    if new.edits:
        yield EditFiles(edits=new.edits)
    if options.commit and new.edits:
        files = tuple(edit.file for edit in new.edits)
        yield Commit(message=changes.commit_message(observation, new.decision.bumps), files=files)
    if tags:
        yield CreateTags(tags=tags)
    yield from development.development_steps(new.development, observation)
    if options.push and observation.state is not None:
        branch, tag_names = observation.state.branch or "", tuple(tag.name for tag in tags)
        yield Push(remote_name=observation.config.remote, branch=branch, tags=tag_names)
