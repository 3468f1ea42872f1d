"""Topological order of names that depend on each other."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def waves(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Sort names into waves: each depends only on names of earlier waves. A wave is in alphabetical order.

    Args:
        needs: The dependencies of every name; those that are not keys are ignored.

    Raises:
        Blocked: The dependencies have a cycle.
    """
    sorter = TopologicalSorter({name: sorted(set(of) & needs.keys()) for name, of in sorted(needs.items())})
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " -> ".join(reversed(error.args[1]))
        raise Blocked(
            "dependency-cycle",
            f"packages depend on each other in a cycle: {cycle}",
            fix="move one of these requirements to an extra or a dependency group",
        ) from None
    result = []
    while sorter.is_active():
        wave = tuple(sorted(sorter.get_ready()))
        sorter.done(*wave)
        result.append(wave)
    return tuple(result)


def closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """Find all names that are reachable from `start` along `edges`, including `start`."""
    result: set[str] = set()
    pending = list(start)
    while pending:
        name = pending.pop()
        if name not in result:
            result.add(name)
            pending.extend(edges.get(name, ()))
    return frozenset(result)
