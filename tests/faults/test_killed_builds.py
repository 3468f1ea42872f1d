"""A build that is killed while its backend is at work: the next one builds again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import commit_all, repository
from running import run
from test_full_disk import sound

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="elsewhere a process and what it started end together"),
]

LIMIT = 60
LASTING = """\
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
pathlib.Path({file!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
pathlib.Path({file!r}).rename({file!r} + ".whole")
time.sleep(100)
"""


def test_the_run_after_a_killed_one_builds_again(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    file = tmp_path / "at-work"
    root = repository(in_tree(tmp_path / "home", hook=LASTING.format(file=str(file)), code="old = True\n"))
    killed = subprocess.Popen(
        [sys.executable, "-m", "relnox", "build-all"],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + LIMIT
    whole = file.with_name("at-work.whole")
    while not whole.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    assert killed.wait(LIMIT) == -signal.SIGKILL
    for pid in map(int, whole.read_text(encoding="ascii").split()):
        os.kill(pid, signal.SIGKILL)

    in_tree(root, code="new = True\n")
    commit_all(root)
    ran = run(root, "relnox", "build-all")
    assert ran.code == 0, ran.text
    with zipfile.ZipFile(root / "dist/home-1.0-py3-none-any.whl") as wheel:
        assert wheel.read("home.py") == b"new = True\n"
    sound(root)
