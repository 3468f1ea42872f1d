"""Longer simulated years than those of `tests/integration/test_simulated_year.py`: `nox -s soak`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_forge import forge_server
from simulated_year import Year

if TYPE_CHECKING:
    from pathlib import Path

    from releases import SimulatedClock

EVENTS = 200


@pytest.mark.parametrize("seed", range(3, 9))
def test_no_version_comes_twice_in_a_long_year(
    tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    del clock
    year = Year(tmp_path, seed)
    with forge_server(year.forge):
        for name, value in {**year.forge.environment, "GITHUB_RUN_NUMBER": "0"}.items():
            monkeypatch.setenv(name, value)
        for _ in range(4):
            year.pass_days(EVENTS // 4)
            year.check()
    assert len(year.tags) > EVENTS // 10, year.story
