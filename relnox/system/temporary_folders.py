"""Temporary folders, and the removal of those that killed runs left behind.

All temporary files are created in temporary folders that contain a marker file. Later runs remove only such
folders; `docs/decisions/0013-what-is-deleted.md` lists everything that relnox deletes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKER = ".relnox-temporary-folder"
_MAGIC = "temporary folder of relnox, removed by relnox"
_NAME = re.compile(r"\.?relnox-[0-9a-f]{16}")
_OPEN_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_PRIVATE = 0o700
_MAX_MARKER = 4096
_CAN_CLEAN_UP = sys.platform != "win32" and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
"""Whether this system can lock leftover folders, and remove them without following links that replaced them."""


class TemporaryFolder:
    """A private folder that is created on first use, and locked until it is removed at the end of the block.

    Before it is created, leftovers of killed runs in the same parent are removed; see `remove_leftovers`.

    Args:
        parent: The folder to create it in, or None for the system's folder for temporary files.
    """

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._path: Path | None = None
        self._lock: int | None = None
        self._making = threading.Lock()

    def __enter__(self) -> Self:
        return self

    @property
    def path(self) -> Path:
        """The path of the folder, which is created on first access."""
        with self._making:
            if self._path is None:
                self._path = self._make()
            return self._path

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            if self._lock is None:
                import shutil

                shutil.rmtree(self._path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError), _open_folder(self._path.parent) as parent:
                    _remove_folder(parent, self._path.name, self._lock)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> Path:
        """Remove leftovers, then create the folder and lock it."""
        if self._parent is None:
            import tempfile

            parent, prefix = Path(tempfile.gettempdir()).resolve(), ""
        else:
            parent, prefix = self._parent.resolve(), "."
        remove_leftovers(parent)
        while True:
            path = parent / f"{prefix}relnox-{os.urandom(8).hex()}"
            path.mkdir(_PRIVATE)
            with contextlib.suppress(FileNotFoundError):  # another run took it for a leftover, and removed it
                self._lock = _claim(path)
                return path


class ScratchFolder(TemporaryFolder):
    """A temporary folder that is also the one of Python's `tempfile`.

    Libraries create temporary folders as well (`pyproject_hooks` for every hook): those that a killed run leaves
    are removed with this folder.
    """

    _previous: str | None = None

    @property
    def temporary(self) -> Path:
        """The folder for temporary files of programs."""
        return self.path / "tmp"

    def _make(self) -> Path:
        import tempfile

        folder = super()._make()
        (folder / "tmp").mkdir()
        self._previous, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
        return folder

    def __exit__(self, *exception: object) -> None:
        if self._path is not None:
            import tempfile

            if tempfile.tempdir == str(self._path / "tmp"):
                previous = self._previous
                tempfile.tempdir = previous if previous is not None and os.path.isdir(previous) else None  # noqa: PTH112
        super().__exit__(*exception)


def _claim(folder: Path) -> int | None:
    """Lock a new folder and write its marker; return its descriptor, or None if `_CAN_CLEAN_UP` is False."""
    if not _CAN_CLEAN_UP:
        return None
    import fcntl

    descriptor = os.open(folder, _OPEN_FOLDER)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock a folder
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for a run that checks whether it is a leftover
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        origin = {"process": os.getpid(), "host": os.uname().nodename, "time": created}
        text = json.dumps({"what": _MAGIC, "folder": folder.name, **origin})
        marker = os.open(_MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=descriptor)
        with os.fdopen(marker, "wb") as out:
            out.write(text.encode())
    except FileNotFoundError:
        os.close(descriptor)
        raise
    except BaseException:  # an interruption too leaves no folder without its marker
        with contextlib.suppress(OSError), _open_folder(folder.parent) as parent:
            _remove_folder(parent, folder.name, descriptor)
        os.close(descriptor)
        raise
    return descriptor


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders that killed runs left directly in a folder, and nothing else.

    A folder is removed only if it has the name of a temporary folder, is not a link, belongs to this user, has
    mode 0700, is not locked, and contains a marker with its name. An empty folder is removed, too: its run was
    killed before it wrote the marker. All checks use the same open descriptor of the folder.
    """
    for descriptor, name, folder in _leftovers(parent):
        with contextlib.suppress(OSError):
            _remove_folder(descriptor, name, folder)


def has_leftovers(parent: Path) -> bool:
    """Return whether `remove_leftovers` would remove anything."""
    return any(True for _ in _leftovers(parent))


def _leftovers(parent: Path) -> Iterator[tuple[int, str, int]]:
    """Yield leftovers as a descriptor of the parent folder, the name, and a locked descriptor of the leftover."""
    if not _CAN_CLEAN_UP:
        return
    with contextlib.suppress(OSError), _open_folder(parent) as descriptor:
        for name in filter(_NAME.fullmatch, os.listdir(descriptor)):  # noqa: PTH208 - of the open folder
            with contextlib.suppress(OSError), _leftover(descriptor, name) as folder:
                if folder is not None:
                    yield descriptor, name, folder


@contextlib.contextmanager
def _open_folder(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _OPEN_FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _leftover(parent: int, name: str) -> Iterator[int | None]:
    """Yield a locked descriptor of a temporary folder that a killed run left, or None for any other folder.

    Raises:
        OSError: The name is that of a link or a file, or the run that uses the folder is still alive.
    """
    import fcntl

    descriptor = os.open(name, _OPEN_FOLDER, dir_fd=parent)  # fails for a link
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == _PRIVATE:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its run is alive
            yield descriptor if _is_marked(descriptor, name) else None
        else:
            yield None
    finally:
        os.close(descriptor)


def _is_marked(folder: int, name: str) -> bool:
    """Return whether an open folder has a marker with this name, or its run was killed before it wrote one."""
    names = os.listdir(folder)
    if not names:
        return True
    with contextlib.suppress(FileNotFoundError, ValueError, AttributeError):
        marker = os.open(_MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(marker, "rb") as file:
            status = os.fstat(marker)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > _MAX_MARKER:
                return False
            content = file.read()
        if not content:  # its run was killed before it put anything else into the folder
            return names == [_MARKER]
        marker_fields = json.loads(content)
        return bool(marker_fields.get("what") == _MAGIC and marker_fields.get("folder") == name)
    return False


def _remove_folder(parent: int, name: str, folder: int) -> None:
    """Remove a folder, and its marker last, so that a later run recognizes the rest if this run is killed."""
    _remove_content(folder)
    if set(os.listdir(folder)) - {_MARKER}:
        with contextlib.suppress(OSError, RecursionError):
            for *_, inside in os.fwalk(".", dir_fd=folder):  # does not enter links
                os.fchmod(inside, _PRIVATE)
        _remove_content(folder)
    if not set(os.listdir(folder)) - {_MARKER}:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_MARKER, dir_fd=folder)
        os.rmdir(name, dir_fd=parent)


def _remove_content(folder: int) -> None:
    """Remove the content of a folder except for its marker."""
    for name in os.listdir(folder):
        if name == _MARKER:
            continue
        with contextlib.suppress(OSError, RecursionError):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                import shutil

                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)
