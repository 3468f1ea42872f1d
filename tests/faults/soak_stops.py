"""Bumps killed at each change, and with each signal: `nox -s soak`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from stopped_bumps import MANY, SCENES, Scene, World

if TYPE_CHECKING:
    from pathlib import Path

PARTS = 4
STRIDE = 7


def check_stops(scene: Scene, directory: Path, patch: pytest.MonkeyPatch, share: slice) -> None:
    world = World(directory, scene, patch)
    stops = range(1, world.stops + 1)[share]
    for at in stops:
        world.stop_before(at)
    sys.stdout.write(f"{len(stops)} of {world.stops} stops, {world.states} states: all converged\n")


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_before_any_change_a_bump_is_finished_or_undone(
    part: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_stops(SCENES["plain"], tmp_path, monkeypatch, slice(part, None, PARTS))


@pytest.mark.parametrize("name", [name for name in SCENES if name != "plain"])
def test_killed_before_some_changes_a_bump_of_any_project_is_finished_or_undone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_stops(SCENES[name], tmp_path, monkeypatch, slice([*SCENES].index(name) % STRIDE, None, STRIDE))


def test_killed_before_some_changes_a_bump_of_500_packages_is_finished_or_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_stops(MANY, tmp_path, monkeypatch, slice(60, None, 400))
