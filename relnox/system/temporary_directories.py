"""Temporary directories, and the removal of those that killed runs left behind.

All temporary files are created in temporary directories that contain a marker file. Later runs remove only such
directories; `docs/decisions/0013-what-is-deleted.md` lists everything that relnox deletes.
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

_MARKER = ".relnox-temporary-directory"
_MAGIC = "temporary directory of relnox, removed by relnox"
_NAME = re.compile(r"\.?relnox-[0-9a-f]{16}")
_OPEN_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_PRIVATE = 0o700
_MAX_MARKER = 4096
_CAN_CLEAN_UP = sys.platform != "win32" and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
"""Whether this system can lock leftover directories, and remove them without following links in their place."""


class TemporaryDirectory:
    """A private directory that is created on first use, and locked until it is removed at the end of the block.

    Before it is created, leftovers of killed runs in the same parent are removed; see `remove_leftovers`.

    Args:
        parent: The directory to create it in, or None for the system's directory for temporary files.
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
        """The path of the directory, which is created on first access."""
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
                with contextlib.suppress(OSError), _open_directory(self._path.parent) as parent:
                    _remove_directory(parent, self._path.name, self._lock)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> Path:
        """Remove leftovers, then create the directory and lock it."""
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
                self._lock = _claim_directory(path)
                return path


class ScratchDirectory(TemporaryDirectory):
    """A temporary directory that is also the one of Python's `tempfile`.

    Libraries create temporary directories as well (`pyproject_hooks` for every hook): those that a killed run
    leaves are removed with this directory.
    """

    _previous: str | None = None

    @property
    def temporary(self) -> Path:
        """The directory for temporary files of programs."""
        return self.path / "tmp"

    def _make(self) -> Path:
        import tempfile

        directory = super()._make()
        (directory / "tmp").mkdir()
        self._previous, tempfile.tempdir = tempfile.tempdir, str(directory / "tmp")
        return directory

    def __exit__(self, *exception: object) -> None:
        if self._path is not None:
            import tempfile

            if tempfile.tempdir == str(self._path / "tmp"):
                previous = self._previous
                tempfile.tempdir = previous if previous is not None and os.path.isdir(previous) else None  # noqa: PTH112
        super().__exit__(*exception)


def _claim_directory(directory: Path) -> int | None:
    """Lock a new directory and write its marker; return its descriptor, or None if `_CAN_CLEAN_UP` is False."""
    if not _CAN_CLEAN_UP:
        return None
    import fcntl

    descriptor = os.open(directory, _OPEN_DIRECTORY)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock a directory
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for a run that checks whether it is a leftover
        created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        origin = {"process": os.getpid(), "host": os.uname().nodename, "time": created}
        text = json.dumps({"what": _MAGIC, "directory": directory.name, **origin})
        marker = os.open(_MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=descriptor)
        with os.fdopen(marker, "wb") as out:
            out.write(text.encode())
    except FileNotFoundError:
        os.close(descriptor)
        raise
    except BaseException:  # an interruption too leaves no directory without its marker
        with contextlib.suppress(OSError), _open_directory(directory.parent) as parent:
            _remove_directory(parent, directory.name, descriptor)
        os.close(descriptor)
        raise
    return descriptor


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary directories that killed runs left directly in a directory, and nothing else.

    A directory is removed only if it has the name of a temporary directory, is not a link, belongs to this user,
    has mode 0700, is not locked, and contains a marker with its name. An empty directory is removed, too: its run
    was killed before it wrote the marker. All checks use the same open descriptor of the directory.
    """
    for descriptor, name, directory in _find_leftovers(parent):
        with contextlib.suppress(OSError):
            _remove_directory(descriptor, name, directory)


def has_leftovers(parent: Path) -> bool:
    """Return whether `remove_leftovers` would remove anything."""
    return any(True for _ in _find_leftovers(parent))


def _find_leftovers(parent: Path) -> Iterator[tuple[int, str, int]]:
    """Yield leftovers as a descriptor of the parent directory, the name, and a locked descriptor of the rest."""
    if not _CAN_CLEAN_UP:
        return
    with contextlib.suppress(OSError), _open_directory(parent) as descriptor:
        for name in filter(_NAME.fullmatch, os.listdir(descriptor)):  # noqa: PTH208 - of the open directory
            with contextlib.suppress(OSError), _open_if_leftover(descriptor, name) as directory:
                if directory is not None:
                    yield descriptor, name, directory


@contextlib.contextmanager
def _open_directory(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, _OPEN_DIRECTORY & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _open_if_leftover(parent: int, name: str) -> Iterator[int | None]:
    """Yield a locked descriptor of a temporary directory that a killed run left, or None for any other directory.

    Raises:
        OSError: The name is that of a link or a file, or the run that uses the directory is still alive.
    """
    import fcntl

    descriptor = os.open(name, _OPEN_DIRECTORY, dir_fd=parent)  # fails for a link
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == _PRIVATE:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its run is alive
            yield descriptor if _is_marked(descriptor, name) else None
        else:
            yield None
    finally:
        os.close(descriptor)


def _is_marked(directory: int, name: str) -> bool:
    """Return whether an open directory has a marker with this name, or its run was killed before it wrote one."""
    names = os.listdir(directory)
    if not names:
        return True
    with contextlib.suppress(FileNotFoundError, ValueError, AttributeError):
        marker = os.open(_MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
        with os.fdopen(marker, "rb") as file:
            status = os.fstat(marker)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > _MAX_MARKER:
                return False
            content = file.read()
        if not content:  # its run was killed before it put anything else into the directory
            return names == [_MARKER]
        marker_fields = json.loads(content)
        return bool(marker_fields.get("what") == _MAGIC and marker_fields.get("directory") == name)
    return False


def _remove_directory(parent: int, name: str, directory: int) -> None:
    """Remove a directory, and its marker last, so that a later run recognizes the rest if this run is killed."""
    _remove_content(directory)
    if set(os.listdir(directory)) - {_MARKER}:
        with contextlib.suppress(OSError, RecursionError):
            for *_, inside in os.fwalk(".", dir_fd=directory):  # does not enter links
                os.fchmod(inside, _PRIVATE)
        _remove_content(directory)
    if not set(os.listdir(directory)) - {_MARKER}:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_MARKER, dir_fd=directory)
        os.rmdir(name, dir_fd=parent)


def _remove_content(directory: int) -> None:
    """Remove the content of a directory except for its marker."""
    for name in os.listdir(directory):
        if name == _MARKER:
            continue
        with contextlib.suppress(OSError, RecursionError):
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                import shutil

                shutil.rmtree(name, ignore_errors=True, dir_fd=directory)
            else:
                os.unlink(name, dir_fd=directory)
