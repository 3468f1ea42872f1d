"""Progress of a run: how steps ended, and which steps are therefore not tried."""

from __future__ import annotations

from collections.abc import Callable

from relnox.core.planning.events import Event, Status, StepFinished, StepStarted
from relnox.core.planning.plan import Plan
from relnox.core.planning.step import Step
from relnox.errors import ExitCode
from relnox.executor.signals import Interruption

UNSUCCESSFUL = (Status.FAILED, Status.ABORTED)


class Progress:
    """The progress of one plan; `emit` is called with each event."""

    def __init__(self, plan: Plan, emit: Callable[[Event], None]) -> None:
        self.interrupted: ExitCode | None = None
        self._plan = plan
        self._emit = emit
        self._unsuccessful: set[str] = set()
        self._results: dict[int, StepFinished] = {}
        self._positions = {id(step): place for place, step in enumerate(plan.steps)}

    @property
    def results(self) -> tuple[StepFinished, ...]:
        """The results so far, in the order of the plan."""
        return tuple(result for _, result in sorted(self._results.items()))

    def reason_not_to_start(self, step: Step) -> str | None:
        """Return why a step must not be started, or None if it may be."""
        if self.interrupted is not None:
            return "the run was interrupted"
        if missing := [key for key in step.needs if key in self._unsuccessful]:
            return f"needs {missing[0]}"
        if self._unsuccessful and not self._plan.continue_on_error:
            return "an earlier step failed"
        return None

    def start(self, step: Step) -> None:
        """Emit the event that a step starts."""
        self._emit(StepStarted(step))

    def end(self, result: StepFinished) -> None:
        """Record and emit the result of a step."""
        if result.status in UNSUCCESSFUL:
            self._unsuccessful.add(result.step.key)
        self._results[self._positions[id(result.step)]] = result
        self._emit(result)

    def abort_remaining(self, error: BaseException) -> None:
        """Mark all remaining steps as aborted after an unexpected exception or an interruption outside a step.

        Errors of the reporter are suppressed, because it may have raised the exception. An interruption determines
        the exit code.
        """
        if isinstance(error, KeyboardInterrupt):
            self.interrupted = ExitCode.INTERRUPTED
            reason = "the run was interrupted"
        else:
            reason = f"internal error ({type(error).__name__})"
        for place, step in enumerate(self._plan.steps):
            if place not in self._results:
                try:
                    self.end(StepFinished(step, Status.ABORTED, reason, 0.0))
                except Interruption as interruption:
                    self.interrupted = interruption.exit_code
                except KeyboardInterrupt:
                    self.interrupted = ExitCode.INTERRUPTED
                except (Exception, SystemExit):  # noqa: BLE001, S110 - the reporter may have failed; the result is kept
                    pass

    def interrupt(self, step: Step, interruption: Interruption, seconds: float) -> StepFinished:
        """Record that a signal interrupted the run during a step, and return the result of that step."""
        self.interrupted = interruption.exit_code
        return StepFinished(step, Status.ABORTED, f"interrupted ({interruption.number.name})", seconds)
