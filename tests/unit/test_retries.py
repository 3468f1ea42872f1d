"""Retries: the pauses between them, what servers ask for, and how they end."""

from __future__ import annotations

import random
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from releases import SimulatedClock

from relnox.errors import Failed
from relnox.system import process, retries, run_scope
from relnox.system.retries import Deadline, TransientError
from relnox.system.run_scope import current_scope

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
RESET = str(int(NOON.timestamp()) + 60)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    return simulated


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
    assert clock.monotonic() == 300


def test_a_deadline_of_zero_is_one_try(clock: SimulatedClock) -> None:
    with pytest.raises(TransientError):
        Deadline(0).back_off(TransientError("index-unavailable", "broken"))
    assert clock.monotonic() == 0


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
    retry_after = retries.retry_after({name: asked}, clock.utc_now())
    deadline = Deadline(1)
    with pytest.raises(TransientError):  # noqa: PT012 - some of them are worth a pause
        while True:
            deadline.back_off(TransientError("index-unavailable", "busy", retry_after=retry_after))


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
        process.end_programs()
        time.sleep(0.05)
    assert ended == ["interrupted", "pause", "program"]


@pytest.mark.parametrize(("seconds", "error"), [(0.3, TimeoutError), (None, KeyboardInterrupt)])
def test_more_calls_than_threads_end_with_the_time_limit_and_with_a_signal(
    seconds: float | None, error: type[BaseException]
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    main = threading.main_thread().ident or 0
    interruption = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
    if seconds is None:
        interruption.start()
    try:
        with pytest.raises(error):
            run_scope.call_concurrently(
                lambda number: Deadline().wait(600, f"pause {number}"), range(20), threads=4, seconds=seconds
            )
    finally:
        signal.signal(signal.SIGINT, before)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("call")]
