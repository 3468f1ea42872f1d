"""Processes and lock files of git that a killed run left behind.

A git that changes a repository outlives a relnox that is killed, and a git that is killed leaves its lock files. A
record of the process allows the next run to wait for the one and to remove the other.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["remove_stale_locks", "wait_for_process", "write_record"]

_TIMEOUT = 10.0
"""Seconds to wait for a process that was left behind."""
_LOCKS = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "packed-refs.lock", "COMMIT_EDITMSG.lock")
"""Lock files of the commands that relnox runs, besides those of refs."""
_HARMLESS = (b"-daemon", b"cat-file")
"""Found in the command line of long-running git processes that take no lock."""


def write_record(record: Path, group: int) -> None:
    """Write the process group of a git that was just started."""
    record.write_text(str(group), encoding="ascii")


def wait_for_process(record: Path) -> None:
    """Wait until the recorded git has ended.

    Raises:
        Failed: It does not end.
    """
    deadline = time.monotonic() + _TIMEOUT
    while (group := _recorded_group(record)) is not None and _is_running(group):
        if time.monotonic() > deadline:
            raise Failed(
                "git-still-running",
                f"a git process started by an interrupted run is still running (process {group})",
                fix=f"wait for it, or end it; if that process is not git, remove {record}",
            )
        time.sleep(0.02)


def remove_stale_locks(record: Path, git_folders: set[Path], refs: Path, checkout: str) -> None:
    """Remove the lock files of a recorded git that was killed, and the record; there may be no record.

    Args:
        record: The file that the process was recorded in.
        git_folders: Folders of git that lock files are in.
        refs: The folder of refs.
        checkout: Top level of the checkout.

    Raises:
        Failed: Another git is running in this checkout.
    """
    # Lock files that are older than the process belong to another one; the record is a little younger than it.
    since = record.stat().st_mtime - 1
    names = (*_LOCKS, f"next-index-{_recorded_group(record)}.lock")
    for lock in (*(folder / name for folder in git_folders for name in names), *refs.rglob("*.lock")):
        with contextlib.suppress(FileNotFoundError):  # of a git that is just ending
            status = lock.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_uid == _user() and status.st_mtime >= since:
                _check_unused(lock, (checkout, lock.parent))
                lock.unlink()
    record.unlink()


def _check_unused(lock: Path, folders: Iterable[str | Path]) -> None:
    """Check that no git that the user started is running in some folders (where there is /proc).

    Raises:
        Failed: There is one.
    """
    real_folders = [os.path.realpath(folder) for folder in folders]
    for process, working_folder in _git_processes():
        if any(working_folder.is_relative_to(folder) for folder in real_folders):
            raise Failed(
                "git-still-running",
                f"another git process is running in this checkout (process {process}) and may hold {lock}",
                fix="wait for it, or end it; then rerun the command",
            )


def _git_processes() -> Iterator[tuple[int, Path]]:
    """Find the running git processes and the folder each works in, where there is /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, _, arguments = (folder / "cmdline").read_bytes().partition(b"\0")
            if program.rpartition(b"/")[2] == b"git" and not any(word in arguments for word in _HARMLESS):
                yield int(folder.name), (folder / "cwd").readlink()


def _recorded_group(record: Path) -> int | None:
    try:
        return int(record.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _is_running(group: int) -> bool:
    """Return whether a process group has a running process; a zombie is not running."""
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


def _user() -> int:
    return os.geteuid() if sys.platform != "win32" else 0
