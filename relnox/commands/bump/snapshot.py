"""What a bump is planned from: a new bump with its decision, or an earlier one to finish, undo or repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.bump.development import Development
    from relnox.commands.bump.observation import Observation, RemoteState
    from relnox.commands.bump.pull_requests import Target
    from relnox.core.bump.changes import Edit
    from relnox.core.bump.dependency_updates import DependencyUpdates
    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.packages import Package
    from relnox.source.git import GitState
    from relnox.steps import bump_record


class Decision(Record):
    """Which packages get which version.

    Attributes:
        bumps: The bumps, sorted by package.
        updates: The requirements that change with them, by package.
        never_tagged: Packages that `--all` leaves out: their versions come from tags, and they have no tag yet.
    """

    bumps: tuple[VersionBump, ...]
    updates: DependencyUpdates
    never_tagged: tuple[Package, ...]


class GeneratedFiles(Record):
    """Files that tools of the project generated on a copy.

    Attributes:
        before: The present contents of those that exist, by path.
        after: Their new contents, by path; None for one that is removed.
        changelogs_of: Packages whose changelogs are among them.
    """

    before: Mapping[str, bytes]
    after: Mapping[str, bytes | None]
    changelogs_of: frozenset[str] = frozenset()


NO_FILES = GeneratedFiles({}, {})


class NewBump(Record):
    """A new bump, decided, with its edits.

    Attributes:
        observation: The state of the project that it is based on.
        decision: The decision.
        edits: The edits of files, those by tools included.
        generated: The files among them that tools generated.
        generated_changelogs: Packages whose changelogs tools generated.
        hook_notes: What edit-bump hooks did.
        target: Where it is proposed, with `--pull-request`.
        development: What follows the release, with `--then-dev`.
    """

    observation: Observation
    decision: Decision
    edits: tuple[Edit, ...]
    generated: frozenset[str]
    generated_changelogs: frozenset[str]
    hook_notes: tuple[str, ...] = ()
    target: Target | None = None
    development: Development | None = None


class UndoTarget(Record):
    """A bump that can be reverted.

    Attributes:
        record: The record of the earlier bump.
        pushed_to: Remote branches that have its commit, or remotes that have one of its tags.
        commits: Its commits, the oldest first: the release, and its development version; none if it made none.
        tagged: The commit that its tags are on.
        message: The message that the present commit should have; None if any may be there.
        subject: The first line of the message that it has.
    """

    record: bump_record.Pending
    pushed_to: tuple[str, ...]
    commits: tuple[str, ...]
    tagged: str | None
    message: str | None
    subject: str


class EarlierBump(Record):
    """An interrupted bump, or one to revert.

    Attributes:
        interrupted: The interrupted bump, if there is one.
        undo_target: The bump to revert, for `--undo` and `--abort`.
        state: The state of git; None outside git.
        remote: The state of the remote.
        remote_name: Its name.
        tagged: The commit that the tags of the interrupted bump are on, or are to be on.
    """

    interrupted: bump_record.Pending | None
    undo_target: UndoTarget | None
    state: GitState | None
    remote: RemoteState
    remote_name: str
    tagged: str | None


class RepeatedBump(Record):
    """The last bump on this machine, requested again with the same options (or also with `--push`).

    Attributes:
        record: The record of the earlier bump.
        has_all_tags: Whether its tags still exist.
        branch: The present branch; None outside git.
        remote_name: The name of the remote.
    """

    record: bump_record.Pending
    has_all_tags: bool
    branch: str | None
    remote_name: str


class ExistingRelease(Record):
    """A release that this bump would make, but that exists already.

    Attributes:
        reason: Why nothing is left to do.
        tags: Its tags.
        is_on_remote: Whether the remote has all of them.
        branch: The present branch.
        remote_name: The name of the remote.
        head: The present commit.
    """

    reason: str
    tags: tuple[str, ...]
    is_on_remote: bool
    branch: str
    remote_name: str
    head: str | None


Snapshot = NewBump | EarlierBump | RepeatedBump | ExistingRelease
