"""Undo a release that was not pushed: its tags, its commits, and their edits."""

from __future__ import annotations

from collections.abc import Mapping

from relnox.core.planning.step import Edit, Step
from relnox.core.text import format_count, join_names
from relnox.source import file_edits
from relnox.source.git import changes
from relnox.steps.edit_files import staging_directory, undo_edits_on_failure, undo_on_failure
from relnox.steps.run import Run


class UndoBump(Step, kw_only=True):
    """Undo a release that was not pushed: its tags, its commits, and their edits.

    Attributes:
        commits: The commits to remove from the branch, the last one first.
        parent: The commit that the branch goes back to.
        tags: The tags to delete, with their object ids.
        edits: The edits that restore the files as they are in `parent`.
        files: The files that the commits changed, whether they are restored already or not.
    """

    key = "undo"
    atomic = True
    exclusive = True
    commits: tuple[str, ...]
    parent: str
    tags: Mapping[str, str]
    edits: tuple[Edit, ...]
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        tags = [f"tag {tag}" for tag in self.tags]
        commits = [f"commit {commit[:10]}" for commit in self.commits]
        return f"revert {join_names([*tags, *commits, *(f'the edit of {edit.file}' for edit in self.edits)])}"

    def apply(self, run: Run) -> None:
        """Revert the files, then the index, and last the refs, so that the same command finishes a killed run."""
        git = run.checkout
        edits = file_edits.apply_edits(run.root, self.edits, staging_directory(run))
        undo_edits_on_failure(run, edits)
        undo_on_failure(run, changes.reset_index, git, self.files, self.commits[0])
        changes.reset_index(git, self.files, self.parent)
        changes.move_branch(git, self.commits[0], self.parent, self.tags)

    def verify(self, run: Run, result: None) -> str:
        del run, result
        return f"{format_count(len(self.files), 'file')} restored"
