"""What a bump is asked for, and what it must know."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox.core.options import CommonOptions, option

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from relnox.commands.bumping.reruns import ExistingRelease, PreviousBump
    from relnox.commands.tag_checks import NewerTags
    from relnox.core.config import Config
    from relnox.core.fragments import Fragment
    from relnox.core.levels import ReleaseHistory
    from relnox.core.packages import Package, VersionSource
    from relnox.core.tag_proposals import KnownTags
    from relnox.core.tags import TagFormat
    from relnox.core.workspace import Workspace
    from relnox.source import edits
    from relnox.source.git import GitState

__all__ = ["Options", "Snapshot", "UndoTarget"]


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
    again: bool = option(False, "Bump once more, though this bump is done already.", anywhere=False)
    undo: bool = option(False, "Take the last bump back, while nothing of it is pushed.", anywhere=False)


class UndoTarget(NamedTuple):
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
        history: What each package's history says, where it is asked.
        state: What git says; None outside git.
        remote_tags: Tags of the remote with their commits; None when it was not asked.
        unreachable: Why the remote did not answer, though it was asked.
        contained: Whether the remote's branch is part of the present one; None when it was not asked.
        known_tags: What the tags, here and on the remote if it was asked, say of their forms.
        newer: Tags that are newer than the versions of their packages.
        unlisted: Packages of the checkout that are not of the project.
        lockstep_reason: Why the packages are taken to move in lockstep, where no setting says it.
        today: The date in UTC, for calendar versions.
        literals: Literal versions in the packages' own modules, which are places as well.
        untracked_imports: Committed modules, each with an untracked one that it imports.
        mentions: By package: further files that name its version.
        pending: An interrupted bump.
        last: The last bump, for `--undo`.
        repeated: The last bump, if nothing came after it.
        done: The release that this bump would make, if tags tell that it is there.
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
    pending: edits.Pending | None
    undo_target: UndoTarget | None
    previous: PreviousBump | None
    existing_release: ExistingRelease | None
