"""Two clocks: relnox waits for a day in a moment by the first, and the second stands still."""

from __future__ import annotations

import pytest
from loopback import StoppedClock
from releases import SimulatedClock

from relnox.system import retries


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """The clock of relnox, by which pauses take no time."""
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    return simulated


@pytest.fixture
def stopped_clock() -> StoppedClock:
    """A clock for an embedded index."""
    return StoppedClock()
