"""Recognize a bump that has succeeded already, by the record of it or by what git and the remote hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.bumping import selection
from relnox.core.steps.base import listing
from relnox.errors import Blocked, Failed

if TYPE_CHECKING:
    from packaging.version import Version

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.commands.project import Project
    from relnox.core.packages import Package
    from relnox.core.plan import Plan
    from relnox.source import edits
    from relnox.source.git import Git

__all__ = [
    "ExistingRelease",
    "PreviousBump",
    "existing_release_plan",
    "find_existing_release",
    "find_previous_bump",
    "repeat_plan",
]

_INSISTS = "--again bumps once more"


class PreviousBump(NamedTuple):
    """The last bump on this machine, whose result is what the checkout still holds.

    Attributes:
        record: What it did.
        is_same: Whether the request is the same, leaving aside a push that is added.
        is_whole: Whether its tags are there.
    """

    record: edits.Pending
    is_same: bool
    is_whole: bool


def find_previous_bump(options: Options, project: Project) -> PreviousBump | None:
    """The last bump on this machine, if nothing came after it."""
    from relnox.source import edits

    try:
        record = edits.read_last(project.private_folder)
    except Failed:  # of another version of relnox
        return None
    if record is None or not _is_unchanged(record, project):
        return None
    request = selection.request(options)
    is_same = request == record.request or [word for word in request if word != "--push"] == list(record.request)
    tags = project.state.tags if project.state is not None else {}
    head = project.state.head if project.state is not None else None
    is_whole = all(tags.get(tag.name) == head for tag in _tags_of(record))
    return PreviousBump(record, is_same, is_whole)


class ExistingRelease(NamedTuple):
    """A release that is there already.

    Attributes:
        reason: Why nothing is left to do.
        tags: Its tags.
    """

    reason: str
    tags: tuple[str, ...]


def existing_release_plan(done: ExistingRelease, snapshot: Snapshot, options: Options) -> Plan:
    """The tags that are there, and the push of them if the remote does not have them yet."""
    tags = tuple(core.steps.Tag(name=name, message=name) for name in done.tags)
    steps: list[core.steps.CreateTags | core.steps.Push] = [core.steps.CreateTags(tags=tags)]
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(core.steps.Push(to=snapshot.config.remote, branch=branch, tags=done.tags))
    is_left = options.push and not set(done.tags) <= (snapshot.remote_tags or {}).keys()
    return core.plan.Plan(
        task="bump", steps=tuple(steps), notes=(done.reason,), skipped=None if is_left else done.reason
    )


def repeat_plan(repeated: PreviousBump, snapshot: Snapshot, options: Options) -> Plan:
    """The steps of the last bump again: nothing is left to do, or a tag or the push is."""
    record, steps = repeated.record, repeated.record.steps
    is_pushed = any(isinstance(step, core.steps.Push) for step in steps)
    if options.push and not is_pushed and snapshot.state is not None:
        tags = tuple(tag.name for tag in _tags_of(record))
        push = core.steps.Push(to=snapshot.config.remote, branch=snapshot.state.branch or "", tags=tags)
        return core.plan.Plan(
            task="bump", steps=(*steps, push), notes=(f"finishes the last bump ({record.command})",)
        )
    reason = f"already done by the last bump ({record.command}), nothing was committed since; {_INSISTS}"
    if repeated.is_whole:
        return core.plan.Plan(task="bump", steps=steps, notes=(reason,), skipped=reason)
    return core.plan.Plan(task="bump", steps=steps, notes=(f"finishes the last bump ({record.command})",))


def find_existing_release(snapshot: Snapshot, options: Options, project: Project) -> ExistingRelease | None:
    """Why this bump is done already, as far as tags tell: a rerun job has no record of what the first run did."""
    state, git = project.state, project.git
    if git is None or state is None or state.head is None or not (options.commit or options.tag):
        return None
    if options.part == "auto" or not snapshot.selected:
        return None
    try:
        return _released_here(snapshot, options, project) or _released_from_here(snapshot, options, project)
    except Blocked:  # the plan tells why it cannot be made
        return None


def _released_here(snapshot: Snapshot, options: Options, project: Project) -> ExistingRelease | None:
    """HEAD is the release that this request makes of the commit before it."""
    git, head = project.git, snapshot.state.head if snapshot.state is not None else None
    tagged = _tagged(snapshot, head or "")
    before = git.parent() if git is not None and tagged else None
    if git is None or before is None:
        return None
    earlier = (
        {} if all(package.source.in_file for package in tagged.values()) else _tagged_before(before, snapshot, git)
    )
    for (_, version), package in tagged.items():
        if options.to is not None:
            if core.versioning.parse(options.to, where="--to") != version:
                return None
            continue
        stated = package.source.in_file
        old = _version_at(before, package, git) if stated else earlier.get(package.name)
        if old is None or old == version or _next(old, snapshot, options) != version:
            return None
    tags = tuple(dict.fromkeys(tag for tag, _ in tagged))
    reason = f"HEAD ({(head or '')[:10]}) is tagged {listing(tags)}, with no commit since"
    return ExistingRelease(f"already done: {reason}; {_INSISTS}", tags)


def _tagged(snapshot: Snapshot, head: str) -> dict[tuple[str, Version], Package]:
    """Tag and version of the selected packages, if all are tagged at HEAD; nothing otherwise."""
    tags = snapshot.state.tags if snapshot.state is not None else {}
    found: dict[tuple[str, Version], Package] = {}
    for package in snapshot.selected:
        version = package.version
        if version is None and package.source.kind == "tags":
            stands = snapshot.history.get(package.name)
            version = stands.version if stands is not None else None
        tag = snapshot.tag_formats[package.name].render(version) if version is not None else ""
        if version is None or tags.get(tag) != head:
            return {}
        found.setdefault((tag, version), package)
    return found


def _tagged_before(commit: str, snapshot: Snapshot, git: Git) -> dict[str, Version]:
    """The versions of the last tags that a commit contains."""
    latest = core.tags.latest_tags(snapshot.tag_formats, git.merged_tags(commit))
    return {name: version for name, (_, version) in latest.items()}


def _released_from_here(snapshot: Snapshot, options: Options, project: Project) -> ExistingRelease | None:
    """The tags that this request makes are there, on a commit whose parent is HEAD."""
    git, state = project.git, project.state
    if not options.tag or git is None or state is None:
        return None
    present = state.tags | dict(snapshot.remote_tags or {})
    formats = {package.name: snapshot.tag_formats[package.name] for package in snapshot.selected}
    versions = {package.name: package.version for package in snapshot.selected}
    newest = core.tags.latest_tags(formats, present)
    if not any((mine := versions[name]) is None or version > mine for name, (_, version) in newest.items()):
        return None
    moves, _ = selection.resolve(snapshot, options)
    names = list(dict.fromkeys(snapshot.tag_formats[move.package.name].render(move.after) for move in moves))
    commits = {present.get(name) for name in names}
    commit = commits.pop()
    if commits or commit is None:
        return None
    if names[0] not in state.tags:
        git.fetch_objects(project.config.remote, f"refs/tags/{names[0]}")
    if commit == state.head or git.parent(commit) != state.head:
        return None
    reason = f"{listing(names)} ({commit[:10]}) was released from this commit ({(state.head or '')[:10]})"
    return ExistingRelease(f"already done: {reason}", tuple(names))


def _is_unchanged(record: edits.Pending, project: Project) -> bool:
    """Whether the checkout is as a bump left it."""
    from relnox.source import edits

    changes = [edit for step in record.steps if isinstance(step, core.steps.EditFiles) for edit in step.edits]
    if not edits.is_applied(project.root, changes):
        return False
    if project.git is None or project.state is None:
        return record.head is None and bool(changes)
    if not any(isinstance(step, core.steps.Commit) for step in record.steps):
        return project.state.head == record.head
    return (
        project.state.head != record.head
        and project.git.parent() == record.head
        and project.git.matches_head(edit.file for edit in changes)
    )


def _tags_of(record: edits.Pending) -> tuple[core.steps.Tag, ...]:
    return tuple(tag for step in record.steps if isinstance(step, core.steps.CreateTags) for tag in step.tags)


def _version_at(commit: str, package: Package, git: Git) -> Version | None:
    """The version that a package stated in a commit; None where that cannot be read."""
    text = git.text_at(commit, package.source.file)
    if text is None:
        return None
    try:
        spans = core.version_locations.find_spans(text, package.source)
        return (
            core.version_locations.parse_version(core.records.replace(package.source, text=spans[0].text))
            if spans
            else None
        )
    except (ValueError, Blocked):
        return None


def _next(version: Version, snapshot: Snapshot, options: Options) -> Version:
    config = snapshot.config
    return core.versioning.next_version(
        version,
        selection.bump_of(options),
        scheme=config.scheme,
        prerelease_start=config.prerelease_start,
        calver_format=config.calver_format,
        today=snapshot.today,
    )
