"""Which commits an interrupted bump has already made, if it also starts the next development version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.steps.git import Commit, CommitDevelopment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.bump.changes import Edit
    from relnox.source.git import Git
    from relnox.steps.bump_record import Pending


def has_development_commit(pending: Pending) -> bool:
    """Return whether a bump commits the next development version after the release."""
    return any(isinstance(step, CommitDevelopment) for step in pending.steps)


def existing_commits(pending: Pending, git: Git) -> tuple[tuple[Commit, str], ...]:
    """Return the commits of a bump that are the last ones of HEAD, the oldest first, each with its id.

    The result is empty if other commits follow. Commits are recognized by the content of a file,
    since they may have been rebased.
    """
    head = git.head()
    if head is None or head == pending.head:
        return ()
    stages = pending.stages
    for count in range(len(stages), 0, -1):
        edits, _ = stages[count - 1]
        if _head_has_edits(edits, git):
            commits = [commit for _, commit in stages[:count]]
            ids = [git.resolve_commit(f"HEAD~{count - number}") or "" for number in range(1, count + 1)]
            return tuple(zip(commits, ids, strict=True))
    return ()


def released_commit(pending: Pending, git: Git) -> str | None:
    """Return the commit that gets the tags, if it may be below HEAD; None if it is HEAD, or not made yet.

    The release is below its development version. A release without a commit of its own is the commit that the bump
    began with, whatever was pulled since.
    """
    if pending.tags and not any(isinstance(step, Commit) for step in pending.steps):
        return pending.head if pending.head is not None and git.is_ancestor(pending.head) else None
    commits = existing_commits(pending, git) if has_development_commit(pending) else ()
    if not commits:
        return None
    step, commit = commits[-1]
    if not isinstance(step, CommitDevelopment):
        return commit
    return commits[-2][1] if len(commits) > 1 else pending.head


def _head_has_edits(edits: Sequence[Edit], git: Git) -> bool:
    """Return whether HEAD is the commit that made these edits."""
    sample = next((edit for edit in edits if edit.after is not None), None)
    if sample is None or sample.after is None:
        return False
    return git.file_has_content("HEAD", sample.file, sample.after) and not git.file_has_content(
        "HEAD^", sample.file, sample.after
    )
