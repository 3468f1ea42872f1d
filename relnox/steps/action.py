"""The base of actions: how a step is done in one run."""

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
    """How a step is done: checked, applied if it is not done yet, and verified by another look.

    Attributes:
        step: What is to be done.
        run: Where.
        result: What other steps read of it (`Run.result`); set by `check` if it is done, otherwise by `apply`.
        warnings: Warnings about files that it made.
    """

    result: Any = None
    warnings: tuple[StepWarning, ...] = ()

    def __init__(self, step: S, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Return why nothing has to be done, or None; unless a subclass can tell, every run does it again."""
        return None

    def apply(self) -> None:
        """Do it."""
        raise NotImplementedError

    def verify(self) -> str:
        """Check the effect and describe it; raise an error if it is missing."""
        raise NotImplementedError

    @property
    def on_line(self) -> Callable[[str], None]:
        """A callback for the lines of output of the step's program."""
        return self.run.on_line(self.step)
