"""A clock by which relnox waits for a day in a moment."""

from __future__ import annotations

import pytest
from releases import SimulatedClock

from relnox.system import retries


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """The clock of relnox, by which pauses take no time."""
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    return simulated
