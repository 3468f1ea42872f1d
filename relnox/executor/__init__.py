"""Execution of plans: each step is checked, applied and verified, and its events are emitted."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from relnox.core.planning.events import Outcome, RunFinished, RunStarted, Status, StepFinished
from relnox.core.records import replace
from relnox.core.release import publication
from relnox.errors import ENVIRONMENT_ERRORS, ExitCode, RelnoxError, environment_error
from relnox.executor import actions, observed, signals
from relnox.executor.progress import BAD, Progress, groups
from relnox.reporters.streams import STDERR
from relnox.secrets import mask_error
from relnox.source import edits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.planning.plan import Plan
    from relnox.core.release.publication import PublishedFile
    from relnox.core.steps import Step
    from relnox.executor.run import Run

__all__ = ["Action", "execute"]


class Action(Protocol):
    """The implementation of a step."""

    def check(self) -> str | None:
        """Return why nothing has to be done, or None."""

    def apply(self) -> None:
        """Apply the step."""

    def verify(self) -> str:
        """Check the effect and describe it; raise an error if it is missing."""


def execute(plan: Plan, run: Run) -> Outcome:
    """Execute a plan to its end, or to the first failure.

    A bug is raised as it is while nothing is public. Later it ends the run like any failure, so that the public
    files are reported.

    Args:
        plan: A plan without problems.
        run: The run; its `emit` gets all events.
    """
    run.observed = observed.ObservedFiles(plan)
    begin = time.monotonic()
    progress = Progress(plan, run.emit)
    bug: BaseException | None = None
    with signals.watching(handled=run.handles_signals) as watched:
        resumed = False
        is_whole = run.pending is not None and plan.steps == run.pending.steps
        try:
            run.emit(RunStarted(plan))
            resumed = _record_pending(run)
            _execute_steps(plan, progress, run, watched)
        except BaseException as error:  # a bug or an interruption: public files are reported in any case
            if not run.observed.may_be_public:
                raise
            bug = error
            progress.give_up(error)
        settled = _settle(progress.results, run, resumed=resumed)
        if unfinished := any(result.status in BAD for result in progress.results):
            with _public_files_first(run):
                progress.interrupted = observed.check_index_again(run, watched, after_signal=progress.interrupted)
        results, files = progress.results, run.observed.files if plan.skipped is None else ()
        exit_code = (progress.interrupted if unfinished else None) or observed.exit_code(results, files)
        outcome = Outcome(
            plan=plan,
            results=results,
            exit_code=exit_code,
            seconds=time.monotonic() - begin,
            stages=tuple(run.stages),
            publication=files,
            traceback=_traceback(bug),
        )
        with _public_files_first(run):
            outcome = replace(outcome, deadline=_deadline(files, run))
        with _public_files_first(run, outcome):
            run.emit(RunFinished(outcome))
        if settled and run.pending is not None:
            from relnox.executor import editing

            editing.make_durable(run)
        # Only after RunFinished: a run that is killed before must be resumable with the same command.
        if settled and run.pending is not None and exit_code is ExitCode.DONE and is_whole:
            edits.complete_pending(run.private, run.pending)
        elif settled and run.pending is not None:
            edits.discard_pending(run.private)
    return outcome


def _execute_steps(plan: Plan, progress: Progress, run: Run, watched: signals.Signals) -> None:
    for step in plan.steps if plan.skipped is not None else ():
        progress.start(step)
        progress.end(StepFinished(step, Status.SKIPPED, plan.skipped or "", 0.0))
    for steps in groups(plan.steps if plan.skipped is None else ()):
        if not steps[0].concurrent:
            _execute_alone(steps[0], progress, run, watched)
        else:
            from relnox.executor import parallel  # imported lazily: threads are slow to import

            parallel.execute(steps, lambda step: _execute_step(step, run), progress, run, watched)


@contextlib.contextmanager
def _public_files_first(run: Run, outcome: Outcome | None = None) -> Iterator[None]:
    """Suppress errors after the last step if something is public, so that the public files are reported.

    Args:
        run: The run.
        outcome: The outcome to print if it cannot be reported otherwise.
    """
    try:
        yield
    except BaseException:  # an interruption too: the exit code is known already
        if not run.observed.may_be_public:
            raise
        if outcome is not None:
            lines = [*publication.summary(outcome.publication), f"exit code {outcome.exit_code.value}"]
            with contextlib.suppress(Exception):  # the last resort: nothing is left to report its failure
                for line in lines:
                    STDERR.line(line)  # the reporter has failed


def _traceback(bug: BaseException | None) -> str | None:
    """Format a bug for the report; None for an interruption."""
    if bug is None or isinstance(bug, KeyboardInterrupt):
        return None
    import traceback

    try:
        mask_error(bug)
        return "".join(traceback.format_exception(bug))
    except Exception:  # noqa: BLE001 - reporting public files matters more than the traceback
        return type(bug).__name__


def _execute_alone(step: Step, progress: Progress, run: Run, watched: signals.Signals) -> None:
    """Execute one step that does not run concurrently with others."""
    if (reason := progress.why_not(step)) is not None:
        progress.end(StepFinished(step, Status.ABORTED, reason, 0.0))
        return
    progress.start(step)
    started = time.monotonic()
    try:
        with watched.during(atomic=step.atomic):
            result = _execute_step(step, run)
    except signals.Interruption as interruption:
        result = progress.interrupt(step, interruption, time.monotonic() - started)
    progress.end(result)


def _record_pending(run: Run) -> bool:
    """Record the pending edits for a later run; return whether an earlier run left its own."""
    if run.pending is None:
        return False
    resumed = edits.read_pending(run.private) is not None
    if resumed and run.git is not None:
        run.git.recover()
    edits.write_pending(run.private, run.pending)
    return resumed


def _settle(results: Sequence[StepFinished], run: Run, *, resumed: bool) -> bool:
    """Undo the local steps after a local failure; keep them after a remote one, so that a rerun resumes.

    A resumed run cannot undo the steps of the run before it, so it keeps everything too. So does one that stopped
    in the middle of a step.

    Returns:
        Whether there is nothing left to resume.
    """
    stopped = next((result for result in results if result.status in BAD), None)
    if stopped is not None and (stopped.step.remote or resumed or run.partly_applied):
        run.undo.pop_all()
        return False
    if stopped is not None:
        run.undo.close()
        run.durable = False
    else:
        run.undo.pop_all()
    return True


def _execute_step(step: Step, run: Run) -> StepFinished:
    started = time.monotonic()
    action = actions.action_for(step, run)
    try:
        reason = action.check()
        if reason is not None:
            status, detail = Status.SKIPPED, reason
        else:
            action.apply()
            status, detail = Status.SUCCESS, action.verify()
    except RelnoxError as error:
        return StepFinished(
            step, Status.FAILED, error.message, time.monotonic() - started, error, run.warnings.get(step.key, ())
        )
    except ENVIRONMENT_ERRORS as error:
        if (failed := environment_error(error)) is None:
            raise
        return StepFinished(step, Status.FAILED, failed.message, time.monotonic() - started, failed)
    seconds = time.monotonic() - started
    return StepFinished(step, status, detail, seconds, warnings=run.warnings.get(step.key, ()))


def _deadline(files: Sequence[PublishedFile], run: Run) -> str | None:
    """Return the time until which the missing files can be uploaded, if some are public."""
    if not files:
        return None
    from relnox.executor import publishing

    return publishing.upload_deadline(files, run)
