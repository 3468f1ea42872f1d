"""Run extensions: what the executor leaves to tasks, such as records, undoing, and exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.steps.run import SharedService

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.planning.events import Outcome, StepFinished
    from relnox.errors import ExitCode
    from relnox.steps.recheck import UploadRecheck


class RunExtension(SharedService):
    """Base class of the objects that take part in a run if a step needs them (`Action.run_extension`).

    The methods are called in this order.
    """

    def before_steps(self) -> None:
        """Prepare the first step."""

    @property
    def must_report(self) -> bool:
        """Whether the outcome must be reported whatever fails, because something may be public."""
        return False

    def after_steps(self, results: Sequence[StepFinished]) -> None:
        """Undo or keep the changes, after all steps have ended."""

    def recheck(self, *, shortly: bool) -> UploadRecheck | None:
        """Return a check for after a failed run, if one is useful.

        Args:
            shortly: Whether a signal has ended the run, and the user waits for its end.
        """
        del shortly
        return None

    def exit_code(self, results: Sequence[StepFinished]) -> ExitCode | None:
        """Return the exit code of a run that was not interrupted; None if its errors decide it."""
        del results
        return None

    def add_details(self, outcome: Outcome) -> Outcome:
        """Add what is known to the outcome; this cannot fail."""
        return outcome

    def add_computed_details(self, outcome: Outcome) -> Outcome:
        """Add to the outcome what may fail to be computed."""
        return outcome

    def fallback_lines(self, outcome: Outcome) -> Iterator[str]:
        """Yield the lines to print if the reporter fails to show the outcome."""
        del outcome
        return iter(())

    def after_report(self, outcome: Outcome) -> None:
        """Conclude the run after the outcome was reported."""
