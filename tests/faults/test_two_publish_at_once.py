"""The same release published by two processes at once: both tell the truth."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import acts
import pytest
from package_index import PackageIndex, Rule
from releases import Package, is_whole, publish, release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.core.release.manifest import Manifest

pytestmark = pytest.mark.heavy

PACKAGES = [Package("core", wheels=2), Package("demo", ("core",), wheels=2)]
WORDS = ["-m", "relnox", "publish", "--index", "own", "--reporter", "plain"]
TIMES = 6


@pytest.fixture(autouse=True)
def surroundings_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")


def at_once(*roots: Path) -> Iterator[tuple[int, str]]:
    """Publish from each of these directories, side by side."""
    running = [
        subprocess.Popen(
            [sys.executable, *WORDS], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for root in roots
    ]
    for process in running:
        _, said = process.communicate(timeout=300)
        yield process.returncode, said


def two_checkouts(tmp_path: Path) -> tuple[Path, Path, Manifest]:
    """Two directories with the same files, built once."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    manifest = release(one, PACKAGES)
    shutil.copytree(one, two)
    return one, two, manifest


def test_both_end_with_the_same_truth(tmp_path: Path) -> None:
    # What the index lists, and the hash of a name that is taken, settle it.
    *roots, manifest = two_checkouts(tmp_path)
    for number in range(TIMES):
        rules = (
            [Rule(acts.waits(0.05)), Rule(acts.refuses_duplicates(409))]
            if number % 2
            else [Rule(acts.waits(0.05))]
        )
        with PackageIndex(rules) as index:
            for root in roots:
                publish(root, index, "--dry-run")
            ended = list(at_once(*roots))
            assert [code for code, _ in ended] == [0, 0], ended
            assert is_whole(index, manifest)
