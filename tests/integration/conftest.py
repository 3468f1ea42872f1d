"""A clock by which relnox waits for a day in a moment, small projects, and indexes to publish to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from package_index import PackageIndex
from projects import pair, repository, single
from releases import SimulatedClock
from trusting import Trusting
from warm import settled

from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture
def index() -> Iterator[PackageIndex]:
    """An index without accounts."""
    with PackageIndex() as index:
        yield index


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """One package at 1.2.3, in a repository with a remote."""
    return repository(single(tmp_path / "demo"))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two packages in lockstep, at 2.0.0, one of which pins the other."""
    return repository(pair(tmp_path / "pair"))


@pytest.fixture
def surrounded(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Builds that only the settings of the test affect."""
    with settled(monkeypatch):
        yield
