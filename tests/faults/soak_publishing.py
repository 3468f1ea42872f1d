"""Publish runs killed at every system call that changes something: `nox -s soak`. Needs strace, takes minutes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from killing import ONE_AFTER_THE_OTHER, WORDS, publishing
from system_calls import CHANGING, OPENING

if TYPE_CHECKING:
    from pathlib import Path

CALLS = [call for call in CHANGING if call not in OPENING]
"""Publishing opens only files that lock it to write to them, which is seen when the calls are counted."""
PARTS = 8


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")


def traced(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("strace")
    assert program, "this needs strace (Debian's package strace)"
    words = [program, "-qq", *options, sys.executable, "-c", ONE_AFTER_THE_OTHER, *WORDS]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def calls(tmp_path: Path) -> list[tuple[str, int]]:
    """The calls of a run, each by its name and its number among those of its name, as strace counts them."""
    with publishing(tmp_path / "counted") as whole:
        ended = traced(whole.root, "-o", str(tmp_path / "calls"), "-e", f"trace=openat,{','.join(CALLS)}")
        assert ended.returncode == 0, ended.stderr
    lines = (tmp_path / "calls").read_text().splitlines()
    assert not [
        line
        for line in lines
        if ("O_WRONLY" in line or "O_RDWR" in line) and "/relnox/locks/" not in line and "/dev/null" not in line
    ]
    names = [found[1] for line in lines if (found := re.match(r"(\w+)\(", line)) and found[1] != "openat"]
    assert len(names) > 80
    return [(name, names[: system_call + 1].count(name)) for system_call, name in enumerate(names)]


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_call(part: int, calls: list[tuple[str, int]], tmp_path: Path) -> None:
    for name, number in calls[part::PARTS]:
        with publishing(tmp_path / f"{name}-{number}") as begun:
            inject = f"inject={name}:signal=KILL:when={number}"
            ended = traced(begun.root, "-o", os.devnull, "-e", f"trace={name}", "-e", inject)
            assert ended.returncode == -signal.SIGKILL, (name, number, ended.stderr)
            begun.is_finished((name, number))
        shutil.rmtree(begun.root)
