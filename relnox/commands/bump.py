"""Move versions: in every place they live, in dependants' requirements, as one commit and its tags.

Without --commit only files are edited. What was interrupted is finished by the same command again, or taken
back by --abort; --undo takes the last bump back while nothing of it is pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bumping.snapshot import Options, Snapshot
from relnox.errors import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.events import Outcome
    from relnox.core.fragments import Fragment
    from relnox.core.moves import Following, Move
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Commit, CreateTags, EditFiles, Push
    from relnox.source import edits

    Decided = tuple[tuple[Move, ...], Following]

__all__ = ["Options", "Snapshot", "conclude", "observe", "pending", "plan"]


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, their files, git and, for a push, the remote."""
    from datetime import UTC, datetime

    from relnox.commands.bumping import changing, deciding, going_back, guarding
    from relnox.source import edits

    found = edits.read_pending(project.private)
    chosen = () if found is not None or options.undo or options.abort else deciding.chosen(options, project)
    contents: dict[str, bytes] = {}
    fragments: tuple[Fragment, ...] | None = None
    if chosen:
        contents = {name: (project.root / name).read_bytes() for name in core.editing.files(project.workspace)}
        contents |= project.contents(core.release_notes.files(project.workspace, project.config))
        contents |= project.contents(changing.lock_files(project.workspace))
        fragments, of_fragments = project.fragments()
        contents |= of_fragments
    by_tags = any(package.source.kind == "tags" for package in chosen)
    standing = project.standing if chosen and (by_tags or options.part == "auto") else {}
    remote_tags, contained = guarding.remote_state(options, project)
    snapshot = Snapshot(
        workspace=project.workspace,
        chosen=chosen,
        config=project.config,
        contents=contents,
        drafts={},
        by_tools=frozenset(),
        fragments=fragments,
        tag_formats=project.tag_formats,
        standing=standing,
        state=project.state,
        remote_tags=remote_tags,
        contained=contained,
        overtaken=guarding.overtaken(project) if options.tag and chosen else {},
        today=datetime.now(UTC).date(),
        elsewhere=guarding.elsewhere(chosen, project),
        pending=found,
        committed=found is not None and going_back.is_committed(found, project),
        last=going_back.last_bump(project) if options.undo and found is None else None,
    )
    if not chosen:
        return snapshot
    snapshot = changing.with_drafts(changing.without_ignored_locks(snapshot, project), options, project)
    return changing.with_locks(snapshot, options, project)


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Edits, a commit, tags, a push; and every guard that does not hold."""
    from relnox.commands.bumping import changing, deciding, going_back, guarding, telling

    if snapshot.pending is not None:
        return going_back.resumed(snapshot.pending, snapshot, options)
    if options.abort:
        raise Refused("there is no interrupted bump to take back", hint="to take the last whole one back: --undo")
    if options.undo:
        return going_back.undone(snapshot, options)
    deciding.check_usage(options, snapshot)
    moved, follow = decided = deciding.decided(snapshot, options)
    planned = tuple(core.editing.edits(snapshot.contents, changing.after(snapshot, decided)))
    names = {move.package.name: snapshot.tag_formats[move.package.name].render(move.after) for move in moved}
    tags = changing.tags(snapshot, moved, names) if options.tag else ()
    if tags and planned and not options.commit:
        listed = ", ".join(edit.file for edit in planned[:3])
        raise Refused(f"--tag needs --commit here: {listed} would change as well", hint="add --commit to --tag")
    steps: list[EditFiles | Commit | CreateTags | Push] = []
    if planned:
        steps.append(core.steps.EditFiles(edits=planned))
    if options.commit and planned:
        files = tuple((edit.file, edit.digest) for edit in planned)
        steps.append(core.steps.Commit(message=changing.message(snapshot, moved), files=files))
    if tags:
        steps.append(core.steps.CreateTags(tags=tags))
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(
            core.steps.Push(to=snapshot.config.remote, branch=branch, tags=tuple(tag.name for tag in tags))
        )
    refusals, ignored = guarding.guards(snapshot, options, moved, planned, tags)
    return core.plan.Plan(
        task="bump",
        steps=tuple(steps) if moved else (),
        notes=(*snapshot.workspace.warnings, *telling.notes(snapshot, moved, follow, options), *ignored),
        refusals=refusals if moved else (),
        tables=(telling.table(moved),) if moved else (),
    )


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> edits.Pending | None:
    """What is written down before the first step, so that the same command can go on."""
    from relnox.commands.bumping import deciding

    if snapshot.pending is not None:
        return snapshot.pending
    from relnox.source import edits

    local = (
        core.steps.EditFiles | core.steps.Commit | core.steps.CreateTags | core.steps.Push | core.steps.TakeBack
    )
    steps = tuple(step for step in planned.steps if isinstance(step, local))
    return edits.Pending(request=deciding.request(options), steps=steps)


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The plan's table says it all."""
    del outcome, folder
    return ()
