"""The error tree: one class per kind of ending, each with the exit code that is its contract.

A message says what happened and to which package and file; the hint is a command or an edit that
helps. A user's mistake is always one of these; anything else that is raised is a bug.
"""

from __future__ import annotations

import errno
from enum import IntEnum

__all__ = [
    "ENVIRONMENT_ERRORS",
    "NO_WORKING_FOLDER",
    "Blocked",
    "Conflict",
    "ExitCode",
    "Failed",
    "RelnoxError",
    "TryLater",
    "environment_error",
]

_OF_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_OF_THE_MACHINE = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
        *(errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY),
    }
)
_OF_THE_PATH = frozenset(
    {
        *(errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR),
        *(errno.ENXIO, errno.ENODEV, errno.EILSEQ),
    }
)
NO_WORKING_FOLDER = "the working folder no longer exists"
_NOWHERE = "No usable temporary directory"
"""How `tempfile` begins when it could write to none of its folders, for whatever reason; its errno is ENOENT."""


_OUT_OF_MEMORY = ("can't start new thread", "failed to map segment", "cannot allocate memory")
"""What Python and the dynamic loader say where there is too little of it, in errors of other kinds."""

ENVIRONMENT_ERRORS = (OSError, MemoryError, RuntimeError, ImportError)
"""What `environment_error` knows."""


class ExitCode(IntEnum):
    """How a run ended, for programs; the numbers are a contract."""

    DONE = 0
    BLOCKED = 1
    FAILED = 2
    PARTLY_PUBLIC = 3
    CONFLICT = 4
    TRY_LATER = 5
    INTERRUPTED = 130
    TERMINATED = 143

    @classmethod
    def worst(cls, codes: list[ExitCode]) -> ExitCode:
        """The code that speaks for several: a signal first, then 4, 3, 5, 2, 1, and 0 for none."""
        order = (cls.INTERRUPTED, cls.TERMINATED, cls.CONFLICT, cls.PARTLY_PUBLIC, cls.TRY_LATER)
        return next((code for code in (*order, cls.FAILED, cls.BLOCKED) if code in codes), cls.DONE)


class RelnoxError(Exception):
    """A problem that ends a task.

    Args:
        code: Stable name of the kind of problem, such as `tag-exists`: documented, and the same in every release.
        message: What failed, for which package and file, and why: one sentence without a full
            stop, or a few lines.
        fix: One command or edit that solves it.
    """

    exit_code = ExitCode.FAILED
    rejected = False
    """Whether a server answered that it did not take what was sent to it."""

    def __init__(self, code: str, message: str, *, fix: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


class Blocked(RelnoxError):
    """Nothing was changed: usage, configuration, a guard, or input that cannot be right."""

    exit_code = ExitCode.BLOCKED


class Failed(RelnoxError):
    """Something was tried and did not work; nothing is public."""

    exit_code = ExitCode.FAILED


class Conflict(RelnoxError):
    """Another file of that name, another commit under that tag: a person has to decide."""

    exit_code = ExitCode.CONFLICT


class TryLater(RelnoxError):
    """The index is down, or does not list yet what it has stored."""

    exit_code = ExitCode.TRY_LATER


def environment_error(error: BaseException) -> Failed | None:
    """An error of a disk or a memory that is full, of a right that is missing and the like; None for a bug.

    Args:
        error: One of `ENVIRONMENT_ERRORS`.
    """
    if _is_out_of_memory(error):
        return Failed(
            "todo",
            "out of memory",
            fix="end other programs, or raise the limit (ulimit -v, the container's); then rerun the command",
        )
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENOENT and error.filename is None and not str(error.strerror).startswith(_NOWHERE):
        return Failed("todo", NO_WORKING_FOLDER, fix="cd into the project's folder; then rerun the command")
    told = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    if str(error.strerror).startswith(_NOWHERE):
        return Failed("todo", told, fix="set TMPDIR to a folder that you may write to; then rerun the command")
    if error.errno in _OF_PERMISSION:
        return Failed(
            "todo", told, fix="allow writing there, or work in a copy of the project; then rerun the command"
        )
    if error.errno in _OF_THE_PATH:
        return Failed("todo", told, fix="check the path, and what kind of file it is; then rerun the command")
    if error.errno in _OF_THE_MACHINE:
        return Failed("todo", told, fix="free space, memory or open files; then rerun the command")
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether it is one, or a thread or a library that there was no memory for."""
    told = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, (RuntimeError, ImportError)) and any(words in told for words in _OUT_OF_MEMORY)
    )
