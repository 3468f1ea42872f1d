"""What all steps have."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BaseStep", "listing"]


class BaseStep(Record, kw_only=True):
    """What every kind of step has; each adds `key`, its name inside the plan, and `title`, its one line.

    Attributes:
        needs: Keys of steps without whose success this one makes no sense.
    """

    remote: ClassVar[bool] = False
    """Whether the effect can be seen by others."""
    atomic: ClassVar[bool] = False
    """Whether a signal waits until the step is through: half of it would be worse than either end."""
    concurrent: ClassVar[bool] = False
    """Whether it may run beside its neighbours in a plan that are so, too, once what it needs is done."""

    needs: tuple[str, ...] = ()

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        """The resources that it uses: the name of each, and how many steps may use it at once.

        None means as many as keep this machine's processors busy.
        """
        return (("processors", None),)


def listing(names: Iterable[str], most: int = 4) -> str:
    """`a, b, c and 7 more`."""
    every = list(names)
    shown = ", ".join(every[:most])
    return f"{shown} and {len(every) - most} more" if len(every) > most else shown
