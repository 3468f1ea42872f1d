"""Two clocks: relnox waits for a day in a moment by the first, and the second stands still. A forge client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loopback import StoppedClock
from releases import SimulatedClock

from relnox.forges import forge_of
from relnox.system import network

if TYPE_CHECKING:
    from fake_forge import ForgeServer

    from relnox.forges import Forge


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """The clock of relnox, by which pauses take no time."""
    simulated = SimulatedClock()
    monkeypatch.setattr(network.deadlines, "CLOCK", simulated)
    return simulated


@pytest.fixture
def stopped_clock() -> StoppedClock:
    """A clock for an embedded index."""
    return StoppedClock()


@pytest.fixture
def forge(server: ForgeServer) -> Forge:
    """The client of the fake forge that a test module has as its fixture `server`."""
    return forge_of(server.remote, server.environment)


@pytest.fixture
def main(server: ForgeServer) -> str:
    """The commit of the branch main of that forge."""
    return str(server.repository.ref("refs/heads/main"))
