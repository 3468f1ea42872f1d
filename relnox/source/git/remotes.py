"""The remotes of a repository: their refs, and pushes to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning import fixes
from relnox.errors import Failed
from relnox.source.git.parsing import parse_refs, parse_tags
from relnox.source.git.recovery import modify

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from relnox.source.git.repository import Git
    from relnox.system import process

NETWORK_TIMEOUT = 10.0
"""Seconds to wait for a remote whose answer is useful but not required."""


def names(git: Git) -> tuple[str, ...]:
    """Return the names of the remotes."""
    return tuple(git.names("remote"))


def url(git: Git, remote: str) -> str:
    """Return the URL of a remote as it is in git's configuration; empty if there is none."""
    return git.run("config", "--get", f"remote.{remote}.url", stderr=False).output.strip()


def read_refs(git: Git, remote: str, timeout: float | None = None) -> dict[str, str]:
    """Return every branch and tag of a remote by full name; an annotated tag's commit is under `NAME^{}`.

    Raises:
        Failed: The remote cannot be reached, or does not answer within `timeout` seconds.
    """
    return parse_refs(_ls_remote(git, remote, "--heads", "--tags", timeout=timeout), "\t")


def read_tags(git: Git, remote: str) -> dict[str, str]:
    """Return every tag of a remote and the commit it points to."""
    return parse_tags(read_refs(git, remote))


def default_branch(git: Git, remote: str) -> str | None:
    """Return the branch that a clone of a remote checks out; None if the remote does not say.

    Raises:
        Failed: The remote does not answer.
    """
    target = _ls_remote(git, remote, "--symref", pattern="HEAD").partition("\tHEAD")[0]
    return target.removeprefix("ref: refs/heads/") if target.startswith("ref: refs/heads/") else None


def _ls_remote(git: Git, remote: str, *options: str, pattern: str = "", timeout: float | None = None) -> str:
    patterns = [pattern] if pattern else []
    listing = git.run(
        "ls-remote", *options, "--", remote, *patterns, stderr=False, timeout=timeout, outlives=False
    )
    if listing.returncode != 0:
        raise Failed("remote-unreachable", f"git cannot reach remote {remote}", fix=f"git ls-remote {remote}")
    return listing.output


def fetch_objects(git: Git, remote: str, *refs: str, timeout: float = NETWORK_TIMEOUT) -> None:
    """Fetch the objects of refs of a remote, if it has them; no local ref changes."""
    options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=")
    git.run("fetch", *options, "--", remote, *refs, timeout=timeout)


def push(git: Git, remote: str, branch: str, tags: Iterable[str]) -> None:
    """Push a branch and tags in one atomic transaction; the branch is empty for a detached head.

    To a remote without atomic pushes the branch goes first: a tag without its branch would be a release of a
    commit that is not there.

    Raises:
        Failed: The remote rejected it.
    """
    branches = [f"refs/heads/{branch}:refs/heads/{branch}"] if branch else []
    tag_refs = [f"refs/tags/{tag}:refs/tags/{tag}" for tag in tags]
    _push(git, remote, [((), refs) for refs in (branches, tag_refs) if refs]).check(
        f"git push to {remote}",
        fix="fix what the remote reports above and rerun the command, "
        f"or undo the bump: {fixes.command('bump', '--abort')}",
    )


def push_new_tags(git: Git, remote: str, tags: Iterable[str]) -> process.Completed:
    """Push tags that the remote must not have, all or none; to a remote without atomic pushes, one by one."""
    refs = [f"refs/tags/{tag}" for tag in tags]
    return _push(git, remote, [([f"--force-with-lease={ref}:"], [f"{ref}:{ref}"]) for ref in refs])


def _push(git: Git, remote: str, groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> process.Completed:
    """Push groups of options and refs, all or none; to a remote without atomic pushes, one group after another."""

    def run(atomic: str, groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> process.Completed:
        options = [option for options, _ in groups for option in options]
        refs = [ref for _, refs in groups for ref in refs]
        # push.followTags would push tags that are not in the plan.
        return modify(git, "push", atomic, "--no-follow-tags", "--porcelain", *options, "--", remote, *refs)

    completed = run("--atomic", groups)
    if completed.returncode != 0 and "does not support --atomic" in completed.output:
        for group in groups:
            completed = run("--no-atomic", [group])
            if completed.returncode != 0:
                break
    return completed
