"""The order of a run: a step starts when the steps it needs are done and its resources are free."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

from relnox.core.planning.events import Event, Status, StepFinished, StepStarted
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step
from relnox.errors import ExitCode, Problem, problem_of
from relnox.executor.signals import Interruption, SignalState
from relnox.system import process
from relnox.system.run_scope import ThreadPool, current_scope

if TYPE_CHECKING:
    from relnox.steps.run import Run

UNSUCCESSFUL = (Status.FAILED, Status.ABORTED)
_POLL_INTERVAL = 0.05
_SIGNAL_INTERVAL = 0.5
"""The interval of the checks for signals whose exception Python dropped, in seconds."""
_EXTRA_STEPS = 2
"""The number of steps to run beyond one per processor: some wait for a program, the disk or the GIL."""
_INTERRUPTION_REASON = "the run was interrupted"


class Progress:
    """How the steps of a plan have ended so far.

    Args:
        emit: The function to call with each event, such as the start of a step.

    Attributes:
        signal_exit_code: The exit code for the signal that ended the run, or None.
    """

    def __init__(self, plan: Plan, emit: Callable[[Event], None]) -> None:
        self.signal_exit_code: ExitCode | None = None
        self._plan = plan
        self._emit = emit
        self._unsuccessful: set[str] = set()
        self._results: dict[int, StepFinished] = {}

    @property
    def results(self) -> tuple[StepFinished, ...]:
        """The results so far, in the order of the plan."""
        return tuple(self._results[id(step)] for step in self._plan.steps if id(step) in self._results)

    def reason_not_to_start(self, step: Step) -> str | None:
        """Return why a step must not be started any more, or None if it may be.

        It must not after a signal, or if a step that it needs failed or was aborted; after any other failure, only
        if the plan has `continue_on_error`.
        """
        if self.signal_exit_code is not None:
            return _INTERRUPTION_REASON
        if failed_needs := [key for key in step.needs if key in self._unsuccessful]:
            return f"needs {failed_needs[0]}"
        if self._unsuccessful and not self._plan.continue_on_error:
            return "an earlier step failed"
        return None

    def emit_start(self, step: Step) -> None:
        """Emit the event that a step starts."""
        self._emit(StepStarted(step))

    def record_result(self, result: StepFinished) -> None:
        """Record and emit the result of a step."""
        if result.status in UNSUCCESSFUL:
            self._unsuccessful.add(result.step.key)
        self._results[id(result.step)] = result
        self._emit(result)

    def record_abort(self, step: Step, reason: str) -> None:
        """Record and emit that a step is aborted before its start, for a reason, which is text for messages."""
        self.record_result(StepFinished(step, Status.ABORTED, reason, 0.0))

    def record_interruption(self, step: Step, interruption: Interruption, start: float) -> None:
        """Record and emit that a signal interrupted a step and thus the run; `start` is from `time.monotonic`."""
        self.signal_exit_code = interruption.exit_code
        seconds = time.monotonic() - start
        self.record_result(
            StepFinished(step, Status.ABORTED, f"interrupted ({interruption.number.name})", seconds)
        )

    def record_abort_of_remaining(self, error: BaseException) -> None:
        """Record, without events, that all remaining steps end because of an unexpected exception or Ctrl-C."""
        reason = f"internal error ({type(error).__name__})"
        if isinstance(error, KeyboardInterrupt):
            self.signal_exit_code, reason = ExitCode.INTERRUPTED, _INTERRUPTION_REASON
        for step in self._plan.steps:
            self._results.setdefault(id(step), StepFinished(step, Status.ABORTED, reason, 0.0))


def execute_step(step: Step, run: Run) -> StepFinished:
    """Apply and verify a step, unless there is a reason to skip it, and return its result.

    An error becomes a failed result; an exception that is a bug propagates.
    """
    start = time.monotonic()
    error: Problem | None = None
    try:
        if (reason := step.reason_to_skip(run)) is not None:
            status, detail = Status.SKIPPED, reason
        else:
            result = step.apply(run)
            run.record_result(step, result)
            status, detail = Status.SUCCESS, step.verify(run, result)
    except Exception as failure:
        if (error := problem_of(failure)) is None:
            raise
        status, detail = Status.FAILED, error.message
    return StepFinished(step, status, detail, time.monotonic() - start, error, run.warnings(step))


def execute_in_this_thread(step: Step, progress: Progress, run: Run, signals: SignalState) -> None:
    """Execute a step and record its result; if an earlier failure or signal prevents it, record it as aborted."""
    if (reason := progress.reason_not_to_start(step)) is not None:
        progress.record_abort(step, reason)
        return
    progress.emit_start(step)
    start = time.monotonic()
    try:
        with signals.executing_step(atomic=step.atomic):
            result = execute_step(step, run)
    except Interruption as interruption:
        progress.record_interruption(step, interruption, start)
    else:
        progress.record_result(result)


def default_concurrency() -> int:
    """Return how many steps to run at once to keep all processors busy."""
    return process.count_processors() + _EXTRA_STEPS


class ConcurrentSteps:
    """Consecutive steps of a plan that run in threads, each as soon as the steps that it needs have ended.

    Resources, such as a package's directory, limit how many run at once. Of the steps that can start, those
    earlier in the plan start first.
    """

    def __init__(self, steps: Sequence[Step], progress: Progress, run: Run, signals: SignalState) -> None:
        self._progress = progress
        self._run = run
        self._signals = signals
        self._waiting = {step.key: step for step in steps}
        self._running: dict[Future[StepFinished], tuple[Step, float]] = {}
        self._used: Counter[str] = Counter()
        self._is_ended = False
        needs = {step.key: [key for key in step.needs if key in self._waiting] for step in steps}
        self._order = TopologicalSorter(needs)
        self._order.prepare()
        self._ready = set(self._order.get_ready())

    def execute(self) -> None:
        """Execute the steps, record their results, and return when all have ended.

        A signal ends all steps at once, with their programs and requests and the services of the run.
        """
        with ThreadPool(len(self._waiting), thread_name_prefix="step") as pool:
            try:
                self._execute_in_threads(pool)
            except BaseException:  # an interruption or a bug: other steps may run for an hour
                self._end_all_steps()
                raise

    def _execute_in_threads(self, pool: ThreadPool) -> None:
        """Execute the steps, and record those that a signal interrupts or prevents."""
        try:
            with self._signals.executing_step(atomic=True):  # only the wait below may be interrupted
                while self._waiting or self._running:
                    self._start_steps(pool)
                    with self._signals.allow_interruption():
                        wait(self._running, timeout=_SIGNAL_INTERVAL, return_when=FIRST_COMPLETED)
                    self._record_results()
        except Interruption as interruption:
            self._record_results()
            if not self._running and not self._waiting:
                self._signals.pass_on_interruption(interruption)
                return
            self._end_all_steps()
            self._progress.signal_exit_code = interruption.exit_code
            for step, start in self._running.values():
                self._progress.record_interruption(step, interruption, start)
            for step in self._waiting.values():
                self._progress.record_abort(step, _INTERRUPTION_REASON)

    def _start_steps(self, pool: ThreadPool) -> None:
        """Start the steps that are ready and whose resources are free; record those that must not start."""
        for step in tuple(self._waiting.values()):
            if step.key not in self._ready:
                continue
            self._signals.raise_if_received()
            if (reason := self._progress.reason_not_to_start(step)) is not None:
                self._progress.record_abort(step, reason)
                self._mark_ended(self._waiting.pop(step.key))
            elif all(self._used[name] < (limit or default_concurrency()) for name, limit in step.resources):
                self._used.update(name for name, _ in step.resources)
                self._progress.emit_start(step)
                self._running[pool.submit(self._execute_step, step)] = step, time.monotonic()
                del self._waiting[step.key]

    def _execute_step(self, step: Step) -> StepFinished:
        """Execute a step, unless all steps were ended before its thread started."""
        if self._is_ended:
            return StepFinished(step, Status.ABORTED, _INTERRUPTION_REASON, 0.0)
        return execute_step(step, self._run)

    def _record_results(self) -> None:
        """Record the results of the threads that have ended, and free their resources."""
        for future in filter(Future.done, tuple(self._running)):
            result = future.result()
            step, _ = self._running.pop(future)
            self._used.subtract(name for name, _ in step.resources)
            self._progress.record_result(result)
            self._mark_ended(step)

    def _mark_ended(self, step: Step) -> None:
        """Record that a step ended, successfully or not, so that steps that need it become ready."""
        self._order.done(step.key)
        self._ready.update(self._order.get_ready())

    def _end_all_steps(self) -> None:
        """End the programs and requests of the running steps, and wait until all steps have ended."""
        self._is_ended = True
        self._run.close_services()
        while not all(map(Future.done, self._running)):
            process.end_programs()
            current_scope().interrupt()
            time.sleep(_POLL_INTERVAL)
