"""Killed at every system call that changes something: relnox's own, and those of the git that it starts (SK).

Needs strace, and takes minutes: `nox -s soak`. The tests beside it kill at the same places by other means, quicker
and coarser.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from projects import copy_of, remote_of
from test_interruption import BEFORE, BUMP, RELEASED, bump, state, template

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["template"]

CHANGING = [
    *("write", "pwrite64", "ftruncate", "openat", "rename", "renameat", "renameat2", "unlink", "unlinkat"),
    *("mkdir", "mkdirat", "link", "linkat", "fsync", "chmod"),
]
CALLS = ",".join(CHANGING)
PARTS = 8
COMMANDS = ["status", "commit", "tag", "push"]
MOST = 1000


def traced(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("strace")
    assert program, "this needs strace (Debian's package strace)"
    words = [program, "-qq", "-e", f"trace={CALLS}", *options, sys.executable, "-m", "relnox", *BUMP]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="session")
def calls(template: Path, tmp_path_factory: pytest.TempPathFactory) -> range:
    """The numbers of relnox's own calls, from the first that has to do with the record."""
    root = copy_of(template, tmp_path_factory.mktemp("counted") / "pair")
    log = root.parent / "calls"
    ended = traced(root, "-o", str(log))
    assert ended.returncode == 0, ended.stderr
    assert state(root) == RELEASED
    lines = [line for line in log.read_text().splitlines() if re.match(r"\w+\(", line)]
    first = next(number for number, line in enumerate(lines) if "relnox/lock" in line)
    assert len(lines) - first > 50
    return range(first + 1, len(lines) + 1)


def finishes(root: Path, how: object) -> None:
    """After a kill there is nothing mixed: the state is one of the two ends, or a record says how to go on."""
    found = state(root)
    whole = found._replace(left=[], status="") in (BEFORE, RELEASED) and not found.status
    assert whole or "pending.json" in found.left, (how, found)
    again = bump(root)
    assert again.code == 0, (how, again.text)
    assert state(root) == RELEASED, how
    subprocess.run(["git", "fsck", "--no-dangling"], cwd=root, check=True, capture_output=True)


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_any_call_of_its_own(template: Path, tmp_path: Path, calls: range, part: int) -> None:
    for number in calls[part::PARTS]:
        root = copy_of(template, tmp_path / f"call-{number}")
        ended = traced(root, "-o", "/dev/null", "-e", f"inject={CALLS}:signal=KILL:when={number}")
        if ended.returncode == 0:  # it opened fewer files this time
            assert state(root) == RELEASED
            continue
        finishes(root, number)


@pytest.mark.parametrize("command", COMMANDS)
def test_any_git_killed_at_any_call(template: Path, tmp_path: Path, command: str) -> None:
    """One git command is killed at its n-th call, and each process that it starts, until all come through."""
    git = shutil.which("git")
    for number in range(1, MOST):
        root = copy_of(template, tmp_path / f"git-{number}")
        wrapper = tmp_path / f"bin-{number}"
        wrapper.mkdir()
        strace = f"strace -f -qq -o /dev/null -e trace={CALLS} -e inject={CALLS}:signal=KILL:when={number}"
        script = f'#!/bin/sh\n[ "$1" = {command} ] && exec {strace} {git} "$@"\nexec {git} "$@"\n'
        (wrapper / "git").write_text(script)
        (wrapper / "git").chmod(0o755)
        words = [sys.executable, "-m", "relnox", *BUMP]
        variables = {**os.environ, "PATH": f"{wrapper}{os.pathsep}{os.environ['PATH']}"}
        ended = subprocess.run(
            words, cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        if ended.returncode == 0 and number > 1:
            assert state(root) == RELEASED
            return
        for lock in remote_of(root).rglob("*.lock"):
            lock.unlink()  # the remote's own affair
        finishes(root, (command, number))
        shutil.rmtree(root)
    pytest.fail(f"git {command} never came through")
