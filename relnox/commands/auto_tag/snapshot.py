"""What `auto-tag` is planned from: versions, tags of this clone and of the remote, branch and index."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from relnox import core

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.version import Version

    from relnox.commands.shared.release_branch import ReleaseBranch
    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.settings.release_lines import ReleaseLine
    from relnox.core.tagging.tags import TagFormat, TagForms
    from relnox.core.workspace import Workspace
    from relnox.source.git import GitState


class Relation(Enum):
    """The relation between a tagged commit and HEAD."""

    RELATED = auto()
    """One of the commits is an ancestor of the other."""
    UNRELATED = auto()
    """Neither commit is an ancestor of the other."""
    UNKNOWN = auto()
    """This clone does not have the commit, or is shallow and may lack the history between the two."""


class TaggedCommit(NamedTuple):
    """The commit of an existing tag.

    Attributes:
        relation: The relation between the commit and HEAD.
        version: The version of the package at the commit, or None if it cannot be read.
    """

    relation: Relation
    version: Version | None


class Observation(NamedTuple):
    """The packages, and the tags of this clone and of the remote.

    Attributes:
        workspace: All packages of the project.
        selected: The packages that may get a tag.
        tag_forms: The tag format of each package, and the packages for which it is unclear.
        state: The state of the checkout.
        index_states: Maps each tracked file to its letter in the output of `git ls-files -v`.
        head: The current commit.
        local_tags: Maps each tag of this clone to its commit.
        remote_tags: Maps each tag of the remote to its commit; empty if they could not be read.
        remote_error: Why the tags of the remote could not be read; None if they were.
        lines: The release lines that the current commit belongs to.
    """

    workspace: Workspace
    selected: tuple[Package, ...]
    tag_forms: TagForms
    state: GitState
    index_states: Mapping[str, str]
    head: str
    local_tags: Mapping[str, str]
    remote_tags: Mapping[str, str]
    remote_error: str | None
    lines: tuple[ReleaseLine, ...]

    @property
    def formats(self) -> Mapping[str, TagFormat]:
        """The tag format of each package."""
        return self.tag_forms.formats

    @property
    def tags(self) -> Mapping[str, str]:
        """The commit of each tag of this clone and of the remote; the remote's commit if the two differ."""
        return {**self.local_tags, **self.remote_tags}

    def existing_tag(self, package: Package) -> str | None:
        """Return the existing tag of a package's current version, in any tag format, or None."""
        if package.version is None:
            return None
        if (usual := self.formats[package.name].render(package.version)) in self.tags:
            return usual
        return next((tag for tag, version in self.tags_of(package) if version == package.version), None)

    def last_tag(self, package: Package) -> tuple[str, Version] | None:
        """Return a package's tag with the highest version, and that version; None if it has no tags.

        Tags of other release lines are used only if the package has none of the lines of this commit.
        """
        tags = self.tags_of(package)
        tags = [tagged for tagged in tags if core.release_lines.allows_version(self.lines, tagged[1])] or tags
        return max(tags, key=lambda tagged: tagged[1], default=None)

    def tags_of(self, package: Package) -> list[tuple[str, Version]]:
        """Return all tags of a package with their versions, in the package's tag format and in other formats."""
        own = self.formats[package.name].matching_tags(self.tags)
        return [*own, *core.tags.tags_naming(package, self.tags)]


class Snapshot(NamedTuple):
    """Everything that the plan depends on.

    Attributes:
        observation: The packages and tags.
        config: The project's settings.
        tagged_commits: Maps pairs of the tag of a current version and its package to the tag's commit, for tags
            on other commits than HEAD.
        unreleased: Maps packages to the number of commits since the tag of their current version; empty in a
            shallow clone.
        versions_before: Maps packages to their versions at the commit of `--since`; None for new packages.
        published: Maps packages whose current version is on a production index to the name of that index.
        branch: The release branch of the remote; None if nothing is pushed.
        disagreeing: The packages to tag whose version locations have different versions, with version literals.
        identity_error: Why git cannot create annotated tags; None if it can.
        links: Those files of the packages to tag that are symbolic links, or in a directory that is one.
    """

    observation: Observation
    config: Config
    tagged_commits: Mapping[tuple[str, str], TaggedCommit]
    unreleased: Mapping[str, int]
    versions_before: Mapping[str, Version | None]
    published: Mapping[str, str]
    branch: ReleaseBranch | None
    disagreeing: tuple[Package, ...]
    identity_error: str | None
    links: frozenset[str] = frozenset()

    @property
    def workspace(self) -> Workspace:
        """All packages of the project."""
        return self.observation.workspace

    @property
    def head(self) -> str:
        """The current commit."""
        return self.observation.head
