"""The record of a bump, which is written before the first edit: the only one relnox keeps.

Half-edited files cannot be distinguished from the user's own work. The record has all bytes of each edit, and is
kept under git's own directory until the edits are complete; then it identifies the last bump.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from relnox import steps
from relnox.core import fixes, serialization
from relnox.core.bump import editing
from relnox.core.planning.step import Step
from relnox.core.records import Record, replace
from relnox.errors import Failed
from relnox.system import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from relnox.core.planning.changes import Edit, NewTag
    from relnox.source.git import Git
    from relnox.steps import Commit

_PENDING, _LAST = "pending.json", "last.json"


class PendingBump(Record, kw_only=True):
    """The record of a bump in progress.

    Attributes:
        request: The options of the bump; only a command with the same options may resume it.
        head: The commit before the bump, or None outside git and before the first commit.
        branch: The branch that the bump began on, or None if HEAD was detached, or outside git.
    """

    request: tuple[str, ...]
    steps: tuple[Step, ...]
    head: str | None = None
    branch: str | None = None

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits, one for each file."""
        return editing.combine_edits(
            edit for step in self.steps if isinstance(step, steps.EditFiles) for edit in step.edits
        )

    def edits_of(self, step: Step) -> tuple[Edit, ...]:
        """Return the edits of a step that edits files or commits them."""
        edits: tuple[Edit, ...] = ()
        for own in self.steps:
            if isinstance(own, steps.EditFiles):
                edits = own.edits
            if own.key == step.key:
                return edits
        return ()

    @property
    def commits(self) -> tuple[Commit, ...]:
        """The steps that commit: the release, then the next development version."""
        return tuple(step for step in self.steps if isinstance(step, steps.Commit))

    @property
    def commit(self) -> Commit | None:
        """The last commit, if there is one."""
        return next(reversed(self.commits), None)

    @property
    def tags(self) -> tuple[NewTag, ...]:
        """The tags that the bump creates."""
        return tuple(tag for step in self.steps if isinstance(step, steps.CreateTags) for tag in step.tags)

    @property
    def command(self) -> str:
        """The command that resumes the bump."""
        return fixes.task_command("bump", *self.request)

    @property
    def has_development_commit(self) -> bool:
        """Whether the bump commits the next development version after the release."""
        return any(isinstance(step, steps.CommitDevelopment) for step in self.steps)

    def existing_commits(self, git: Git) -> tuple[tuple[Commit, str], ...]:
        """Return the bump's commits that already exist, the oldest first, each with its id; others may follow.

        Commits are recognized by the content of a file, since they may have been rebased.
        """
        if git.head() in (None, self.head):
            return ()
        commits: list[tuple[Commit, str]] = []
        for step in self.commits:
            commit = _find_commit_with_edits(self.edits_of(step), git, since=self.head)
            if commit is None:
                break
            commits.append((step, commit))
        return tuple(commits)

    def released_commit(self, git: Git) -> str | None:
        """Return the commit that gets the tags, which may be below HEAD; None if it is not made yet.

        A release without a commit of its own is the commit that the bump began with, whatever was pulled since.
        """
        releases = [step for step in self.commits if not isinstance(step, steps.CommitDevelopment)]
        if not releases:
            is_needed = bool(self.tags or self.commits) and self.head is not None
            return self.head if is_needed and git.is_ancestor(self.head or "") else None
        return next((commit for step, commit in self.existing_commits(git) if step in releases), None)


def steps_to_record(planned_steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps of a plan that are written to the record."""
    return tuple(step for step in planned_steps if step.recorded)


def decode(document: Any) -> PendingBump:
    """Convert the JSON types of a record back to the record.

    Raises:
        ValueError: The document is not a record of a bump.
    """
    encoded_steps = document.get("steps") if isinstance(document, dict) else None
    if not isinstance(encoded_steps, list):
        raise ValueError(f"not a record with steps: {document!r}")  # noqa: TRY004 - invalid input
    pending: PendingBump = serialization.decode(PendingBump, {**document, "steps": []})
    return replace(pending, steps=tuple(map(_decode_step, encoded_steps)))


def _decode_step(encoded_step: Any) -> Step:
    kind = encoded_step.get("kind") if isinstance(encoded_step, dict) else None
    step_class = getattr(steps, str(kind), None)
    if not (isinstance(step_class, type) and issubclass(step_class, Step) and step_class.recorded):
        raise ValueError(f"unknown step of a bump: {encoded_step!r}")
    step: Step = serialization.decode(step_class, encoded_step)
    return step


def write_pending(directory: Path, pending: PendingBump) -> None:
    """Write the record of a bump, and sync it to the disk."""
    files.make_private_directory(directory)
    document = json.dumps(serialization.encode(pending)).encode()
    files.replace_file(directory / _PENDING, document, mode=0o600, keep_mode=False)


def read_pending(directory: Path) -> PendingBump | None:
    """Return the record of an interrupted bump, or None if none was interrupted."""
    return _read(directory / _PENDING, "an interrupted bump")


def read_last(directory: Path) -> PendingBump | None:
    """Return the record of the last finished bump, or None if it does not exist."""
    return _read(directory / _LAST, "the last bump")


def discard_pending(directory: Path) -> None:
    """Remove the record of a bump that was undone or not started."""
    (directory / _PENDING).unlink(missing_ok=True)


def complete_pending(directory: Path, pending: PendingBump) -> None:
    """Make the record of a finished bump that of the last bump; after an undo, remove both records instead."""
    if any(step.removes_record for step in pending.steps):
        (directory / _LAST).unlink(missing_ok=True)
        discard_pending(directory)
    else:
        with suppress(FileNotFoundError):  # a program of the project removed it
            (directory / _PENDING).replace(directory / _LAST)


def _read(file: Path, subject: str) -> PendingBump | None:
    try:
        document = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return decode(json.loads(document))
    except ValueError as error:
        raise Failed(
            "bump-interrupted",
            f"{file} (the record of {subject}) cannot be read: {error}",
            fix='check "git status" and "git diff", then remove that file',
        ) from error


def _find_commit_with_edits(edits: Sequence[Edit], git: Git, *, since: str | None) -> str | None:
    """Return the commit of this branch that made these edits, after the commit `since`; None if there is none."""
    sample = next((edit for edit in edits if edit.after is not None), None)
    if sample is None or sample.after is None:
        return None
    for commit in git.commits_changing(sample.file, since=since):
        if git.file_has_content(commit, sample.file, sample.after) and not git.file_has_content(
            f"{commit}^", sample.file, sample.after
        ):
            return commit
    return None
