"""Run a plan: for each step look whether it is done, do it, look again; tell what happens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from relnox.core.events import Outcome, RunFinished, RunStarted, Status, StepFinished
from relnox.core.steps import AwaitIndex, Upload
from relnox.errors import ExitCode, RelnoxError, failure_of_the_machine
from relnox.executor import actions, signals
from relnox.executor.progress import BAD, Progress, groups
from relnox.source import edits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.plan import Plan
    from relnox.core.steps import Step
    from relnox.executor.run import Run

__all__ = ["Action", "execute"]


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
    progress = Progress(plan, run.emit)
    with signals.watching() as watched:
        resumed = _write_down(run)
        for step in plan.steps if plan.skipped is not None else ():
            progress.start(step)
            progress.end(StepFinished(step, Status.SKIPPED, plan.skipped or "", 0.0))
        for steps in groups(plan.steps if plan.skipped is None else ()):
            if not steps[0].concurrent:
                _alone(steps[0], progress, run, watched)
            else:
                from relnox.executor import side_by_side  # threads are not quick to open

                side_by_side.carry_out(steps, lambda step: _carry_out(step, run), progress, run, watched)
        results = progress.results
        settled = _settle(results, run, resumed=resumed)
        exit_code = progress.interrupted or _exit_code(results)
        outcome = Outcome(
            plan=plan,
            results=results,
            exit_code=exit_code,
            seconds=time.monotonic() - begin,
            stages=tuple(run.stages),
            deadline=_deadline(results, run),
        )
        run.emit(RunFinished(outcome))
        # Not before it is told: who is killed in between and types the command again must not do it all twice.
        if settled and run.pending is not None and exit_code is ExitCode.DONE and plan.steps == run.pending.steps:
            edits.conclude_pending(run.private, run.pending)
        elif settled and run.pending is not None:
            edits.forget_pending(run.private)
    return outcome


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
            status, detail = Status.SUCCESS, action.prove()
    except RelnoxError as error:
        return StepFinished(step, Status.FAILED, error.message, time.monotonic() - started, error)
    except OSError as error:
        if (failed := failure_of_the_machine(error)) is None:
            raise
        return StepFinished(step, Status.FAILED, failed.message, time.monotonic() - started, failed)
    return StepFinished(step, status, detail, time.monotonic() - started)


def _deadline(results: Sequence[StepFinished], run: Run) -> str | None:
    """Until when the rest of a release can follow, if part of it is public."""
    if not any(isinstance(result.step, Upload) for result in results) or not _is_partly_public(results):
        return None
    from relnox.executor import publishing

    return publishing.deadline(results, run)


def _exit_code(results: Sequence[StepFinished]) -> ExitCode:
    """The code that speaks for all failures; part of a release being public outranks a plain failure."""
    codes = [result.error.exit_code for result in results if result.error is not None]
    if codes and _is_partly_public(results):
        codes.append(ExitCode.PARTLY_PUBLIC)
    return ExitCode.worst(codes)


def _is_partly_public(results: Sequence[StepFinished]) -> bool:
    """Whether others can see something, or may, and something that they should see they cannot.

    What an index took and never showed may be public, but all of a release in that state is not half of one.
    """
    unproven = {
        key
        for result in results
        if isinstance(result.step, AwaitIndex) and result.status is Status.FAILED
        for key in result.step.needs
    }
    remote = [result for result in results if result.step.remote]
    sent = [result for result in remote if result.status not in BAD]
    proven = [result for result in sent if result.status is Status.SKIPPED or result.step.key not in unproven]
    return bool((sent and len(sent) < len(remote)) or (proven and unproven))
