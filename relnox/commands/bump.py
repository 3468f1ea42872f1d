"""Move versions: in every place they live, in dependants' requirements, as one commit and its tags.

Without --commit only files are edited. What was interrupted is finished by the same command again, or taken
back by --abort; --undo takes the last bump back while nothing of it is pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option
from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.bumping.going_back import Last
    from relnox.commands.project import Project
    from relnox.core.config import Config
    from relnox.core.events import Outcome
    from relnox.core.fragments import Fragment
    from relnox.core.levels import Standing
    from relnox.core.moves import Following, Move
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Table
    from relnox.core.steps import Commit, CreateTags, EditFiles, Push
    from relnox.core.tags import TagFormat
    from relnox.core.workspace import Workspace
    from relnox.source import edits
    from relnox.source.git import GitState

    Decided = tuple[tuple[Move, ...], Following]

__all__ = ["Options", "Snapshot", "conclude", "observe", "pending", "plan"]


class Options(CommonOptions):
    """Options of `bump`."""

    part: str | None = option(
        None,
        "What to raise; auto: what commits or change fragments ask for.",
        choices=("major", "minor", "patch", "release", "pre", "phase", "post", "dev", "auto"),
        metavar="PART",
        anywhere=False,
    )
    pre: str | None = option(
        None,
        "Make it a prerelease of this phase.",
        choices=("alpha", "beta", "rc"),
        metavar="PHASE",
        anywhere=False,
    )
    to: str | None = option(None, "The new version itself.", metavar="VERSION", anywhere=False)
    package: tuple[str, ...] = option(
        (), "Move this package (distribution or folder name; repeatable).", metavar="NAME", anywhere=False
    )
    all: bool = option(False, "Move every package.", anywhere=False)
    exact: bool = option(False, "Raise the part even where a prerelease stands for it already.", anywhere=False)
    allow_lower: bool = option(False, "Let --to go down.", anywhere=False)
    commit: bool = option(False, "Commit the edited files.")
    tag: bool = option(False, "Tag the commit.")
    push: bool = option(False, "Push branch and tags, all or none.")
    lock: bool = option(False, "Let poetry or pdm make their lock files anew, where requirements move.")
    force: bool = option(
        False, "Go on in a dirty tree or on another branch; says what it ignores.", anywhere=False
    )
    abort: bool = option(False, "Take an interrupted bump back.", anywhere=False)
    undo: bool = option(False, "Take the last bump back, while nothing of it is pushed.", anywhere=False)


class Snapshot(NamedTuple):
    """What a bump must know.

    Attributes:
        workspace: The packages.
        chosen: Those that were asked for; with `--part auto` those that may be.
        config: The project's settings.
        contents: Contents of the files that may be edited.
        drafts: What the project's own tools for changelogs make of files; None for one that they remove.
        by_tools: Packages whose changelogs those tools keep.
        fragments: The change fragments; None where the project keeps none.
        tag_formats: How tags look.
        standing: What each package's history says, where it is asked.
        state: What git says; None outside git.
        remote_refs: Branches and tags of the remote with their commits; None when it was not asked.
        contained: Whether the remote's branch is part of the present one; None when it was not asked.
        overtaken: The last reachable tag of each package that is newer than its present version, with the version.
        today: The date in UTC, for calendar versions.
        elsewhere: Files in which a present version stands besides the places that are known.
        pending: An interrupted bump.
        committed: Whether the files of an interrupted bump are committed.
        last: The last bump, for `--undo`.
    """

    workspace: Workspace
    chosen: tuple[Package, ...]
    config: Config
    contents: dict[str, bytes]
    drafts: Mapping[str, bytes | None]
    by_tools: frozenset[str]
    fragments: tuple[Fragment, ...] | None
    tag_formats: Mapping[str, TagFormat]
    standing: Mapping[str, Standing]
    state: GitState | None
    remote_tags: Mapping[str, str] | None
    contained: bool | None
    overtaken: Mapping[str, tuple[str, Version]]
    today: date
    elsewhere: tuple[str, ...]
    pending: edits.Pending | None
    committed: bool
    last: Last | None


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
