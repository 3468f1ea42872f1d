"""Run a plan: for each step look whether it is done, do it, look again; tell what happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from relnox.core.events import Outcome, RunFinished, RunStarted, Status, StepFinished, StepStarted
from relnox.core.steps import Upload
from relnox.errors import ExitCode, RelnoxError
from relnox.executor import actions, signals
from relnox.source import edits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.plan import Plan
    from relnox.core.steps import Step
    from relnox.executor.run import Run

__all__ = ["Action", "execute"]

_BAD = (Status.FAILED, Status.ABORTED)


class Action(Protocol):
    """How a step is carried out."""

    def check(self) -> str | None:
        """Why nothing has to be done, or None."""

    def do(self) -> None:
        """Do it."""

    def prove(self) -> str:
        """Look again, and return the evidence; raises when the effect is not there."""


def execute(plan: Plan, run: Run) -> Outcome:
    """Run a plan to its end, or to what stops it.

    Args:
        plan: A plan without refusals.
        run: Where and with what; its `emit` is told every event.
    """
    run.emit(RunStarted(plan))
    begin = time.monotonic()
    results: list[StepFinished] = []
    interrupted: ExitCode | None = None
    with signals.watching() as watched:
        resumed = _write_down(run)
        for step in plan.steps:
            reason = _why_not(step, results, plan, interrupted)
            if reason is not None:
                result = StepFinished(step, Status.ABORTED, reason, 0.0)
            else:
                run.emit(StepStarted(step))
                started = time.monotonic()
                try:
                    with watched.during(atomic=step.atomic):
                        result = _carry_out(step, run, started)
                except signals.Interruption as interruption:
                    interrupted = interruption.exit_code
                    detail = f"interrupted ({interruption.number.name})"
                    result = StepFinished(step, Status.ABORTED, detail, time.monotonic() - started)
            results.append(result)
            run.emit(result)
        settled = _settle(results, run, resumed=resumed)
        exit_code = interrupted or _exit_code(results)
        outcome = Outcome(
            plan=plan,
            results=tuple(results),
            exit_code=exit_code,
            seconds=time.monotonic() - begin,
            stages=tuple(run.stages),
            deadline=_deadline(results, run) if exit_code is not ExitCode.DONE else None,
        )
        run.emit(RunFinished(outcome))
        # Not before it is told: who is killed in between and types the command again must not do it all twice.
        if settled and run.pending is not None and exit_code is ExitCode.DONE and plan.steps == run.pending.steps:
            edits.conclude_pending(run.private, run.pending)
        elif settled and run.pending is not None:
            edits.forget_pending(run.private)
    return outcome


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

    Returns:
        Whether there is nothing left to go on with.
    """
    stopped = next((result for result in results if result.status in _BAD), None)
    if stopped is not None and (stopped.step.remote or resumed):
        run.undo.pop_all()
        return False
    if stopped is not None:
        run.undo.close()
    else:
        run.undo.pop_all()
    return True


def _carry_out(step: Step, run: Run, started: float) -> StepFinished:
    action = actions.action_for(step, run)
    try:
        reason = action.check()
        if reason is not None:
            status, detail = Status.SKIPPED, reason
        else:
            action.do()
            status, detail = Status.SUCCESS, action.prove()
    except RelnoxError as error:
        return StepFinished(step, Status.FAILED, error.message, time.monotonic() - started, error)
    return StepFinished(step, status, detail, time.monotonic() - started)


def _why_not(step: Step, results: Sequence[StepFinished], plan: Plan, interrupted: ExitCode | None) -> str | None:
    """Why a step is not even tried, or None."""
    if interrupted is not None:
        return "the run was interrupted"
    bad = {result.step.key for result in results if result.status in _BAD}
    if missing := [key for key in step.needs if key in bad]:
        return f"needs {missing[0]}"
    if bad and not plan.continue_on_error:
        return "an earlier step failed"
    return None


def _deadline(results: Sequence[StepFinished], run: Run) -> str | None:
    """Until when the rest of a release can follow, if part of it is public."""
    left = any(isinstance(result.step, Upload) and result.status in _BAD for result in results)
    if not left:
        return None
    from relnox.executor import publishing

    try:
        return publishing.deadline(results, run)
    except RelnoxError:  # the index does not answer: the run has failed already, and says so
        return None


def _exit_code(results: Sequence[StepFinished]) -> ExitCode:
    """The code that speaks for all failures; part of a release being public outranks a plain failure."""
    codes = [result.error.exit_code for result in results if result.error is not None]
    public = any(result.step.remote and result.status in (Status.SUCCESS, Status.SKIPPED) for result in results)
    left = any(result.step.remote and result.status in _BAD for result in results)
    if codes and public and left:
        codes.append(ExitCode.PARTLY_PUBLIC)
    return ExitCode.worst(codes)
