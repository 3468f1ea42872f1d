"""A simulated year: releases on two lines, by hand and by pull request, with kills and concurrent pushes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from simulated_year import simulated_year

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

EVENTS = 100


@pytest.mark.parametrize("seed", [1, 2])
def test_no_version_comes_twice_and_each_published_one_has_its_tag(tmp_path: Path, seed: int) -> None:
    with simulated_year(tmp_path, seed) as year:
        year.pass_days(EVENTS)
        year.check()
    assert len(year.tags) > EVENTS // 10, year.story
    assert len(year.published) > EVENTS // 20, year.story
