"""Lock files with the operating system, which releases the locks when their process ends, even if it is killed."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.system.files import make_private_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LockHeldError(Exception):
    """Another process holds a lock.

    Args:
        holder: The id of the process that holds the lock, or `unknown`.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextlib.contextmanager
def lock_checkout(directory: Path) -> Iterator[None]:
    """Hold the lock of a checkout during the `with` block, so that only one run at a time changes the checkout.

    `directory`, which is created if it does not exist, contains the lock file.

    Raises:
        Blocked: Another run holds the lock.
    """
    make_private_directory(directory)
    try:
        with file_lock(directory / "lock"):
            yield
    except LockHeldError as error:
        raise Blocked(
            "checkout-locked",
            f"another relnox is running in this checkout (process {error.holder})",
            fix="wait until it has finished, then rerun the command",
        ) from None


@contextlib.contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Hold a lock on a file during the `with` block; the id of this process is written to the file, which is kept.

    Raises:
        LockHeldError: Another process holds the lock.
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        try:
            _lock_file(descriptor)
        except OSError:
            try:
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            except OSError:  # Windows does not let others read a locked file
                holder = ""
            raise LockHeldError(holder or "unknown") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _lock_file(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
