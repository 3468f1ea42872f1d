"""Execution of plans: each step is checked, applied and verified, and its events are emitted."""

from __future__ import annotations

import contextlib
import itertools
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from relnox.core.planning.events import Outcome, RunFinished, RunStarted, Status, StepFinished
from relnox.core.planning.plan import Plan, Table
from relnox.core.records import replace
from relnox.core.release.publication import summary_lines
from relnox.errors import ExitCode, Problem
from relnox.executor import scheduling, signals
from relnox.executor.scheduling import UNSUCCESSFUL, Progress
from relnox.reporters.streams import STDERR
from relnox.system.secrets import mask_error

if TYPE_CHECKING:
    from relnox.steps.publication import PublicationState
    from relnox.steps.run import Run


def execute(run: Run, signal_handlers: signals.SignalState) -> Outcome:
    """Execute the plan of a run until all steps have ended, or a signal or failure ends it; emit its events.

    If the first step that failed or was aborted is a local one, changes of the checkout are undone. An exception
    due to a bug propagates, unless files may be public: then the remaining steps count as aborted, so that the
    outcome is still reported.
    """
    begin, plan = time.monotonic(), run.plan
    progress = Progress(plan, run.emit)
    publication = _publication_state(run)
    bug: BaseException | None = None
    try:
        run.emit(RunStarted(plan))
        _execute_steps(plan, progress, run, signal_handlers)
    except BaseException as error:  # a bug or an interruption
        if publication is None or not publication.may_have_public_files:
            raise
        bug = error
        progress.record_abort_of_remaining(error)
    results = progress.results
    unsuccessful = [result.step for result in results if result.status in UNSUCCESSFUL]
    # A remote step that fails leaves the local changes, for a rerun of the command.
    undone = [result.step.title for result in results if result.status is Status.SUCCESS and result.step.exclusive]
    if run.undo_or_keep_changes(undo=bool(unsuccessful) and not unsuccessful[0].remote) and undone:
        run.emit(Problem("", f"undone: {'; '.join(undone)}", level="note"))
    if unsuccessful and publication is not None:
        with _suppress_errors_if_public(publication):
            progress.signal_exit_code = _recheck_public_files(
                publication, signal_handlers, progress.signal_exit_code
            )
    outcome = Outcome(
        plan=plan,
        results=results,
        exit_code=(progress.signal_exit_code if unsuccessful else None) or _exit_code(plan, publication, results),
        seconds=time.monotonic() - begin,
        stages=run.results(Outcome),
        tables=run.results(Table),
        publication=publication.files if publication is not None else (),
        traceback=_format_traceback(bug),
    )
    with _suppress_errors_if_public(publication):
        deadline = publication.upload_deadline() if publication is not None else None
        outcome = replace(outcome, deadline=deadline)
    with _suppress_errors_if_public(publication, outcome):
        run.emit(RunFinished(outcome))
    return outcome


def _publication_state(run: Run) -> PublicationState | None:
    """Return the states of the files that a run makes public; None if it uploads nothing or is skipped."""
    if run.plan.skipped is not None or all(step.upload is None for step in run.plan.steps):
        return None
    from relnox.steps.publication import PublicationState  # with requests, which is slow to import

    return run.service(PublicationState)


def _execute_steps(plan: Plan, progress: Progress, run: Run, signal_handlers: signals.SignalState) -> None:
    """Execute all steps of a plan, concurrently where possible, and record their results in `progress`.

    After a failure or a signal, the steps that must not start any more are recorded as aborted. If the whole plan
    is skipped (`Plan.skipped`), its steps are recorded as skipped.
    """
    for step in plan.steps if plan.skipped is not None else ():
        progress.emit_start(step)
        progress.record_result(StepFinished(step, Status.SKIPPED, plan.skipped or "", 0.0))
    planned_steps = plan.steps if plan.skipped is None else ()
    for concurrent, steps in itertools.groupby(planned_steps, lambda step: step.concurrent):
        if concurrent:
            scheduling.ConcurrentSteps(tuple(steps), progress, run, signal_handlers).execute()
        else:
            for step in steps:
                scheduling.execute_in_this_thread(step, progress, run, signal_handlers)


def _exit_code(plan: Plan, publication: PublicationState | None, results: Sequence[StepFinished]) -> ExitCode:
    """Return the exit code of a run that was not interrupted.

    If it uploads, the states of the files decide. Otherwise, the worst error in the plan or in `results` does;
    `BLOCKED` and `FAILED` become `PARTLY_PUBLIC` after a step with `makes_public`.
    """
    if publication is not None:
        return publication.exit_code(results)
    errors = (*plan.problems, *filter(None, (result.error for result in results)))
    code = ExitCode.worst([error.exit_code for error in errors])
    done = (result.step for result in results if result.status not in UNSUCCESSFUL)
    is_public = code in (ExitCode.BLOCKED, ExitCode.FAILED) and any(step.makes_public for step in done)
    return ExitCode.PARTLY_PUBLIC if is_public else code


def _recheck_public_files(
    publication: PublicationState, signal_handlers: signals.SignalState, after_signal: ExitCode | None
) -> ExitCode | None:
    """Check again which uploaded files are public after a failed run, until a signal is received.

    Return the exit code of that signal, or else `after_signal`: the one of the signal that ended the run, or None
    if none did.
    """
    if not (files := publication.unverified_uploads()):
        return after_signal
    try:
        with signal_handlers.executing_step(atomic=False):
            publication.recheck_uploads(files, briefly=after_signal is not None)
    except signals.Interruption as signal:
        return signal.exit_code
    return after_signal


@contextlib.contextmanager
def _suppress_errors_if_public(
    publication: PublicationState | None, outcome: Outcome | None = None
) -> Iterator[None]:
    """Return a context that suppresses any error if files may be public; otherwise, the error propagates.

    After a suppressed error, the states of the files and the exit code of `outcome`, unless it is None, are
    printed to stderr.
    """
    try:
        yield
    except BaseException:  # an interruption too: the exit code is known already
        if publication is None or not publication.may_have_public_files:
            raise
        if outcome is not None:
            with contextlib.suppress(Exception):  # the last resort: nothing is left to report its failure
                for line in (*summary_lines(outcome.publication), f"exit code {outcome.exit_code.value}"):
                    STDERR.write_line(line)  # the reporter has failed


def _format_traceback(bug: BaseException | None) -> str | None:
    """Return the traceback of a bug, without secrets; None if there is none, or it is a KeyboardInterrupt.

    If that fails, return the name of its class only.
    """
    if bug is None or isinstance(bug, KeyboardInterrupt):
        return None

    try:
        mask_error(bug)
        return "".join(traceback.format_exception(bug))
    except Exception:  # noqa: BLE001 - reporting public files matters more than the traceback
        return type(bug).__name__
