"""A build that is killed while its backend goes on: what that one still writes is no part of the next build."""

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
WAITING = """\
import atexit, pathlib, time

def wait_for(name):
    deadline = time.monotonic() + {limit}
    while not pathlib.Path({folder!r}, name).exists() and time.monotonic() < deadline:
        time.sleep(0.01)

def tell(name):
    pathlib.Path({folder!r}, name).touch()

"""
OUTLIVING = f"""{WAITING}
tell("begun")
wait_for("written by the next")
atexit.register(tell, "written by the first")
"""
NEXT = f"""{WAITING}
def let_the_first_write():
    tell("written by the next")
    wait_for("written by the first")

atexit.register(let_the_first_write)
"""


def test_a_backend_that_outlives_its_run_does_not_write_over_what_the_next_one_makes(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    words = {"folder": str(tmp_path), "limit": LIMIT}
    root = repository(in_tree(tmp_path / "home", hook=OUTLIVING.format(**words), code="old = True\n"))
    killed = subprocess.Popen(
        [sys.executable, "-m", "relnox", "build-all"],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + LIMIT
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    assert killed.wait(LIMIT) == -signal.SIGKILL

    in_tree(root, hook=NEXT.format(**words), code="new = True\n")
    commit_all(root)
    ran = run(root, "relnox", "build-all")
    assert ran.code == 0, ran.text
    assert (tmp_path / "written by the first").exists()
    with zipfile.ZipFile(root / "dist/home-1.0-py3-none-any.whl") as wheel:
        assert wheel.read("home.py") == b"new = True\n"
    sound(root)
