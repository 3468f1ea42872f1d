"""A folder for what a run needs for a while only. The one of a run that was killed is removed by the next run."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Self

__all__ = ["ScratchFolder"]

_PREFIX = "relnox-"
_LOCK = ".lock"


class ScratchFolder:
    """A folder that is made when it is first asked for, and is gone afterwards, whatever is in it."""

    def __enter__(self) -> Self:
        self._path: Path | None = None
        self._lock: int | None = None
        self._making = threading.Lock()
        return self

    @property
    def path(self) -> Path:
        """The folder."""
        with self._making:
            if self._path is None:
                import tempfile

                _remove_left_behind(Path(tempfile.gettempdir()))
                folder = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
                self._lock = _lock_up(folder)
                self._path = folder
            return self._path

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            _remove(self._path)
        if self._lock is not None:
            os.close(self._lock)


def _lock_up(folder: Path) -> int | None:
    """Lock a new folder for as long as this process lives, where the system can."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return None
    descriptor = os.open(folder / f"{_LOCK}-being-made", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    (folder / f"{_LOCK}-being-made").rename(folder / _LOCK)  # nobody sees it unlocked
    return descriptor


def _remove_left_behind(folder: Path) -> None:
    """Remove the folders of this user's runs that were killed: whose locks nobody holds."""
    try:
        import fcntl
    except ImportError:
        return
    for lock in folder.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # another user's, or just removed
            continue
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(lock.parent)
        except BlockingIOError:  # its run goes on
            continue
        finally:
            os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove a folder, its lock last: if this run is killed meanwhile, the next one still finds what is left."""
    import shutil

    with contextlib.suppress(OSError):  # somebody else removed it
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)  # which leaves files, thus the lock, alone
    shutil.rmtree(folder, ignore_errors=True)
