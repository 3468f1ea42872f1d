"""Recover from git processes and lock files that a killed run left behind.

If relnox is killed, a git process that is changing the repository keeps running. If git is killed, its lock files
remain. The id of each such process is recorded in a file, so that the next run can wait for the process and remove
its lock files.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from relnox.errors import Failed
from relnox.system.files import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.source.git.repository import Git
    from relnox.system.process import Completed

_TIMEOUT = 10.0
"""The time in seconds to wait for a git process that was left behind."""
_LOCK_FILES = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "packed-refs.lock", "COMMIT_EDITMSG.lock")
"""Lock files of the git commands that relnox runs, except those of refs."""
_HARMLESS_COMMANDS = (b"-daemon", b"cat-file")
"""Words in the command line of long-running git processes that hold no locks."""


def run_modifying_command(
    git: Git, *arguments: str, stdin: str | None = None, variables: Mapping[str, str] = MappingProxyType({})
) -> Completed:
    """Run a git command that changes the repository, and record its process until it has ended.

    If relnox is killed, git keeps running, and the next run waits for it. If git is killed, the record tells which
    lock files are stale. For the parameters, see `GitRunner.run`.
    """
    record = _record_file(git)
    make_private_directory(record.parent)

    def write_record(group: int) -> None:
        record.write_text(str(group), encoding="utf-8")
        # Slow to import, and needed next: to compare the files of a commit, and to sync them.
        for module in ("hashlib", "ctypes"):
            with contextlib.suppress(ImportError, MemoryError):
                import_module(module)

    completed = git.run(*arguments, stdin=stdin, on_start=write_record, variables=variables)
    if completed.returncode < 0:
        recover_from_killed_run(git)
    record.unlink(missing_ok=True)
    return completed


def wait_for_leftover_process(git: Git) -> None:
    """Wait until the git process that a killed run left behind, if any, has ended.

    Raises:
        Failed: The process does not end within ten seconds.
    """
    record = _record_file(git)
    deadline = time.monotonic() + _TIMEOUT
    while (group := _recorded_group(record)) is not None and _is_running(group):
        if time.monotonic() > deadline:
            raise Failed(
                "git-still-running",
                f"a git process started by an interrupted run is still running (process {group})",
                fix=f"wait until it has finished, or kill it; if that process is not git, remove {record}",
            )
        time.sleep(0.02)


def recover_from_killed_run(git: Git) -> None:
    """Wait until the git process that a killed run left behind, if any, has ended, and remove its lock files.

    Raises:
        Failed: The process does not end within ten seconds, or another git process is running in this checkout.
    """
    wait_for_leftover_process(git)
    record = _record_file(git)
    if not record.exists():
        return
    refs = git.git_path("refs")
    git_directories = {refs.parent, git.git_path("index").parent}  # they differ in a linked worktree
    checkout = git.top_level()
    user = os.geteuid() if sys.platform != "win32" else 0
    # Lock files that are older than the process belong to another one; the record is a little younger than it.
    since = record.stat().st_mtime - 1
    names = (*_LOCK_FILES, f"next-index-{_recorded_group(record)}.lock")
    for lock in (*(directory / name for directory in git_directories for name in names), *refs.rglob("*.lock")):
        with contextlib.suppress(FileNotFoundError):  # of a git that is just ending
            status = lock.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_uid == user and status.st_mtime >= since:
                _check_lock_is_unused(lock, (checkout, lock.parent))
                lock.unlink()
    record.unlink()


def _check_lock_is_unused(lock: Path, directories: Iterable[str | Path]) -> None:
    """Raise `Failed` if a git process is running in these directories and may hold the lock (only with /proc)."""
    real_directories = [os.path.realpath(directory) for directory in directories]
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, _, arguments = (entry / "cmdline").read_bytes().partition(b"\0")
            if program.rpartition(b"/")[2] != b"git" or any(word in arguments for word in _HARMLESS_COMMANDS):
                continue
            working_directory, process = (entry / "cwd").readlink(), entry.name
            if any(working_directory.is_relative_to(directory) for directory in real_directories):
                raise Failed(
                    "git-still-running",
                    f"another git process is running in this checkout (process {process}) and may hold {lock}",
                    fix="wait until it has finished, or kill it; then rerun the command",
                )


def _record_file(git: Git) -> Path:
    return git.private_directory() / "git-at-work"


def _recorded_group(record: Path) -> int | None:
    try:
        return int(record.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _is_running(group: int) -> bool:
    """Return whether a process group has a running process; zombies do not count."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
        state = Path(f"/proc/{group}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except (ProcessLookupError, PermissionError):
        return False
    except OSError:  # a leader that ended before the others, or a system without /proc
        return True
    return state.split()[0] != "Z"
