"""One process at a time publishes a project to an index, as far as this machine can see.

The lock is advisory. Processes on other machines, or of other users, are told apart by what the index lists: it is
looked at before each file, and a name that is taken is settled by its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import TryLater
from relnox.source import lock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.commands.project import Project

__all__ = ["lock_projects"]

_LOCKED = 64
"""Projects that are locked, the first by name: each lock is an open file."""
_WAIT = 4500.0
"""Seconds: an upload may outlast an outage, and wait for the listing after that."""
_POLL = 0.2


def lock_projects(upload_url: str, index: str, packages: Iterable[str], project: Project) -> None:
    """Hold the locks of projects on an index until the indexes of the project are closed.

    Args:
        upload_url: Where the files go, whatever the index is called.
        index: Its name, for messages.
        packages: Normalized names.
        project: Whose indexes are used.

    Raises:
        TryLater: Another process held one of them for too long.
    """
    from relnox import network

    if (folder := _folder()) is None:
        return
    deadline = network.Deadline(_WAIT)
    for package in sorted(set(packages))[:_LOCKED]:  # in this order, so that no two processes wait for one another
        path = folder / hashlib.sha256(f"{upload_url}\n{package}".encode()).hexdigest()[:32]
        while True:
            try:
                project.indexes.keep_open(lock.file_lock(path))
                break
            except lock.Locked as error:
                if error.holder == str(os.getpid()):
                    break  # held further up in this very process, which would wait for itself
                busy = f"another relnox process (pid {error.holder}) is publishing {package} to {index}"
            except OSError:  # no room, no right, or a file system without locks: the lock is advisory
                return
            if not deadline.left():
                raise TryLater("todo", busy, fix="rerun the command when it has finished")
            deadline.wait(_POLL, busy)


def _folder() -> Path | None:
    """A folder that is this user's alone; None where there can be none."""
    import platformdirs

    folder = Path(platformdirs.user_cache_path("relnox")) / "locks"
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return None
        if os.name == "posix" and found.st_uid != os.getuid():
            return None
        if os.name == "posix" and found.st_mode & 0o077:
            folder.chmod(0o700)
    except OSError:
        return None
    return folder
