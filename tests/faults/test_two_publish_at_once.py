"""The same release published by two processes at once: each file is sent once, and both tell the truth."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from controlled_index import ControlledIndex, faults
from controlled_index.faults import Rule
from releases import Package, is_whole, publish, release

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.release.manifest import Manifest

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(os.name != "posix", reason="file locks as POSIX has them")]

PACKAGES = [Package("core", wheels=2), Package("demo", ("core",), wheels=2)]
WORDS = ["-m", "relnox", "publish", "--index", "own", "--reporter", "plain"]
TIMES = 6


@pytest.fixture(autouse=True)
def surroundings_of_both(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def at_once(*roots: Path, caches: tuple[Path, ...] = ()) -> Iterator[tuple[int, str]]:
    """Publish from each of these directories, side by side."""
    running = []
    for number, root in enumerate(roots):
        environment = {**os.environ, **({"XDG_CACHE_HOME": str(caches[number])} if caches else {})}
        running.append(
            subprocess.Popen(
                [sys.executable, *WORDS],
                cwd=root,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
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


@pytest.mark.parametrize("checkouts", [1, 2])
def test_on_one_machine_each_file_is_sent_once(checkouts: int, tmp_path: Path) -> None:
    *roots, manifest = two_checkouts(tmp_path)
    both = roots if checkouts == 2 else [roots[0], roots[0]]
    for number in range(TIMES):
        with ControlledIndex(tmp_path / f"index-{number}", faults=[Rule(faults.Wait(0.05))]) as index:
            for root in roots:
                publish(root, index, "--dry-run")  # writes down where the index is
            ended = list(at_once(*both))
            assert [code for code, _ in ended] == [0, 0], ended
            assert is_whole(index, manifest)
            sent = Counter(request.filename for request in index.uploads)
            assert sent == dict.fromkeys((file.filename for file in manifest.distributions), 1)
            skipped = [said.count("SKIPPED upload") for _, said in ended]
            assert sorted(skipped) == [0, 6], ended


def test_who_waits_says_for_which_process(tmp_path: Path) -> None:
    root, _, _ = two_checkouts(tmp_path)
    with ControlledIndex(tmp_path / "index", faults=[Rule(faults.Wait(2.5))]) as index:
        publish(root, index, "--dry-run")
        ended = list(at_once(root, root))
    assert [code for code, _ in ended] == [0, 0], ended
    assert any("waiting another relnox process (pid " in said for _, said in ended), ended
    directory = Path(os.environ["XDG_CACHE_HOME"]) / "relnox" / "locks"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_on_two_machines_both_end_with_the_same_truth(tmp_path: Path) -> None:
    # No lock is shared: what the index lists, and the hash of a name that is taken, settle it.
    *roots, manifest = two_checkouts(tmp_path)
    for number in range(TIMES):
        rules = [Rule(faults.Wait(0.05)), Rule(faults.Duplicate(409))] if number % 2 else [Rule(faults.Wait(0.05))]
        with ControlledIndex(tmp_path / f"index-{number}", faults=rules) as index:
            for root in roots:
                publish(root, index, "--dry-run")
            ended = list(at_once(*roots, caches=(tmp_path / "c1", tmp_path / "c2")))
            assert [code for code, _ in ended] == [0, 0], ended
            assert is_whole(index, manifest)


def test_a_lock_outlives_no_process(tmp_path: Path) -> None:
    root, _, _ = two_checkouts(tmp_path)
    with ControlledIndex(tmp_path / "index", faults=[Rule(faults.Stall(), tries=[1])]) as index:
        publish(root, index, "--dry-run")
        first = subprocess.Popen(
            [sys.executable, *WORDS], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not index.uploads and first.poll() is None:
            time.sleep(0.01)
        first.kill()
        first.wait()
        ((code, said),) = at_once(root)
    assert code == 0, said
    assert "another relnox process" not in said


@pytest.mark.parametrize("hindrance", ["a file", "a link"])
def test_without_a_place_for_locks_it_is_published_all_the_same(hindrance: str, tmp_path: Path) -> None:
    root, _, _ = two_checkouts(tmp_path)
    place = Path(os.environ["XDG_CACHE_HOME"]) / "relnox" / "locks"
    place.parent.mkdir(parents=True)
    other = tmp_path / "other"
    other.mkdir()
    if hindrance == "a file":
        place.write_text("")
    else:
        place.symlink_to(other)
    with ControlledIndex(tmp_path / "index") as index:
        publish(root, index, "--dry-run")
        ((code, said),) = at_once(root)
    assert code == 0, said
    assert list(other.iterdir()) == []
