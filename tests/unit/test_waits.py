"""Who hears of waits, and how often."""

from __future__ import annotations

from datetime import UTC, datetime

from relnox.core.planning.events import Waiting
from relnox.system import waits

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DOWN = Waiting("pypi is down", NOON, NOON)
SLOW = Waiting("pypi does not show all of the release yet", NOON, NOON)


def test_a_wait_is_reported_at_once_and_then_less_and_less_often() -> None:
    events: list[Waiting] = []
    times: list[int] = []
    with waits.on_wait(events.append):
        for second in range(3600):
            waits.notify(DOWN, second)
            if len(events) > len(times):
                times.append(second)
    assert times == [0, 60, 180, *range(420, 3600, 300)]


def test_waits_for_different_reasons_are_reported_separately() -> None:
    events: list[Waiting] = []
    with waits.on_wait(events.append):
        for wait in (DOWN, SLOW, DOWN, SLOW):
            waits.notify(wait, 5.0)
    assert events == [DOWN, SLOW]


def test_the_innermost_listener_hears_and_afterwards_the_one_before() -> None:
    outer: list[Waiting] = []
    inner: list[Waiting] = []
    with waits.on_wait(outer.append):
        with waits.on_wait(inner.append):
            waits.notify(DOWN, 0.0)
        waits.notify(SLOW, 0.0)
    waits.notify(DOWN, 0.0)
    assert (outer, inner) == ([SLOW], [DOWN])
