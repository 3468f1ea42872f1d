"""Scratch directories: gone after every run, also a killed one, and never those of a run that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from relnox.system.temporary_directories import ScratchDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of files that are removed are POSIX's")

RUN = """\
import sys
from relnox.system.temporary_directories import ScratchDirectory
with ScratchDirectory() as scratch:
    (scratch.path / "work" / "deep").mkdir(parents=True)
    print(scratch.path, flush=True)
    sys.stdin.read()
"""

KILLED_AT_THE_END = """\
import os, signal, sys
from relnox.system.temporary_directories import ScratchDirectory
removed = 0
def hook(event, arguments):
    global removed
    if event in ("os.remove", "os.rmdir"):
        removed += 1
        if removed == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
with ScratchDirectory() as scratch:
    for name in "abcd":
        (scratch.path / name / "deep").mkdir(parents=True)
    sys.addaudithook(hook)
"""
NO_ROOM = """\
import resource
from relnox.errors import environment_error
from relnox.system.temporary_directories import ScratchDirectory
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with ScratchDirectory() as scratch:
    try:
        scratch.path
    except OSError as error:
        print(environment_error(error))
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def another(temporary: Path) -> Iterator[subprocess.Popen[str]]:
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    with run:
        assert run.stdout is not None
        run.stdout.readline()
        yield run
        run.kill()


def test_the_scratch_directory_is_created_on_demand_and_removed(temporary: Path) -> None:
    with ScratchDirectory() as scratch:
        assert list(temporary.iterdir()) == []
        (scratch.path / "file").touch()
        assert list(temporary.iterdir()) == [scratch.path]
    assert list(temporary.iterdir()) == []


def test_scratch_directories_of_killed_runs_are_removed(temporary: Path, another: subprocess.Popen[str]) -> None:
    (left,) = temporary.iterdir()
    another.send_signal(signal.SIGKILL)
    another.wait()
    assert (left / "work" / "deep").is_dir()
    with ScratchDirectory() as scratch:
        directory = scratch.path
        assert list(temporary.iterdir()) == [directory]
        assert directory != left


@pytest.mark.parametrize("at", [1, 3, 6, 8])
def test_partly_removed_scratch_directories_of_killed_runs_are_removed(temporary: Path, at: int) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED_AT_THE_END, str(at)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = temporary.iterdir()
    assert any(left.iterdir())
    with ScratchDirectory() as scratch:
        directory = scratch.path
        assert list(temporary.iterdir()) == [directory]


def test_a_full_temporary_directory_is_an_environment_error() -> None:
    ended = subprocess.run([sys.executable, "-c", NO_ROOM], capture_output=True, text=True, check=False)
    assert ended.stdout.startswith("No usable temporary directory found in ["), ended.stderr


def test_scratch_directories_in_use_are_not_removed(temporary: Path, another: subprocess.Popen[str]) -> None:
    (used,) = temporary.iterdir()
    (temporary / "relnox-notes").mkdir()
    with ScratchDirectory() as scratch:
        directory = scratch.path
        assert set(temporary.iterdir()) == {used, temporary / "relnox-notes", directory}
        assert (used / "work" / "deep").is_dir()
