"""Edit files of the checkout, all or none, and undo what a run did if a later step fails."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from relnox.core.planning.changes import Edit
from relnox.core.planning.events import Status, StepFinished
from relnox.core.planning.step import Step
from relnox.core.text import format_count, join_names
from relnox.errors import Problem
from relnox.source import file_edits
from relnox.steps.run import Run, RunExtension


def staging_directory(run: Run) -> Path | None:
    """Return the directory inside `.git` for new files until they replace the old ones; None outside git."""
    return run.git.private_directory() if run.git is not None else None


class LocalChanges(RunExtension):
    """The local changes of a run, which are undone, the last one first, if a later local step fails.

    A push that fails leaves them, and a rerun of the command pushes again.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._undo = ExitStack()

    def undo_on_failure(self, undo: Callable[..., object], *arguments: object) -> None:
        """Call a function if this step or a later local one fails."""
        self._undo.callback(self._report_failure, undo, *arguments)

    def undo_edits_on_failure(self, edits: Sequence[Edit]) -> None:
        """Restore the edited files if a later step fails, except those that something else has written since."""
        self._undo.callback(self._restore_files, edits)

    def after_steps(self, results: Sequence[StepFinished]) -> None:
        """Undo the changes after a failure of a local step or an interruption before the push."""
        unsuccessful = (result.step for result in results if result.status in (Status.FAILED, Status.ABORTED))
        stopped_step = next(unsuccessful, None)
        if stopped_step is None or stopped_step.remote:
            self._undo.pop_all()
        else:
            self._undo.close()

    def _restore_files(self, edits: Sequence[Edit]) -> None:
        if changed_files := file_edits.restore_files(self._run.root, edits, staging_directory(self._run)):
            message = f"not restored: {join_names(changed_files)} (neither its old nor its planned content)"
            fix = f"git diff {shlex.join(changed_files)}"
            self._run.emit(Problem("not-undone", message, fix, level="warning"))

    def _report_failure(self, undo: Callable[..., object], *arguments: object) -> None:
        try:
            undo(*arguments)
        except (Problem, OSError) as error:
            message = f"not undone completely: {error}"
            self._run.emit(Problem("not-undone", message, "git status; git log -1", level="warning"))


class EditFiles(Step, kw_only=True):
    """Edit several files of the checkout, all or none.

    Attributes:
        is_development: Whether the edits set the next development version on top of the release commit.
    """

    run_extension = LocalChanges
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

    def done(self, run: Run) -> str | None:
        return "the files are already edited" if file_edits.are_applied(run.root, self.edits) else None

    def apply(self, run: Run) -> None:
        edits = file_edits.apply_edits(run.root, self.edits, staging_directory(run))
        run.service(LocalChanges).undo_edits_on_failure(edits)

    def verify(self, run: Run, result: None) -> str:
        super().verify(run, result)
        return format_count(len(self.edits), "file")
