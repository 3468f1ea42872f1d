"""Locks that let only one process of this user on this machine publish a project to an index at a time.

The locks are advisory. Processes of other users or on other machines are not locked out: each upload first checks
the listing of the index and compares hashes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import TryLater
from relnox.source import file_locks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.commands.shared.project import Project

_MAX_LOCKS = 64
"""The maximum number of locks, each of which is an open file; projects beyond it are not locked."""
_MAX_WAIT = 4500.0
"""The maximum time to wait for all locks, in seconds: enough for an upload with retries and its listing."""
_POLL_INTERVAL = 0.2
"""How long to wait before trying again to get a lock, in seconds."""


def lock_projects(upload_url: str, index: str, packages: Iterable[str], project: Project) -> None:
    """Lock projects on an index until `project.indexes` is closed, and wait if another process holds a lock.

    The upload URL identifies the index. If lock files cannot be created, the projects are not locked.

    Raises:
        TryLater: Another process held a lock for too long.
    """
    from relnox.system import network

    if (directory := _lock_directory()) is None:
        return
    deadline = network.Deadline(_MAX_WAIT)
    for package in sorted(set(packages))[:_MAX_LOCKS]:  # sorted to avoid deadlocks
        path = directory / hashlib.sha256(f"{upload_url}\n{package}".encode()).hexdigest()[:32]
        while True:
            try:
                project.indexes.keep_open(file_locks.file_lock(path))
                break
            except file_locks.LockHeldError as error:
                if error.holder == str(os.getpid()):
                    break  # held by this process, which would wait for itself
                message = f"another relnox process (pid {error.holder}) is publishing {package} to {index}"
            except OSError:  # disk full, no permission, or a file system without locks
                return
            if not deadline.left():
                raise TryLater("publish-running", message, fix="rerun the command when it has finished")
            deadline.wait(_POLL_INTERVAL, message)


def _lock_directory() -> Path | None:
    """Return the directory of the lock files, which only this user can access, or None if it cannot be created."""
    import platformdirs

    directory = Path(platformdirs.user_cache_path("relnox")) / "locks"
    with contextlib.suppress(OSError):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return None
        if os.name == "posix" and status.st_uid != os.getuid():
            return None
        if os.name == "posix" and status.st_mode & 0o077:
            directory.chmod(0o700)
    except OSError:
        return None
    return directory
