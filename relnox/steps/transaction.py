"""Run the local steps of a bump as one transaction.

Every action first checks whether it is done, so that an interrupted bump can be resumed. A local step that fails
undoes the ones before it; a push that fails leaves them, and a rerun of the command pushes again.
"""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING

from relnox.core.planning.events import Notice, Status
from relnox.core.text import join_names
from relnox.errors import ExitCode
from relnox.steps.run import RunExtension

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.planning.changes import Edit
    from relnox.core.planning.events import Outcome, StepFinished
    from relnox.core.planning.step import Step
    from relnox.steps.run import Run


class Transaction(RunExtension):
    """Records local steps before the first of them, and undoes them if a later one fails.

    Attributes:
        pending: The record from which a rerun resumes, or None if the steps are not recorded.
        undo: The callbacks that undo the applied steps, run in reverse order.
        partly_applied: Whether a failed step left changes that a rerun of the command completes.
        resumed: Whether an earlier run of the same bump was interrupted.
    """

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        from relnox.steps.bump_record import PendingBump

        self.pending = run.result(PendingBump)
        self._planned = self.pending.steps if self.pending is not None else ()
        self.undo = ExitStack()
        self.partly_applied = False
        self.resumed = False
        self._settled = False

    def before_steps(self) -> None:
        """Record the steps, unless an earlier run left its own record."""
        if self.pending is None:
            return
        from relnox.steps import bump_record

        self.resumed = bump_record.read_pending(self._run.private) is not None
        bump_record.write_pending(self._run.private, self.pending)

    def edits_of(self, step: Step) -> tuple[Edit, ...]:
        """Return the edits of a step that edits files or commits them."""
        if self.pending is not None and step in self._planned:  # the steps of an abort are not in the record
            return self.pending.edits_of(step)
        return tuple(step.previewed_edits)

    def released_commit(self) -> str | None:
        """Return the commit that gets the tags if it is made already and may be below HEAD, else None."""
        pending, git = self.pending, self._run.git
        if pending is None or git is None:
            return None
        is_at_head = pending.commits and not pending.has_development_commit and not self.resumed
        return None if is_at_head else pending.released_commit(git)

    def undo_edits_on_failure(self, edits: tuple[Edit, ...]) -> None:
        """Restore the edited files if a later step fails, except those that something else has written since."""
        self.undo.callback(self._restore_files, edits)

    def _restore_files(self, edits: tuple[Edit, ...]) -> None:
        from relnox.source import file_edits

        if changed_files := file_edits.restore_files(self._run.root, edits):
            names = join_names(changed_files)
            fix = f"git diff {shlex.join(changed_files)}"
            self._run.emit(Notice(f"not restored: {names} (neither its old nor its planned content)", fix))

    def after_steps(self, results: Sequence[StepFinished]) -> None:
        """Undo the steps after a local failure; keep them after a remote one, so that a rerun resumes.

        Steps are also kept if this run resumed an interrupted one, whose steps it cannot undo, or if it stopped in
        the middle of a step.
        """
        stopped_step = next(
            (result for result in results if result.status in (Status.FAILED, Status.ABORTED)), None
        )
        keeps_changes = stopped_step is None or stopped_step.step.remote or self.resumed or self.partly_applied
        if keeps_changes:
            self.undo.pop_all()
        else:
            self.undo.close()
        self._settled = stopped_step is None or not keeps_changes

    def after_report(self, outcome: Outcome) -> None:
        """Remove the record, or keep it as that of the last bump.

        This waits for the report, so that a run killed earlier can be resumed with the same command.
        """
        if not self._settled or self.pending is None:
            return
        from relnox.steps import bump_record

        if outcome.exit_code is ExitCode.DONE and outcome.plan.steps == self._planned:
            bump_record.complete_pending(self._run.private, self.pending)
        else:
            bump_record.discard_pending(self._run.private)
