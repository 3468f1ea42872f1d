"""Deterministic, balanced distribution of a workspace's packages over CI jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core import graph
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relnox.core.packages import Package


def select_shard(packages: Sequence[Package], part: str) -> tuple[Package, ...]:
    """Return the packages of one shard, such as `2/5` for the second of five, in their given order.

    A package is in the same shard as the packages that its build needs. Every package is in exactly one shard; if
    there are fewer groups of such packages than shards, some shards are empty.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})", part)
    if match is None or int(match[1]) > int(match[2]):
        raise Blocked(
            "value-invalid",
            f"{part!r} is not a valid shard (number/total)",
            fix="write it as in 2/5, the second of five shards",
        )
    workspace = Workspace(tuple(packages))
    runtime = workspace.dependency_edges("runtime")
    # The packages that each build needs, with their runtime dependencies.
    closures = {name: graph.closure(needs, runtime) for name, needs in workspace.dependency_edges("build").items()}
    loads: list[list[str]] = [[] for _ in range(int(match[2]))]
    # The largest group first, always to the smallest shard: balanced, and independent of the order of packages.
    for group in sorted(_connected_groups(closures), key=lambda group: (-len(group), group)):
        min(loads, key=len).extend(group)
    names = frozenset(loads[int(match[1]) - 1])
    return tuple(package for package in packages if package.name in names)


def _connected_groups(edges: Mapping[str, frozenset[str]]) -> Iterator[list[str]]:
    """Yield the groups of names that are connected by edges in either direction, each group sorted."""
    both = {name: set(of) for name, of in edges.items()}
    for name, of in edges.items():
        for other in of:
            both[other].add(name)
    visited_packages: set[str] = set()
    for name in sorted(both):
        if name not in visited_packages:
            group = sorted(graph.closure([name], both))
            visited_packages.update(group)
            yield group
