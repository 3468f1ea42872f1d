"""Move versions: in every place they live, in dependants' requirements, as one commit and its tags.

Without --commit only files are edited. What was interrupted is finished by the same command again, or taken
back by --abort; --undo takes the last bump back while nothing of it is pushed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from relnox import core
from relnox.core.options import CommonOptions, option, options_of
from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from packaging.version import Version

    from relnox.commands.project import Project
    from relnox.core.config import Config
    from relnox.core.events import Outcome
    from relnox.core.fragments import Fragment
    from relnox.core.levels import Standing
    from relnox.core.moves import Following, Move, Wish
    from relnox.core.packages import Package
    from relnox.core.plan import Plan, Refusal, Table
    from relnox.core.steps import Commit, CreateTags, Edit, EditFiles, Push, Tag
    from relnox.core.tags import TagFormat
    from relnox.core.versioning import Bump
    from relnox.core.workspace import Workspace
    from relnox.source import edits
    from relnox.source.git import GitState

    Decided = tuple[tuple[Move, ...], Following]

__all__ = ["Options", "Snapshot", "conclude", "observe", "pending", "plan"]

_MOST_LINES = 20
"""How many notes about single requirements somebody reads."""
_MOST_VERSIONS = 5
_OFTEN_STATE_VERSIONS = (
    "_version.py",
    "__version__.py",
    "__init__.py",
    "__about__.py",
    "about.py",
    "version.py",
    "conf.py",
    "setup.py",
    "setup.cfg",
    "VERSION",
    "VERSION.txt",
    "version.txt",
    "CITATION.cff",
    "Cargo.toml",
    "package.json",
    "meson.build",
)
_REQUEST = (
    "part",
    "pre",
    "to",
    "package",
    "all",
    "exact",
    "allow_lower",
    "commit",
    "tag",
    "push",
    "force",
    "undo",
)


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
    force: bool = option(
        False, "Go on in a dirty tree or on another branch; says what it ignores.", anywhere=False
    )
    abort: bool = option(False, "Take an interrupted bump back.", anywhere=False)
    undo: bool = option(False, "Take the last bump back, while nothing of it is pushed.", anywhere=False)


class Last(NamedTuple):
    """The last bump on this machine.

    Attributes:
        record: What it did.
        places: Remote branches that have its commit, or remotes that have one of its tags.
        subject: The first line of the message of the present commit.
    """

    record: edits.Pending
    places: tuple[str, ...]
    subject: str


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

    from relnox.source import edits

    found = edits.read_pending(project.private)
    chosen = () if found is not None or options.undo or options.abort else _chosen(options, project)
    contents: dict[str, bytes] = {}
    fragments: tuple[Fragment, ...] | None = None
    if chosen:
        contents = {name: (project.root / name).read_bytes() for name in core.editing.files(project.workspace)}
        contents |= project.contents(core.release_notes.files(project.workspace, project.config))
        fragments, of_fragments = project.fragments()
        contents |= of_fragments
    by_tags = any(package.source.kind == "tags" for package in chosen)
    standing = project.standing if chosen and (by_tags or options.part == "auto") else {}
    remote_tags, contained = _remote(options, project)
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
        overtaken=_overtaken(project) if options.tag and chosen else {},
        today=datetime.now(UTC).date(),
        elsewhere=_elsewhere(chosen, project),
        pending=found,
        committed=found is not None and _is_committed(found, project),
        last=_last(project) if options.undo and found is None else None,
    )
    return _with_drafts(snapshot, options, project) if chosen else snapshot


def plan(snapshot: Snapshot, options: Options) -> Plan:
    """Edits, a commit, tags, a push; and every guard that does not hold."""
    if snapshot.pending is not None:
        return _resumed(snapshot.pending, snapshot, options)
    if options.abort:
        raise Refused("there is no interrupted bump to take back", hint="to take the last whole one back: --undo")
    if options.undo:
        return _undone(snapshot, options)
    _check_usage(options, snapshot)
    moved, follow = decided = _decided(snapshot, options)
    planned = tuple(core.editing.edits(snapshot.contents, _after(snapshot, decided)))
    names = {move.package.name: snapshot.tag_formats[move.package.name].render(move.after) for move in moved}
    tags = _tags(snapshot, moved, names) if options.tag else ()
    if tags and planned and not options.commit:
        listed = ", ".join(edit.file for edit in planned[:3])
        raise Refused(f"--tag needs --commit here: {listed} would change as well", hint="add --commit to --tag")
    steps: list[EditFiles | Commit | CreateTags | Push] = []
    if planned:
        steps.append(core.steps.EditFiles(edits=planned))
    if options.commit and planned:
        files = tuple((edit.file, edit.digest) for edit in planned)
        steps.append(core.steps.Commit(message=_message(snapshot, moved), files=files))
    if tags:
        steps.append(core.steps.CreateTags(tags=tags))
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(
            core.steps.Push(to=snapshot.config.remote, branch=branch, tags=tuple(tag.name for tag in tags))
        )
    refusals, ignored = _guards(snapshot, options, moved, planned, tags)
    return core.plan.Plan(
        task="bump",
        steps=tuple(steps) if moved else (),
        notes=(*snapshot.workspace.warnings, *_notes(snapshot, moved, follow, options), *ignored),
        refusals=refusals if moved else (),
        tables=(_table(moved),) if moved else (),
    )


def pending(snapshot: Snapshot, planned: Plan, options: Options) -> edits.Pending | None:
    """What is written down before the first step, so that the same command can go on."""
    if snapshot.pending is not None:
        return snapshot.pending
    from relnox.source import edits

    local = (
        core.steps.EditFiles | core.steps.Commit | core.steps.CreateTags | core.steps.Push | core.steps.TakeBack
    )
    steps = tuple(step for step in planned.steps if isinstance(step, local))
    return edits.Pending(request=_request(options), steps=steps)


def conclude(outcome: Outcome, folder: Path) -> tuple[Table, ...]:
    """The plan's table says it all."""
    del outcome, folder
    return ()


# --- what is asked for -----------------------------------------------------------------------------


def _chosen(options: Options, project: Project) -> tuple[Package, ...]:
    every, config = project.workspace.packages, project.config
    if config.version_owner is not None:
        raise Refused(
            f"the versions belong to {config.version_owner}, which moves and tags them",
            hint=f"bump with {config.version_owner}; relnox builds and publishes what it tags",
        )
    if config.versions == "lockstep":
        if options.package:
            raise Refused(
                f"the {len(every)} packages move in lockstep: --package would part them",
                hint='leave --package out, or set [tool.relnox] versions = "independent"',
            )
        return every
    if options.package:
        return project.workspace.select(options.package)
    together = len(core.moves.tracks(project.workspace, config)) == 1
    if options.all or together or options.part == "auto":
        return every
    raise Refused(
        f"there are {len(every)} packages, and it is not said which to move",
        hint='name them with --package, or use --all, or --part auto, or set [tool.relnox] versions = "lockstep"',
    )


def _check_usage(options: Options, snapshot: Snapshot) -> None:
    of_tags_alone = all(package.source.kind == "tags" for package in snapshot.chosen)
    if (options.tag or options.push) and not (options.commit or (of_tags_alone and options.tag)):
        flag = "--tag" if options.tag else "--push"
        raise Refused(
            f"{flag} needs --commit: there would be nothing to {flag[2:]}", hint=f"add --commit to {flag}"
        )
    if of_tags_alone and not options.tag:
        provider = snapshot.chosen[0].source.text
        raise Refused(f"the version comes from tags ({provider}): to move it is to tag", hint="add --tag")
    if (options.commit or options.tag) and (snapshot.state is None or snapshot.state.head is None):
        raise Refused(
            "this is no git checkout with a commit: there is nothing to commit to or to tag",
            hint="git init and commit first, or leave --commit and --tag out",
        )
    if options.part == "auto" and snapshot.state is None:
        raise Refused("--part auto reads git's history, and this is no git checkout", hint="name the part")
    if options.part == "auto" and not options.package and snapshot.state is not None:
        core.levels.check_tags_fit(snapshot.standing, snapshot.state.tags)
    if options.part == "auto" and (options.to or options.exact):
        raise Refused("--part auto decides alone", hint="leave --to and --exact out")
    needs_history = options.part == "auto" or any(package.source.kind == "tags" for package in snapshot.chosen)
    if needs_history and snapshot.state is not None and snapshot.state.shallow:
        raise Refused(
            "this clone is shallow: its history is cut off, and with it the tags that count",
            hint="git fetch --unshallow --tags",
        )


def _wishes(snapshot: Snapshot, options: Options) -> dict[str, Wish]:
    if options.part != "auto":
        reason = " ".join(word for word in _request(options, ("part", "pre", "to", "exact")))
        bump = _request_of(options)
        mends = {package.name for package in snapshot.chosen if _mends(package, options)}
        return {
            package.name: core.moves.Wish(None if package.name in mends else bump, reason)
            for package in snapshot.chosen
        }
    phase: Any = options.pre
    chosen = {package.name for package in snapshot.chosen}
    found = core.levels.wishes(
        snapshot.workspace,
        snapshot.standing,
        snapshot.fragments,
        snapshot.config,
        phase,
        chosen if options.package else (),
    )
    return {name: wish for name, wish in found.items() if name in chosen}


def _mends(package: Package, options: Options) -> bool:
    """Whether --to names the version that a package has, for the sake of a place that states another one."""
    if options.to is None or package.version is None:
        return False
    named = core.versioning.parse(options.to, where="--to")
    return named == package.version and not core.moves.agree(package, named)


def _decided(snapshot: Snapshot, options: Options) -> Decided:
    released = {name: each.released for name, each in snapshot.standing.items() if each.released is not None}
    decided = core.moves.moves(
        snapshot.workspace,
        _wishes(snapshot, options),
        released=released,
        config=snapshot.config,
        today=snapshot.today,
    )
    if options.to is None:  # a version that is named mends places that do not agree
        core.moves.check_agreement(decided[0])
    return decided


def _request_of(options: Options) -> Bump:
    chosen: Any = {name: getattr(options, name) for name in ("part", "pre", "to", "exact", "allow_lower")}
    return core.versioning.Bump(**chosen)


# --- what changes ----------------------------------------------------------------------------------


def _after(snapshot: Snapshot, decided: Decided) -> dict[str, bytes | None]:
    """What every file that changes will hold."""
    moved, follow = decided
    contents, config = snapshot.contents, snapshot.config
    after: dict[str, bytes | None] = dict(
        core.editing.moved_versions(snapshot.workspace, moved, follow, contents, config)
    )
    present = contents | {file: content for file, content in after.items() if content is not None}
    told = snapshot.fragments or ()
    core.release_notes.check_told(moved, contents, told, snapshot.by_tools, config)
    if config.changelog in ("auto", "keep-a-changelog"):
        ours = [move for move in moved if move.package.name not in snapshot.by_tools]
        tags = {move.package.name: _tag_and_previous(move, snapshot) for move in ours}
        after |= dict(core.release_notes.changelogs(ours, present, tags, told, config, snapshot.today))
    after |= dict(core.release_notes.used_fragments(moved, told, contents))
    return after | dict(snapshot.drafts)


def _tag_and_previous(move: Move, snapshot: Snapshot) -> tuple[str | None, str | None]:
    """The tag of a move, and the one of the version before it, if there is one."""
    tag_format = snapshot.tag_formats[move.package.name]
    present = snapshot.state.tags if snapshot.state is not None else {}
    before = tag_format.render(move.before) if move.before is not None else None
    return tag_format.render(move.after), before if before in present else None


def _with_drafts(snapshot: Snapshot, options: Options, project: Project) -> Snapshot:
    """What towncrier or git-cliff make of the changelogs, where the project is configured for one of them."""
    config = project.config
    if config.changelog in ("keep-a-changelog", "none") or project.git is None:
        return snapshot
    from relnox.source import changelog_tools

    lockstep = config.versions == "lockstep"
    folders = {"." if lockstep else package.folder for package in project.workspace.packages}
    tools = {folder: changelog_tools.tool_of(project.root / folder, config) for folder in folders}
    if not any(tools.values()):
        return snapshot
    drafts: dict[str, bytes | None] = {}
    by_tools, done = set(), set()
    for move in _decided(snapshot, options)[0]:
        folder = "." if lockstep else move.package.folder
        tool = tools[folder]
        if tool is None or move.after.is_prerelease:
            continue
        by_tools.add(move.package.name)
        release = changelog_tools.Release(
            folder=folder,
            version=core.versioning.spell(move.after, config.scheme),
            tag=snapshot.tag_formats[move.package.name].render(move.after),
        )
        if release not in done:
            done.add(release)
            drafts |= changelog_tools.drafted(tool, project.git, release, snapshot.today, config.changelog_file)
    contents = snapshot.contents | project.contents(drafts)
    return snapshot._replace(drafts=drafts, by_tools=frozenset(by_tools), contents=contents)


def _tags(snapshot: Snapshot, moves: tuple[Move, ...], names: Mapping[str, str]) -> tuple[Tag, ...]:
    tags: dict[str, Tag] = {}
    for move in moves:
        name = names[move.package.name]
        what = "Release" if snapshot.config.versions == "lockstep" else f"{move.package.name}"
        tags.setdefault(name, core.steps.Tag(name=name, message=f"{what} {move.after}"))
    return tuple(tags.values())


def _message(snapshot: Snapshot, moves: tuple[Move, ...]) -> str:
    """The commit's message. Packages that move to several versions are listed."""
    versions = {move.after for move in moves}
    listed = ", ".join(f"{move.package.name} {move.after}" for move in moves)
    speaks_for_all = len(versions) == 1 and len(moves) == len(snapshot.workspace.packages)
    version = str(moves[0].after) if speaks_for_all else listed
    return snapshot.config.commit_message.replace("{version}", version).replace("{packages}", listed)


# --- what must hold --------------------------------------------------------------------------------


def _remote(options: Options, project: Project) -> tuple[Mapping[str, str] | None, bool | None]:
    """The remote's tags, and whether its branch is part of the present one."""
    if not (options.push and project.git is not None and project.state is not None):
        return None, None
    remote = project.config.remote
    if remote not in project.git.remotes():
        raise Refused(
            f"there is no git remote called {remote} to push to",
            hint=f"git remote add {remote} URL, or set [tool.relnox] remote",
        )
    refs = project.git.remote_refs(remote)
    theirs = refs.get(f"refs/heads/{project.state.branch}")
    contained = theirs is None or theirs == project.state.head or project.git.contains(theirs)
    return project.git.tags_among(refs), contained


def _overtaken(project: Project) -> Mapping[str, tuple[str, Version]]:
    """The last reachable tags that are newer than the versions of their packages; usually there are none.

    A tag that came before the one of the present version is of a version that was given up: it does not count.
    """
    if project.git is None or project.state is None:
        return {}
    tags, formats, by_name = project.state.tags, project.tag_formats, project.workspace.by_name

    def is_newer(name: str, version: Version) -> bool:
        present = by_name[name].version
        return present is not None and version > present

    if not any(is_newer(name, version) for name, (_, version) in core.tags.latest(formats, tags).items()):
        return {}
    newer = {}
    for name, (tag, version) in core.tags.latest(formats, project.git.merged_tags()).items():
        if is_newer(name, version):
            own = tags.get(formats[name].render(by_name[name].version or version))
            if own is None or not project.git.contains(tags[tag], own):
                newer[name] = (tag, version)
    return newer


def _guards(
    snapshot: Snapshot,
    options: Options,
    moves: tuple[Move, ...],
    planned: tuple[Edit, ...],
    tags: tuple[Tag, ...],
) -> tuple[tuple[Refusal, ...], tuple[str, ...]]:
    """Guards that do not hold, all at once; those that --force ignores are named in the notes."""
    state, config = snapshot.state, snapshot.config
    if state is None:
        return (), ()
    guards = core.guards
    names = {move.package.name: snapshot.tag_formats[move.package.name].render(move.after) for move in moves}
    head = state.head if not planned else None
    firm = [*guards.tags_free(tags, state.tags, snapshot.remote_tags or {}, head, config.remote)]
    firm += guards.clean((name for name in state.dirty if name in snapshot.drafts), snapshot.drafts, ())
    dirty = [name for name in state.dirty if name not in snapshot.drafts]
    soft = [*guards.clean(dirty, (edit.file for edit in planned), (move.package for move in moves))]
    if options.tag:
        firm += guards.readable_tags(moves, names)
        soft += [] if options.allow_lower else guards.ahead_of_tags(moves, names, snapshot.overtaken)
    if options.commit and state.branch is None:
        firm.append(
            core.plan.Refusal(
                message="the head is detached: a commit would be on no branch", hint="git switch BRANCH"
            )
        )
    elif options.commit:
        soft += guards.branch(state.branch, config.branch)
    if snapshot.contained is False:
        firm.append(
            core.plan.Refusal(
                message=f"{config.remote} has commits on {state.branch} that are not here",
                hint=f"git pull --rebase {config.remote} {state.branch}",
            )
        )
    elif options.commit and snapshot.contained is None and state.upstream is not None:
        soft += guards.behind(state.behind, state.upstream)
    if options.commit and not planned and not tags:
        firm.append(
            core.plan.Refusal(message="nothing changes: there is nothing to commit", hint="choose another version")
        )
    if options.force:
        return tuple(firm), tuple(f"--force ignores: {refusal.message}" for refusal in soft)
    return (*firm, *soft), ()


def _elsewhere(chosen: tuple[Package, ...], project: Project) -> tuple[str, ...]:
    """Files, of the kinds that often state a version, that name a present one and are no known place."""
    versions = {package.source.text for package in chosen if package.source.stated}
    if not 0 < len(versions) <= _MOST_VERSIONS or project.git is None:
        return ()
    known = {place.file for package in project.workspace.packages for place in package.stated}
    found = project.git.files_with(sorted(versions), _OFTEN_STATE_VERSIONS)
    return tuple(name for name in found if name not in known)


# --- what is told ----------------------------------------------------------------------------------


def _notes(snapshot: Snapshot, moves: tuple[Move, ...], following: Following, options: Options) -> Iterator[str]:
    if not moves:
        yield "nothing asks for a release: no package has changes that its commits or fragments give a level"
    if options.part == "auto":
        yield from _never_tagged(snapshot, moves)
    told: dict[str, list[str]] = {}
    scheme = snapshot.config.scheme
    for move in moves:
        remarks = [
            core.versioning.normalisation(each.text, scheme=scheme)
            for each in (move.package.source,)
            if each.stated and not each.semver
        ]
        if options.part != "auto" and move.before is not None and options.to is None:
            remarks.append(core.versioning.explain(move.before, _request_of(options), move.after, scheme=scheme))
        for remark in remarks:
            if remark:
                told.setdefault(remark, []).append(move.package.name)
    for remark, names in told.items():
        yield remark if len(names) == len(moves) else f"{', '.join(names)}: {remark}"
    lines = [
        f"{name}: {need.text} becomes {changed}" for name, needs in following.items() for need, changed in needs
    ]
    if moves and snapshot.elsewhere:
        listed = ", ".join(snapshot.elsewhere[:5]) + (" …" if len(snapshot.elsewhere) > 5 else "")  # noqa: PLR2004
        yield f"the present version stands in {listed} as well, and stays there: places that move are declared"
    if len(lines) <= _MOST_LINES:
        yield from lines
    else:
        yield f"{len(lines)} requirements of {len(following)} packages follow; --dry-run shows each in its diff"


def _never_tagged(snapshot: Snapshot, moves: tuple[Move, ...]) -> Iterator[str]:
    """Packages that have no tag, though others have: whether they are new is not clear."""
    moving = {move.package.name for move in moves}
    names = [
        package.name
        for package in snapshot.chosen
        if package.name not in moving
        and not package.private
        and package.version is not None
        and (stands := snapshot.standing.get(package.name)) is not None
        and stands.tag is None
    ]
    if names:
        tag = snapshot.tag_formats[names[0]].before
        listed = ", ".join(names[:5]) + (" …" if len(names) > 5 else "")  # noqa: PLR2004 - enough to see
        yield f"no tag is of {listed} ({tag}…): for a first release name it, --package {names[0]}"


def _table(moves: tuple[Move, ...]) -> Table:
    rows = tuple(
        (move.package.name, str(move.before) if move.before is not None else "-", str(move.after), move.reason)
        for move in moves
    )
    return core.plan.Table(title="", columns=("package", "from", "to", "why"), rows=rows)


# --- going on, and back ----------------------------------------------------------------------------


def _is_committed(found: edits.Pending, project: Project) -> bool:
    """Whether the files of an interrupted bump are committed, once a git that it started has ended."""
    if project.git is None:
        return False
    from relnox.source import edits
    from relnox.source.lock import alone

    with alone(project.private):  # or else a run is at work, and has not been interrupted
        project.git.wait_for_left_behind()
    changes = _edited(found)
    return edits.is_applied(project.root, changes) and project.git.matches_head(edit.file for edit in changes)


def _resumed(found: edits.Pending, snapshot: Snapshot, options: Options) -> Plan:
    """Go on with an interrupted bump, or take it back."""
    from relnox.source import edits

    if options.abort:
        if "--undo" in found.request:
            raise Refused("an undo was interrupted: it goes on, not back", hint=f"finish it: {found.command}")
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


def _last(project: Project) -> Last | None:
    """The last bump, and where it was pushed to."""
    from relnox.source import edits

    found = edits.read_last(project.private)
    if found is None or project.git is None or project.state is None or project.state.head is None:
        return None if found is None else Last(found, (), "")
    committed = any(isinstance(step, core.steps.Commit) for step in found.steps)
    places = project.git.pushed_to(project.state.head) if committed else ()
    remote, tags = project.config.remote, set(_tags_of(found))
    if not places and tags and remote in project.git.remotes() and tags & project.git.remote_tags(remote).keys():
        places = (remote,)
    return Last(found, places, project.git.subject())


def _undone(snapshot: Snapshot, options: Options) -> Plan:
    """Take the last bump back."""
    from relnox.source import edits

    if _request(options) != ("--undo",):
        raise Refused("--undo goes alone", hint="relnox bump --undo")
    if snapshot.last is None:
        raise Refused(
            "there is no last bump on this machine to take back", hint="git log -1 shows the last commit"
        )
    found, places, _ = snapshot.last
    if places:
        raise Refused(
            f"the last bump ({found.command}) is on {', '.join(places)} already: others may have it",
            hint="release a higher version instead",
        )
    committed = any(isinstance(step, core.steps.Commit) for step in found.steps)
    commit = snapshot.state.head if committed and snapshot.state is not None else None
    back = core.steps.TakeBack(commit=commit, tags=_tags_of(found), edits=edits.reverse(_edited(found)))
    return core.plan.Plan(
        task="bump",
        steps=(back,),
        notes=(f"takes back: {found.command}",),
        refusals=tuple(_since(snapshot.last, snapshot.state)) if committed or back.tags else (),
    )


def _since(last: Last, state: GitState | None) -> Iterator[Refusal]:
    """Why the last bump is not the last thing that happened."""
    found = last.record
    message = next((step.message for step in found.steps if isinstance(step, core.steps.Commit)), "")
    if message and last.subject != message.partition("\n")[0].strip():
        yield core.plan.Refusal(
            message=f"the last commit is not that of the last bump ({found.command})",
            hint="take back what came after it first, or release a higher version",
        )
    moved = [tag for tag in _tags_of(found) if state is not None and state.tags.get(tag, state.head) != state.head]
    if moved:
        yield core.plan.Refusal(
            message=f"the tag {moved[0]} leads to another commit than the last bump's", hint=f"git show {moved[0]}"
        )
    dirty = [edit.file for edit in _edited(found) if state is not None and edit.file in state.dirty]
    if message and dirty:
        yield core.plan.Refusal(
            message=f"{', '.join(dirty[:5])} changed since the last bump", hint="git stash, or commit"
        )


def _tags_of(found: edits.Pending) -> tuple[str, ...]:
    return tuple(tag.name for step in found.steps if isinstance(step, core.steps.CreateTags) for tag in step.tags)


def _edited(found: edits.Pending) -> tuple[Edit, ...]:
    return tuple(edit for step in found.steps if isinstance(step, core.steps.EditFiles) for edit in step.edits)


def _request(options: Options, names: tuple[str, ...] = _REQUEST) -> tuple[str, ...]:
    """The options that choose what a bump does, as words of a command."""
    words: list[str] = []
    for each in options_of(Options):
        value = getattr(options, each.name)
        if each.name not in names or value in (each.default, None):
            continue
        if each.kind is tuple:
            words += [word for name in value for word in (each.flag, name)]
        else:
            words += [each.flag] if value is True else [each.flag, str(value)]
    return tuple(words)
