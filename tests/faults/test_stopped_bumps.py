"""Bumps that are stopped before some of their changes; the soak stops them before each."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from stopped_bumps import SCENES, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")]

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
STOPS = {"plain": 12, "undo": 4}
"""How many, where it is not 2, spread over the second half: the first one only looks."""


@pytest.mark.parametrize("name", SCENES)
def test_a_bump_that_is_stopped_is_finished_by_the_same_command_or_undone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, SCENES[name], monkeypatch)
    count, shift = STOPS.get(name, 2), [*SCENES].index(name)
    for number in range(count):
        at = world.stops // 2 + (world.stops // 2 * number + shift * 3) // count
        world.stop_before(at, SIGNALS[number % 3 if count > 2 else 0])
