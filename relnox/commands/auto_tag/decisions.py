"""Deciding which packages get a tag, and why the others get none."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.auto_tag.snapshot import Relation

if TYPE_CHECKING:
    from packaging.version import Version

    from relnox.commands.auto_tag.snapshot import Observation, Snapshot
    from relnox.commands.options import AutoTagOptions as Options
    from relnox.core.packages import Package


class State(Enum):
    """Whether a package gets a tag."""

    NEW = auto()
    """The package gets a tag."""
    TAGGED = auto()
    """The version of the package is already tagged."""
    LEFT_OUT = auto()
    """The package needs no tag."""
    REPORTED = auto()
    """The package may need a tag, which is only reported."""
    REJECTED = auto()
    """The version of the package is lower than that of its last tag."""
    OUTSIDE = auto()
    """The version of the package is outside the bounds of the release line."""
    CONFLICT = auto()
    """The tag of the package's version is on the wrong commit."""


class Decision(NamedTuple):
    """Whether a package gets a tag, and why.

    Attributes:
        package: The package.
        tag: The tag of the package's version; empty if no file contains the version.
        state: Whether the package gets a tag.
        reason: The reason for the state, as a phrase.
        fix: What the user can do to change the state; empty if nothing needs to be done.
        commit: The commit that has the tag or gets it; empty if there is none.
        is_unpushed: Whether the remote does not have the tag.
        is_untagged: Whether the package is only reported because none of its versions has a tag.
    """

    package: Package
    tag: str
    state: State
    reason: str
    fix: str = ""
    commit: str = ""
    is_unpushed: bool = False
    is_untagged: bool = False


def decide(snapshot: Snapshot, options: Options) -> tuple[Decision, ...]:
    """Decide for each selected package whether it gets a tag; nothing is read or changed."""
    return tuple(_decide_package(package, snapshot, options) for package in snapshot.observation.selected)


def _decide_package(package: Package, snapshot: Snapshot, options: Options) -> Decision:
    """Decide whether a package gets a tag."""
    observation, version = snapshot.observation, package.version
    if version is None:
        return Decision(package, "", State.LEFT_OUT, f"version comes from {package.source.text or 'its backend'}")
    tag = observation.formats[package.name].render(version)
    if (existing := observation.existing_tag(package)) is not None:
        return _decide_existing_tag(package, existing, snapshot)
    if options.since is not None and snapshot.versions_before.get(package.name) == version:
        return Decision(package, tag, State.LEFT_OUT, f"not changed since {options.since}")
    if (last := observation.last_tag(package)) is None:
        if options.adopt:
            return _decide_out_of_bounds(package, tag, snapshot) or _tag_to_create(
                package, tag, "new", observation
            )
        if package.is_private:
            return Decision(package, tag, State.LEFT_OUT, "private, and never tagged")
        adopt = core.fixes.task_command("auto-tag", "--adopt", "--package", package.name)
        return Decision(package, tag, State.REPORTED, "never tagged", adopt, is_untagged=True)
    return _decide_by_last_tag(package, version, last, snapshot, options)


def _decide_by_last_tag(
    package: Package, version: Version, last: tuple[str, Version], snapshot: Snapshot, options: Options
) -> Decision:
    """Decide for a package whose current version has no tag, although another version has one."""
    observation, (last_tag, last_version) = snapshot.observation, last
    tag = observation.formats[package.name].render(version)
    is_development = version.is_devrelease and not last_version.is_devrelease and not options.adopt
    if not is_development and (outside := _decide_out_of_bounds(package, tag, snapshot)) is not None:
        return outside
    if version < last_version:
        fix = core.fixes.task_command("bump", "--package", package.name, "--to", "VERSION")
        return Decision(package, tag, State.REJECTED, f"lower than the last tag, {last_tag}", fix)
    if is_development:
        return Decision(package, tag, State.LEFT_OUT, "development version")
    if package.name in snapshot.published:
        adopt = core.fixes.task_command("auto-tag", "--adopt", "--package", package.name)
        return Decision(package, tag, State.REPORTED, f"already on {snapshot.published[package.name]}", adopt)
    return _tag_to_create(package, tag, f"new, after {last_tag}", observation)


def _tag_to_create(package: Package, tag: str, reason: str, observation: Observation) -> Decision:
    return Decision(package, tag, State.NEW, reason, commit=observation.head, is_unpushed=True)


def _decide_out_of_bounds(package: Package, tag: str, snapshot: Snapshot) -> Decision | None:
    """Return the decision for a version outside the bounds of the release lines; None if it is within them."""
    lines, version = snapshot.observation.lines, package.version
    if version is None or core.release_lines.allows_version(lines, version):
        return None
    others = [line.branch for line in snapshot.config.branch if line.contains(version)]
    where = f"merge it to {others[0]} instead, or " if others else ""
    return Decision(
        package,
        tag,
        State.OUTSIDE,
        f"outside the bounds of {core.release_lines.describe_lines(lines)}",
        f"{where}set another version: "
        f"{core.fixes.task_command('bump', '--package', package.name, '--to', 'VERSION')}",
    )


def _decide_existing_tag(package: Package, tag: str, snapshot: Snapshot) -> Decision:
    """Decide for a package whose current version already has a tag: the tag is either correct or a conflict."""
    observation, remote = snapshot.observation, snapshot.config.remote
    here, there = observation.local_tags.get(tag), observation.remote_tags.get(tag)
    if here is not None and there is not None and here != there:
        return Decision(
            package,
            tag,
            State.CONFLICT,
            f"tag {tag} is on {here[:10]} here, but on {there[:10]} on {remote}",
            f"release a higher version: {core.fixes.task_command('bump', '--package', package.name)}; to compare "
            f"them: git show {tag}; git fetch {remote} refs/tags/{tag} && git show FETCH_HEAD",
        )
    commit = there or here or ""
    is_unpushed = observation.remote_error is None and there is None
    if commit == observation.head:
        reason = f"tagged at HEAD, not on {remote}" if is_unpushed else "tagged at HEAD"
        return Decision(package, tag, State.TAGGED, reason, commit=commit, is_unpushed=is_unpushed)
    at = snapshot.tagged_commits[tag, package.name]
    where, head = commit[:10], observation.head[:10]
    if at.version is not None and at.version != package.version:
        why = f"has {package.name} {at.version}"
    elif at.relation is Relation.UNRELATED:
        why = "is on another branch"
    else:
        unknown = " (not in this shallow clone)" if at.relation is Relation.UNKNOWN else ""
        count = snapshot.unreleased.get(package.name)
        since = f", {core.text.format_count(count, 'commit')} since" if count else ""
        reason = f"tagged at {where}{unknown}{since}"
        return Decision(package, tag, State.TAGGED, reason, commit=commit, is_unpushed=is_unpushed)
    return Decision(
        package,
        tag,
        State.CONFLICT,
        f"tag {tag} is on {where}, which {why}; HEAD ({head}) has {package.name} {package.version}",
        f"release a higher version: {core.fixes.task_command('bump', '--package', package.name)}; to see the tag: "
        f"git show {commit}",
    )
