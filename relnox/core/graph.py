"""Order among names that need one another: waves, and the cycle where there is no order."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["closure", "waves"]


def waves(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Names in waves: each wave needs only names of earlier waves; inside a wave the order is alphabetical.

    Args:
        needs: For every name the names it needs. Names that are no keys are from elsewhere and ignored.

    Raises:
        Blocked: The names need one another in a circle, which is printed.
    """
    sorter = TopologicalSorter({name: sorted(set(of) & needs.keys()) for name, of in sorted(needs.items())})
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise Blocked(
            "todo",
            f"the packages need one another in a circle: {circle}",
            fix="move one of these requirements into an extra or a dependency group",
        ) from None
    result = []
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready()))
        sorter.done(*ready)
        result.append(ready)
    return tuple(result)


def closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """All names that can be reached from `start` along `edges`, `start` included."""
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(edges.get(name, ()))
    return frozenset(reached)
