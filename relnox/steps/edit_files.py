"""Edit files of the checkout, all or none, and undo what a run did if a later step fails."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from relnox.core.planning.step import Edit, Step
from relnox.core.text import format_count, join_names
from relnox.source import file_edits
from relnox.steps.run import Run


def edit_staging_directory(run: Run) -> Path | None:
    """Return the directory inside `.git` for new files until they replace the old ones; None outside git."""
    return run.git.private_directory() if run.git is not None else None


def undo_edits_on_failure(run: Run, edits: Sequence[Edit]) -> None:
    """Have the edited files restored if a later step fails.

    A file that something else has written since is not restored, which is reported to the user.
    """

    def restore_files() -> None:
        if changed_files := file_edits.restore_files(run.root, edits, edit_staging_directory(run)):
            message = f"not restored: {join_names(changed_files)} (neither its old nor its planned content)"
            run.report_not_undone(message, f"git diff {shlex.join(changed_files)}")

    run.undo_on_failure(restore_files)


class EditFiles(Step):
    """Edit several files of the checkout, all or none; undo the edits if a later step fails.

    Attributes:
        is_development: Whether the edits set the next development version on top of the release commit.
    """

    atomic = True
    exclusive = True
    edits: tuple[Edit, ...]
    is_development: bool = False

    @property
    def key(self) -> str:
        return "edit-development" if self.is_development else "edit"

    @property
    def title(self) -> str:
        return f"edit {join_names([edit.file for edit in self.edits])}"

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        return self.edits

    def reason_to_skip(self, run: Run) -> str | None:
        return "the files are already edited" if file_edits.are_edits_applied(run.root, self.edits) else None

    def apply(self, run: Run) -> None:
        edits = file_edits.apply_edits(run.root, self.edits, edit_staging_directory(run))
        undo_edits_on_failure(run, edits)

    def verify(self, run: Run, result: None) -> str:
        super().verify(run, result)
        return format_count(len(self.edits), "file")
