"""Whatever needs what and whatever fails: no package is public before those that it needs."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import FILE, LISTING, PackageIndex, Rule
from releases import Package, SimulatedClock, publish, release

from relnox.core import graph
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.heavy

NAMES = ("a", "b", "c")
FAULTS: dict[str, Callable[[str], Rule]] = {
    "wheel": lambda project: Rule(acts.TOO_LARGE, project=project, filename="*.whl"),
    "sdist": lambda project: Rule(acts.TOO_LARGE, project=project, filename="*.tar.gz"),
    "listing": lambda project: Rule(acts.hides(10**6), on=LISTING, project=project),
    "serving": lambda project: Rule(acts.answers(404, "Not Found"), on=FILE, project=project),
}
"""What fails of a package."""

Edges = frozenset[tuple[int, int]]


def graphs(size: int) -> Iterator[Edges]:
    """One of each kind of directed graph without circles; an edge `(2, 0)` says that 2 needs 0."""
    possible = [(later, earlier) for later in range(size) for earlier in range(later)]
    seen: set[tuple[tuple[int, int], ...]] = set()
    renamings = list(itertools.permutations(range(size)))
    for chosen in itertools.product((False, True), repeat=len(possible)):
        edges = [edge for edge, taken in zip(possible, chosen, strict=True) if taken]
        if tuple(edges) in seen:
            continue
        seen.update(tuple(sorted((new[later], new[earlier]) for later, earlier in edges)) for new in renamings)
        yield frozenset(edges)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_package_is_public_before_those_that_it_needs(
    fault: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", clock)
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    for edges, failing in itertools.product(graphs(size), NAMES[:size]):
        needs = {
            name: tuple(NAMES[earlier] for later, earlier in sorted(edges) if NAMES[later] == name)
            for name in NAMES[:size]
        }
        release(tmp_path, [Package(name, needed) for name, needed in needs.items()])
        with PackageIndex([FAULTS[fault](failing)], clock=clock.time) as index:
            ran = publish(tmp_path, index)
        order = [upload.project for upload in index.uploads if upload.accepted]
        for place, project in enumerate(order):
            assert all(order[:place].count(needed) == 2 for needed in needs[project]), (order, needs)
        # What needs the package that failed was not begun; all else is there.
        below = {name for name in needs if failing in graph.reachable_names([name], needs)} - {failing}
        assert below.isdisjoint(order), (order, needs)
        assert all(order.count(name) == 2 for name in needs.keys() - below - {failing}), (order, needs)
        # Something is proven: another package, or the wheel of the one whose sdist is refused. Else what was taken
        # and is not shown may be public, and what was refused is not.
        proven = bool(set(order) - {failing}) or fault == "sdist"
        assert ran.code == (3 if proven else 5 if fault in ("listing", "serving") else 2), (order, needs)
