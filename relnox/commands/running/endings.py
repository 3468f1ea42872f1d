"""Runs that do not end as planned: blocked, interrupted, or failed after something became public."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from relnox.commands.running import reports
from relnox.errors import ExitCode, Failed, RelnoxError
from relnox.system.secrets import mask_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.planning.events import Outcome
    from relnox.reporters import Reporter


def stopped(error: RelnoxError, task: str, report: Any, reporter: Reporter) -> Outcome:
    """Report an error that ended a run before its first step, and return the outcome.

    Args:
        error: The error.
        task: The name of the task.
        report: The path of the report to write, if any.
        reporter: Shows the error.

    Returns:
        The outcome, with the error as a problem of the plan.
    """
    from relnox.reporters.best_effort import BestEffortReporter

    BestEffortReporter(reporter).error(error)
    if report:
        reports.write_error(str(report), task, error)
    return _outcome(task, error, error.exit_code)


def interrupted(ended: list[Outcome], task: str, reporter: Reporter) -> Outcome:
    """Return the outcome of a run that Ctrl-C interrupted before its first step or after its last step."""
    if ended:
        return ended[-1]
    error = Failed("interrupted", "interrupted; nothing was changed", fix="rerun the command")
    reporter.error(error)
    return _outcome(task, error, ExitCode.INTERRUPTED)


def _outcome(task: str, error: RelnoxError, exit_code: ExitCode) -> Outcome:
    """Return the outcome of a run without steps, with the error as the problem of its plan."""
    from relnox.core.planning.events import Outcome
    from relnox.core.planning.plan import Plan, Problem

    plan = Plan(task=task, problems=(Problem.from_error(error, exit_code),))
    return Outcome(plan=plan, results=(), exit_code=exit_code, seconds=0.0)


@contextlib.contextmanager
def keep_exit_code(ended: list[Outcome], reporter: Reporter) -> Iterator[None]:
    """Report errors after a release was published, without changing its exit code.

    Args:
        ended: Receives the outcome when the run ends; empty until then.
        reporter: Shows the errors.
    """
    try:
        yield
    except BaseException as error:  # an interruption too: the exit code says what is public
        if not ended or not ended[-1].publication:
            raise
        mask_error(error)
        if isinstance(error, RelnoxError):
            failed: RelnoxError = error
        else:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            message = f"relnox failed after the run had ended ({why})"
            failed = Failed(
                "failed-after-publishing", message, fix="report the bug; a rerun uploads nothing twice"
            )
        with contextlib.suppress(Exception):  # the reporter may have failed
            reporter.error(failed)


def report_bug(outcome: Outcome, reporter: Reporter) -> None:
    """Report a bug that ended a run, with its traceback in verbose mode."""
    if outcome.traceback is None:
        return
    last = outcome.traceback.strip().splitlines()[-1]
    detail = f":\n{outcome.traceback.strip()}" if reporter.verbose else f" ({last})"
    fix = "rerun the command, and report the bug with the output of --verbose or --report FILE"
    with contextlib.suppress(Exception):  # the reporter may have the bug
        reporter.error(Failed("internal-error", f"internal error{detail}", fix=fix))
