"""Locks that a killed git left are removed, and no lock of anybody else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from projects import pair, repository

from relnox.errors import Failed
from relnox.source.git import Git

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other gits are seen through /proc")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A checkout in which relnox started a git that is gone."""
    git = Git(repository(pair(tmp_path / "pair")))
    with subprocess.Popen(["true"], start_new_session=True) as ended:
        ended.wait()
    private = git.private_folder()
    private.mkdir(mode=0o700)
    (private / "git-at-work").write_text(str(ended.pid), encoding="ascii")
    return git


def locks(git: Git) -> list[str]:
    top = git.root / ".git"
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*.lock"))


def lock(git: Git, *names: str) -> None:
    for name in names:
        (git.root / ".git" / name).touch()


def test_what_a_killed_git_left_is_removed(git: Git) -> None:
    group = (git.private_folder() / "git-at-work").read_text(encoding="ascii")
    lock(git, "index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", f"next-index-{group}.lock")
    git.recover()
    assert locks(git) == []
    assert list(git.private_folder().iterdir()) == []


def test_other_locks_stay(git: Git, tmp_path: Path) -> None:
    lock(git, "mine.lock", "next-index-1.lock", "config.lock")
    (tmp_path / "elsewhere").touch()
    (git.root / ".git" / "index.lock").symlink_to(tmp_path / "elsewhere")
    old = git.root / ".git" / "HEAD.lock"
    old.touch()
    os.utime(old, (time.time() - 100, time.time() - 100))
    before = locks(git)
    git.recover()
    assert locks(git) == before


def test_the_lock_of_a_git_that_the_user_runs_stays(git: Git) -> None:
    lock(git, "index.lock")
    words = ["git", "hash-object", "--stdin"]
    with subprocess.Popen(words, cwd=git.root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as at_work:
        with pytest.raises(Failed, match=rf"another git is at work in this checkout \(process {at_work.pid}\)"):
            git.recover()
        assert locks(git) == ["index.lock"]
        assert at_work.stdin is not None
        at_work.stdin.close()
        at_work.wait()
    git.recover()
    assert locks(git) == []
