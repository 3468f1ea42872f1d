"""Files and folders that are relnox's alone: private folders, temporary ones, and content that survives a crash.

Whatever relnox makes for a while is made in a temporary folder with a marker file. Only such a folder is ever
found again and removed by another run; `docs/decisions/0013-what-is-deleted.md` lists everything that is deleted.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import stat
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "TemporaryFolder",
    "has_leftovers",
    "make_output",
    "make_private",
    "remove_leftovers",
    "replace_file",
    "sync",
    "sync_folder",
    "why_unsafe",
]

_MARKER = ".relnox-temporary-folder"
_MAGIC = "temporary folder of relnox, removed by relnox"
_NAME = re.compile(r"\.?relnox-[0-9a-f]{16}")
_PRIVATE = 0o700
_WRITABLE_BY_OTHERS = 0o022
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
_SMALL = 4096
_CAN_CLEAN_UP = sys.platform != "win32" and {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
"""Whether leftovers can be locked, and removed without following a link that somebody puts in their place."""


class TemporaryFolder:
    """A folder that is made when its path is first asked for, and removed at the end with all that is in it.

    It is private, and locked for as long as this process lives. What a killed run left in the same parent is
    removed first: see `remove_leftovers`.

    Args:
        parent: Where it is made; the system's folder for temporary files if None.
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
        """The folder."""
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
                with contextlib.suppress(OSError), _opened(self._path.parent) as parent:
                    _remove(parent, self._path.name, self._lock)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make(self) -> Path:
        if self._parent is None:
            import tempfile

            parent, hidden = Path(tempfile.gettempdir()).resolve(), ""
        else:
            parent, hidden = self._parent.resolve(), "."
        remove_leftovers(parent)
        while True:
            path = parent / f"{hidden}relnox-{os.urandom(8).hex()}"
            path.mkdir(_PRIVATE)
            with contextlib.suppress(FileNotFoundError):  # another run took it for a leftover, not locked yet
                self._lock = _claim(path)
                return path


def _claim(folder: Path) -> int | None:
    """Lock a new folder and put the marker into it; returns what holds the lock, None where there are no locks."""
    if not _CAN_CLEAN_UP:
        return None
    import fcntl

    descriptor = os.open(folder, _FOLDER)
    try:
        with contextlib.suppress(OSError):  # some network file systems cannot lock a folder
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # waits for a run that takes it for a leftover
        text = json.dumps({"what": _MAGIC, "folder": folder.name, "process": os.getpid(), **_here()})
        marker = os.open(_MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=descriptor)
        with os.fdopen(marker, "wb") as out:
            out.write(text.encode())
    except FileNotFoundError:
        os.close(descriptor)
        raise
    except BaseException:  # an interruption too leaves no folder without its marker
        with contextlib.suppress(OSError), _opened(folder.parent) as parent:
            _remove(parent, folder.name, descriptor)
        os.close(descriptor)
        raise
    return descriptor


def _here() -> dict[str, str]:
    return {"host": os.uname().nodename, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def remove_leftovers(parent: Path) -> None:
    """Remove the temporary folders of killed runs that are directly in a folder, and nothing else.

    One is removed if all of this holds, seen through one descriptor of the folder itself: its name is one that
    is given to temporary folders, it is no link, this user's, of mode 0700, nobody holds its lock, and it has a
    marker that names it. Where a run was killed before it wrote the marker it is empty, and is removed as well.
    """
    for descriptor, name, folder in _leftovers(parent):
        with contextlib.suppress(OSError):
            _remove(descriptor, name, folder)


def has_leftovers(parent: Path) -> bool:
    """Whether there is something that `remove_leftovers` would remove."""
    return any(True for _ in _leftovers(parent))


def _leftovers(parent: Path) -> Iterator[tuple[int, str, int]]:
    """The temporary folders of killed runs: a descriptor of the parent, the name, a locked descriptor."""
    if not _CAN_CLEAN_UP:
        return
    with contextlib.suppress(OSError), _opened(parent) as descriptor:
        for name in filter(_NAME.fullmatch, os.listdir(descriptor)):  # noqa: PTH208 - of this very folder
            with contextlib.suppress(OSError), _leftover(descriptor, name) as folder:
                if folder is not None:
                    yield descriptor, name, folder


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _leftover(parent: int, name: str) -> Iterator[int | None]:
    """A locked descriptor of a temporary folder that a killed run left; None if it is anything else."""
    import fcntl

    descriptor = os.open(name, _FOLDER, dir_fd=parent)  # fails for a link
    try:
        status = os.fstat(descriptor)
        if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == _PRIVATE:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its run goes on
            yield descriptor if _is_marked(descriptor, name) else None
        else:
            yield None
    finally:
        os.close(descriptor)


def _is_marked(folder: int, name: str) -> bool:
    names = os.listdir(folder)
    if not names:
        return True
    with contextlib.suppress(FileNotFoundError, ValueError, AttributeError):
        marker = os.open(_MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(marker, "rb") as file:
            status = os.fstat(marker)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > _SMALL:
                return False
            content = file.read()
        if not content:  # killed before it was written, thus before anything else was put into the folder
            return names == [_MARKER]
        told = json.loads(content)
        return bool(told.get("what") == _MAGIC and told.get("folder") == name)
    return False


def _remove(parent: int, name: str, folder: int) -> None:
    """Remove a folder, its marker last: if this run is killed meanwhile, the next one still finds what is left.

    Args:
        parent: Descriptor of the folder that it is in.
        name: Its name there.
        folder: Its own descriptor.
    """
    _empty(folder)
    if set(os.listdir(folder)) - {_MARKER}:
        with contextlib.suppress(OSError, RecursionError):
            for *_, inside in os.fwalk(".", dir_fd=folder):  # which enters no link
                os.fchmod(inside, _PRIVATE)
        _empty(folder)
    if not set(os.listdir(folder)) - {_MARKER}:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_MARKER, dir_fd=folder)
        os.rmdir(name, dir_fd=parent)


def _empty(folder: int) -> None:
    """Remove what is in a folder, but not its marker."""
    import shutil

    for name in os.listdir(folder):
        if name == _MARKER:
            continue
        with contextlib.suppress(OSError, RecursionError):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                shutil.rmtree(name, ignore_errors=True, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)


def make_private(folder: Path) -> None:
    """Make a folder that only its owner may enter, whatever the umask, with the parents that are missing.

    One that is there is made private if others could only read it.

    Raises:
        Blocked: What is there is a link, another user's, or can be written by others.
    """
    if _make_folder(folder, _PRIVATE):
        sync_folder(folder.parent)
        return
    if os.name != "posix":
        return
    if (reason := _why_foreign(folder, {os.geteuid(), folder.parent.stat().st_uid})) is not None:
        raise Blocked(
            "todo", f"{folder} cannot be used: it {reason}", fix=f"see what is in it; then: rm -r {folder}"
        )
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(_PRIVATE)


def _make_folder(folder: Path, mode: int) -> bool:
    """Make a folder with a mode less the umask, with the parents that are missing; whether it was missing."""
    try:
        folder.mkdir(mode)
    except FileExistsError:
        return False
    except FileNotFoundError:
        if folder.parent == folder or not _make_folder(folder.parent, mode):
            raise
        folder.mkdir(mode, exist_ok=True)
    return True


def why_unsafe(folder: Path) -> str | None:
    """Why others could change what is in a folder, or put another one in its place; None if they cannot.

    The folder must be this user's and private. Its parents must be this user's or root's, and not writable by
    others, unless they keep the others from renaming what is not theirs (the sticky bit).
    """
    if os.name != "posix":
        return None
    if (reason := _why_foreign(folder, {os.geteuid()})) is not None:
        return f"{folder} {reason}"
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - the folders that links are in count as well
    for parent in {*folder.parents, *Path(os.path.realpath(folder)).parents}:
        status = parent.stat()
        if status.st_uid not in (0, os.geteuid()):
            return f"{parent} belongs to another user"
        if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            return f"{parent} can be written by other users"
    return None


def _why_foreign(path: Path, owners: Iterable[int]) -> str | None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "is a symbolic link" if stat.S_ISLNK(status.st_mode) else "is not a folder"
    if status.st_uid not in owners:
        return "belongs to another user"
    return "can be written by other users" if status.st_mode & _WRITABLE_BY_OTHERS else None


def make_output(folder: Path) -> None:
    """Make a folder that others may read but not write, whatever the umask, with the parents that are missing.

    Raises:
        FileExistsError: There is something else of that name.
    """
    if not _make_folder(folder, 0o755) and not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def replace_file(path: Path, content: bytes, *, mode: int = 0o644, keep_mode: bool = True) -> None:
    """Put a whole new content in a file's place, durably; a reader sees the old or the new one, never half.

    A symbolic link stays one.

    Args:
        path: The file.
        content: What it is to hold.
        mode: Permissions of a new file, less the umask.
        keep_mode: Whether a file that is there keeps its permissions; if not, it gets those of a new one.
    """
    path = Path(os.path.realpath(path))
    make_output(path.parent)
    with TemporaryFolder(path.parent) as folder:
        written = folder.path / "new"
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
            out.flush()
            if keep_mode and path.exists():
                written.chmod(path.stat().st_mode & 0o7777)
            os.fsync(out.fileno())
        written.replace(path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last; Windows cannot open folders, and needs no such thing."""
    if os.name == "posix":
        with _opened(folder) as descriptor:
            os.fsync(descriptor)


def sync(paths: Iterable[Path]) -> None:
    """Make everything last that was written to the file systems of these files and folders, whoever wrote it.

    One call for each file system (Linux): hundreds of files cost as much as one, and what git has written is
    included, which syncs hardly anything by itself. Elsewhere each file, then the whole machine.
    """
    existing = [path for path in paths if path.exists()]
    if sys.platform == "linux":
        by_device = {path.stat().st_dev: path for path in existing}
        for path in by_device.values():
            _sync_file_system(path)
        return
    for path in existing:
        if path.is_file() and os.access(path, os.W_OK):
            with path.open("r+b") as file:
                os.fsync(file.fileno())
    if hasattr(os, "sync"):
        os.sync()


def _sync_file_system(path: Path) -> None:
    import ctypes

    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
