"""A new bump: what was decided, and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from relnox.commands.bump.project_state import Observation
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.planning.changes import Edit
from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.source.git.trees import PlannedTree

if TYPE_CHECKING:
    from relnox import forges
    from relnox.core.bump.version_bumps import DependencyUpdates


class Decision(Record):
    """The new versions of packages.

    Attributes:
        bumps: The bumps, sorted by package.
        updates: The requirements on bumped packages that change, by the package that declares them.
        never_tagged: Packages that `--all` skips because their versions come from tags and they have no tag yet.
    """

    bumps: tuple[VersionBump, ...]
    updates: DependencyUpdates
    never_tagged: tuple[Package, ...]


class GeneratedFiles(Record):
    """Files that the project's tools or hooks generated in a copy of the checkout.

    Attributes:
        before: Maps the path of each generated file that exists in the checkout to its current content.
        after: Maps the path of each generated file to its new content, or to None if the file is removed.
        changelogs_of: The packages whose changelogs were generated.
    """

    before: Mapping[str, bytes]
    after: Mapping[str, bytes | None]
    changelogs_of: frozenset[str] = frozenset()


NO_FILES = GeneratedFiles({}, {})


class Development(Record):
    """The development versions to commit after the release.

    Attributes:
        bumps: The bumps from the released versions to the development versions.
        edits: The edits of files, starting from their contents in the release commit.
        note: Why there are no development versions although `--then-dev` is given; otherwise empty.
    """

    bumps: tuple[VersionBump, ...] = ()
    edits: tuple[Edit, ...] = ()
    note: str = ""


class Target(Record):
    """The branches and the pull request through which a bump is proposed.

    Attributes:
        base: The branch to merge into; None if HEAD is detached and is not the head of exactly one remote branch.
        base_head: The commit of `base` on the remote; None if the remote has no such branch.
        head: The branch of the pull request.
        replaces: The commit of `head` on the remote; None if the remote has no such branch.
        foreign: The commit on `head` that this command did not make, as a phrase; empty if there is none.
        tree: The tree with the edited files.
        request: The open pull request of `head` into `base`, if there is one.
        token_problem: The error if no token for the forge was found; otherwise None.
        identity_error: Why git cannot create commits; None if it can.
    """

    base: str | None
    base_head: str | None
    head: str
    replaces: str | None
    foreign: str
    tree: PlannedTree
    request: forges.PullRequest | None
    token_problem: Blocked | None
    identity_error: str | None


class NewBump(Record):
    """A new bump: the new versions, and the edits that set them.

    Attributes:
        observation: The state of the project that the bump was decided from.
        decision: The new versions of the packages.
        edits: The edits of all files, including generated ones.
        generated: The paths of files that the project's tools or hooks generated.
        generated_changelogs: The packages whose changelogs were generated.
        links: Those of the edited files and of the pyproject.toml files of bumped packages that are symbolic
            links, or in a directory that is one.
        hook_notes: For each edit-bump hook, a note on the files that it edited, or on its failure.
        target: The branch and pull requests for `--pull-request`, otherwise None.
        development: The development versions that follow the release; without `--then-dev`, there are none.
        edited_files: The files that have their new content already, from an interrupted run of this bump or from
            one without `--commit`.
    """

    observation: Observation
    decision: Decision
    edits: tuple[Edit, ...]
    generated: frozenset[str]
    generated_changelogs: frozenset[str]
    links: frozenset[str]
    hook_notes: tuple[str, ...]
    target: Target | None
    development: Development
    edited_files: tuple[str, ...] = ()
