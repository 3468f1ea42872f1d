"""What the plan and the executor know of steps; the steps themselves are in `relnox.steps`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from relnox.core.records import Record

if TYPE_CHECKING:
    from relnox.core.bump.changes import Edit
    from relnox.core.planning.events import StepWarning
    from relnox.core.planning.policy import Policy
    from relnox.core.release.manifest import Distribution

__all__ = ["Step", "StepAction", "after"]


class StepAction(Protocol):
    """How a step is done, in one run.

    Attributes:
        result: The value that later steps read; None if they read nothing.
        warnings: Warnings about files that it made.
    """

    result: Any
    warnings: tuple[StepWarning, ...]

    def check(self) -> str | None:
        """Return why nothing has to be done, or None."""

    def apply(self) -> None:
        """Apply the step."""

    def verify(self) -> str:
        """Check the effect and describe it; raise an error if it is missing."""


class Step(Record, kw_only=True):
    """The base of all steps: what is done, as data.

    A subclass adds fields, `key`, `title` and `action`, and overrides the properties that are different for it.

    Attributes:
        needs: Keys of steps that must succeed before this one; see `after`.
    """

    remote: ClassVar[bool] = False
    """Whether it changes something outside of this machine."""
    atomic: ClassVar[bool] = False
    """Whether an interruption waits for the end of the step: half of it would be worse than all or none."""
    concurrent: ClassVar[bool] = False
    """Whether it may run at the same time as other concurrent steps next to it in the plan."""
    exclusive: ClassVar[bool] = False
    """Whether it changes the checkout or its archives, so that only one run at a time may have such steps."""
    runs_project_code: ClassVar[bool] = False
    """Whether it runs code of the project, its packages or their requirements."""
    runs_task: ClassVar[bool] = False
    """Whether it runs another task, whose events come between its own."""
    publishes: ClassVar[bool] = False
    """Whether it only serves to make files public: its failure does not matter once all of them are verified."""

    needs: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name inside the plan."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """A line for the user that says what it will do."""
        raise NotImplementedError

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        """The resources that it uses: the name of each, and how many steps may use it at once.

        None means as many as keep this machine's processors busy.
        """
        return (("processors", None),)

    @property
    def previewed_edits(self) -> tuple[Edit, ...]:
        """Edits of files that a dry run shows as a diff."""
        return ()

    @property
    def upload(self) -> tuple[str, Distribution] | None:
        """The index and the file that it makes public there; None if it does not."""
        return None

    @property
    def invalidates(self) -> str | None:
        """The package whose archives must not be released if the step fails; None if there is none."""
        return None

    def run_policy(self, run: Any) -> Policy | None:
        """Return the policy for runs of plans with this step, if it has one."""
        del run
        return None

    def action(self, run: Any) -> StepAction:
        """Return how it is done in a run (`relnox.steps.run.Run`)."""
        raise NotImplementedError


def after(*steps: Step | None) -> tuple[str, ...]:
    """Return what a step needs that can only run after these; None stands for a step that is not planned."""
    return tuple(step.key for step in steps if step is not None)
