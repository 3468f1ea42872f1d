"""What git's history says of each package: its last reachable tag, and the commits since that touch it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import levels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from relnox.core.levels import Commit, ReleaseHistory
    from relnox.core.tags import TagFormat
    from relnox.core.workspace import Workspace
    from relnox.source.git import Git

__all__ = ["histories"]


def histories(
    git: Git, workspace: Workspace, formats: Mapping[str, TagFormat], tags: Mapping[str, str]
) -> dict[str, ReleaseHistory]:
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
    inside, edge = levels.tag_coverage(history, released)
    everything = len(tagged) < len(workspace.packages)
    without = () if everything else edge
    commits = list(_commits(git, without))
    if _has_left(commits, workspace):
        renamed = _renamed(git, without)
        commits = [commit._replace(renamed=tuple(renamed.get(commit.id, ()))) for commit in commits]
    return levels.histories(workspace.packages, tagged, tags, inside, commits)


def _shape(git: Git) -> dict[str, tuple[str, ...]]:
    """Parents of every commit that the present one contains, children before their parents."""
    listing = git.run("rev-list", "--topo-order", "--parents", "HEAD").check("git rev-list").output
    lines = (line.split(" ") for line in listing.split("\n") if line)
    return {commit: tuple(parents) for commit, *parents in lines}


def _has_left(commits: Iterable[Commit], workspace: Workspace) -> bool:
    """Whether a commit touches the pyproject.toml of a folder that is no package now."""
    present = {package.pyproject for package in workspace.packages}
    return any(
        file.endswith("/pyproject.toml") and file not in present for commit in commits for file in commit.files
    )


def _renamed(git: Git, without: tuple[str, ...] | list[str]) -> dict[str, list[tuple[str, str]]]:
    """By commit: the folders whose pyproject.toml it moved, before and after."""
    asked = git.run(
        *("-c", "core.quotePath=false", "log", "--no-show-signature", "--no-color", "--find-renames"),
        *("--diff-filter=R", "--name-status", "--relative", "--format=commit %H", "HEAD", "--not", *without),
        *("--", ":(glob)**/pyproject.toml"),
    )
    found: dict[str, list[tuple[str, str]]] = {}
    commit = ""
    for line in asked.check("git log").output.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith("R"):
            _, old, new = line.split("\t")
            found.setdefault(commit, []).append((_folder(old), _folder(new)))
    return found


def _folder(file: str) -> str:
    return file.rpartition("/")[0] or "."


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
