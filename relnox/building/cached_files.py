"""The files of the environment cache: who owns them and may write to them, and whether they changed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WRITABLE_BY_OTHERS = 0o022


class UntrustedFileError(Exception):
    """A file of an environment is a link, or may have been changed by another user."""


def check_owner(path: str, status: os.stat_result, *, allow_link: bool) -> None:
    """Raise `UntrustedFileError` if a file or folder belongs to another user, or is writable by others."""
    is_link = stat.S_ISLNK(status.st_mode)
    if is_link and not allow_link:
        raise UntrustedFileError(f"{path} is a symbolic link")
    if os.name == "posix" and status.st_uid != os.geteuid():
        raise UntrustedFileError(f"{path} belongs to another user")
    if os.name == "posix" and not is_link and status.st_mode & _WRITABLE_BY_OTHERS:
        raise UntrustedFileError(f"{path} is writable by other users")


def remove_write_permissions(folder: str) -> None:
    """Remove the write permissions of group and others from a folder and everything in it."""
    for path, _, files in os.walk(folder):
        for name in (path, *(f"{path}/{file}" for file in files)):
            status = os.lstat(name)
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & _WRITABLE_BY_OTHERS:
                os.chmod(name, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)  # noqa: PTH101 - thousands of them


def remove_if_owned(path: Path) -> None:
    """Remove a file or folder of the cache if it belongs to this user; links are not followed."""
    with contextlib.suppress(OSError):
        status = path.lstat()
        if os.name == "posix" and status.st_uid != os.geteuid():
            return
        if stat.S_ISDIR(status.st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def fingerprint_of(folder: Path) -> tuple[str, int]:
    """Return a digest of the names, sizes and times of the files in a folder, and their total size in bytes.

    Compiled bytecode is excluded, since Python may write it at any time.

    Raises:
        UntrustedFileError: Another user may have changed one of the files.
    """
    fingerprint = hashlib.sha256()
    total = 0
    for name, status in sorted(_walk_files(str(folder), "")):
        fingerprint.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(errors="surrogateescape"))
        total += status.st_size
    return fingerprint.hexdigest(), total


def _walk_files(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            check_owner(entry.path, status, allow_link=True)  # such as the link to the interpreter
            if not stat.S_ISDIR(status.st_mode):
                yield f"{prefix}{entry.name}", status
            elif entry.name == "__pycache__":
                list(_walk_files(entry.path, ""))  # Python executes bytecode: its owner is checked as well
            else:
                yield from _walk_files(entry.path, f"{prefix}{entry.name}/")
