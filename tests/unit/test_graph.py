from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relnox.core.graph import closure, waves
from relnox.errors import Blocked

NAMES = st.sampled_from([f"p{number}" for number in range(8)])
GRAPHS = st.dictionaries(NAMES, st.sets(NAMES), max_size=8)


def test_waves_of_a_workspace() -> None:
    needs = {
        "runtime": ("agents", "vespa"),
        "agents": ("core",),
        "vespa": ("core", "requests"),
        "core": (),
        "lone": (),
        "dashboard": ("runtime",),
    }
    assert waves(needs) == (("core", "lone"), ("agents", "vespa"), ("runtime",), ("dashboard",))


def test_nothing_has_no_waves() -> None:
    assert waves({}) == ()


@settings(deadline=None)
@given(GRAPHS)
def test_every_edge_goes_to_an_earlier_wave_or_the_circle_is_shown(needs: dict[str, set[str]]) -> None:
    # hypothesis graphs, circles included.
    try:
        order = waves(needs)
    except Blocked as refusal:
        found = re.fullmatch(r".* in a circle: (.+)", refusal.message)
        assert found is not None
        circle = found[1].split(" -> ")
        assert circle[0] == circle[-1]
        assert len(set(circle)) == len(circle) - 1
        for name, needed in pairwise(circle):
            assert needed in needs[name]
        return
    place = {name: number for number, wave in enumerate(order) for name in wave}
    assert place.keys() == needs.keys()
    assert sum(map(len, order)) == len(needs)
    for name, of in needs.items():
        earlier = [place[needed] for needed in of if needed in needs]
        assert all(number < place[name] for number in earlier)
        # No later than it has to be: a wave is what can be done at the same time.
        assert place[name] == max(earlier, default=-1) + 1
    for wave in order:
        assert list(wave) == sorted(wave)


@settings(deadline=None)
@given(GRAPHS)
def test_the_same_circle_is_shown_whatever_the_order_of_the_packages(needs: dict[str, set[str]]) -> None:
    def told(graph: dict[str, set[str]]) -> object:
        try:
            return waves(graph)
        except Blocked as refusal:
            return refusal.message

    assert told(needs) == told(dict(reversed(list(needs.items()))))


def test_a_circle_is_read_along_what_needs_what() -> None:
    with pytest.raises(Blocked) as caught:
        waves({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]})
    assert caught.value.message.endswith(("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"))
    assert caught.value.fix is not None
    assert "extra" in caught.value.fix


@settings(deadline=None)
@given(st.sets(NAMES), GRAPHS)
def test_a_closure_holds_its_start_and_whatever_its_members_lead_to(
    start: set[str], edges: dict[str, set[str]]
) -> None:
    reached = closure(start, edges)
    assert start <= reached
    assert all(edges.get(name, set()) <= reached for name in reached)
    # And nothing that no member leads to.
    assert all(name in start or any(name in edges.get(other, ()) for other in reached) for name in reached)
