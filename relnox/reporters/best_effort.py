"""Telling that may fail, so that what is told of does not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from relnox.core.events import Event
    from relnox.core.plan import Plan, Table
    from relnox.errors import RelnoxError
    from relnox.reporters import Reporter

__all__ = ["BestEffortReporter"]


class BestEffortReporter:
    """Tells a reporter as long as somebody listens; see `Reporter` for its methods.

    A reader that has enough (`relnox bump 2>&1 | head -1`) or a log on a full disk stops no run in its middle:
    it goes on unheard, and its exit code still tells how it ended.
    """

    def __init__(self, reporter: Reporter) -> None:
        self.verbose = reporter.verbose
        self._reporter = reporter

    def event(self, event: Event, *, nested: bool) -> None:
        """Something happened."""
        _try(lambda: self._reporter.event(event, nested=nested))

    def plan(self, plan: Plan) -> None:
        """Show a plan that is not run."""
        _try(lambda: self._reporter.plan(plan))

    def tables(self, tables: Sequence[Table]) -> None:
        """Show results."""
        _try(lambda: self._reporter.tables(tables))

    def error(self, error: RelnoxError) -> None:
        """Show what stops the run."""
        _try(lambda: self._reporter.error(error))


def _try(tell: Callable[[], None]) -> None:
    with contextlib.suppress(OSError):
        tell()
