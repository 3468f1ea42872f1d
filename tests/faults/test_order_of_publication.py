"""Whatever needs what and whatever fails: no package is public before those that it needs."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from releases import Package, SimulatedClock, release

from relnox import executor
from relnox.commands import publish
from relnox.core import graph
from relnox.core.planning.plan import Plan
from relnox.core.records import replace
from relnox.core.release.publication import FileCheck
from relnox.errors import ExitCode, Failed
from relnox.indexes.index import ServedContent
from relnox.indexes.listings import IndexFile, Listing
from relnox.indexes.targets import Target
from relnox.steps.run import Run
from relnox.system import retries
from relnox.system.files import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from relnox.core.planning.events import Outcome
    from relnox.core.release.manifest import Distribution, Manifest

pytestmark = pytest.mark.heavy

NAMES = ("a", "b", "c", "d", "e")
UNLABELLED_DAGS = {1: 1, 2: 2, 3: 6, 4: 31, 5: 302}
FAULTS = ["wheel", "sdist", "listing", "serving"]
"""How many directed graphs without circles there are, up to isomorphism (OEIS A003087)."""

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


class Fault(NamedTuple):
    """What fails: a package, and of it the wheel, the sdist, the listing or the serving."""

    package: str
    what: str


class InMemoryIndex:
    """What the actions ask of an index, without the network; it lists what it took unless it is to fail."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.held: dict[str, dict[str, IndexFile]] = {}
        self.order: list[str] = []

    def upload(
        self,
        path: Path,
        file: Distribution,
        attestations: object = (),
        sending: Callable[[], None] = lambda: None,
    ) -> str:
        sending()
        if self.fault == (file.package, file.kind):
            error = Failed("file-rejected", f"{file.filename} is not wanted")
            error.rejected = True
            raise error
        self.order.append(file.filename)
        listed = IndexFile(filename=file.filename, url=file.package, sha256=file.sha256)
        self.held.setdefault(file.package, {})[file.filename] = listed
        return "200 OK"

    def cached_listing(self, project: str) -> Listing:
        return Listing(self.held.get(project, {}).values())

    def hashes(
        self, project: str, wanted: Collection[str], *, refresh: bool = True, deadline: object = None
    ) -> dict[str, str]:
        if self.fault == (project, "listing"):
            return {}
        return {name: file.sha256 or "" for name, file in self.cached_listing(project).items() if name in wanted}

    def compare_served(self, built: Distribution, _deadline: object) -> ServedContent:
        return ServedContent(FileCheck.ABSENT if self.fault == (built.package, "serving") else FileCheck.MATCH, "")


def run(manifest: Manifest, root: Path, index: InMemoryIndex) -> Outcome:
    """Carry out what `publish` plans."""
    steps = tuple(publish.upload_steps(manifest, Target("own", "", "simple/"), "dist"))
    with TemporaryDirectory() as scratch:
        plan = Plan(task="publish", steps=steps, continue_on_error=True)
        return executor.execute(
            Run(
                plan=plan,
                root=root,
                git=None,
                indexes=lambda: {"own": index},  # type: ignore[arg-type, return-value]
                emit=lambda _event: None,
                scratch=scratch,
            ),
        )


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("what", FAULTS)
def test_no_package_is_public_before_those_that_it_needs(
    what: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_package_is_public_before_those_that_it_needs(what, size, tmp_path, monkeypatch)


def no_package_is_public_before_those_that_it_needs(
    what: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publish each graph of this size, with this fault at each of its packages."""
    monkeypatch.setattr(retries, "CLOCK", SimulatedClock(grace=0))
    built = release(tmp_path, [Package(name) for name in NAMES[:size]])
    count = Counter[str]()
    for edges in graphs(size):
        count["graphs"] += 1
        needs = {
            name: tuple(NAMES[earlier] for later, earlier in sorted(edges) if NAMES[later] == name)
            for name in NAMES[:size]
        }
        manifest = replace(built, needs=tuple(needs.items()))
        for package in NAMES[:size]:
            index = InMemoryIndex(Fault(package, what))
            outcome = run(manifest, tmp_path, index)
            _is_in_order(index, needs)
            _only_the_cone_stops(index, needs, manifest, outcome)
            count["runs"] += 1
    assert count["graphs"] == UNLABELLED_DAGS[size]
    assert count["runs"] == UNLABELLED_DAGS[size] * size


def _is_in_order(index: InMemoryIndex, needs: Mapping[str, tuple[str, ...]]) -> None:
    """Each file went up after all files of what its package needs."""
    for place, filename in enumerate(index.order):
        for needed in needs[filename[0]]:
            assert sum(name[0] == needed for name in index.order[:place]) == 2, (index.order, needs)


def _only_the_cone_stops(
    index: InMemoryIndex, needs: Mapping[str, tuple[str, ...]], manifest: Manifest, outcome: Outcome
) -> None:
    """What needs the package that failed was not begun; all else is there."""
    failed = index.fault.package
    below = {name for name in needs if failed in graph.closure([name], needs)} - {failed}
    assert below.isdisjoint(index.held)
    for name in needs.keys() - below - {failed}:
        assert len(index.held[name]) == 2
    # Something is proven: another package, or the wheel of the one whose sdist is refused. Else what was taken and
    # is not shown may be public, and what was refused is not.
    proven = len(index.held.keys() - {failed}) > 0 or index.fault.what == "sdist"
    in_doubt = index.fault.what in ("listing", "serving")
    unproven = ExitCode.TRY_LATER if in_doubt else ExitCode.FAILED
    assert outcome.exit_code == (ExitCode.PARTLY_PUBLIC if proven else unproven)
