"""The commits that existing tags are on, and the versions of packages at these commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.commands.auto_tag.snapshot import Relation, TaggedCommit
from relnox.commands.shared.past_versions import version_at
from relnox.commands.shared.release_branch import FETCH_TIMEOUT
from relnox.errors import Blocked
from relnox.source.git import remotes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.version import Version

    from relnox.commands.auto_tag.snapshot import Observation
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.source.git import Git


def tagged_commits(observation: Observation, remote: str, git: Git) -> dict[tuple[str, str], TaggedCommit]:
    """Look up the commits of tags that the current versions already have, except for tags on HEAD.

    Returns:
        Maps each pair of a tag and a package name to the tag's commit.
    """
    pairs = [
        (tag, package)
        for package in observation.selected
        if (tag := observation.existing_tag(package)) is not None and observation.tags[tag] != observation.head
    ]
    if not pairs:
        return {}
    commits = {observation.tags[tag]: tag for tag, _ in pairs}
    absent = [tag for commit, tag in commits.items() if git.resolve_commit(commit) is None]
    if absent and not observation.state.is_shallow:
        remotes.try_to_fetch_objects(git, remote, *(f"refs/tags/{tag}" for tag in absent), timeout=FETCH_TIMEOUT)
    relations = {commit: _relation_to_head(commit, observation, git) for commit in commits}
    return {
        (tag, package.name): TaggedCommit(
            relations[observation.tags[tag]],
            version_at(observation.tags[tag], package, git)
            if relations[observation.tags[tag]] is not Relation.UNKNOWN
            else None,
        )
        for tag, package in pairs
    }


def _relation_to_head(commit: str, observation: Observation, git: Git) -> Relation:
    if git.is_ancestor(commit) or git.is_ancestor("HEAD", commit):
        return Relation.RELATED
    # The history of a shallow clone ends somewhere; what is beyond it is not known.
    return (
        Relation.UNKNOWN
        if observation.state.is_shallow or git.resolve_commit(commit) is None
        else Relation.UNRELATED
    )


def versions_at(revision: str, packages: Iterable[Package], git: Git) -> dict[str, Version | None]:
    """Return the version of each package at a commit, by name; None if the commit has no version of the package.

    Packages whose versions are not in a file are left out.

    Raises:
        Blocked: This clone does not have the commit.
    """
    commit = git.resolve_commit(revision)
    if commit is None:
        raise Blocked(
            "branch-behind",
            f"--since {revision}: this clone has no such commit",
            fix="fetch more history (git fetch --unshallow), or remove --since",
        )
    return {package.name: version_at(commit, package, git) for package in packages if package.source.is_in_file}


def unreleased_commits(observation: Observation, project: Project) -> dict[str, int]:
    """Count the commits since the tag of each package's current version that change the package.

    Returns:
        Maps package names to the number of commits; packages without such a tag or without such commits are left
        out, as are all packages in a shallow clone.
    """
    tags = {package.name: observation.existing_tag(package) for package in observation.selected}
    if observation.state.is_shallow or all(
        tag is None or observation.tags[tag] == observation.head for tag in tags.values()
    ):
        return {}
    return {
        name: len(history.commits)
        for name, history in project.history.items()
        if history.tag is not None and history.tag == tags.get(name) and history.commits
    }
