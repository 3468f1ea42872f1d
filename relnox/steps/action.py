"""The base class of actions, which execute steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, get_args

if TYPE_CHECKING:
    from collections.abc import Callable

    from relnox.core.planning.events import StepWarning
    from relnox.core.planning.step import Step
    from relnox.steps.run import Run, RunExtension

S = TypeVar("S", bound="Step")

_ACTION_CLASSES: dict[type[Step], type[Action[Any]]] = {}
"""The class of the action of each class of steps."""


class Action(ABC, Generic[S]):
    """Executes a step: checks whether it is done already, applies it if not, and verifies the result.

    A subclass names its step once, as `class ExportAction(Action[Export])`.

    Attributes:
        run_extension: The class that extends runs with this step (`relnox.steps.run_extension`), or None.
        result: The value that other steps read (`Run.result`); set by `check` (if it skips the step) or `apply`.
        warnings: Warnings about the files that the action creates.
    """

    run_extension: ClassVar[type[RunExtension] | None] = None
    result: Any = None
    warnings: tuple[StepWarning, ...] = ()

    def __init_subclass__(cls) -> None:
        (step,) = get_args(cls.__orig_bases__[0])  # type: ignore[attr-defined]  # of generic classes (PEP 560)
        _ACTION_CLASSES[step] = cls

    def __init__(self, step: S, run: Run) -> None:
        self.step = step
        self.run = run

    def check(self) -> str | None:
        """Return why the step can be skipped, or None (the default) to apply it."""
        return None

    @abstractmethod
    def apply(self) -> None:
        """Execute the step."""

    @abstractmethod
    def verify(self) -> str:
        """Verify the result and describe it; raise an error if it is wrong."""

    @property
    def on_line(self) -> Callable[[str], None]:
        """The callback that receives each output line of the program that the step runs."""
        return self.run.on_line(self.step)


def find_action(step: Step, run: Run) -> Action[Any] | None:
    """Return the action for a step: that of its class, or of its nearest base class; None if it acts itself."""
    kinds = (_ACTION_CLASSES[kind] for kind in type(step).__mro__ if kind in _ACTION_CLASSES)
    return next((kind(step, run) for kind in kinds), None)


def run_extension(step: Step) -> type[RunExtension] | None:
    """Return the class that extends runs with a step, or None."""
    kinds = (_ACTION_CLASSES[kind] for kind in type(step).__mro__ if kind in _ACTION_CLASSES)
    return next((kind.run_extension for kind in kinds), step.run_extension)
