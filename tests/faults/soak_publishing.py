"""Publish runs killed at every system call that changes something, and at 1,000 times by chance (F01, F02).

Needs strace, and takes minutes: `nox -s soak`. The test of killed publishing has some of both.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from killing import WORDS, killed_after, publishing, undisturbed
from soak_system_calls import CHANGING

if TYPE_CHECKING:
    from pathlib import Path

CALLS = ",".join([*CHANGING, "connect", "sendto", "sendmsg", "shutdown"])
PARTS = 8
TIMES = 1000
ONE_AFTER_THE_OTHER = """\
import concurrent.futures, sys

class Inline(concurrent.futures.Executor):
    def __init__(self, *args, **options):
        pass

    def submit(self, do, /, *args, **options):
        future = concurrent.futures.Future()
        try:
            future.set_result(do(*args, **options))
        except BaseException as error:
            future.set_exception(error)
        return future

concurrent.futures.ThreadPoolExecutor = Inline
from relnox.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Makes all calls in one thread and thus in the same order each time; kills by chance hit the threads."""


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")


def traced(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("strace")
    assert program, "this needs strace (Debian's package strace)"
    words = [program, "-qq", "-e", f"trace={CALLS}", *options, sys.executable, "-c", ONE_AFTER_THE_OTHER, *WORDS]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def calls(tmp_path: Path) -> range:
    """The numbers of the calls, from the first connection on: until then nothing is written."""
    with publishing(tmp_path / "counted") as whole:
        ended = traced(whole.root, "-o", str(tmp_path / "calls"))
        assert ended.returncode == 0, ended.stderr
    lines = [line for line in (tmp_path / "calls").read_text().splitlines() if re.match(r"\w+\(", line)]
    first = next(number for number, line in enumerate(lines) if "127.0.0.1" in line)
    assert not any("O_WRONLY" in line or "O_RDWR" in line for line in lines[:first])
    assert len(lines) - first > 100
    return range(first + 1, len(lines) + 1)


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_call(part: int, calls: range, tmp_path: Path) -> None:
    killed = 0
    for number in calls[part::PARTS]:
        with publishing(tmp_path / f"call-{number}") as begun:
            ended = traced(begun.root, "-o", os.devnull, "-e", f"inject={CALLS}:signal=KILL:when={number}")
            assert ended.returncode in (0, -9), ended.stderr
            killed += ended.returncode != 0
            begun.is_finished(number)
        shutil.rmtree(begun.root)
    assert killed > len(calls) / PARTS * 0.9  # it may open some files fewer than when they were counted
    print(f"killed {killed} times")  # noqa: T201 - with `-s` or `-rP`


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_time(part: int, tmp_path: Path) -> None:
    chance = random.Random(part)
    durations = []
    for number in range(4):
        with publishing(tmp_path / f"timed-{number}") as whole:
            durations.append(undisturbed(whole.root))
    killed = 0
    for _ in range(TIMES // PARTS):
        seconds = chance.uniform(0, min(durations))
        with publishing(tmp_path / "begun") as begun:
            killed += killed_after(seconds, begun.root)
            begun.is_finished(seconds)
        shutil.rmtree(begun.root)
    assert killed > TIMES / PARTS / 2
    print(f"killed {killed} times")  # noqa: T201 - with `-s` or `-rP`
