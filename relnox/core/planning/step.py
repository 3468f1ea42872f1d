"""What the plan and the executor know of steps; the steps themselves are in `relnox.steps`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from relnox.core.records import Record

if TYPE_CHECKING:
    from relnox.core.bump.changes import Edit
    from relnox.core.release.manifest import Distribution


class Step(Record, ABC, kw_only=True):
    """The base of all steps: what is done, as data. Its action does it (`relnox.steps.action`).

    A subclass adds fields, `key` and `title`, and overrides the properties that are different for it.

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
    @abstractmethod
    def key(self) -> str:
        """Its name inside the plan."""

    @property
    @abstractmethod
    def title(self) -> str:
        """A line for the user that says what it will do."""

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


def after(*steps: Step | None) -> tuple[str, ...]:
    """Return what a step needs that can only run after these; None stands for a step that is not planned."""
    return tuple(step.key for step in steps if step is not None)
