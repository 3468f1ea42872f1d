"""What a small task does not need is not opened (docs/decisions/0003-start-up.md)."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import repository, single

if TYPE_CHECKING:
    from pathlib import Path

SLOW = ("asyncio", "build", "concurrent.futures", "dataclasses", "difflib", "logging", "requests", "rich", "twine")
OTHER_ROOMS = ("relnox.building", "relnox.executor.parallel", "relnox.indexes", "relnox.system.network")


@pytest.mark.parametrize("words", [["--part", "patch"], ["--part", "patch", "--commit", "--tag"]])
def test_a_bump_opens_nothing_that_it_does_not_need(words: list[str], tmp_path: Path) -> None:
    root = repository(single(tmp_path / "demo"))
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "relnox", "bump", *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    opened = {
        line.rpartition("|")[2].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")
    }
    assert "relnox.commands.bump.selection" in opened
    assert opened.isdisjoint((*SLOW, *OTHER_ROOMS))
