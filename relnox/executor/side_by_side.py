"""Steps that run side by side, each as soon as the steps it needs are done and its resources are free."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from relnox import network, process
from relnox.core.events import Status, StepFinished
from relnox.errors import Failed
from relnox.executor.signals import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from relnox.core.steps import Step
    from relnox.executor.progress import Progress
    from relnox.executor.run import Run
    from relnox.executor.signals import Signals

__all__ = ["carry_out"]

_GLANCE = 0.05
_LOOK = 0.5
"""Seconds between two looks for a signal that Python has dropped."""
_WAITING = 2
"""Steps that are taken to wait at any time: for a program, for the disk, for Python's lock."""


def carry_out(  # noqa: C901 - one loop, and the three ways out of it
    steps: Sequence[Step],
    carry_out_one: Callable[[Step], StepFinished],
    progress: Progress,
    run: Run,
    watched: Signals,
) -> None:
    """Carry steps out, side by side where none needs another one.

    Args:
        steps: Neighbours in a plan.
        carry_out_one: Carries one of them out; it is called in threads.
        progress: Is told how each of them ends.
        run: What still works for it is ended when the run is interrupted.
        watched: A signal ends all of them at once.
    """
    queue, limits, work = _Queue(steps), _ResourceLimits(), _Work(carry_out_one)
    running: dict[Future[StepFinished], tuple[Step, float]] = {}

    def end(result: StepFinished) -> None:
        progress.end(result)
        queue.end(result.step)

    def begin(step: Step) -> bool:
        watched.tell()
        if (reason := progress.why_not(step)) is not None:
            end(StepFinished(step, Status.ABORTED, reason, 0.0))
            return True
        if not limits.acquire(step):
            return False
        progress.start(step)
        running[pool.submit(work.do, step)] = step, time.monotonic()
        return True

    def settle() -> None:
        for future in filter(Future.done, tuple(running)):
            result = future.result()
            limits.release(running.pop(future)[0])
            end(result)

    with ThreadPoolExecutor(len(steps), thread_name_prefix="step") as pool:
        try:
            try:
                with watched.during(atomic=True):  # nothing but the waiting is ended in the middle
                    while queue.waiting or running:
                        queue.try_each(begin)
                        queue.look_ahead(going_on=bool(running))
                        with watched.at_once():
                            wait(running, timeout=_LOOK, return_when=FIRST_COMPLETED)
                        settle()
            except Interruption as interruption:
                settle()
                if running or queue.waiting:
                    work.end(run)
                    _interrupt(interruption, running.values(), queue, progress)
                else:
                    watched.keep(interruption)
        except BaseException:  # an interruption or a bug: what goes on beside it has patience for an hour
            work.end(run)
            raise


def _interrupt(
    interruption: Interruption, running: Iterable[tuple[Step, float]], queue: _Queue, progress: Progress
) -> None:
    """Tell how steps end that were going on, and those that have not begun."""
    begun = tuple(running)
    for step, started in begun:
        progress.end(progress.interrupt(step, interruption, time.monotonic() - started))
    progress.interrupted = interruption.exit_code
    for step in queue.waiting_without(step for step, _ in begun):
        progress.end(StepFinished(step, Status.ABORTED, progress.why_not(step) or "", 0.0))


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once() -> int:
    """How many steps keep the processors busy: some of them wait meanwhile."""
    return processors() + _WAITING


class _ResourceLimits:
    """Counts of the resources in use, so that no more steps run at once than each resource allows."""

    def __init__(self) -> None:
        self._used: Counter[str] = Counter()

    def acquire(self, step: Step) -> bool:
        """Reserve what a step uses; return False if one of its resources is in full use."""
        if any(self._used[name] >= (limit or at_once()) for name, limit in step.resources):
            return False
        self._used.update(name for name, _ in step.resources)
        return True

    def release(self, step: Step) -> None:
        """Return what a step used."""
        self._used.subtract(name for name, _ in step.resources)


class _Queue:
    """Steps that wait, and which of them need no other one any more, in the order of the plan."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = dict(enumerate(steps))
        together = {step.key for step in steps}
        self._needs = {number: together.intersection(step.needs) for number, step in self._steps.items()}
        self._needed_by: dict[str, list[int]] = {}
        for number, needs in self._needs.items():
            for key in needs:
                self._needed_by.setdefault(key, []).append(number)
        self._ready = [number for number, needs in self._needs.items() if not needs]

    @property
    def waiting(self) -> tuple[Step, ...]:
        """Those that have not begun."""
        return tuple(self._steps.values())

    def waiting_without(self, begun: Iterable[Step]) -> tuple[Step, ...]:
        """Those that have not begun, and are none of these: an interrupted one still waits."""
        known = {id(step) for step in begun}
        return tuple(step for step in self.waiting if id(step) not in known)

    def try_each(self, begin: Callable[[Step], bool]) -> None:
        """Offer those that could begin, and those that can because others ended meanwhile.

        Args:
            begin: Tells whether a step has begun, or ended without.
        """
        held = []
        while self._ready:
            number = heappop(self._ready)
            if begin(self._steps[number]):
                del self._steps[number]  # not before: an interrupted one still waits
            else:
                held.append(number)
        for number in held:
            heappush(self._ready, number)

    def look_ahead(self, *, going_on: bool) -> None:
        """See that there is something to wait for.

        Raises:
            Failed: Steps need one another in a circle, so that none of them can ever begin.
        """
        if self._steps and not going_on:
            keys = ", ".join(step.key for step in self._steps.values())
            raise Failed(
                "todo",
                f"these steps wait for one another: {keys}",
                fix="that is a fault of relnox: please report it, with what --dry-run --report FILE writes",
            )

    def end(self, step: Step) -> None:
        """A step ended, well or not."""
        for number in self._needed_by.pop(step.key, ()):
            self._needs[number].discard(step.key)
            if not self._needs[number]:
                heappush(self._ready, number)


class _Work:
    """What is going on in threads, whoever has heard of it."""

    def __init__(self, carry_out_one: Callable[[Step], StepFinished]) -> None:
        self._carry_out_one = carry_out_one
        self._going_on: set[int] = set()
        self._over = False

    def do(self, step: Step) -> StepFinished:
        """Carry a step out, unless all is over."""
        self._going_on.add(id(step))
        try:
            if self._over:
                return StepFinished(step, Status.ABORTED, "the run was interrupted", 0.0)
            return self._carry_out_one(step)
        finally:
            self._going_on.discard(id(step))

    def end(self, run: Run) -> None:
        """End the programs and requests of steps that go on, until all of these steps have ended."""
        self._over = True
        run.end_workers()
        while self._going_on:
            process.end_all()
            network.cancel_all()
            time.sleep(_GLANCE)
