from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from relnox.core.graph import reachable_names, sort_into_waves
from relnox.errors import Blocked

NAMES = st.sampled_from([f"p{number}" for number in range(8)])
GRAPHS = st.dictionaries(NAMES, st.sets(NAMES), max_size=8)


@settings(deadline=None)
@given(GRAPHS)
def test_every_edge_goes_to_an_earlier_wave_or_the_cycle_is_reported(needs: dict[str, set[str]]) -> None:
    # The graphs of hypothesis may have cycles.
    try:
        order = sort_into_waves(needs)
    except Blocked as error:
        match, fix = re.fullmatch(r".* in a cycle: (.+)", error.message), error.fix
        assert match is not None
        assert "extra" in fix
        cycle = match[1].split(" -> ")
        assert cycle[0] == cycle[-1]
        assert len(set(cycle)) == len(cycle) - 1
        for name, needed in pairwise(cycle):
            assert needed in needs[name]
        return
    wave_numbers = {name: number for number, wave in enumerate(order) for name in wave}
    assert wave_numbers.keys() == needs.keys()
    assert sum(map(len, order)) == len(needs)
    for name, of in needs.items():
        earlier = [wave_numbers[needed] for needed in of if needed in needs]
        assert all(number < wave_numbers[name] for number in earlier)
        # Not later than necessary: a wave is everything that can be done at the same time.
        assert wave_numbers[name] == max(earlier, default=-1) + 1
    for wave in order:
        assert list(wave) == sorted(wave)


@settings(deadline=None)
@given(GRAPHS)
def test_the_reported_cycle_does_not_depend_on_the_order_of_the_packages(needs: dict[str, set[str]]) -> None:
    def result(graph: dict[str, set[str]]) -> object:
        try:
            return sort_into_waves(graph)
        except Blocked as error:
            return error.message

    assert result(needs) == result(dict(reversed(list(needs.items()))))


@settings(deadline=None)
@given(st.sets(NAMES), GRAPHS)
def test_a_closure_has_its_start_and_everything_reachable_from_it(
    start: set[str], edges: dict[str, set[str]]
) -> None:
    reached = reachable_names(start, edges)
    assert start <= reached
    assert all(edges.get(name, set()) <= reached for name in reached)
    # And nothing else.
    assert all(name in start or any(name in edges.get(other, ()) for other in reached) for name in reached)
