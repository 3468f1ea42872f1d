"""How a run ends that does not end as planned: refused, interrupted, or failed after something became public."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from relnox.commands import reports
from relnox.errors import ExitCode, Failed, RelnoxError
from relnox.secrets import mask_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.events import Outcome
    from relnox.reporters import Reporter

__all__ = ["interrupted", "keeping_what_is_public", "stopped", "tell_fault"]


def stopped(error: RelnoxError, task: str, report: Any, reporter: Reporter) -> ExitCode:
    """Tell what ended a run before its first step.

    Args:
        error: What did.
        task: The task's name.
        report: The file of the report, where one was asked for.
        reporter: Is told.
    """
    from relnox.reporters.best_effort import BestEffortReporter

    BestEffortReporter(reporter).error(error)
    if report:
        reports.write_error(str(report), task, error)
    return error.exit_code


def interrupted(ended: list[Outcome], reporter: Reporter) -> ExitCode:
    """The exit code of a run that Ctrl-C ended outside its steps: before the first, or after the last of them."""
    if ended:
        return ended[-1].exit_code
    reporter.error(
        Failed(
            "interrupted",
            "interrupted; nothing was changed",
            fix="rerun the command",
        )
    )
    return ExitCode.INTERRUPTED


@contextlib.contextmanager
def keeping_what_is_public(ended: list[Outcome], reporter: Reporter) -> Iterator[None]:
    """Tell what fails after a release was sent, and keep the exit code that says what is public.

    Args:
        ended: Has the outcome as soon as there is one.
        reporter: Is told.
    """
    try:
        yield
    except BaseException as error:  # an interruption too: the exit code says what is public, not what came later
        if not ended or not ended[-1].publication:
            raise
        mask_error(error)
        if isinstance(error, RelnoxError):
            failed: RelnoxError = error
        else:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            failed = Failed("todo", f"the run had ended, and then failed ({why})", fix="what it said before is so")
        with contextlib.suppress(Exception):  # the reporter may be what failed
            reporter.error(failed)


def tell_fault(outcome: Outcome, reporter: Reporter) -> None:
    """A bug that ended a run: after what is public was told, and with all of it where that was asked for."""
    if outcome.fault is None:
        return
    last = outcome.fault.strip().splitlines()[-1]
    shown = f":\n{outcome.fault.strip()}" if reporter.verbose else f" ({last})"
    fix = "rerun the command; please report it with what --verbose prints or --report FILE writes"
    with contextlib.suppress(Exception):  # the reporter may have the bug
        reporter.error(Failed("todo", f"relnox failed because of a bug{shown}", fix=fix))
