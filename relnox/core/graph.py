"""Topological order of names that depend on each other."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import TypeVar

from relnox.errors import Blocked

N = TypeVar("N", bound=Hashable)


def sort_into_waves(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Sort names into waves, so that each name depends only on names in earlier waves.

    `needs` maps each name to those that it depends on; dependencies that are not keys are ignored. The names of a
    wave are in alphabetical order.

    Raises:
        Blocked: The dependencies form a cycle.
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


def reachable_names(start: Iterable[N], edges: Mapping[N, Iterable[N]]) -> frozenset[N]:
    """Return the names in `start` and all that can be reached from them by following `edges`."""
    result: set[N] = set()
    pending = list(start)
    while pending:
        name = pending.pop()
        if name not in result:
            result.add(name)
            pending.extend(edges.get(name, ()))
    return frozenset(result)
