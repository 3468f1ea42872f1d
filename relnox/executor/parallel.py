"""Concurrent execution of steps: each begins when the steps it needs are done and its resources are free."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from relnox.core.planning.events import Status, StepFinished
from relnox.core.planning.step import Step
from relnox.errors import Failed
from relnox.executor.progress import Progress
from relnox.executor.signals import Interruption, Signals
from relnox.system import process
from relnox.system.run_scope import ThreadPool, current_scope

if TYPE_CHECKING:
    from relnox.steps.run import Run

_POLL_INTERVAL = 0.05
_SIGNAL_INTERVAL = 0.5
"""The interval of the checks for signals whose exception Python dropped, in seconds."""
_EXTRA_STEPS = 2
"""The number of steps to run beyond one per processor: some wait for a program, the disk or the GIL."""


def execute(  # noqa: C901 - one loop with three exits
    steps: Sequence[Step],
    execute_step: Callable[[Step], StepFinished],
    progress: Progress,
    run: Run,
    signal_handlers: Signals,
) -> None:
    """Execute consecutive steps of a plan in threads, each as soon as the steps that it needs are done.

    A signal ends all steps and the worker processes of the run immediately.
    """
    queue, limits, work = _StepQueue(steps), _ResourceLimits(), _StepThreads(execute_step)
    running: dict[Future[StepFinished], tuple[Step, float]] = {}

    def end(result: StepFinished) -> None:
        progress.end(result)
        queue.end(result.step)

    def begin(step: Step) -> bool:
        signal_handlers.check()
        if (reason := progress.reason_not_to_start(step)) is not None:
            end(StepFinished(step, Status.ABORTED, reason, 0.0))
            return True
        if not limits.acquire(step):
            return False
        progress.start(step)
        running[pool.submit(work.execute_step_unless_ended, step)] = step, time.monotonic()
        return True

    def settle() -> None:
        for future in filter(Future.done, tuple(running)):
            result = future.result()
            limits.release(running.pop(future)[0])
            end(result)

    with ThreadPool(len(steps), thread_name_prefix="step") as pool:
        try:
            try:
                with signal_handlers.executing_step(atomic=True):  # only the wait below may be interrupted
                    while queue.waiting or running:
                        queue.start_ready(begin)
                        with signal_handlers.interruptible():
                            wait(running, timeout=_SIGNAL_INTERVAL, return_when=FIRST_COMPLETED)
                        settle()
            except Interruption as interruption:
                settle()
                if running or queue.waiting:
                    work.end(run)
                    _record_interruption(interruption, running.values(), queue, progress)
                else:
                    signal_handlers.record_again(interruption)
        except BaseException:  # an interruption or a bug: other steps may run for an hour
            work.end(run)
            raise


def _record_interruption(
    interruption: Interruption, running: Iterable[tuple[Step, float]], queue: _StepQueue, progress: Progress
) -> None:
    """Record the running steps as interrupted, and the waiting steps as not tried."""
    interrupted_steps = tuple(running)
    for step, start in interrupted_steps:
        progress.end(progress.interrupt(step, interruption, time.monotonic() - start))
    progress.interrupted = interruption.exit_code
    for step in queue.waiting_without(step for step, _ in interrupted_steps):
        progress.end(StepFinished(step, Status.ABORTED, progress.reason_not_to_start(step) or "", 0.0))


def default_concurrency() -> int:
    """Return how many steps to run at once to keep all processors busy."""
    return process.processors() + _EXTRA_STEPS


class _ResourceLimits:
    """The resources in use, which limit how many steps run at once."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    def acquire(self, step: Step) -> bool:
        """Reserve the resources of a step and return True; return False if one of them is used up."""
        if any(self._used[name] >= (limit or default_concurrency()) for name, limit in step.resources):
            return False
        self._used.update(name for name, _ in step.resources)
        return True

    def release(self, step: Step) -> None:
        """Release the resources of a step."""
        self._used.subtract(name for name, _ in step.resources)


class _StepQueue:
    """The steps that have not started, in the order of the plan, and which of them are ready to start."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = dict(enumerate(steps))
        self._numbers = {step.key: number for number, step in self._steps.items()}
        self._order: TopologicalSorter[int] = TopologicalSorter()
        for number, step in self._steps.items():
            self._order.add(number, *(self._numbers[key] for key in step.needs if key in self._numbers))
        try:
            self._order.prepare()
        except CycleError as error:
            keys = ", ".join(steps[number].key for number in dict.fromkeys(error.args[1]))
            raise Failed(
                "dependency-cycle",
                f"steps depend on each other (a bug in relnox): {keys}",
                fix="report the bug with the output of --dry-run --report FILE",
            ) from None
        self._ready = sorted(self._order.get_ready())

    @property
    def waiting(self) -> tuple[Step, ...]:
        """The steps that have not started."""
        return tuple(self._steps.values())

    def waiting_without(self, steps: Iterable[Step]) -> tuple[Step, ...]:
        """Return the waiting steps except these; an interrupted step still counts as waiting."""
        excluded_steps = {id(step) for step in steps}
        return tuple(step for step in self.waiting if id(step) not in excluded_steps)

    def start_ready(self, begin: Callable[[Step], bool]) -> None:
        """Start all steps that are ready, unless `begin` returns False because a step waits for a resource."""
        blocked_steps = []
        while self._ready:
            number = heappop(self._ready)
            if begin(self._steps[number]):
                del self._steps[number]  # not earlier: an interrupted one still counts as waiting
            else:
                blocked_steps.append(number)
        for number in blocked_steps:
            heappush(self._ready, number)

    def end(self, step: Step) -> None:
        """Mark a step as ended, successfully or not, so that steps that need it become ready."""
        self._order.done(self._numbers[step.key])
        for number in self._order.get_ready():
            heappush(self._ready, number)


class _StepThreads:
    def __init__(self, execute_step: Callable[[Step], StepFinished]) -> None:
        self._execute_step = execute_step
        self._running: set[int] = set()
        self._ended = False

    def execute_step_unless_ended(self, step: Step) -> StepFinished:
        """Execute a step and return its result; it is aborted if the run was interrupted before."""
        self._running.add(id(step))
        try:
            if self._ended:
                return StepFinished(step, Status.ABORTED, "the run was interrupted", 0.0)
            return self._execute_step(step)
        finally:
            self._running.discard(id(step))

    def end(self, run: Run) -> None:
        """End the programs and requests of the running steps, and wait until all steps have ended."""
        self._ended = True
        run.close_services()
        while self._running:
            process.end_all()
            current_scope().interrupt()
            time.sleep(_POLL_INTERVAL)
