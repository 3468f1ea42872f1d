"""The base of all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BaseStep", "listing"]


class BaseStep(Record, kw_only=True):
    """The base of all steps; subclasses add `key`, the name inside the plan, and `title`, a line for the user.

    Attributes:
        needs: Keys of steps that must succeed before this one.
    """

    remote: ClassVar[bool] = False
    """Whether it changes something outside of this machine."""
    atomic: ClassVar[bool] = False
    """Whether an interruption waits for the end of the step: half of it would be worse than all or none."""
    concurrent: ClassVar[bool] = False
    """Whether it may run at the same time as other concurrent steps next to it in the plan."""

    needs: tuple[str, ...] = ()

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        """The resources that it uses: the name of each, and how many steps may use it at once.

        None means as many as keep this machine's processors busy.
        """
        return (("processors", None),)


def listing(names: Iterable[str], limit: int = 4) -> str:
    """Join names to a text such as `a, b, c and 7 more`."""
    names = list(names)
    text = ", ".join(names[:limit])
    return f"{text} and {len(names) - limit} more" if len(names) > limit else text
