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
from backends import in_tree
from killing import ONE_AFTER_THE_OTHER
from projects import copy_of, git, remote_of, repository
from test_full_disk import sound
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


def traced(root: Path, *options: str, task: tuple[str, ...] = BUMP) -> subprocess.CompletedProcess[str]:
    program = shutil.which("strace")
    assert program, "this needs strace (Debian's package strace)"
    words = [program, "-qq", *options, sys.executable, "-c", ONE_AFTER_THE_OTHER, *task]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, check=False, timeout=120)


def counted(root: Path, task: tuple[str, ...] = BUMP) -> list[tuple[str, int]]:
    """relnox's own calls from the lock on: the name of each, and its number among those of that name.

    That is how strace counts where it injects a signal.
    """
    log = root.parent / "calls"
    ended = traced(root, "-o", str(log), "-e", f"trace={CALLS}", task=task)
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in log.read_text().splitlines() if re.match(r"\w+\(", line)]
    names = [line.partition("(")[0] for line in lines]
    first = next(place for place, line in enumerate(lines) if "relnox/lock" in line)
    calls = [(name, names[: place + 1].count(name)) for place, name in enumerate(names)][first:]
    assert len(calls) > 50
    return calls


def killed_at(root: Path, call: tuple[str, int], task: tuple[str, ...] = BUMP) -> bool:
    """Run it until it is about to make a call; whether it made it: it may open fewer files this time."""
    name, number = call
    inject = f"inject={name}:signal=KILL:when={number}"
    return traced(root, "-o", "/dev/null", "-e", f"trace={name}", "-e", inject, task=task).returncode != 0


@pytest.fixture(scope="session")
def calls(template: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    root = copy_of(template, tmp_path_factory.mktemp("counted") / "pair")
    found = counted(root)
    assert state(root) == RELEASED
    return found


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
def test_killed_at_any_call_of_its_own(
    template: Path, tmp_path: Path, calls: list[tuple[str, int]], part: int
) -> None:
    for call in calls[part::PARTS]:
        root = copy_of(template, tmp_path / "-".join(map(str, call)))
        if killed_at(root, call):
            finishes(root, call)
        else:
            assert state(root) == RELEASED


def with_git(root: Path, call: str, number: int, chosen: str, task: tuple[str, ...]) -> bool:
    """Run it with a git that, where a command is the chosen one, is killed at its n-th call of a name.

    Each process that this git starts is, too. Tells whether relnox came through.
    """
    wrapper = root.parent / f"bin-{call}-{number}"
    wrapper.mkdir()
    strace = f"strace -f -qq -o /dev/null -e trace={call} -e inject={call}:signal=KILL:when={number}"
    git = shutil.which("git")
    choice = f'case " $* " in *" {chosen} "*) exec {strace} {git} "$@";; esac'
    (wrapper / "git").write_text(f'#!/bin/sh\n{choice}\nexec {git} "$@"\n')
    (wrapper / "git").chmod(0o755)
    words = [sys.executable, "-m", "relnox", *task]
    variables = {**os.environ, "PATH": f"{wrapper}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run(
        words, cwd=root, env=variables, capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode == 0


@pytest.mark.parametrize("call", CHANGING)
@pytest.mark.parametrize("command", COMMANDS)
def test_any_git_killed_at_any_call(template: Path, tmp_path: Path, command: str, call: str) -> None:
    for number in range(1, MOST):
        root = copy_of(template, tmp_path / f"git-{number}")
        if with_git(root, call, number, command, BUMP):
            assert state(root) == RELEASED
            return
        for lock in remote_of(root).rglob("*.lock"):
            lock.unlink()  # the remote's own affair
        finishes(root, (command, call, number))
        shutil.rmtree(root)
    pytest.fail(f"git {command} never came through")


BUILD = ("build-all", "--no-cache")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that needs nothing to be built."""
    root = tmp_path_factory.mktemp("tiny") / "home"
    root.mkdir()
    return repository(in_tree(root))


@pytest.fixture(scope="session")
def calls_of_a_build(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    return counted(copy_of(tiny, tmp_path_factory.mktemp("counted-build") / "home"), BUILD)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_build_killed_at_any_call_leaves_nothing_half(
    tiny: Path, tmp_path: Path, calls_of_a_build: list[tuple[str, int]], part: int
) -> None:
    for call in calls_of_a_build[part::PARTS]:
        root = copy_of(tiny, tmp_path / "-".join(map(str, call)))
        killed_at(root, call, BUILD)
        sound(root)
        shutil.rmtree(root)


@pytest.mark.parametrize("call", CHANGING)
def test_a_build_whose_git_is_killed_at_any_call_leaves_no_worktree(tiny: Path, tmp_path: Path, call: str) -> None:
    for number in range(1, MOST):
        root = copy_of(tiny, tmp_path / f"git-{number}")
        came_through = with_git(root, call, number, "worktree add", BUILD)
        sound(root)
        assert not list((root / ".git").glob("worktrees/*")), (number, git(root, "worktree", "list"))
        if came_through:
            return
        shutil.rmtree(root)
    pytest.fail("git worktree add never came through")
