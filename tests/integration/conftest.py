"""A clock by which relnox waits for a day in a moment, and indexes to publish to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from releases import SimulatedClock
from trusting import Trusting

from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "canary-0815"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    """The clock of relnox, by which pauses take no time."""
    simulated = SimulatedClock()
    monkeypatch.setattr(retries, "CLOCK", simulated)
    return simulated


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token of each index of the tests."""
    for name in ("SHOP", "TRYING", "ALIAS", "OTHER"):
        monkeypatch.setenv(f"RELNOX_{name}_TOKEN", TOKEN)


@pytest.fixture
def shop(tokens: None) -> Iterator[Trusting]:
    """A production index."""
    with Trusting(TOKEN) as index:
        yield index


@pytest.fixture
def trying(tokens: None) -> Iterator[Trusting]:
    """A test index."""
    with Trusting(TOKEN) as index:
        yield index
