"""Edit files of the checkout, all or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.changes import CombinedEdit, Edit
from relnox.core.planning.step import Step
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.source import file_edits
from relnox.steps.action import Action
from relnox.steps.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.steps.run import Run


class EditFiles(Step, kw_only=True):
    """Edit several files of the checkout, all or none."""

    key = "edit"
    atomic = True
    recorded = True
    exclusive = True
    edits: tuple[CombinedEdit | Edit, ...]

    @property
    def title(self) -> str:
        return f"edit {join_names([edit.file for edit in self.edits])}"

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        return self.edits


class EditFilesAction(Action[EditFiles]):
    run_extension = Transaction
    edits: tuple[Edit, ...] = ()

    def check(self) -> str | None:
        transaction = self.run.service(Transaction)
        self.edits = transaction.edits_of(self.step)
        is_release = not isinstance(self.step, EditDevelopmentFiles)
        if is_release and (commit := transaction.released_commit()) is not None:
            return f"already committed in {commit[:10]}"
        return "the files are already edited" if file_edits.are_applied(self.run.root, self.edits) else None

    def apply(self) -> None:
        apply_edits(self.edits, self.run)
        self.run.service(Transaction).undo_edits_on_failure(self.edits)

    def verify(self) -> str:
        if not file_edits.are_applied(self.run.root, self.edits):
            raise Failed(
                "file-changed",
                "files changed while they were edited",
                fix="stop other programs that write them, then rerun the command",
            )
        return format_count(len(self.step.edits), "file")


class EditDevelopmentFiles(EditFiles, kw_only=True):
    """Edit files of the release commit for the next development version, all or none."""

    key = "edit-development"


def apply_edits(edits: Iterable[Edit], run: Run) -> None:
    """Make all edits or none; some remain only if restoring the files fails as well."""
    transaction = run.service(Transaction)
    try:
        file_edits.apply_edits(run.root, edits)
    except OSError:
        transaction.partly_applied = True
        raise
