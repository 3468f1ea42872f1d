"""A sample of runs of every task that are killed at random; `soak_random_kills` has 300 of them."""

from __future__ import annotations

import os
import random

import pytest
from random_kills import SIGNALS, TASKS, Kills

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them"),
]

SAMPLE = 12


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Kills:
    return Kills(tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("number", range(SAMPLE))
def test_the_same_command_finishes_what_was_killed(kills: Kills, number: int) -> None:
    chance = random.Random(f"sample {number}")
    kills.kill([*TASKS][number % len(TASKS)], SIGNALS[number % len(SIGNALS)], chance)
