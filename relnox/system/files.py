"""Private folders, and files that are replaced atomically and durably."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.system.temporary_folders import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Iterable

_PRIVATE = 0o700
_WRITABLE_BY_OTHERS = 0o022


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter, whatever the umask, with missing parents.

    An existing folder that others can only read is made private.

    Raises:
        Blocked: It exists and is a link, belongs to another user, or is writable by others.
    """
    if _make_folder(folder, _PRIVATE):
        sync_folder(folder.parent)
        return
    if os.name != "posix":
        return
    if (reason := _why_untrusted(folder, {os.geteuid(), folder.parent.stat().st_uid})) is not None:
        raise Blocked(
            "folder-not-private",
            f"{folder} cannot be used: it {reason}",
            fix=f"check its content, then remove it: rm -r {folder}",
        )
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        folder.chmod(_PRIVATE)


def _make_folder(folder: Path, mode: int) -> bool:
    """Make a folder and missing parents, with a mode less the umask; return whether it was missing."""
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
    """Return why other users could change or replace a folder; None if they cannot.

    The folder must belong to this user and not be writable by others. Its parents must belong to this user or
    root, and not be writable by others, unless they have the sticky bit.
    """
    if os.name != "posix":
        return None
    if (reason := _why_untrusted(folder, {os.geteuid()})) is not None:
        return f"{folder} {reason}"
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - parents of links count too
    for parent in {*folder.parents, *Path(os.path.realpath(folder)).parents}:
        status = parent.stat()
        if status.st_uid not in (0, os.geteuid()):
            return f"{parent} belongs to another user"
        if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            return f"{parent} is writable by other users"
    return None


def _why_untrusted(path: Path, owners: Iterable[int]) -> str | None:
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "is a symbolic link" if stat.S_ISLNK(status.st_mode) else "is not a folder"
    if status.st_uid not in owners:
        return "belongs to another user"
    return "is writable by other users" if status.st_mode & _WRITABLE_BY_OTHERS else None


def make_output_folder(folder: Path) -> None:
    """Make a folder that others may read but not write, whatever the umask, with missing parents.

    Raises:
        FileExistsError: The name is taken by something else.
    """
    if not _make_folder(folder, 0o755) and not folder.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))


def replace_file(path: Path, content: bytes, *, mode: int = 0o644, keep_mode: bool = True) -> None:
    """Replace the content of a file atomically and durably; a symbolic link stays one.

    Args:
        path: The file.
        content: Its new content.
        mode: Permissions of a new file, less the umask.
        keep_mode: Whether an existing file keeps its permissions; if not, it gets those of a new one.
    """
    path = Path(os.path.realpath(path))
    make_output_folder(path.parent)
    with TemporaryFolder(path.parent) as folder:
        new_file = folder.path / "new"
        with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
            out.flush()
            if keep_mode and path.exists():
                new_file.chmod(path.stat().st_mode & 0o7777)
            os.fsync(out.fileno())
        new_file.replace(path)
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to disk; not needed on Windows, which cannot open folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_file_systems(paths: Iterable[Path]) -> None:
    """Flush the file systems of these files and folders to disk.

    Linux has a system call that flushes a whole file system, including git's files: one call is as fast for
    hundreds of files as for one. Elsewhere each file is flushed, then all file systems.
    """
    if sys.platform == "linux":
        by_device: dict[int, Path] = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                by_device[path.stat().st_dev] = path
        for path in by_device.values():
            _sync_file_system(path)
        return
    for path in paths:
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
