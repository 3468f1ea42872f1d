"""Problems that both forges have, with their messages; and waiting for what a forge does later."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from relnox.errors import Blocked, Conflict, TryLater
from relnox.system import network

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "branch_moved",
    "branches_missing",
    "commit_missing",
    "described",
    "poll",
    "pull_request_missing",
    "ref_exists",
    "ref_missing",
    "run_missing",
    "run_not_listed",
    "short_name",
]

T = TypeVar("T")

_POLLING_TIME = 60.0
"""Seconds for a merge check, and for a new run to be listed."""
_POLL_INTERVAL = 2.0


def poll(look: Callable[[], T | None], why: str) -> T | None:
    """Look again and again until there is something; None after a minute.

    Args:
        look: Returns what is waited for; None if it is not there yet.
        why: What is waited for, as a message.
    """
    deadline = network.Deadline(_POLLING_TIME)
    while True:
        result = look()
        if result is not None or not deadline.left():
            return result
        deadline.wait(min(_POLL_INTERVAL, deadline.left()), why)


def short_name(ref: str) -> str:
    """Return the short name of a branch or tag: `v1.0` of `refs/tags/v1.0`.

    Raises:
        ValueError: It is not the full name of a branch or tag.
    """
    for prefix in ("refs/heads/", "refs/tags/"):
        if ref.startswith(prefix) and ref != prefix:
            return ref.removeprefix(prefix)
    raise ValueError(f"not the full name of a branch or tag: {ref!r}")


def described(ref: str) -> str:
    """Return a ref for messages: `tag v1.0` of `refs/tags/v1.0`."""
    return f"{'tag' if ref.startswith('refs/tags/') else 'branch'} {short_name(ref)}"


def ref_exists(ref: str, repository: str, commit: str) -> Conflict:
    """Return the error of a ref that points to another commit."""
    kind_and_name = described(ref)
    return Conflict(
        "ref-exists",
        f"{kind_and_name} already exists on {repository}, on another commit ({commit[:7]})",
        fix=f"git push origin --delete {ref}",
    )


def ref_missing(doing: str, ref: str) -> Blocked:
    """Return the error of a ref that is not on the forge."""
    name = short_name(ref)
    return Blocked("ref-missing", f"{doing} (the forge has no such ref)", fix=f"git push origin {name}")


def branch_moved(branch: str, repository: str, head: str | None, expected: str | None) -> Conflict:
    """Return the error of a branch that does not point to the commit that it should be at."""
    actual = f"commit {head[:7]}" if head else "no commit"
    before = f"commit {expected[:7]}" if expected else "no commit"
    return Conflict(
        "branch-moved",
        f"branch {branch} of {repository} points to {actual}, not to {before} (it was changed meanwhile)",
        fix=f"git fetch origin {branch}, check what changed, then rerun the command",
    )


def branches_missing(doing: str, head: str, base: str) -> Blocked:
    """Return the error of a pull request between branches of which one does not exist."""
    return Blocked(
        "branch-missing", f"{doing} (one of the branches does not exist)", fix=f"git push origin {base} {head}"
    )


def commit_missing(doing: str, commit: str) -> Blocked:
    """Return the error of a commit that is not on the forge."""
    return Blocked(
        "commit-not-pushed",
        f"{doing} (the forge does not have commit {commit[:7]})",
        fix="git push, then rerun the command",
    )


def pull_request_missing(repository: str, number: int, permission: str) -> Blocked:
    """Return the error of a number that no pull request has."""
    return Blocked(
        "pull-request-missing",
        f"{repository} has no pull request {number}, or the token may not read it",
        fix=permission,
    )


def run_missing(repository: str, number: int, permission: str) -> Blocked:
    """Return the error of a number that no run has."""
    return Blocked(
        "run-missing", f"{repository} has no run {number}, or the token may not read it", fix=permission
    )


def run_not_listed(repository: str, ref: str) -> TryLater:
    """Return the error of a run that was started and cannot be read yet."""
    kind_and_name = described(ref)
    return TryLater(
        "run-not-listed",
        f"a run was started on {kind_and_name} of {repository}, but the forge does not list it yet",
        fix="rerun the command later",
    )
