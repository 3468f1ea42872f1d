"""What git's history says of each package: its last reachable tag, and the commits since that touch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import levels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.core.levels import Commit, Standing
    from relnox.core.tags import TagFormat
    from relnox.core.workspace import Workspace
    from relnox.source.git import Git

__all__ = ["standings"]


def standings(
    git: Git, workspace: Workspace, formats: Mapping[str, TagFormat], tags: Mapping[str, str]
) -> dict[str, Standing]:
    """Where each package stands at the present commit.

    git is asked twice, however many packages and tags there are: for the shape of the history, and for the
    messages and files of those commits that some package has not released yet.

    Args:
        git: The checkout; there is a commit.
        workspace: The packages.
        formats: How each package's tags look.
        tags: All tags, with the commit each leads to.
    """
    history = _shape(git)
    stated = {package.name: package.version for package in workspace.packages}
    tagged = levels.last_tags(formats, tags, history.keys(), stated)
    released = list(dict.fromkeys(tags[tag] for tag, _ in tagged.values()))
    inside, edge = levels.frontier(history, released)
    everything = len(tagged) < len(workspace.packages)
    commits = _commits(git, () if everything else edge)
    return levels.standings(workspace.packages, tagged, tags, inside, commits)


def _shape(git: Git) -> dict[str, tuple[str, ...]]:
    """Parents of every commit that the present one contains, children before their parents."""
    listing = git.run("rev-list", "--topo-order", "--parents", "HEAD").check("git rev-list").output
    lines = (line.split(" ") for line in listing.split("\n") if line)
    return {commit: tuple(parents) for commit, *parents in lines}


def _commits(git: Git, without: tuple[str, ...] | list[str]) -> Iterator[Commit]:
    """Messages and files of the commits that these do not contain, the newest first."""
    asked = git.run(
        "log",
        "--no-show-signature",
        "--no-color",
        "--encoding=UTF-8",
        "--no-renames",
        "--name-only",
        "--relative",
        "-z",
        "--format=%x00%x00%H%x00%B%x00",
        "HEAD",
        "--not",
        *without,
        "--",
    )
    # No name and no message holds a NUL: each commit begins with two, and git sets one behind its message.
    parts = asked.check("git log").output.split("\0")
    at = 0
    while parts[at : at + 2] == ["", ""]:
        commit, message = parts[at + 2 : at + 4]
        first = at = at + 5
        while at < len(parts) and parts[at]:
            at += 1
        yield levels.Commit(commit, message, tuple(name.removeprefix("\n") for name in parts[first:at]))
