"""The state that `auto-tag` decides from: versions, tags of this clone and of the remote, branch and index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.auto_tag.snapshot import Observation, Snapshot
from relnox.commands.auto_tag.tagged_commits import tagged_commits, unreleased_commits, versions_at
from relnox.commands.shared.release_branch import find_release_branch
from relnox.errors import Blocked, Failed, TryLater
from relnox.source import file_edits
from relnox.source.git import parse_tags, remotes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from relnox.commands.auto_tag.decisions import Decision
    from relnox.commands.options import AutoTagOptions as Options
    from relnox.commands.shared.project import Project
    from relnox.source.git import Git

_INDEX_TIMEOUT = 60.0
"""The time limit for all queries of indexes together, in seconds."""


def observe(options: Options, project: Project) -> Snapshot:
    """Read the state of the project, the remote and the index.

    Raises:
        Blocked: There is no commit, the remote to push to or the commit of `--since` does not exist.
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
        raise Blocked("branch-changed", "the repository has no commit", fix="git commit")
    refs, remote_error = _remote_refs(git, project.config.remote, required=options.push)
    remote_tags = parse_tags(refs)
    project = project.with_remote_tags(remote_tags)
    observation = Observation(
        workspace=project.workspace,
        selected=project.select(options.package),
        tag_forms=project.tag_forms,
        state=state,
        index_states=project.index_states,
        head=state.head,
        local_tags=state.tags,
        remote_tags=remote_tags,
        remote_error=remote_error,
        lines=project.lines,
    )
    snapshot = Snapshot(
        observation=observation,
        config=project.config,
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
        links=frozenset(file_edits.find_links(project.root, _version_files(new))),
    )


def _version_files(new: Iterable[Decision]) -> set[str]:
    """Return the pyproject.toml and the files with the version of each package to tag."""
    packages = [decision.package for decision in new]
    locations = (location for package in packages for location in package.locations)
    return {*(package.pyproject for package in packages), *(location.file for location in locations)}


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
