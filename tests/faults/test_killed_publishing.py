"""A publish run that is killed anywhere, and the same command after it; the soak tries all places."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest
from killing import WORDS, killed_after, killed_before, pieces, publishing, undisturbed

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")]

POINTS = 8
TIMES = 12


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")


def test_killed_before_any_piece_that_it_sends_the_same_command_finishes(tmp_path: Path) -> None:
    with publishing(tmp_path / "undisturbed") as whole:
        number = pieces(whole.root, *WORDS)
    assert number > 2 * POINTS
    for at in random.Random(0).sample(range(1, number + 1), POINTS):
        with publishing(tmp_path / f"before-{at}") as begun:
            killed_before(begun.root, "any", at, *WORDS)
            begun.is_finished(at)


def test_killed_at_any_time_the_same_command_finishes(tmp_path: Path) -> None:
    with publishing(tmp_path / "undisturbed") as whole:
        undisturbed(whole)  # starts what processes are forked from
    with publishing(tmp_path / "timed") as whole:
        duration = undisturbed(whole)
    chance = random.Random(0)
    killed = 0
    for at in range(4 * TIMES):
        if killed == TIMES:  # one that ended before its time does not count
            break
        seconds = chance.uniform(0, duration)
        with publishing(tmp_path / f"time-{at}") as begun:
            killed += killed_after(seconds, begun)
            begun.is_finished(seconds)
    assert killed == TIMES
