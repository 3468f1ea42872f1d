"""A simulated year: releases on two lines, by hand and by pull request, with kills and concurrent pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fake_forge import forge_server
from simulated_year import Year

if TYPE_CHECKING:
    from pathlib import Path

    from releases import SimulatedClock

pytestmark = pytest.mark.heavy

EVENTS = 100


@pytest.mark.parametrize("seed", [1, 2])
def test_no_version_comes_twice_and_each_published_one_has_its_tag(
    tmp_path: Path, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    del clock
    year = Year(tmp_path, seed)
    with forge_server(year.forge):
        for name, value in {**year.forge.environment, "GITHUB_RUN_NUMBER": "0"}.items():
            monkeypatch.setenv(name, value)
        year.pass_days(EVENTS)
        year.check()
    assert len(year.tags) > EVENTS // 10, year.story
    assert len(year.published) > EVENTS // 20, year.story
