"""Sixty files to an index that misbehaves in each known way: `nox -s hostile-index`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from test_misbehaving_index import MODES, clock, each_way_ends_with_its_code

if TYPE_CHECKING:
    from pathlib import Path

    from releases import SimulatedClock

__all__ = ["clock"]


@pytest.mark.parametrize("mode", MODES)
def test_each_way_to_misbehave_ends_with_its_code(mode: str, tmp_path: Path, clock: SimulatedClock) -> None:
    each_way_ends_with_its_code(mode, 60, tmp_path, clock)
