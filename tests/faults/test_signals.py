"""Signals in the middle of a run, while relnox is imported, and those that git gets."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from projects import copy_of, everything, git, is_released, remote_of, shell, write
from running import run
from stops import start
from test_full_disk import template
from warm import wait_for

from relnox.executor.signals import Interruption, handle_signals

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

__all__ = ["template"]

BUMP = ("bump", "--part", "minor", "--commit", "--tag", "--push")
CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(os.name != "posix", reason="signals and hooks as POSIX has them"),
]


@pytest.fixture
def workspace(template: Path, tmp_path: Path) -> Path:
    return copy_of(template, tmp_path / "pair")


def bump(root: Path, code: int | None = None) -> RunResult:
    return run(root, "relnox", *BUMP, code=code)


# --- git is killed


@pytest.mark.parametrize(
    "hook", ["commit-msg", "post-commit", "reference-transaction prepared", "reference-transaction committed"]
)
def test_a_git_that_is_killed_is_a_failed_step(workspace: Path, hook: str) -> None:
    name, _, argument = hook.partition(" ")
    path = shell(workspace / ".git" / "hooks" / name, f'case "$1" in *{argument}) rm "$0"; kill -9 $PPID;; esac')
    first = bump(workspace)
    assert not path.exists(), first.text  # the hook ran, and killed
    assert first.code == 2, first.text
    for lock in (workspace / ".git").rglob("*.lock"):
        lock.unlink()  # as git says itself
    bump(workspace, code=0)
    assert is_released(workspace, "2.1.0")


def test_a_commit_that_cannot_be_undone_keeps_its_files_and_is_finished(workspace: Path) -> None:
    # As if a git was killed that had locked HEAD: the release stays as a whole, not a part of it.
    hook = shell(
        workspace / ".git/hooks/pre-commit", "git log -1 | grep -q Release && >.git/HEAD.lock && exit 1\n:"
    )
    first = run(workspace, "relnox", *BUMP, "--then-dev", code=2)
    assert "warning: not undone completely: " in first.err
    (workspace / ".git/HEAD.lock").unlink()
    hook.unlink()
    assert git(workspace, "log", "-1", "--format=%s") == "Release 2.1.0"
    assert git(workspace, "status", "--porcelain") == ""
    run(workspace, "relnox", *BUMP, "--then-dev", code=0)
    assert git(workspace, "log", "-1", "--format=%s", "origin/main") == "Start development of 2.1.1.dev1"


@pytest.mark.parametrize(
    ("hook", "arrived"), [("update", False), ("reference-transaction", False), ("post-receive", True)]
)
def test_killed_on_the_remote_the_push_counts_by_the_refs_that_arrived(
    workspace: Path, hook: str, *, arrived: bool
) -> None:
    # The hook kills the program that serves the push; ours sees the line cut and cannot know how far it came.
    remote = remote_of(workspace)
    shell(remote / "hooks" / hook, 'rm -f "$0"\nkill -9 $PPID')
    first = bump(workspace)
    assert is_released(workspace, "2.1.0") is arrived
    assert first.code == (0 if arrived else 2), first.text
    if arrived:
        return
    for lock in remote.rglob("*.lock"):
        lock.unlink()  # the remote's own affair
    bump(workspace, code=0)
    assert is_released(workspace, "2.1.0")


# --- relnox is interrupted

LASTING = """\
trap 'echo trapped >> "{directory}/trapped"' INT TERM
echo > "{directory}/begun"
sleep 1
touch "{directory}/ended"
"""


@pytest.mark.parametrize(("number", "code"), CODES)
@pytest.mark.parametrize("hook", ["pre-commit", "pre-push"])
def test_a_signal_waits_for_atomic_steps(
    workspace: Path, tmp_path: Path, hook: str, number: int, code: int
) -> None:
    shell(workspace / ".git" / "hooks" / hook, LASTING.format(directory=tmp_path))
    before = everything(workspace)
    running = start(workspace, "-m", "relnox", *BUMP)
    wait_for(tmp_path / "begun")
    running.process.send_signal(number)
    running.process.send_signal(number)  # impatience does not help
    ended, output = running.ended()
    assert (tmp_path / "ended").exists()
    assert not (tmp_path / "trapped").exists()
    if hook == "pre-push":  # it came through, and was the last step: all is done
        assert ended == 0, output
        assert "bump: done, verified" in output
    else:
        assert ended == code, output
        assert everything(workspace) == before
        assert "note: undone: edit " in output
        assert "resume" not in output
        bump(workspace, code=0)
    assert is_released(workspace, "2.1.0")


def test_a_signal_after_the_last_step_is_reported_to_the_outer_run() -> None:
    # Ctrl-C after a finished stage of a chain must stop the chain before its next stage.
    def chain_of_two() -> None:
        with handle_signals() as chain:
            with chain.executing_step(atomic=False), handle_signals():
                signal.raise_signal(signal.SIGINT)
            with chain.executing_step(atomic=False):
                pytest.fail("the chain went on")

    with pytest.raises(Interruption, match="SIGINT"):
        chain_of_two()


AT_AN_IMPORT = """\
import os, sys

number, module, *sys.argv[1:] = sys.argv[1:]

def send_signal():
    os.kill(os.getpid(), int(number))
    for _ in range(1000):
        pass  # the handler runs here

class Interrupting:
    def find_spec(self, name, *_):
        if name == module:
            Rubbish()  # where Python drops what a handler raises, and prints a traceback

class Rubbish:
    def __del__(self):
        send_signal()

from relnox.__main__ import main
sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""
"""Send this process a signal when it is about to import a module."""


@pytest.mark.parametrize(("number", "code"), CODES)
@pytest.mark.parametrize("module", ["relnox.cli", "relnox.reporters", "relnox.commands.status"])
def test_a_signal_while_relnox_is_imported_ends_it_without_a_traceback(
    tmp_path: Path, module: str, number: int, code: int
) -> None:
    root = write(tmp_path / "home", {"pyproject.toml": '[project]\nname = "home"\nversion = "1.0"\n'})
    ended, output = start(root, "-c", AT_AN_IMPORT, str(int(number)), module, "status").ended()
    assert ended == code, output
