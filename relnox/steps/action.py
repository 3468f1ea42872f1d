"""The base class of actions, which execute steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from relnox.core.planning.events import StepWarning
    from relnox.core.planning.step import Step
    from relnox.steps.run import Run

__all__ = ["Action"]

S = TypeVar("S", bound="Step")


class Action(Generic[S]):
    """Executes a step: checks whether it is done already, applies it if not, and verifies the result.

    Attributes:
        step: The step to execute.
        run: The run that executes it.
        result: The value that other steps read (`Run.result`); set by `check` (if it skips the step) or `apply`.
        warnings: Warnings about files that it made.
    """

    result: Any = None
    warnings: tuple[StepWarning, ...] = ()

    def __init__(self, step: S, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Return why the step can be skipped; None to apply it, which is the default."""
        return None

    def apply(self) -> None:
        """Execute the step."""
        raise NotImplementedError

    def verify(self) -> str:
        """Verify the result and describe it; raise an error if it is wrong."""
        raise NotImplementedError

    @property
    def on_line(self) -> Callable[[str], None]:
        """A callback for the lines of output of the step's program."""
        return self.run.on_line(self.step)
