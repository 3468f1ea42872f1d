"""Execution of plans: each step is checked, applied and verified, and its events are emitted."""

from __future__ import annotations

import contextlib
import itertools
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relnox.core.planning.events import Outcome, RunFinished, RunStarted, Status, StepFinished
from relnox.core.planning.plan import Plan
from relnox.errors import ExitCode
from relnox.executor import scheduling, signals
from relnox.executor.scheduling import UNSUCCESSFUL, Progress
from relnox.reporters.streams import STDERR
from relnox.system.secrets import mask_error

if TYPE_CHECKING:
    from relnox.steps.run import Run, RunExtension

_POLL_INTERVAL = 0.005


def execute(run: Run, *, handles_signals: bool = True) -> Outcome:
    """Execute a plan to its end, or to the first failure.

    An unexpected exception propagates, unless something may be public already. In that case it counts as a failed
    step, so that the outcome is still reported.

    Args:
        run: A run of a plan without problems; its `emit` receives all events.
        handles_signals: Whether SIGINT and SIGTERM end the run in an orderly way.
    """
    begin, plan = time.monotonic(), run.plan
    progress = Progress(plan, run.emit)
    extension_classes = dict.fromkeys(step.run_extension for step in plan.steps)
    extensions = tuple(run.service(kind) for kind in extension_classes if kind is not None)
    bug: BaseException | None = None
    with signals.handle_signals(handled=handles_signals) as watched:
        try:
            run.emit(RunStarted(plan))
            _execute_steps(plan, progress, run, watched)
        except BaseException as error:  # a bug or an interruption
            if not _is_report_required(extensions):
                raise
            bug = error
            progress.abort_remaining(error)
        results = progress.results
        for extension in extensions:
            extension.after_steps(results)
        if has_unsuccessful_steps := any(result.status in UNSUCCESSFUL for result in results):
            with _suppress_if_must_report(extensions):
                progress.interrupted = _recheck_public_files(extensions, watched, progress.interrupted)
        outcome = Outcome(
            plan=plan,
            results=results,
            exit_code=(progress.interrupted if has_unsuccessful_steps else None)
            or _exit_code(extensions, results),
            seconds=time.monotonic() - begin,
            stages=run.results(Outcome),
            traceback=_format_traceback(bug),
        )
        for extension in extensions:
            outcome = extension.add_details(outcome)
        with _suppress_if_must_report(extensions):
            for extension in extensions:
                outcome = extension.add_computed_details(outcome)
        with _suppress_if_must_report(extensions, outcome):
            run.emit(RunFinished(outcome))
    return outcome


def _execute_steps(plan: Plan, progress: Progress, run: Run, signal_handlers: signals.Signals) -> None:
    """Execute all steps of a plan, concurrently where possible, or mark them as skipped if the plan is."""
    for step in plan.steps if plan.skipped is not None else ():
        progress.start(step)
        progress.end(StepFinished(step, Status.SKIPPED, plan.skipped or "", 0.0))
    planned = plan.steps if plan.skipped is None else ()
    for concurrent, steps in itertools.groupby(planned, lambda step: step.concurrent):
        if concurrent:
            scheduling.ConcurrentSteps(tuple(steps), progress, run, signal_handlers).execute()
        else:
            for step in steps:
                scheduling.execute_alone(step, progress, run, signal_handlers)


def _is_report_required(extensions: Sequence[RunExtension]) -> bool:
    """Return whether an extension requires that the outcome is reported, because something may be public."""
    return any(extension.must_report for extension in extensions)


def _exit_code(extensions: Sequence[RunExtension], results: Sequence[StepFinished]) -> ExitCode:
    """Return the exit code set by an extension, or else the worst exit code of the errors."""
    exit_codes = (code for extension in extensions if (code := extension.exit_code(results)) is not None)
    return next(exit_codes, None) or ExitCode.worst(
        [result.error.exit_code for result in results if result.error is not None]
    )


def _recheck_public_files(
    extensions: Sequence[RunExtension], signal_handlers: signals.Signals, after_signal: ExitCode | None
) -> ExitCode | None:
    """Check what is public after a failed run, until a signal is received.

    Return the exit code of that signal, or else `after_signal`: that of the signal that ended the run, if any.
    """
    interruption = after_signal
    for extension in extensions:
        if (check := extension.recheck(briefly=after_signal is not None)) is None:
            continue
        try:
            with signal_handlers.executing_step(atomic=False):
                check.start()
                while check.is_running():
                    time.sleep(_POLL_INTERVAL)
                    signal_handlers.check()
        except signals.Interruption as signal:
            interruption = signal.exit_code
        check.stop()
    return interruption


@contextlib.contextmanager
def _suppress_if_must_report(extensions: Sequence[RunExtension], outcome: Outcome | None = None) -> Iterator[None]:
    """Suppress errors in the block if the outcome must be reported, and print it, if given, on standard error."""
    try:
        yield
    except BaseException:  # an interruption too: the exit code is known already
        if not _is_report_required(extensions):
            raise
        if outcome is not None:
            lines = [line for extension in extensions for line in extension.fallback_lines(outcome)]
            with contextlib.suppress(Exception):  # the last resort: nothing is left to report its failure
                for line in (*lines, f"exit code {outcome.exit_code.value}"):
                    STDERR.write_line(line)  # the reporter has failed


def _format_traceback(bug: BaseException | None) -> str | None:
    """Return the traceback of an unexpected exception for the report, or None for an interruption."""
    if bug is None or isinstance(bug, KeyboardInterrupt):
        return None

    try:
        mask_error(bug)
        return "".join(traceback.format_exception(bug))
    except Exception:  # noqa: BLE001 - reporting public files matters more than the traceback
        return type(bug).__name__
