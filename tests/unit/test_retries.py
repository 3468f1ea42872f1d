"""Retries: the pauses between them, what servers ask for, and who is notified about waits."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from releases import SimulatedClock

from relnox.core.planning.events import Waiting
from relnox.errors import Failed
from relnox.system import process, retries, run_scope
from relnox.system.retries import Deadline, TransientError
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DOWN = Waiting("pypi is down", NOON, NOON)
SLOW = Waiting("pypi does not show all of the release yet", NOON, NOON)
RESET = str(int(NOON.timestamp()) + 60)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    return simulated


# --- pauses


def test_pauses_are_drawn_from_growing_spans(clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[float] = []

    def longest(low: float, high: float) -> float:
        spans.append(high)
        return high

    def broken() -> None:
        raise TransientError("index-unavailable", "broken")

    monkeypatch.setattr(random, "uniform", longest)
    with pytest.raises(TransientError, match="broken; gave up after 300 s"):
        retries.retry(broken, Deadline(300))
    assert spans == [0.5, 1, 2, 4, 8, 16, 32, *[60] * 4]
    assert clock.now() == 300


def test_a_deadline_of_zero_is_one_try(clock: SimulatedClock) -> None:
    with pytest.raises(TransientError):
        Deadline(0).back_off(TransientError("index-unavailable", "broken"))
    assert clock.now() == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "30"}, 30),
        ({"Retry-After": format_datetime(NOON + timedelta(seconds=90), usegmt=True)}, 90),
        ({"Retry-After": format_datetime(NOON - timedelta(seconds=90), usegmt=True)}, 0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"RateLimit-Reset": "40"}, 40),
        ({"X-RateLimit-Reset": RESET}, 60),
        ({"Retry-After": "5", "RateLimit-Reset": "40"}, 5),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": RESET}, 60),
        ({"X-RateLimit-Remaining": "4990", "X-RateLimit-Reset": RESET}, None),
        ({}, None),
    ],
)
def test_what_a_server_asks_for_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    assert retries.retry_after(headers, NOON) == seconds


@pytest.mark.parametrize(
    "asked",
    [
        *("-1", "9" * 12, "9" * 5000, "1e999", "inf", "nan", "\u0663", "0x10", "1, 2", "", " ", "None"),
        *("Mon, 01 Jan 99999 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 0001 00:00:00 +2359"),
        *("Mon, 99 Foo 2026 99:99:99 GMT", "Mon, 01 Jan 2026 00:00:00 +9999999999", "1 Jan " + "9" * 30),
    ],
)
@pytest.mark.parametrize("name", ["Retry-After", "RateLimit-Reset"])
def test_absurd_pauses_are_no_bug(asked: str, name: str, clock: SimulatedClock) -> None:
    retry_after = retries.retry_after({name: asked}, clock.today())
    deadline = Deadline(1)
    with pytest.raises(TransientError):  # noqa: PT012 - some of them are worth a pause
        while True:
            deadline.back_off(TransientError("index-unavailable", "busy", retry_after=retry_after))


# --- interruptions


def test_pauses_end_with_the_run_and_those_of_another_run_go_on() -> None:
    ended: list[str] = []
    other = run_scope.RunScope()

    def rest() -> None:
        try:
            Deadline().wait(600, "nothing to do")
        except Failed as error:
            ended.append(str(error))

    def rest_in_other_run() -> None:
        with run_scope.enter_scope(other):
            Deadline().wait(0.6, "nothing to do")
            ended.append("pause")
            ended.append(process.run(["sleep", "0.6"], cwd=Path()).output or "program")

    threads = [threading.Thread(target=work) for work in (rest, rest_in_other_run)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        current_scope().interrupt()
        process.end_all()
        time.sleep(0.05)
    assert ended == ["interrupted", "pause", "program"]


def test_threads_of_a_run_have_its_scope() -> None:
    scope = run_scope.RunScope()
    scopes: list[run_scope.RunScope] = []
    look: Callable[[], None] = lambda: scopes.append(current_scope())  # noqa: E731
    with run_scope.enter_scope(scope), run_scope.ThreadPool(1) as pool:
        pool.submit(look).result()
        background = run_scope.new_thread(look, "background")
        background.start()
        background.join()
    assert scopes == [scope] * 2
    assert current_scope() is not scope


# --- notifications


def test_a_wait_is_reported_at_once_and_then_less_and_less_often() -> None:
    events: list[Waiting] = []
    times: list[int] = []
    with retries.on_wait(events.append):
        for second in range(3600):
            retries.notify(DOWN, second)
            if len(events) > len(times):
                times.append(second)
    assert times == [0, 60, 180, *range(420, 3600, 300)]


def test_waits_for_different_reasons_are_reported_separately() -> None:
    events: list[Waiting] = []
    with retries.on_wait(events.append):
        for wait in (DOWN, SLOW, DOWN, SLOW):
            retries.notify(wait, 5.0)
    assert events == [DOWN, SLOW]


def test_the_innermost_listener_hears_and_afterwards_the_one_before() -> None:
    outer: list[Waiting] = []
    inner: list[Waiting] = []
    with retries.on_wait(outer.append):
        with retries.on_wait(inner.append):
            retries.notify(DOWN, 0.0)
        retries.notify(SLOW, 0.0)
    retries.notify(DOWN, 0.0)
    assert (outer, inner) == ([SLOW], [DOWN])
