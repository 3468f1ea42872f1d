"""Runs with a closed pipe or a full disk as output: they end as usual."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import copy_of, git, is_released, repository
from test_full_disk import sound, template

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["template"]

BUMP = ("bump", "--part", "minor", "--commit", "--tag", "--push")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="pipes as POSIX has them"),
]

REPORTERS = ["plain", "terminal", "github"]
STREAMS = ["stdout", "stderr"]
FULL = Path("/dev/full")


on_linux = pytest.mark.skipif(not FULL.exists(), reason="a device of Linux")


@contextmanager
def closed_pipe() -> Iterator[int]:
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def run_with(root: Path, *words: str, **streams: int) -> tuple[int, str]:
    """Run relnox with these streams: its exit code, and what it said on the other ones."""
    stdout, stderr = streams.get("stdout", subprocess.PIPE), streams.get("stderr", subprocess.PIPE)
    argv = [sys.executable, "-m", "relnox", *words]
    ended = subprocess.run(argv, cwd=root, stdout=stdout, stderr=stderr, text=True, check=False)
    return ended.returncode, f"{ended.stdout or ''}{ended.stderr or ''}"


@pytest.mark.parametrize("reporter", REPORTERS)
@pytest.mark.parametrize("stream", STREAMS)
def test_a_bump_with_a_closed_pipe_as_output_succeeds(
    template: Path, tmp_path: Path, stream: str, reporter: str
) -> None:
    root = copy_of(template, tmp_path / "pair")
    with closed_pipe() as pipe:
        code, said = run_with(root, *BUMP, "--reporter", reporter, **{stream: pipe})
    assert (code, "Traceback" in said) == (0, False), said
    assert is_released(root, "2.1.0")


@pytest.mark.parametrize("reporter", REPORTERS)
def test_a_failure_with_a_closed_pipe_keeps_its_exit_code(template: Path, tmp_path: Path, reporter: str) -> None:
    root = copy_of(template, tmp_path / "pair")
    git(root, "remote", "set-url", "origin", str(tmp_path / "nowhere"))
    with closed_pipe() as pipe:
        fails, _ = run_with(root, *BUMP, "--reporter", reporter, stdout=pipe, stderr=pipe)
        refused, _ = run_with(root, "bump", "--part", "no-part", "--reporter", reporter, stdout=pipe, stderr=pipe)
    expected, _ = run_with(root, *BUMP)
    assert (fails, refused) == (expected, 1)


@on_linux
@pytest.mark.parametrize("stream", STREAMS)
def test_a_log_without_room_stops_no_build(tmp_path: Path, stream: str) -> None:
    root = repository(in_tree(tmp_path / "home"))
    with FULL.open("wb") as full:
        code, said = run_with(root, "build-all", **{stream: full.fileno()})
    assert (code, "Traceback" in said) == (0, False), said
    assert (root / "dist/manifest.json").exists()
    sound(root)


@on_linux
def test_results_that_find_no_room_are_no_success(template: Path) -> None:
    with FULL.open("wb") as full:
        code, said = run_with(template, "status", stdout=full.fileno())
    assert code == 2
    assert "No space left on device" in said


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_run_whose_streams_are_closed_is_done_all_the_same(closed: str, template: Path, tmp_path: Path) -> None:
    root = copy_of(template, tmp_path / "pair")
    shell = f'exec "$@" {closed}'
    ended = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "relnox", *BUMP], cwd=root, check=False, timeout=60
    )
    assert ended.returncode == 0
    assert is_released(root, "2.1.0")
