"""The state that a new bump is decided from: the packages, their files, git and its remote."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from relnox.commands.shared.hooks import Hooks
from relnox.commands.shared.tag_checks import NewerTags
from relnox.core.bump.release_history import ReleaseHistory
from relnox.core.packages import Package, VersionSource
from relnox.core.records import Record
from relnox.core.settings.config import Config
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.tagging.tags import TagFormat, TagForms
from relnox.core.workspace import Workspace
from relnox.source.git import GitState

FOREIGN_LOCKS = ("poetry.lock", "pdm.lock")
"""The names of lock files that only poetry and pdm can write."""


class RemoteState(Record):
    """The state of the remote.

    Attributes:
        tags: Maps each tag of the remote to its commit; None if the remote was not queried or did not answer.
        is_ancestor: Whether HEAD contains the remote's branch of the same name, or the remote has no such branch;
            None if unknown.
        error: Why the remote did not answer; None if it did, or if it was not queried.
        branches: Maps each branch of the remote to its commit; empty if the remote was not queried or did not
            answer.
    """

    tags: Mapping[str, str] | None = None
    is_ancestor: bool | None = None
    error: str | None = None
    branches: Mapping[str, str] = MappingProxyType({})


class Observation(Record):
    """Everything that a new bump is decided from.

    Attributes:
        workspace: The packages of the project.
        selected: The selected packages; with `--part auto`, the packages that may be bumped.
        config: The project's settings.
        contents: Maps the path of each file that may be edited to its content.
        changelogs: Maps each package that has a changelog to its path.
        tag_forms: The tag format of each package, and the packages for which it is unclear.
        tags: The tags of this clone and, if queried, of the remote.
        history: The release history of each package; empty if the bump does not depend on it.
        state: The state of the checkout; None outside git.
        index_states: Maps each tracked file to its letter in the output of `git ls-files -v`.
        remote: The state of the remote.
        lines: The release lines that the current commit belongs to.
        newer_tags: Tags that are newer than the current versions of their packages.
        unlisted: Packages of the checkout that do not belong to the project.
        today: The date in UTC, for calendar versions.
        literals: The version literals in the packages' modules, which are version locations as well.
        untracked_imports: Pairs of a committed module and an untracked module that it imports.
        hooks: The project's hooks.
    """

    workspace: Workspace
    selected: tuple[Package, ...]
    config: Config
    contents: Mapping[str, bytes]
    changelogs: Mapping[str, str]
    tag_forms: TagForms
    tags: tuple[str, ...]
    history: Mapping[str, ReleaseHistory]
    state: GitState | None
    index_states: Mapping[str, str]
    remote: RemoteState
    lines: tuple[ReleaseLine, ...]
    newer_tags: NewerTags
    unlisted: tuple[Package, ...]
    today: date
    literals: tuple[VersionSource, ...]
    untracked_imports: tuple[tuple[str, str], ...]
    hooks: Hooks

    @property
    def tag_formats(self) -> Mapping[str, TagFormat]:
        """The tag format of each package."""
        return self.tag_forms.formats
