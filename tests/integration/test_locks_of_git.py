"""Stale lock files of a killed git are removed, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from projects import pair, repository

from relnox.errors import Failed
from relnox.source.git import Git, recovery

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other git processes are found through /proc")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """A checkout with the record of a git process that has ended."""
    git = Git(repository(pair(tmp_path / "pair")))
    with subprocess.Popen(["true"], start_new_session=True) as ended:
        ended.wait()
    private = git.private_directory()
    private.mkdir(mode=0o700)
    (private / "git-at-work").write_text(str(ended.pid), encoding="ascii")
    return git


def locks(git: Git) -> list[str]:
    top = git.root / ".git"
    return sorted(path.relative_to(top).as_posix() for path in top.rglob("*.lock"))


def lock(git: Git, *names: str) -> None:
    for name in names:
        (git.root / ".git" / name).touch()


def test_lock_files_of_a_killed_git_are_removed(git: Git) -> None:
    group = (git.private_directory() / "git-at-work").read_text(encoding="ascii")
    lock(git, "index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock", f"next-index-{group}.lock")
    recovery.recover_from_killed_run(git)
    assert locks(git) == []
    assert list(git.private_directory().iterdir()) == []


def test_other_lock_files_stay(git: Git, tmp_path: Path) -> None:
    lock(git, "mine.lock", "next-index-1.lock", "config.lock")
    (tmp_path / "elsewhere").touch()
    (git.root / ".git" / "index.lock").symlink_to(tmp_path / "elsewhere")
    old = git.root / ".git" / "HEAD.lock"
    old.touch()
    os.utime(old, (time.time() - 100, time.time() - 100))
    before = locks(git)
    recovery.recover_from_killed_run(git)
    assert locks(git) == before


def test_the_lock_file_of_a_running_git_stays(git: Git) -> None:
    lock(git, "index.lock")
    words = ["git", "hash-object", "--stdin"]
    with subprocess.Popen(words, cwd=git.root, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as running:
        with pytest.raises(
            Failed, match=rf"another git process is running in this checkout \(process {running.pid}\)"
        ):
            recovery.recover_from_killed_run(git)
        assert locks(git) == ["index.lock"]
        assert running.stdin is not None
        running.stdin.close()
        running.wait()
    recovery.recover_from_killed_run(git)
    assert locks(git) == []
