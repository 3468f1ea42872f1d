"""Bump versions: in every version location and in dependents' requirements, as one commit with tags.

Without --commit, only files are edited. An interrupted bump is finished by rerunning the command, or undone with
--abort; --undo reverts the last bump as long as nothing of it is pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump.snapshot import Options, Snapshot
from relnox.errors import Blocked

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.commands.shared.project import Project
    from relnox.core.notes.fragments import Fragment
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Table
    from relnox.core.steps import Commit, CreateTags, EditFiles, Push
    from relnox.source import edits

__all__ = ["Options", "Snapshot", "observe", "pending", "plan", "summarize"]


def observe(options: Options, project: Project) -> Snapshot:
    """Read the packages, their files, git and, for a push, the remote."""
    from datetime import UTC, datetime

    from relnox.commands.bump import changes, preflight, reruns, selection, undo
    from relnox.commands.shared import tag_checks
    from relnox.source import edits

    interrupted = edits.read_pending(project.private_folder)
    undoes = options.undo or options.abort
    is_new = interrupted is None and not (undoes or options.again or options.part == "auto")
    previous = reruns.find_previous_bump(options, project) if is_new else None
    is_done = previous is not None and previous.is_same_request and previous.has_all_tags
    needs_remote = not undoes and (options.push or interrupted is None) and not is_done
    remote = preflight.remote_state(options, project) if needs_remote else preflight.RemoteState()
    project = project.with_remote_tags(remote.tags)
    selected = () if interrupted is not None or undoes else selection.select_packages(options, project)
    config = project.release_config if selected else project.config
    workspace = project.literals.workspace if selected else project.workspace
    selected = tuple(workspace.by_name[package.name] for package in selected)
    contents: dict[str, bytes] = {}
    fragments: tuple[Fragment, ...] | None = None
    if selected:
        contents = {name: (project.root / name).read_bytes() for name in core.editing.editable_files(workspace)}
        contents |= project.read_files(core.release_notes.changelog_paths(workspace, config))
        contents |= project.read_files(changes.lock_files(workspace))
        fragments, fragment_contents = project.fragments()
        contents |= fragment_contents
    uses_tags = any(package.source.kind == "tags" for package in selected)
    snapshot = Snapshot(
        workspace=workspace,
        selected=selected,
        config=config,
        contents=contents,
        generated_files={},
        generated_changelogs=frozenset(),
        fragments=fragments,
        tag_formats=project.tag_formats,
        history=project.history if selected and (uses_tags or options.part == "auto") else {},
        state=project.state,
        remote_tags=remote.tags,
        remote_error=remote.error,
        remote_is_ancestor=remote.is_ancestor,
        known_tags=project.known_tags,
        newer_tags=tag_checks.newer_tags(project) if selected else tag_checks.NewerTags({}, {}),
        unlisted=project.unlisted if selected else (),
        lockstep_reason=project.lockstep_reason if selected else None,
        today=datetime.now(UTC).date(),
        literals=project.literals.locations if selected else (),
        untracked_imports=project.untracked_imports(selected),
        version_mentions=project.literals.mentions if selected else {},
        interrupted=interrupted,
        undo_target=undo.find_undo_target(options, project, interrupted),
        previous=previous,
        existing_release=None,
    )
    if not selected or (previous is not None and previous.is_same_request):
        return snapshot
    if is_new and previous is None:
        existing_release = reruns.find_existing_release(snapshot, options, project)
        if existing_release is not None:
            return snapshot._replace(existing_release=existing_release)
    snapshot = changes.without_ignored_locks(snapshot, project)
    snapshot = changes.with_generated_changelogs(snapshot, options, project)
    return changes.with_generated_locks(snapshot, options, project)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Plan the edits, the commit, the tags and the push, with every preflight check that failed."""
    from relnox.commands.bump import changes, preflight, selection, summary

    if (special := _resumed_or_done(snapshot, options)) is not None:
        return special
    selection.check_usage(options, snapshot)
    bumps, updates = resolved = selection.resolve(snapshot, options)
    edits = tuple(core.editing.edits_between(snapshot.contents, changes.contents_after(snapshot, resolved)))
    names = {bump.package.name: snapshot.tag_formats[bump.package.name].render(bump.after) for bump in bumps}
    tags = changes.tags(snapshot, bumps, names) if options.tag else ()
    if tags and edits and not options.commit:
        edited_files = ", ".join(edit.file for edit in edits[:3])
        raise Blocked(
            "option-missing", f"--tag needs --commit ({edited_files} would change as well)", fix="add --commit"
        )
    steps: list[EditFiles | Commit | CreateTags | Push] = []
    if edits:
        steps.append(core.steps.EditFiles(edits=edits))
    if options.commit and edits:
        files = tuple((edit.file, edit.digest) for edit in edits)
        steps.append(core.steps.Commit(message=changes.commit_message(snapshot, bumps), files=files))
    if tags:
        steps.append(core.steps.CreateTags(tags=tags))
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(
            core.steps.Push(to=snapshot.config.remote, branch=branch, tags=tuple(tag.name for tag in tags))
        )
    problems, ignored = preflight.check(snapshot, options, bumps, edits, tags)
    without_bumps = (
        preflight.format_problems(snapshot, options, ()) if options.part == "auto" and not options.force else ()
    )
    return core.plan.Plan(
        task="bump",
        steps=tuple(steps) if bumps else (),
        notes=(*snapshot.workspace.warnings, *summary.notes(snapshot, bumps, updates, options), *ignored),
        problems=problems if bumps else without_bumps,
        tables=(summary.table(bumps),) if bumps else (),
    )


def _resumed_or_done(snapshot: Snapshot, options: Options) -> Plan | None:
    """Plan a bump that is resumed, undone or already done; None if a new one is requested."""
    from relnox.commands.bump import reruns, undo

    if snapshot.interrupted is not None:
        return undo.resume(snapshot.interrupted, snapshot, options)
    if options.abort:
        raise Blocked(
            "bump-missing", "no interrupted bump to undo", fix="to revert the last finished bump: --undo"
        )
    if options.undo:
        return undo.undo(snapshot, options)
    if snapshot.previous is not None and snapshot.previous.is_same_request:
        return reruns.repeat_plan(snapshot.previous, snapshot, options)
    if snapshot.existing_release is not None:
        return reruns.existing_release_plan(snapshot.existing_release, snapshot, options)
    return None


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> edits.Pending | None:
    """Return the record to write before the first step, with which a rerun of the command can resume."""
    from relnox.commands.bump import selection

    if snapshot.interrupted is not None:
        return snapshot.interrupted
    if planned.skipped is not None:
        return None
    from relnox.source import edits

    local = (
        core.steps.EditFiles | core.steps.Commit | core.steps.CreateTags | core.steps.Push | core.steps.UndoBump
    )
    steps = tuple(step for step in planned.steps if isinstance(step, local))
    head = snapshot.state.head if snapshot.state is not None else None
    if snapshot.previous is not None and snapshot.previous.is_same_request:
        head = snapshot.previous.record.head
    return edits.Pending(request=selection.request(options), steps=steps, head=head)


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """Return no tables: the plan's table has it all."""
    del outcome, folder
    return ()
