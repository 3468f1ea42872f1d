"""Longer simulated years than those of `tests/integration/test_simulated_year.py`: `nox -s soak`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from simulated_year import simulated_year

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = 200


@pytest.mark.parametrize("seed", range(3, 9))
def test_no_version_comes_twice_in_a_long_year(tmp_path: Path, seed: int) -> None:
    with simulated_year(tmp_path, seed) as year:
        for _ in range(4):
            year.pass_days(EVENTS // 4)
            year.check()
    assert len(year.tags) > EVENTS // 10, year.story
