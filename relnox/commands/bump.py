"""Move versions: in every place they live, in dependents' requirements, as one commit and its tags.

Without --commit only files are edited. What was interrupted is finished by the same command again, or taken
back by --abort; --undo takes the last bump back while nothing of it is pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bumping.snapshot import Options, Snapshot
from relnox.errors import Blocked

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.fragments import Fragment
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Commit, CreateTags, EditFiles, Push
    from relnox.core.version_bumps import DependencyUpdates, VersionBump
    from relnox.source import edits

    Decided = tuple[tuple[VersionBump, ...], DependencyUpdates]

__all__ = ["Options", "Snapshot", "observe", "pending", "plan", "summarize"]


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, their files, git and, for a push, the remote."""
    from datetime import UTC, datetime

    from relnox.commands import tag_checks
    from relnox.commands.bumping import changes, preflight, reruns, selection, undo
    from relnox.source import edits

    found = edits.read_pending(project.private_folder)
    is_new = found is None and not (options.undo or options.abort or options.again or options.part == "auto")
    previous = reruns.find_previous_bump(options, project) if is_new else None
    asks = not (options.undo or options.abort) and (options.push or found is None)
    is_done = previous is not None and previous.is_same and previous.is_whole
    remote = preflight.remote_state(options, project) if asks and not is_done else preflight.RemoteState()
    project = project.with_remote_tags(remote.tags)
    selected = (
        () if found is not None or options.undo or options.abort else selection.select_packages(options, project)
    )
    config = project.release_config if selected else project.config
    workspace = project.literals.workspace if selected else project.workspace
    selected = tuple(workspace.by_name[package.name] for package in selected)
    contents: dict[str, bytes] = {}
    fragments: tuple[Fragment, ...] | None = None
    if selected:
        contents = {name: (project.root / name).read_bytes() for name in core.editing.editable_files(workspace)}
        contents |= project.read_files(core.release_notes.changelog_paths(workspace, config))
        contents |= project.read_files(changes.lock_files(workspace))
        fragments, of_fragments = project.fragments()
        contents |= of_fragments
    by_tags = any(package.source.kind == "tags" for package in selected)
    history = project.history if selected and (by_tags or options.part == "auto") else {}
    snapshot = Snapshot(
        workspace=workspace,
        selected=selected,
        config=config,
        contents=contents,
        generated_files={},
        generated_changelogs=frozenset(),
        fragments=fragments,
        tag_formats=project.tag_formats,
        history=history,
        state=project.state,
        remote_tags=remote.tags,
        remote_error=remote.error,
        remote_is_ancestor=remote.remote_is_ancestor,
        known_tags=project.known_tags,
        newer_tags=tag_checks.newer_tags(project) if selected else tag_checks.NewerTags({}, {}),
        unlisted=project.unlisted if selected else (),
        lockstep_reason=project.lockstep_reason if selected else None,
        today=datetime.now(UTC).date(),
        literals=project.literals.locations if selected else (),
        untracked_imports=project.untracked_imports(selected),
        version_mentions=project.literals.mentions if selected else {},
        pending=found,
        undo_target=undo.find_undo_target(options, project, found),
        previous=previous,
        existing_release=None,
    )
    if not selected or (previous is not None and previous.is_same):
        return snapshot
    if (
        is_new
        and previous is None
        and (done := reruns.find_existing_release(snapshot, options, project)) is not None
    ):
        return snapshot._replace(existing_release=done)
    snapshot = changes.with_generated_changelogs(
        changes.without_ignored_locks(snapshot, project), options, project
    )
    return changes.with_generated_locks(snapshot, options, project)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Edits, a commit, tags, a push; and every guard that does not hold."""
    from relnox.commands.bumping import changes, preflight, selection, summary

    if (special := _resumed_or_done(snapshot, options)) is not None:
        return special
    selection.check_usage(options, snapshot)
    moved, follow = decided = selection.resolve(snapshot, options)
    planned = tuple(core.editing.edits_between(snapshot.contents, changes.after(snapshot, decided)))
    names = {move.package.name: snapshot.tag_formats[move.package.name].render(move.after) for move in moved}
    tags = changes.tags(snapshot, moved, names) if options.tag else ()
    if tags and planned and not options.commit:
        listed = ", ".join(edit.file for edit in planned[:3])
        raise Blocked(
            "todo", f"--tag needs --commit here: {listed} would change as well", fix="add --commit to --tag"
        )
    steps: list[EditFiles | Commit | CreateTags | Push] = []
    if planned:
        steps.append(core.steps.EditFiles(edits=planned))
    if options.commit and planned:
        files = tuple((edit.file, edit.digest) for edit in planned)
        steps.append(core.steps.Commit(message=changes.message(snapshot, moved), files=files))
    if tags:
        steps.append(core.steps.CreateTags(tags=tags))
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(
            core.steps.Push(to=snapshot.config.remote, branch=branch, tags=tuple(tag.name for tag in tags))
        )
    problems, ignored = preflight.check(snapshot, options, moved, planned, tags)
    unreadable = (
        preflight.format_problems(snapshot, options, ()) if options.part == "auto" and not options.force else ()
    )
    return core.plan.Plan(
        task="bump",
        steps=tuple(steps) if moved else (),
        notes=(*snapshot.workspace.warnings, *summary.notes(snapshot, moved, follow, options), *ignored),
        problems=problems if moved else unreadable,
        tables=(summary.table(moved),) if moved else (),
    )


def _resumed_or_done(snapshot: Snapshot, options: Options) -> Plan | None:
    """The plan that resumes, undoes, or repeats a bump; None where a new one is asked for."""
    from relnox.commands.bumping import reruns, undo

    if snapshot.pending is not None:
        return undo.resume(snapshot.pending, snapshot, options)
    if options.abort:
        raise Blocked(
            "todo", "there is no interrupted bump to take back", fix="to take the last whole one back: --undo"
        )
    if options.undo:
        return undo.undo(snapshot, options)
    if snapshot.previous is not None and snapshot.previous.is_same:
        return reruns.repeat_plan(snapshot.previous, snapshot, options)
    if snapshot.existing_release is not None:
        return reruns.existing_release_plan(snapshot.existing_release, snapshot, options)
    return None


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> edits.Pending | None:
    """What is written down before the first step, so that the same command can go on."""
    from relnox.commands.bumping import selection

    if snapshot.pending is not None:
        return snapshot.pending
    if planned.skipped is not None:
        return None
    from relnox.source import edits

    local = (
        core.steps.EditFiles | core.steps.Commit | core.steps.CreateTags | core.steps.Push | core.steps.UndoBump
    )
    steps = tuple(step for step in planned.steps if isinstance(step, local))
    head = snapshot.state.head if snapshot.state is not None else None
    if snapshot.previous is not None and snapshot.previous.is_same:
        head = snapshot.previous.record.head
    return edits.Pending(request=selection.request(options), steps=steps, head=head)


def summarize(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The plan's table says it all."""
    del outcome, folder
    return ()
