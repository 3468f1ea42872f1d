"""Private directories, and files that are replaced atomically and durably."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.system.temporary_directories import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PRIVATE = 0o700
_WRITABLE_BY_OTHERS = 0o022
_FEW_FILES = 8
_MAX_SIZE = 64 << 20
"""The size in bytes up to which files are read."""


def make_private_directory(directory: Path) -> None:
    """Create a directory and its missing parents; only their owner can access them, whatever the umask.

    If the directory exists and other users can read but not write it, it is made private.

    Raises:
        Blocked: The path is not a directory, belongs to neither this user nor the owner of its parent directory,
            or is writable by other users.
    """
    if _make_directory(directory, _PRIVATE):
        sync_directory(directory.parent)
        return
    if os.name != "posix":
        return
    if (reason := _why_untrusted(directory, {os.geteuid(), directory.parent.stat().st_uid})) is not None:
        raise Blocked(
            "directory-not-private",
            f"{directory} cannot be used: it {reason}",
            fix=f"check its content, then close it to others: chmod 700 {directory}",
        )
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        directory.chmod(_PRIVATE)


def _make_directory(directory: Path, mode: int) -> bool:
    """Create a directory and its missing parents; return False if the path already exists.

    Raises:
        NotADirectoryError: A parent is a symbolic link that leads nowhere, or not a directory.
    """
    try:
        directory.mkdir(mode)
    except FileExistsError:
        return False
    except FileNotFoundError:
        if directory.parent == directory:
            raise
        if not _make_directory(directory.parent, mode) and not directory.parent.is_dir():
            raise _not_a_directory(directory.parent) from None
        try:
            directory.mkdir(mode)
        except FileExistsError:  # another thread or process created it by now
            return False
    return True


def _not_a_directory(path: Path) -> NotADirectoryError:
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def why_unsafe(directory: Path) -> str | None:
    """Return why other users could change or replace a directory, or None if they cannot.

    The directory must belong to this user and not be writable by other users. Its parents must belong to this user
    or root, and not be writable by other users unless they have the sticky bit.
    """
    if os.name != "posix":
        return None
    if (reason := _why_untrusted(directory, {os.geteuid()})) is not None:
        return f"{directory} {reason}"
    directory = Path(os.path.abspath(directory))  # noqa: PTH100 - parents of links count too
    for parent in {*directory.parents, *Path(os.path.realpath(directory)).parents}:
        status = parent.stat()
        if status.st_uid not in (0, os.geteuid()):
            return f"{parent} belongs to another user"
        if status.st_mode & _WRITABLE_BY_OTHERS and not status.st_mode & stat.S_ISVTX:
            return f"{parent} is writable by other users"
    return None


def _why_untrusted(path: Path, owners: Iterable[int]) -> str | None:
    """Return why a path is not a directory of one of these owners that only they can write, or None if it is."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return "is a symbolic link" if stat.S_ISLNK(status.st_mode) else "is not a directory"
    if status.st_uid not in owners:
        return "belongs to another user"
    return "is writable by other users" if status.st_mode & _WRITABLE_BY_OTHERS else None


def make_output_directory(directory: Path) -> None:
    """Create a directory and its missing parents; other users cannot write to them, whatever the umask."""
    if not _make_directory(directory, 0o755) and not directory.is_dir():
        raise _not_a_directory(directory)


def read_project_file(root: Path, name: str) -> bytes:
    """Return the content of a file of the project; `name` is relative to its root.

    Another author may have written the checkout, so all its files are read by this function.

    Raises:
        Blocked: The file is outside of the checkout (see `project_path`), not a regular file, or too large.
        OSError: The file does not exist, or cannot be read.
    """
    return read_file(project_path(root, name))


def project_path(root: Path, name: str) -> Path:
    """Return the real path of a file or directory of the project, which need not exist.

    Raises:
        Blocked: A link leads to a path outside of the checkout, or into git's own directory.
    """
    path = root / name
    checkout = next((directory for directory in (root, *root.parents) if (directory / ".git").exists()), root)
    top, real_path = Path(os.path.realpath(checkout)), Path(os.path.realpath(path))
    if not real_path.is_relative_to(top) or ".git" in map(str.lower, real_path.relative_to(top).parts):
        raise _unreadable(path, "it is a link to, or the name of, a file outside of the checkout")
    return real_path


def read_file(path: Path | str, limit: int = _MAX_SIZE) -> bytes:
    """Return the content of a regular file of at most `limit` bytes.

    Raises:
        Blocked: The file is too large, or not a regular file, such as a pipe.
        OSError: The file does not exist, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unreadable(path, "it is not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _unreadable(path, f"it has more than {limit >> 20} MiB")
    return content


def _unreadable(path: Path | str, reason: str) -> Blocked:
    return Blocked("file-refused", f"{path} cannot be used: {reason}", fix=f"replace {path} with a regular file")


def replace_file(path: Path, content: bytes, *, mode: int = 0o644, keep_mode: bool = True) -> None:
    """Replace a file atomically and durably; a symbolic link is replaced itself, and not what it leads to.

    Args:
        path: The file.
        content: The new content.
        mode: The permissions of a new file, before the umask is applied.
        keep_mode: Whether an existing file keeps its permissions; otherwise it gets those of a new file.
    """
    make_output_directory(path.parent)
    with TemporaryDirectory(path.parent) as directory:
        new_file = directory.path / "new"
        with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
            out.flush()
            if keep_mode and path.is_file():
                new_file.chmod(path.stat().st_mode & 0o7777)
            os.fsync(out.fileno())
        new_file.replace(path)
        sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Flush the names of a directory's files to disk; do nothing on Windows, which cannot open directories."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_files(paths: Sequence[Path]) -> None:
    """Flush files that were replaced or removed, and the names in their directories, to disk.

    Many files are flushed with their file systems: that takes as long as a few files.
    """
    if len(paths) > _FEW_FILES:
        sync_file_systems([path if path.exists() else path.parent for path in paths])
        return
    real_paths = [Path(os.path.realpath(path)) for path in paths]
    for path in filter(Path.exists, real_paths):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    for directory in filter(Path.is_dir, {path.parent for path in real_paths}):
        sync_directory(directory)


def sync_file_systems(paths: Iterable[Path]) -> None:
    """Flush the file systems that contain these files and directories to disk.

    On Linux, one system call flushes a whole file system, including files that git wrote; it is as fast for
    hundreds of files as for one. On other systems, each file is flushed, then all file systems.
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
    """Flush the file system that contains a file or directory to disk (Linux)."""
    import ctypes

    descriptor = os.open(path, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(descriptor)
