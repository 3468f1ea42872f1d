"""The options of `bump`, and the snapshot that it is planned from."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox.core.settings.options import CommonOptions, option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from relnox.commands.bump.reruns import ExistingRelease, PreviousBump
    from relnox.commands.shared.tag_checks import NewerTags
    from relnox.core.bump.levels import ReleaseHistory
    from relnox.core.notes.fragments import Fragment
    from relnox.core.packages import Package, VersionSource
    from relnox.core.settings.config import Config
    from relnox.core.tagging.tag_proposals import KnownTags
    from relnox.core.tagging.tags import TagFormat
    from relnox.core.workspace import Workspace
    from relnox.source import edits
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "UndoTarget"]


class Options(CommonOptions):
    """Options of `bump`."""

    part: str | None = option(
        None,
        "Part of the version to bump; auto: derived from commits or change fragments.",
        choices=("major", "minor", "patch", "release", "pre", "phase", "post", "dev", "auto"),
        metavar="PART",
        anywhere=False,
    )
    pre: str | None = option(
        None,
        "Bump to a prerelease of this phase.",
        choices=("alpha", "beta", "rc"),
        metavar="PHASE",
        anywhere=False,
    )
    to: str | None = option(None, "Bump to this version.", metavar="VERSION", anywhere=False)
    package: tuple[str, ...] = option(
        (), "Bump this package (distribution or folder name; repeatable).", metavar="NAME", anywhere=False
    )
    all: bool = option(False, "Bump every package.", anywhere=False)
    always_increment: bool = option(
        False, "Bump the part even if the present prerelease leads to it already.", anywhere=False
    )
    allow_lower: bool = option(False, "Allow --to to name a lower version.", anywhere=False)
    commit: bool = option(False, "Commit the edited files.")
    tag: bool = option(False, "Tag the commit.")
    push: bool = option(False, "Push branch and tags atomically.")
    lock: bool = option(False, "Update poetry.lock and pdm.lock with their tools, where requirements change.")
    force: bool = option(
        False, "Ignore a dirty tree, another branch and similar problems; lists what it ignores.", anywhere=False
    )
    abort: bool = option(False, "Undo an interrupted bump.", anywhere=False)
    again: bool = option(False, "Bump once more, even if this bump is already done.", anywhere=False)
    undo: bool = option(False, "Revert the last bump; blocked if any of it is pushed.", anywhere=False)


class UndoTarget(NamedTuple):
    """A bump that can be reverted.

    Attributes:
        record: What it did.
        pushed_to: Remote branches that have its commit, or remotes that have one of its tags.
        subject: The first line of the message of the present commit.
    """

    record: edits.Pending
    pushed_to: tuple[str, ...]
    subject: str


class Snapshot(NamedTuple):
    """Everything that a bump is planned from.

    Attributes:
        workspace: The packages.
        selected: The selected packages; with `--part auto` those that may be bumped.
        config: The project's settings.
        contents: Contents of the files that may be edited.
        generated_files: Files written by changelog tools, poetry and pdm; None for one that they remove.
        generated_changelogs: Packages whose changelogs such tools write.
        fragments: The change fragments; None if the project keeps none.
        tag_formats: The tag format of each package.
        history: The release history of each package, where it is needed.
        state: The state of git; None outside git.
        remote_tags: Tags of the remote with their commits; None if it was not queried.
        remote_error: Why the remote did not answer.
        remote_is_ancestor: Whether the present branch contains the remote's; None if that is not known.
        known_tags: The forms of the tags here, and on the remote if it was queried.
        newer_tags: Tags that are newer than the versions of their packages.
        unlisted: Packages of the checkout that do not belong to the project.
        lockstep_reason: Why the packages are bumped in lockstep, where no setting says so.
        today: The date in UTC, for calendar versions.
        literals: Literal versions in the packages' own modules, which are version locations as well.
        untracked_imports: Committed modules, each with an untracked one that it imports.
        version_mentions: By package: further files that contain its version.
        interrupted: An interrupted bump.
        undo_target: The bump to revert, for `--undo` and `--abort`.
        previous: The last bump, if nothing came after it.
        existing_release: The release that this bump would make, if its tags exist already.
    """

    workspace: Workspace
    selected: tuple[Package, ...]
    config: Config
    contents: dict[str, bytes]
    generated_files: Mapping[str, bytes | None]
    generated_changelogs: frozenset[str]
    fragments: tuple[Fragment, ...] | None
    tag_formats: Mapping[str, TagFormat]
    history: Mapping[str, ReleaseHistory]
    state: GitState | None
    remote_tags: Mapping[str, str] | None
    remote_error: str | None
    remote_is_ancestor: bool | None
    known_tags: KnownTags
    newer_tags: NewerTags
    unlisted: tuple[Package, ...]
    lockstep_reason: str | None
    today: date
    literals: tuple[VersionSource, ...]
    untracked_imports: tuple[tuple[str, str], ...]
    version_mentions: Mapping[str, tuple[str, ...]]
    interrupted: edits.Pending | None
    undo_target: UndoTarget | None
    previous: PreviousBump | None
    existing_release: ExistingRelease | None
