"""A reporter that shows only results, warnings and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.events import Notice, RunFinished, Status, StepFinished
from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.planning.events import Event
    from relnox.core.planning.plan import Plan, Table
    from relnox.errors import RelnoxError
    from relnox.reporters import Reporter

__all__ = ["Quiet"]


class Quiet:
    """Passes results, warnings and errors to another reporter; see `Reporter` for its methods."""

    verbose = False

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def event(self, event: Event, *, nested: bool) -> None:
        """Handle an event."""
        match event:
            case StepFinished(status=Status.FAILED | Status.ABORTED):
                is_shown = True
            case StepFinished(warnings=warnings):
                is_shown = bool(warnings)
            case Notice(fix=fix):
                is_shown = bool(fix)
            case RunFinished(outcome):
                is_shown = outcome.exit_code is not ExitCode.DONE or outcome.plan.skipped is not None
            case _:
                is_shown = False
        if is_shown:
            self._reporter.event(event, nested=nested)

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        self._reporter.plan(plan)

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        self._reporter.tables(tables)

    def error(self, error: RelnoxError) -> None:
        """Show the error that ends the run."""
        self._reporter.error(error)
