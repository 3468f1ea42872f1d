"""Move versions: in every place they live, in dependants' requirements, as one commit and its tags.

Without --commit only files are edited. What was interrupted is finished by the same command again, or taken
back by --abort.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option, options_of
from relnox.errors import ExitCode, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from relnox.commands.project import Project
    from relnox.core.config import Config
    from relnox.core.events import Outcome
    from relnox.core.moves import Following, Move
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Refusal, Table
    from relnox.core.steps import Commit, CreateTags, Edit, EditFiles, Push, Tag
    from relnox.core.tags import TagFormat
    from relnox.core.versioning import Bump
    from relnox.core.workspace import Workspace
    from relnox.source import edits
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "conclude", "observe", "pending", "plan"]

_MOST_LINES = 20
"""How many notes about single requirements somebody reads."""
_REQUEST = ("part", "pre", "to", "package", "all", "exact", "allow_lower", "commit", "tag", "push", "force")


class Options(CommonOptions):
    """Options of `bump`."""

    part: str | None = option(
        None,
        "What to raise.",
        choices=("major", "minor", "patch", "release", "pre", "phase", "post", "dev"),
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
    force: bool = option(
        False, "Go on in a dirty tree or on another branch; says what it ignores.", anywhere=False
    )
    abort: bool = option(False, "Take an interrupted bump back.", anywhere=False)


class Snapshot(NamedTuple):
    """What a bump must know.

    Attributes:
        workspace: The packages.
        chosen: Those to move.
        config: The project's settings.
        files: Contents of the files that may be edited.
        tag_formats: How tags look.
        state: What git says; None outside git.
        remote_tags: Tags of the remote with their commits; None when it was not asked.
        today: The date in UTC, for calendar versions.
        pending: An interrupted bump.
        committed: Whether the files of an interrupted bump are committed.
    """

    workspace: Workspace
    chosen: tuple[Package, ...]
    config: Config
    files: Mapping[str, bytes]
    tag_formats: Mapping[str, TagFormat]
    state: GitState | None
    remote_tags: Mapping[str, str] | None
    today: date
    pending: edits.Pending | None
    committed: bool


def observe(options: Options, project: Project) -> Snapshot:
    """Look at the packages, their files, git and, for a push, the remote's tags."""
    from datetime import UTC, datetime

    from relnox.source import edits
    from relnox.source.lock import alone

    found = edits.read_pending(project.private)
    chosen = () if found is not None else _chosen(options, project)
    files = sorted(
        {
            name
            for package in project.workspace.packages
            if chosen
            for name in (package.pyproject, package.source.file)
        }
    )
    committed = False
    if found is not None and project.git is not None:
        with alone(project.private):  # or else a run is at work, and has not been interrupted
            project.git.wait_for_left_behind()
        changes = _edited(found)
        committed = edits.is_applied(project.root, changes) and project.git.matches_head(
            edit.file for edit in changes
        )
    return Snapshot(
        workspace=project.workspace,
        chosen=chosen,
        config=project.config,
        files={name: (project.root / name).read_bytes() for name in files},
        tag_formats=project.tag_formats,
        state=project.state,
        remote_tags=_remote_tags(options, project),
        today=datetime.now(UTC).date(),
        pending=found,
        committed=committed,
    )


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Edits, a commit, tags, a push; and every guard that does not hold."""
    if snapshot.pending is not None:
        return _resumed(snapshot.pending, snapshot, options)
    if options.abort:
        raise Refused("there is no interrupted bump to take back", hint="git status shows what is edited")
    _check_usage(options, snapshot)
    config = snapshot.config
    moves = tuple(core.moves.moves(snapshot.chosen, _request_of(options), config, snapshot.today))
    following = core.moves.following(snapshot.workspace, moves, config)
    planned = tuple(core.moves.edits(snapshot.workspace, moves, following, snapshot.files, config))
    tags = _tags(snapshot, moves) if options.tag else ()
    message = _message(snapshot, moves)
    steps: list[EditFiles | Commit | CreateTags | Push] = [core.steps.EditFiles(edits=planned)]
    if options.commit:
        steps.append(core.steps.Commit(message=message, edits=planned))
    if tags:
        steps.append(core.steps.CreateTags(tags=tags))
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(
            core.steps.Push(to=snapshot.config.remote, branch=branch, tags=tuple(tag.name for tag in tags))
        )
    refusals, ignored = _guards(snapshot, options, planned, tags)
    return core.plan.Plan(
        task="bump",
        steps=tuple(steps),
        notes=(*snapshot.workspace.warnings, *_notes(snapshot, moves, following, options), *ignored),
        refusals=refusals,
        tables=(_table(moves),),
    )


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> edits.Pending:
    """What is written down before the first step, so that the same command can go on."""
    if snapshot.pending is not None:
        return snapshot.pending
    from relnox.source import edits

    steps = tuple(
        step
        for step in planned.steps
        if isinstance(step, core.steps.EditFiles | core.steps.Commit | core.steps.CreateTags | core.steps.Push)
    )
    return edits.Pending(request=_request(options), steps=steps)


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The plan's table says it all."""
    del outcome, folder
    return ()


def _chosen(options: Options, project: Project) -> tuple[Package, ...]:
    every = project.workspace.packages
    match project.config.versions, options:
        case "lockstep", Options(package=(_, *_)):
            raise Refused(
                f"the {len(every)} packages move in lockstep: --package would part them",
                hint='leave --package out, or set [tool.relnox] versions = "independent"',
            )
        case "lockstep", _:
            return every
        case _, Options(package=(_, *_) as names):
            return project.workspace.select(names)
        case _, Options(all=False) if len(every) > 1 and not options.abort:
            raise Refused(
                f"there are {len(every)} packages, and it is not said which to move",
                hint='name them with --package, or use --all, or set [tool.relnox] versions = "lockstep"',
            )
        case _:
            return every


def _remote_tags(options: Options, project: Project) -> Mapping[str, str] | None:
    if not (options.push and project.git is not None and project.state is not None):
        return None
    if project.config.remote not in project.state.remotes:
        raise Refused(
            f"there is no git remote called {project.config.remote} to push to",
            hint=f"git remote add {project.config.remote} URL, or set [tool.relnox] remote",
        )
    return project.git.remote_tags(project.config.remote)


def _check_usage(options: Options, snapshot: Snapshot) -> None:
    if (options.tag or options.push) and not options.commit:
        flag = "--tag" if options.tag else "--push"
        raise Refused(
            f"{flag} needs --commit: there would be nothing to {flag[2:]}", hint=f"add --commit to {flag}"
        )
    if options.commit and snapshot.state is None:
        raise Refused(
            "this is no git checkout: there is nowhere to commit", hint="git init, or leave --commit out"
        )


def _request_of(options: Options) -> Bump:
    chosen: Any = {name: getattr(options, name) for name in ("part", "pre", "to", "exact", "allow_lower")}
    return core.versioning.Bump(**chosen)


def _tags(snapshot: Snapshot, moves: tuple[Move, ...]) -> tuple[Tag, ...]:
    tags: dict[str, Tag] = {}
    for move in moves:
        name = snapshot.tag_formats[move.package.name].render(move.after)
        what = "Release" if snapshot.config.versions == "lockstep" else f"{move.package.name}"
        tags.setdefault(name, core.steps.Tag(name=name, message=f"{what} {move.after}"))
    return tuple(tags.values())


def _message(snapshot: Snapshot, moves: tuple[Move, ...]) -> str:
    """The commit's message. Packages that move to several versions are listed."""
    versions = sorted({move.after for move in moves})
    listed = ", ".join(f"{move.package.name} {move.after}" for move in moves)
    version = str(versions[0]) if len(versions) == 1 else listed
    return snapshot.config.commit_message.replace("{version}", version).replace("{packages}", listed)


def _guards(
    snapshot: Snapshot, options: Options, planned: tuple[Edit, ...], tags: tuple[Tag, ...]
) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    """Guards that do not hold, all at once; those that --force ignores are named in the notes."""
    state = snapshot.state
    if state is None:
        return (), ()
    firm = [_tag_taken(tag, snapshot) for tag in tags if _is_taken(tag.name, snapshot)]
    soft = []
    if state.dirty:
        listed = ", ".join(state.dirty[:5]) + (" …" if len(state.dirty) > 5 else "")  # noqa: PLR2004 - enough to see
        soft.append(
            core.plan.Refusal(
                message=f"the tree has uncommitted changes: {listed}", hint="git stash, or commit them"
            )
        )
    branch = snapshot.config.branch
    if options.commit and state.branch is None:
        firm.append(
            core.plan.Refusal(
                message="the head is detached: a commit would be on no branch", hint="git switch BRANCH"
            )
        )
    elif options.commit and branch is not None and state.branch != branch:
        soft.append(
            core.plan.Refusal(
                message=f"releases are made from {branch}, and this is {state.branch}",
                hint=f"git switch {branch}",
            )
        )
    if options.commit and not planned:
        firm.append(
            core.plan.Refusal(message="nothing changes: there is nothing to commit", hint="choose another version")
        )
    if options.force:
        return tuple(firm), tuple(f"--force ignores: {refusal.message}" for refusal in soft)
    return (*firm, *soft), ()


def _is_taken(tag: str, snapshot: Snapshot) -> bool:
    local = snapshot.state.tags if snapshot.state is not None else {}
    return tag in local or tag in (snapshot.remote_tags or {})


def _tag_taken(tag: Tag, snapshot: Snapshot) -> Refusal:
    remote = snapshot.remote_tags or {}
    where = f"on {snapshot.config.remote}" if tag.name in remote else "here"
    return core.plan.Refusal(
        message=f"the tag {tag.name} is there already, {where}",
        hint=f"choose a higher version; to see the tag: git show {tag.name}",
        exit_code=ExitCode.NEEDS_A_PERSON,
    )


def _notes(snapshot: Snapshot, moves: tuple[Move, ...], following: Following, options: Options) -> Iterator[str]:
    told: dict[str, list[str]] = {}
    scheme = snapshot.config.scheme
    for move in moves:
        for remark in (
            core.versioning.normalisation(move.package.source.text, scheme=scheme),
            core.versioning.explain(move.before, _request_of(options), move.after, scheme=scheme),
        ):
            if remark:
                told.setdefault(remark, []).append(move.package.name)
    for remark, names in told.items():
        yield remark if len(names) == len(moves) else f"{', '.join(names)}: {remark}"
    lines = [
        f"{name}: {need.text} becomes {changed}" for name, needs in following.items() for need, changed in needs
    ]
    if len(lines) <= _MOST_LINES:
        yield from lines
    else:
        yield f"{len(lines)} requirements of {len(following)} packages follow; --dry-run shows each in its diff"


def _table(moves: tuple[Move, ...]) -> Table:
    rows = tuple((move.package.name, str(move.before), str(move.after)) for move in moves)
    return core.plan.Table(title="", columns=("package", "from", "to"), rows=rows)


def _resumed(found: edits.Pending, snapshot: Snapshot, options: Options) -> Plan:
    """Go on with an interrupted bump, or take it back."""
    from relnox.source import edits

    if options.abort:
        if snapshot.committed:
            raise Refused(
                "the interrupted bump is committed already",
                hint=f"finish it: {found.command}, or take it back: "
                "delete its tags, git reset HEAD~1, then relnox bump --abort",
            )
        return core.plan.Plan(
            task="bump",
            steps=(core.steps.EditFiles(edits=edits.reverse(_edited(found))),),
            notes=(f"takes back: {found.command}",),
        )
    if found.request != _request(options):
        raise Refused(
            f"a bump was interrupted here: {found.command}",
            hint=f"finish it: {found.command}, or take it back: relnox bump --abort",
        )
    return core.plan.Plan(task="bump", steps=found.steps, notes=("goes on with the bump that was interrupted",))


def _edited(found: edits.Pending) -> tuple[Edit, ...]:
    return tuple(edit for step in found.steps if isinstance(step, core.steps.EditFiles) for edit in step.edits)


def _request(options: Options) -> tuple[str, ...]:
    """The options that choose what a bump does, as words of a command."""
    words: list[str] = []
    for each in options_of(Options):
        value = getattr(options, each.name)
        if each.name not in _REQUEST or value in (each.default, None):
            continue
        if each.kind is tuple:
            words += [word for name in value for word in (each.flag, name)]
        else:
            words += [each.flag] if value is True else [each.flag, str(value)]
    return tuple(words)
