"""Steps that run side by side: each as soon as what it needs is done and there is room for it."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from relnox import network, process
from relnox.core.events import Status, StepFinished
from relnox.executor.signals import Interruption

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from relnox.core.steps import Step
    from relnox.executor.progress import Progress
    from relnox.executor.run import Run
    from relnox.executor.signals import Signals

__all__ = ["carry_out"]

_GLANCE = 0.1


def carry_out(
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
    together = {step.key for step in steps}
    waiting = list(steps)
    running: dict[Future[StepFinished], tuple[Step, float]] = {}
    room = _Room()
    with ThreadPoolExecutor(len(steps), thread_name_prefix="step") as pool:
        try:
            with watched.during(atomic=False):
                while waiting or running:
                    for step in list(waiting):
                        if (reason := progress.why_not(step)) is not None:
                            waiting.remove(step)
                            progress.end(StepFinished(step, Status.ABORTED, reason, 0.0))
                        elif progress.ended.issuperset(together.intersection(step.needs)) and room.take(step):
                            waiting.remove(step)
                            progress.start(step)
                            running[pool.submit(carry_out_one, step)] = step, time.monotonic()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        room.leave(running.pop(future)[0])
                        progress.end(result)
        except Interruption as interruption:
            _end(running, run)
            for step, started in running.values():
                progress.end(progress.interrupt(step, interruption, time.monotonic() - started))
            progress.interrupted = interruption.exit_code
            for step in waiting:
                progress.end(StepFinished(step, Status.ABORTED, progress.why_not(step) or "", 0.0))


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Room:
    """Counts what steps share, so that no more of them run at once than it is for."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, step: Step) -> bool:
        """Whether there is room for a step; if so it has it."""
        if any(self._taken[name] >= (most or processors()) for name, most in step.shares):
            return False
        self._taken.update(name for name, _ in step.shares)
        return True

    def leave(self, step: Step) -> None:
        """A step needs it no more."""
        self._taken.subtract(name for name, _ in step.shares)


def _end(running: Iterable[Future[StepFinished]], run: Run) -> None:
    """End the programs and requests of steps that go on, until all of these steps have ended."""
    run.end_workers()
    while wait(running, timeout=_GLANCE).not_done:
        process.end_all()
        network.end_all()
