"""Recognition of bumps that are already done, by their record or by what git and the remote hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.bump import selection
from relnox.core.steps.base import listing
from relnox.errors import Blocked, Failed

if TYPE_CHECKING:
    from packaging.version import Version

    from relnox.commands.bump.snapshot import Options, Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.planning.plan import Plan
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

_AGAIN = "to bump once more: --again"


class PreviousBump(NamedTuple):
    """The last bump on this machine, if the checkout still is as it left it.

    Attributes:
        record: What it did.
        is_same_request: Whether the same is requested now, an additional --push aside.
        has_all_tags: Whether its tags still exist.
    """

    record: edits.Pending
    is_same_request: bool
    has_all_tags: bool


def find_previous_bump(options: Options, project: Project) -> PreviousBump | None:
    """Return the last bump on this machine, if nothing came after it."""
    from relnox.source import edits

    try:
        record = edits.read_last(project.private_folder)
    except Failed:  # written by another version of relnox
        return None
    if record is None or not _is_unchanged(record, project):
        return None
    request = selection.request(options)
    is_same = request == record.request or [word for word in request if word != "--push"] == list(record.request)
    tags = project.state.tags if project.state is not None else {}
    head = project.state.head if project.state is not None else None
    has_all_tags = all(tags.get(tag.name) == head for tag in _tags_of(record))
    return PreviousBump(record, is_same, has_all_tags)


class ExistingRelease(NamedTuple):
    """A release that exists already.

    Attributes:
        reason: Why nothing is left to do.
        tags: Its tags.
    """

    reason: str
    tags: tuple[str, ...]


def existing_release_plan(release: ExistingRelease, snapshot: Snapshot, options: Options) -> Plan:
    """Plan the tags that exist, and their push if the remote does not have them yet."""
    tags = tuple(core.steps.Tag(name=name, message=name) for name in release.tags)
    steps: list[core.steps.CreateTags | core.steps.Push] = [core.steps.CreateTags(tags=tags)]
    if options.push and snapshot.state is not None:
        branch = snapshot.state.branch or ""
        steps.append(core.steps.Push(to=snapshot.config.remote, branch=branch, tags=release.tags))
    needs_push = options.push and not set(release.tags) <= (snapshot.remote_tags or {}).keys()
    return core.plan.Plan(
        task="bump", steps=tuple(steps), notes=(release.reason,), skipped=None if needs_push else release.reason
    )


def repeat_plan(previous: PreviousBump, snapshot: Snapshot, options: Options) -> Plan:
    """Plan the steps of the last bump again, of which at most a tag or the push is left to do."""
    record, steps = previous.record, previous.record.steps
    is_pushed = any(isinstance(step, core.steps.Push) for step in steps)
    finishes = f"finishing the last bump ({record.command})"
    if options.push and not is_pushed and snapshot.state is not None:
        tags = tuple(tag.name for tag in _tags_of(record))
        push = core.steps.Push(to=snapshot.config.remote, branch=snapshot.state.branch or "", tags=tags)
        return core.plan.Plan(task="bump", steps=(*steps, push), notes=(finishes,))
    reason = f"already done by the last bump ({record.command}), no commits since; {_AGAIN}"
    if previous.has_all_tags:
        return core.plan.Plan(task="bump", steps=steps, notes=(reason,), skipped=reason)
    return core.plan.Plan(task="bump", steps=steps, notes=(finishes,))


def find_existing_release(snapshot: Snapshot, options: Options, project: Project) -> ExistingRelease | None:
    """Recognize by its tags that this bump is done: a rerun CI job has no record of what the first run did."""
    state, git = project.state, project.git
    if git is None or state is None or state.head is None or not (options.commit or options.tag):
        return None
    if options.part == "auto" or not snapshot.selected:
        return None
    try:
        return _released_here(snapshot, options, project) or _released_from_here(snapshot, options, project)
    except Blocked:  # planning the bump raises it again
        return None


def _released_here(snapshot: Snapshot, options: Options, project: Project) -> ExistingRelease | None:
    """Return the release at HEAD, if this request makes it from the commit before."""
    git, head = project.git, snapshot.state.head if snapshot.state is not None else None
    tagged = _tagged_at(snapshot, head or "")
    parent = git.parent() if git is not None and tagged else None
    if git is None or parent is None:
        return None
    earlier = (
        {} if all(package.source.in_file for package in tagged.values()) else _tagged_before(parent, snapshot, git)
    )
    for (_, version), package in tagged.items():
        if options.to is not None:
            if core.versioning.parse(options.to, where="--to") != version:
                return None
            continue
        old = _version_at(parent, package, git) if package.source.in_file else earlier.get(package.name)
        if old is None or old == version or _next(old, snapshot, options) != version:
            return None
    tags = tuple(dict.fromkeys(tag for tag, _ in tagged))
    reason = f"HEAD ({(head or '')[:10]}) is tagged {listing(tags)}, no commits since"
    return ExistingRelease(f"already done: {reason}; {_AGAIN}", tags)


def _tagged_at(snapshot: Snapshot, head: str) -> dict[tuple[str, Version], Package]:
    """Return tag and version of the selected packages, if all are tagged at HEAD; nothing otherwise."""
    tags = snapshot.state.tags if snapshot.state is not None else {}
    tagged: dict[tuple[str, Version], Package] = {}
    for package in snapshot.selected:
        version = package.version
        if version is None and package.source.kind == "tags":
            history = snapshot.history.get(package.name)
            version = history.version if history is not None else None
        tag = snapshot.tag_formats[package.name].render(version) if version is not None else ""
        if version is None or tags.get(tag) != head:
            return {}
        tagged.setdefault((tag, version), package)
    return tagged


def _tagged_before(commit: str, snapshot: Snapshot, git: Git) -> dict[str, Version]:
    """Return the versions of the last tags that a commit contains, by package."""
    latest = core.tags.latest_tags(snapshot.tag_formats, git.merged_tags(commit))
    return {name: version for name, (_, version) in latest.items()}


def _released_from_here(snapshot: Snapshot, options: Options, project: Project) -> ExistingRelease | None:
    """Return the release whose tags this request makes, if their commit is a child of HEAD."""
    git, state = project.git, project.state
    if not options.tag or git is None or state is None:
        return None
    present = state.tags | dict(snapshot.remote_tags or {})
    formats = {package.name: snapshot.tag_formats[package.name] for package in snapshot.selected}
    versions = {package.name: package.version for package in snapshot.selected}
    newest = core.tags.latest_tags(formats, present)
    if not any((own := versions[name]) is None or version > own for name, (_, version) in newest.items()):
        return None
    bumps = selection.resolve(snapshot, options).bumps
    names = list(dict.fromkeys(snapshot.tag_formats[bump.package.name].render(bump.after) for bump in bumps))
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
    """Return the version in a package's files at a commit; None if it cannot be read."""
    text = git.text_at(commit, package.source.file)
    if text is None:
        return None
    try:
        spans = core.version_locations.find_spans(text, package.source)
        if not spans:
            return None
        return core.version_locations.parse_version(core.records.replace(package.source, text=spans[0].text))
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
