"""Split a workspace over jobs: the same packages in the same job each time, about as many in each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core import graph
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relnox.core.packages import Package

__all__ = ["shard"]

_PART = re.compile(r"([1-9][0-9]{0,3})/([1-9][0-9]{0,3})")


def shard(packages: Sequence[Package], part: str) -> tuple[Package, ...]:
    """The packages that one of several jobs builds, in the order they were given.

    Packages that need one another to be built, with all that installing such a need brings, stay together. Every
    package is in one part; where there are fewer of such groups than parts, some parts are empty.

    Args:
        packages: The packages to split.
        part: Which part of how many, such as `2/5`, counted from 1.

    Raises:
        Blocked: `part` is none.
    """
    number, parts = _read(part)
    loads: list[list[str]] = [[] for _ in range(parts)]
    # The largest first, each to the emptiest: that is even, and does not depend on the order of the packages.
    for group in sorted(_groups(_together(packages)), key=lambda group: (-len(group), group)):
        min(loads, key=len).extend(group)
    chosen = frozenset(loads[number - 1])
    return tuple(package for package in packages if package.name in chosen)


def _read(part: str) -> tuple[int, int]:
    found = _PART.fullmatch(part)
    if found is None or int(found[1]) > int(found[2]):
        raise Blocked(
            "todo", f"{part!r} is no part of several", fix="write which of how many: 2/5 is the second of five"
        )
    return int(found[1]), int(found[2])


def _together(packages: Sequence[Package]) -> dict[str, frozenset[str]]:
    """For every package those of the others that have to be there when it is built."""
    workspace = Workspace(tuple(packages))
    runtime = workspace.edges("runtime")
    return {name: graph.closure(needs, runtime) for name, needs in workspace.edges("build").items()}


def _groups(edges: Mapping[str, frozenset[str]]) -> Iterator[list[str]]:
    """The names in groups between which no edge runs, each sorted."""
    both = {name: set(of) for name, of in edges.items()}
    for name, of in edges.items():
        for other in of:
            both[other].add(name)
    seen: set[str] = set()
    for name in sorted(both):
        if name not in seen:
            group = sorted(graph.closure([name], both))
            seen.update(group)
            yield group
