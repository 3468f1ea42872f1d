"""Lock a checkout; the operating system releases the lock when the process ends, even if it is killed."""

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


@contextlib.contextmanager
def lock_checkout(directory: Path) -> Iterator[None]:
    """Hold the lock of a checkout during the `with` block, so that only one run at a time changes the checkout.

    `directory`, which is created if it does not exist, contains the lock file with the id of this process.

    Raises:
        Blocked: Another run holds the lock.
    """
    make_private_directory(directory)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            _lock_file(descriptor)
        except OSError:
            holder = ""
            with contextlib.suppress(OSError):  # Windows does not let others read a locked file
                holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise Blocked(
                "checkout-locked",
                f"another relnox is running in this checkout (process {holder or 'unknown'})",
                fix="wait until it has finished, then rerun the command",
            ) from None
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
