"""One run at a time may change a checkout. The lock is the operating system's: it ends with its process."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from relnox.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["alone"]


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a checkout inside the block.

    Args:
        folder: Where relnox keeps what must outlive a run.

    Raises:
        Refused: Another run holds it; its process id is told.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            _lock(descriptor)
        except OSError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            raise Refused(
                f"another run of relnox is at work in this checkout (process {holder})",
                hint="wait until it is through, then type the same command again",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
