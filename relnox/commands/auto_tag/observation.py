"""The state that `auto-tag` decides from: versions, tags of this clone and of the remote, branch and index."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.commands.auto_tag.tagged_commits import tagged_commits, unreleased_commits, versions_at
from relnox.commands.shared.release_branch import find_release_branch
from relnox.errors import Blocked, Failed, TryLater
from relnox.source.git import parse_tags, recovery, remotes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.version import Version

    from relnox.commands.auto_tag import Options
    from relnox.commands.auto_tag.decisions import Decision
    from relnox.commands.auto_tag.tagged_commits import TaggedCommit
    from relnox.commands.shared.project import Project
    from relnox.commands.shared.release_branch import ReleaseBranch
    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.settings.release_lines import ReleaseLine
    from relnox.core.tagging.known_tags import KnownTags
    from relnox.core.tagging.tags import TagFormat
    from relnox.core.workspace import Workspace
    from relnox.source.git import Git, GitState

_INDEX_TIMEOUT = 60.0
"""The time limit for all queries of indexes together, in seconds."""


class Observation(NamedTuple):
    """The packages, and the tags of this clone and of the remote.

    Attributes:
        workspace: All packages of the project.
        selected: The packages that may get a tag.
        formats: The tag format of each package.
        state: The state of the checkout.
        head: The current commit.
        local_tags: Maps each tag of this clone to its commit.
        remote_tags: Maps each tag of the remote to its commit; empty if they could not be read.
        remote_error: Why the tags of the remote could not be read; None if they were.
        known_tags: All tags, with the prefix that the tags of each package have.
        lines: The release lines that the current commit belongs to.
    """

    workspace: Workspace
    selected: tuple[Package, ...]
    formats: Mapping[str, TagFormat]
    state: GitState
    head: str
    local_tags: Mapping[str, str]
    remote_tags: Mapping[str, str]
    remote_error: str | None
    known_tags: KnownTags
    lines: tuple[ReleaseLine, ...]

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
        survey, prefix = self.known_tags.survey, self.known_tags.prefixes.get(package.name)
        former = survey.by_prefix.get(prefix, ()) if prefix is not None else ()
        own = self.formats[package.name].matching_tags(self.tags)
        return [*own, *survey.tags_of(package.name), *former]


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

    @property
    def workspace(self) -> Workspace:
        """All packages of the project."""
        return self.observation.workspace

    @property
    def head(self) -> str:
        """The current commit."""
        return self.observation.head


def observe(options: Options, project: Project) -> Snapshot:
    """Read the state of the project, the remote and the index.

    Raises:
        Blocked: There is no commit, the remote to push to or the commit of `--since` does not exist, or the
            workflow of `--dispatch` cannot be started.
        Failed: The remote to push to does not answer.
        TryLater: The index does not answer.
    """
    from relnox.commands.auto_tag import decisions

    git, state = project.git, project.state
    if git is None or state is None:
        raise Blocked(
            "not-a-git-repository", "the project is not in a git repository", fix=core.fixes.CREATE_REPOSITORY
        )
    if state.head is None:
        raise Blocked("commit-missing", "the repository has no commit", fix="git commit")
    recovery.wait_for_leftover_process(git)
    refs, remote_error = _remote_refs(git, project.config.remote, required=options.push)
    remote_tags = parse_tags(refs)
    project = project.with_remote_tags(remote_tags)
    observation = Observation(
        workspace=project.workspace,
        selected=project.select(options.package),
        formats=project.tag_formats,
        state=state,
        head=state.head,
        local_tags=state.tags,
        remote_tags=remote_tags,
        remote_error=remote_error,
        known_tags=project.known_tags,
        lines=project.lines,
    )
    snapshot = Snapshot(
        observation=observation,
        config=project.release_config,
        tagged_commits=tagged_commits(observation, project.config.remote, git),
        unreleased=unreleased_commits(observation, project),
        versions_before=versions_at(options.since, observation.selected, git) if options.since is not None else {},
        published={},
        branch=None,
        disagreeing=(),
        identity_error=None,
    )
    package_decisions = decisions.decide(snapshot, options)
    new = [decision for decision in package_decisions if decision.state is decisions.State.NEW]
    if new and options.check_index and not options.adopt:
        snapshot = snapshot._replace(published=dict(_published_versions(new, project)))
    if options.dispatch is not None:
        from relnox import forges

        # A wrong name of a workflow, or an unknown forge, fails here, before tags are pushed.
        forge = forges.forge_of(remotes.url(git, project.config.remote), os.environ)
        forge.runs(workflow=options.dispatch, commit=observation.head)
    if not new and not any(decision.is_unpushed for decision in package_decisions):
        return snapshot
    literals = project.literals.workspace.by_name
    return snapshot._replace(
        branch=find_release_branch(refs, state, project, git) if options.push else None,
        disagreeing=tuple(
            literals[decision.package.name]
            for decision in new
            if not core.version_locations.locations_agree(
                literals[decision.package.name], decision.package.version
            )
        ),
        identity_error=git.identity_error() if new else None,
    )


def _remote_refs(git: Git, remote: str, *, required: bool) -> tuple[dict[str, str], str | None]:
    """Return the commit of each ref of the remote, and why the refs could not be read, otherwise None.

    Raises:
        Blocked: The remote is required and does not exist.
        Failed: The remote is required and does not answer.
    """
    if remote not in remotes.names(git):
        if required:
            raise Blocked(
                "remote-missing",
                f"git remote {remote} does not exist",
                fix=f"git remote add {remote} URL, or set [tool.relnox] remote, or pass --no-push",
            )
        return {}, f"git remote {remote} does not exist"
    try:
        return remotes.read_refs(git, remote, timeout=None if required else remotes.NETWORK_TIMEOUT), None
    except Failed as error:
        if required:
            raise
        return {}, error.message


def _published_versions(new: Iterable[Decision], project: Project) -> Iterator[tuple[str, str]]:
    """Yield each package to tag whose version is already on its production index, with the name of that index.

    Raises:
        TryLater: The index does not answer.
    """
    from relnox.indexes import targets
    from relnox.system.network import Deadline, TransientError

    deadline = Deadline(_INDEX_TIMEOUT)
    for decision in new:
        package = decision.package
        if package.is_private:
            continue
        assert package.version is not None  # noqa: S101 - it has a tag
        index = targets.select_by_tags(project.config, {package.name: (decision.tag, package.version)})
        if not project.indexes.is_production(index):
            continue
        try:
            files = project.indexes.fetch_listing(index, package.name, deadline).values()
        except TransientError as error:
            raise TryLater(
                "index-unavailable",
                f"cannot check whether {index} has {package.name} {package.version}: {error.message}",
                fix="rerun the command later, or skip the check: --no-check-index",
            ) from error
        if any(file.version == package.version for file in files):
            yield package.name, index
