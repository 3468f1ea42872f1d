"""Files that a run writes for its reader: the plan, and how the run went."""

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
    """Refuse a file that cannot be written, before anything is done that it would tell of.

    Raises:
        Blocked: It is a folder, its folder is missing, or permissions are.
    """
    try:
        at = Path(path)
        target = at if at.exists() else at.parent
        if at.is_dir() or not at.parent.is_dir() or not os.access(target, os.W_OK):
            code = errno.EISDIR if at.is_dir() else errno.EACCES if at.parent.is_dir() else errno.ENOENT
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - as writing would
    except OSError as error:
        raise _unwritable(path, what, error.strerror) from error


def write(path: str, text: str, what: str) -> None:
    """Write a file, without secrets.

    Raises:
        Blocked: It cannot be written.
    """
    try:
        Path(path).write_text(masked(text), encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, what, error.strerror) from error


def write_error(path: str, task: str, error: RelnoxError) -> None:
    """A report of a run that came to no step; one that cannot be written changes nothing of how the run ended."""
    from relnox.reporters.json import render_error

    with contextlib.suppress(Blocked):
        write(path, render_error(task, error), "report")


def _unwritable(path: str, what: str, why: str | None) -> Blocked:
    return Blocked("todo", f"the {what} cannot be written to {path}: {why}", fix="name another file")
