"""The release branch of the remote, and whether it contains the current commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import Record
from relnox.source.git import remotes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.commands.shared.project import Project
    from relnox.source.git import Git, GitState

FETCH_TIMEOUT = 300.0
"""The timeout for fetching the release branch from the remote, in seconds."""


class ReleaseBranch(Record):
    """The release branch of the remote, compared with HEAD.

    `has_head` says whether it contains HEAD, and `is_behind_head` whether HEAD contains it. `name` may be None.
    """

    name: str | None
    exists: bool = False
    has_head: bool = False
    is_behind_head: bool = False


def find_release_branch(refs: Mapping[str, str], state: GitState, project: Project, git: Git) -> ReleaseBranch:
    """Find the branch of the remote to release from, and whether it is ahead of HEAD or behind it.

    `refs` maps each ref of the remote to its commit.
    """
    remote = project.config.remote
    names = (line.branch for line in (*project.lines, *project.config.branch) if not line.is_glob)
    name = next(names, None) or remotes.default_branch(git, remote) or state.branch
    tip = refs.get(f"refs/heads/{name}")
    if tip is None:
        return ReleaseBranch(name)
    if tip != state.head and git.resolve_commit(tip) is None:
        remotes.try_to_fetch_objects(git, remote, f"refs/heads/{name}", timeout=FETCH_TIMEOUT)
    has_head = tip == state.head or git.is_ancestor("HEAD", tip)
    return ReleaseBranch(name, exists=True, has_head=has_head, is_behind_head=git.is_ancestor(tip))
