"""Run a plan: for each step look whether it is done, do it, look again; tell what happens."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol

from relnox.core import publication
from relnox.core.events import Outcome, RunFinished, RunStarted, Status, StepFinished
from relnox.core.records import replace
from relnox.errors import ENVIRONMENT_ERRORS, ExitCode, RelnoxError, environment_error
from relnox.executor import actions, observed, signals
from relnox.executor.progress import BAD, Progress, groups
from relnox.reporters.streams import STDERR
from relnox.secrets import mask_error
from relnox.source import edits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.plan import Plan
    from relnox.core.publication import PublishedFile
    from relnox.core.steps import Step
    from relnox.executor.run import Run

__all__ = ["Action", "execute"]


class Action(Protocol):
    """How a step is carried out."""

    def check(self) -> str | None:
        """Why nothing has to be done, or None."""

    def do(self) -> None:
        """Do it."""

    def verify(self) -> str:
        """Look again, and return the evidence; raises when the effect is not there."""


def execute(plan: Plan, run: Run) -> Outcome:
    """Run a plan to its end, or to what stops it.

    A bug is raised as it is while nothing is public. After that it ends the run like any failure: with what is
    public, and the exit code for that.

    Args:
        plan: A plan without refusals.
        run: Where and with what; its `emit` is told every event.
    """
    run.observed = observed.ObservedFiles(plan)
    begin = time.monotonic()
    progress = Progress(plan, run.emit)
    fault: BaseException | None = None
    with signals.watching() as watched:
        resumed = False
        is_whole = run.pending is not None and plan.steps == run.pending.steps
        try:
            run.emit(RunStarted(plan))
            resumed = _write_down(run)
            _carry_out_all(plan, progress, run, watched)
        except BaseException as error:  # a bug or an interruption: neither keeps from telling what is public
            if not run.observed.may_be_public:
                raise
            fault = error
            progress.give_up(error)
        settled = _settle(progress.results, run, resumed=resumed)
        if unfinished := any(result.status in BAD for result in progress.results):
            with _whatever_fails(run):
                progress.interrupted = observed.look_again(run, watched, after_signal=progress.interrupted)
        results, files = progress.results, run.observed.files if plan.skipped is None else ()
        exit_code = (progress.interrupted if unfinished else None) or observed.exit_code(results, files)
        outcome = Outcome(
            plan=plan,
            results=results,
            exit_code=exit_code,
            seconds=time.monotonic() - begin,
            stages=tuple(run.stages),
            publication=files,
            fault=_traceback(fault),
        )
        with _whatever_fails(run):
            outcome = replace(outcome, deadline=_deadline(files, run))
        with _whatever_fails(run, outcome):
            run.emit(RunFinished(outcome))
        if settled and run.pending is not None:
            from relnox.executor import editing

            editing.make_durable(run)
        # Not before it is told: who is killed in between and types the command again must not do it all twice.
        if settled and run.pending is not None and exit_code is ExitCode.DONE and is_whole:
            edits.complete_pending(run.private, run.pending)
        elif settled and run.pending is not None:
            edits.discard_pending(run.private)
    return outcome


def _carry_out_all(plan: Plan, progress: Progress, run: Run, watched: signals.Signals) -> None:
    for step in plan.steps if plan.skipped is not None else ():
        progress.start(step)
        progress.end(StepFinished(step, Status.SKIPPED, plan.skipped or "", 0.0))
    for steps in groups(plan.steps if plan.skipped is None else ()):
        if not steps[0].concurrent:
            _alone(steps[0], progress, run, watched)
        else:
            from relnox.executor import side_by_side  # threads are not quick to open

            side_by_side.carry_out(steps, lambda step: _carry_out(step, run), progress, run, watched)


@contextlib.contextmanager
def _whatever_fails(run: Run, outcome: Outcome | None = None) -> Iterator[None]:
    """Around what comes after the last step: where something is public, no bug may keep that from being told.

    Args:
        run: The run.
        outcome: What could not be told if this fails.
    """
    try:
        yield
    except BaseException:  # an interruption too: the exit code tells what is public, and is known already
        if not run.observed.may_be_public:
            raise
        if outcome is not None:
            lines = [*publication.summary(outcome.publication), f"exit code {outcome.exit_code.value}"]
            with contextlib.suppress(Exception):  # the last resort: there is nobody left to tell of its failure
                for line in lines:
                    STDERR.line(line)  # the reporter has failed


def _traceback(fault: BaseException | None) -> str | None:
    """A bug, for the report; None for somebody's wish to end the run."""
    if fault is None or isinstance(fault, KeyboardInterrupt):
        return None
    import traceback

    try:
        mask_error(fault)
        return "".join(traceback.format_exception(fault))
    except Exception:  # noqa: BLE001 - what is public is worth more than where the bug is
        return type(fault).__name__


def _alone(step: Step, progress: Progress, run: Run, watched: signals.Signals) -> None:
    """Carry one step out, before the next one is looked at."""
    if (reason := progress.why_not(step)) is not None:
        progress.end(StepFinished(step, Status.ABORTED, reason, 0.0))
        return
    progress.start(step)
    started = time.monotonic()
    try:
        with watched.during(atomic=step.atomic):
            result = _carry_out(step, run)
    except signals.Interruption as interruption:
        result = progress.interrupt(step, interruption, time.monotonic() - started)
    progress.end(result)


def _write_down(run: Run) -> bool:
    """Keep what the run is about to do where another run finds it; tells whether one before this kept it there."""
    if run.pending is None:
        return False
    resumed = edits.read_pending(run.private) is not None
    if resumed and run.git is not None:
        run.git.recover()
    edits.write_pending(run.private, run.pending)
    return resumed


def _settle(results: Sequence[StepFinished], run: Run, *, resumed: bool) -> bool:
    """After a local failure take the local steps back; after a remote one keep them, to be gone on with.

    A resumed run cannot take back what the run before it did: it keeps everything, to be gone on with as well.
    So does one that stopped halfway in a step.

    Returns:
        Whether there is nothing left to go on with.
    """
    stopped = next((result for result in results if result.status in BAD), None)
    if stopped is not None and (stopped.step.remote or resumed or run.halfway):
        run.undo.pop_all()
        return False
    if stopped is not None:
        run.undo.close()
        run.durable = False
    else:
        run.undo.pop_all()
    return True


def _carry_out(step: Step, run: Run) -> StepFinished:
    started = time.monotonic()
    action = actions.action_for(step, run)
    try:
        reason = action.check()
        if reason is not None:
            status, detail = Status.SKIPPED, reason
        else:
            action.do()
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
    """Until when the rest of a release can follow, if part of it is public."""
    if not files:
        return None
    from relnox.executor import publishing

    return publishing.deadline(files, run)
