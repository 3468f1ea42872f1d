"""Reading files of a checkout, private and temporary directories, and files that are replaced atomically."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from relnox.errors import Blocked

_MAX_SIZE = 64 << 20
"""The size in bytes up to which files are read."""


def make_private_directory(directory: Path) -> None:
    """Create a directory and its missing parents for access by their owner only; leave existing ones unchanged."""
    if not directory.parent.exists():
        make_private_directory(directory.parent)
    directory.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yield a private directory, which is removed at the end of the `with` block."""
    with tempfile.TemporaryDirectory(prefix="relnox-", ignore_cleanup_errors=True) as directory:
        yield Path(directory).resolve()


def read_project_file(root: Path, name: str) -> bytes:
    """Return the content of a file of the project; `name` is relative to its root.

    Use it for all files of the checkout, since links in it may lead anywhere if its author is not the user.

    Raises:
        Blocked: The file is outside of the checkout (see `project_path`), not a regular file, or larger than 64
            MiB.
        OSError: The file does not exist, or cannot be read.
    """
    return read_file(project_path(root, name))


def project_path(root: Path, name: str) -> Path:
    """Return the path, with links resolved, of a file or directory of the project, which need not exist.

    `name` is relative to `root`. The checkout is the repository that contains the root; without one, the root
    itself.

    Raises:
        Blocked: The name or a link leads outside of the checkout, or into git's own directory.
    """
    # Links may lead anywhere in the checkout; outside git, in the project.
    checkout = next((directory for directory in (root, *root.parents) if (directory / ".git").exists()), root)
    top, real_path = os.path.realpath(checkout).rstrip(os.sep) + os.sep, os.path.realpath(f"{root}/{name}")
    below = f"{real_path}{os.sep}".removeprefix(top)
    if below.startswith(real_path) or ".git" in Path(below.lower()).parts:
        raise _unusable_file_error(root / name, "it is a link to, or the name of, a file outside of the checkout")
    return Path(real_path)


def read_file(path: Path | str, limit: int = _MAX_SIZE) -> bytes:
    """Return the content of a regular file of at most `limit` bytes (default: 64 MiB).

    Raises:
        Blocked: The file is too large, or not a regular file, such as a pipe.
        OSError: The file does not exist, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _unusable_file_error(path, "it is not a regular file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _unusable_file_error(path, f"it has more than {limit >> 20} MiB")
    return content


def _unusable_file_error(path: Path | str, reason: str) -> Blocked:
    """Return the error for a file that is not read; the reason is a clause (`it is not a regular file`)."""
    fix = f"replace {path} with a regular file of at most {_MAX_SIZE >> 20} MiB"
    return Blocked("file-changed", f"{path} cannot be used: {reason}", fix)


def replace_file(  # noqa: PLR0913 - a value for each condition
    path: Path,
    content: bytes,
    *,
    mode: int = 0o644,
    durable: bool = False,
    staging: Path | None = None,
    before_replacing: Callable[[], object] = lambda: None,
) -> None:
    """Write a file atomically, with its missing parent directories; a symbolic link is replaced, not its target.

    Args:
        path: The file.
        content: The new content.
        mode: The permissions of a new file, before the umask is applied; an existing file keeps its own.
        durable: Whether to flush the content to disk before the file gets its name.
        staging: The directory for the new file until it gets its name, so that a kill leaves nothing beside the
            file; by default the file's own. It is not used if it is on another file system.
        before_replacing: Called when the new file is written: the last moment to raise an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new_file = path.with_name(f".{path.name}.relnox")
    if staging is not None:
        make_private_directory(staging)
        if staging.stat().st_dev == path.parent.stat().st_dev:
            new_file = staging / new_file.name
    new_file.unlink(missing_ok=True)  # left by a run that was killed
    try:
        with os.fdopen(os.open(new_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
            if path.is_file():
                new_file.chmod(stat.S_IMODE(path.stat().st_mode))
            if durable:
                flush_to_disk(out)
        before_replacing()
        new_file.replace(path)
    except BaseException:  # an interruption too: no half-written file stays
        new_file.unlink(missing_ok=True)
        raise


def flush_to_disk(file: BinaryIO) -> None:
    """Write what an open file has buffered to the disk; ignore a file system that does not support that."""
    file.flush()
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
