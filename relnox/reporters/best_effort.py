"""A reporter that ignores output errors, so that they do not end a run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relnox.core.planning.events import Event
    from relnox.core.planning.plan import Plan, Table
    from relnox.errors import RelnoxError
    from relnox.reporters import Reporter


class BestEffortReporter:
    """Passes everything to another reporter and ignores output errors; see `Reporter` for its methods.

    A closed pipe (`relnox bump 2>&1 | head -1`) or a full disk does not end a run: it continues without output,
    and the exit code says how it ended.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.verbose = reporter.verbose
        self._reporter = reporter

    def event(self, event: Event, *, nested: bool) -> None:
        """Handle an event."""
        _try(lambda: self._reporter.event(event, nested=nested))

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        _try(lambda: self._reporter.plan(plan))

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        _try(lambda: self._reporter.tables(tables))

    def error(self, error: RelnoxError) -> None:
        """Show the error that ends the run."""
        _try(lambda: self._reporter.error(error))


def _try(report: Callable[[], None]) -> None:
    """Call a function, and ignore output errors."""
    with contextlib.suppress(OSError):
        report()
