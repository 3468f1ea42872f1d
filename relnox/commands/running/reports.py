"""Files that a run writes: the plan and the report."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.errors import Blocked
from relnox.secrets import masked

if TYPE_CHECKING:
    from relnox.errors import RelnoxError

__all__ = ["check", "write", "write_error"]


def check(path: str, what: str) -> None:
    """Check that a file can be written, before the run changes anything.

    Raises:
        Blocked: It is a folder, its parent is missing, or permissions are missing.
    """
    try:
        file = Path(path)
        target = file if file.exists() else file.parent
        if file.is_dir() or not file.parent.is_dir() or not os.access(target, os.W_OK):
            code = errno.EISDIR if file.is_dir() else errno.EACCES if file.parent.is_dir() else errno.ENOENT
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - the error that writing would raise
    except OSError as error:
        raise _unwritable(path, what, error.strerror) from error


def write(path: str, text: str, what: str) -> None:
    """Write a file with secrets masked.

    Raises:
        Blocked: It cannot be written.
    """
    try:
        Path(path).write_text(masked(text), encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, what, error.strerror) from error


def write_error(path: str, task: str, error: RelnoxError) -> None:
    """Write the report of a run without steps; a report that cannot be written does not change the exit code."""
    from relnox.reporters.json import render_error

    with contextlib.suppress(Blocked):
        write(path, render_error(task, error), "report")


def _unwritable(path: str, what: str, why: str | None) -> Blocked:
    return Blocked(
        "file-not-writable", f"the {what} cannot be written to {path}: {why}", fix="choose another path"
    )
