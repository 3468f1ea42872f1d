"""Revert a bump: its tags, its commit, its edits."""

from __future__ import annotations

from relnox.core.planning.changes import CombinedEdit, Edit
from relnox.core.planning.step import Step
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.source import file_edits
from relnox.source.git import changes
from relnox.steps.action import Action
from relnox.steps.edit_files import apply_edits
from relnox.steps.transaction import Transaction


class UndoBump(Step, kw_only=True):
    """Revert a bump: its tags, its commit, its edits.

    Attributes:
        commit: The commit to remove; None if the files were only edited.
        parent: The release commit before `commit`, if both are removed; None otherwise.
        edits: The edits that restore the files as they were before the bump.
    """

    key = "undo"
    atomic = True
    recorded = True
    removes_record = True
    exclusive = True
    commit: str | None
    tags: tuple[str, ...]
    edits: tuple[CombinedEdit | Edit, ...]
    parent: str | None = None

    @property
    def title(self) -> str:
        tags = [f"tag {tag}" for tag in self.tags]
        commits = [f"commit {commit[:10]}" for commit in (self.parent, self.commit) if commit is not None]
        return f"revert {join_names([*tags, *commits, *(f'the edit of {edit.file}' for edit in self.edits)])}"


class UndoBumpAction(Action[UndoBump]):
    """Reverts a bump: first tags and commit in one ref transaction, then the files."""

    run_extension = Transaction

    def check(self) -> str | None:
        return None if self._find_remaining() else "already reverted"

    def apply(self) -> None:
        file_edits.check_edits(self.run.root, self.step.edits)
        # A failure cannot restore the refs.
        self.run.service(Transaction).partly_applied = self.step.commit is not None or bool(self.step.tags)
        if self.step.commit is not None:
            git = self.run.checkout
            existing_tags = git.tags()
            tags = [tag for tag in self.step.tags if tag in existing_tags]
            count = 1 if self.step.parent is None else 2
            changes.undo_commits(git, self.step.commit, count, tags, [edit.file for edit in self.step.edits])
        elif self.step.tags:
            changes.delete_tags(self.run.checkout, self.step.tags)
        apply_edits(self.step.edits, self.run)

    def verify(self) -> str:
        if remainder := self._find_remaining():
            raise Failed(
                "bump-interrupted",
                f"{remainder} remains after the bump was undone",
                fix="rerun the command; if it fails again, check: git status, git log -1, git tag --list",
            )
        return f"{format_count(len(self.step.edits), 'file')} restored"

    def _find_remaining(self) -> str | None:
        if not file_edits.are_applied(self.run.root, self.step.edits):
            return "an edited file"
        if self.step.commit is not None and self.run.checkout.head() == self.step.commit:
            return f"commit {self.step.commit[:10]}"
        existing_tags = self.run.checkout.tags() if self.step.tags else {}
        return next((f"tag {tag}" for tag in self.step.tags if tag in existing_tags), None)
