"""Edit several files, so that either all edits are made or none, and nothing that others wrote is overwritten.

A file is only written if it has the content that is expected at that moment. It is replaced, so that it has either
its old or its new content, whenever a run is killed.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterable
from pathlib import Path

from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.core.text import join_names
from relnox.errors import Conflict, Failed
from relnox.system import files


def apply_edits(root: Path, edits: Iterable[Edit], staging: Path | None = None) -> tuple[Edit, ...]:
    """Make all edits or, if one fails, none; their paths are relative to the root.

    Args:
        root: The directory of the files.
        edits: The edits.
        staging: A directory outside of the checkout for new files until they replace the old ones.

    Returns:
        The edits that this call has made; the others were made before.

    Raises:
        Blocked: A file is outside of the checkout; nothing was changed.
        Conflict: A file has neither its old nor its new content; nothing was changed.
        Failed: A file could not be written; the others were restored, or the error names them.
    """
    edits = tuple(edits)
    for edit in edits:
        _is_applied(root, edit)
    applied: list[Edit] = []
    try:
        for edit in edits:
            if not _is_applied(root, edit):
                applied.append(edit)
                _write_file(files.project_path(root, edit.file), edit.after, staging)
    except BaseException as error:  # an interruption too
        left = restore_files(root, applied, staging)
        rest = f"; not restored: {join_names(left)}" if left else ""
        if isinstance(error, Conflict):
            raise Conflict(error.code, f"{error.message}{rest}", fix=error.fix) from None
        if not isinstance(error, OSError):
            raise
        raise Failed(
            "file-not-writable",
            f"{applied[-1].file} cannot be written ({error.strerror}){rest or '; no file was changed'}",
            fix="free disk space or fix the permissions, then rerun the command",
        ) from error
    return tuple(applied)


def check_paths(root: Path, edits: Iterable[Edit]) -> None:
    """Raise `Blocked` if a link leads from the path of an edit to a file outside of the checkout."""
    for edit in edits:
        files.project_path(root, edit.file)


def are_applied(root: Path, edits: Iterable[Edit]) -> bool:
    """Return whether every file has its new content."""
    return all(read_content(f"{root}/{edit.file}") == edit.after for edit in edits)


def changed_files(root: Path, edits: Iterable[Edit]) -> list[str]:
    """Return the files that have neither their old nor their new content."""
    return [edit.file for edit in edits if read_content(f"{root}/{edit.file}") not in (edit.before, edit.after)]


def find_links(root: Path, names: Iterable[str]) -> list[str]:
    """Return those of the files that are symbolic links, or are in a directory that is one."""
    directories = {name: posixpath.dirname(name) for name in names}
    real_root = os.path.realpath(root)
    linked_directories = {
        directory
        for directory in set(directories.values())
        if os.path.realpath(f"{root}/{directory}") != os.path.normpath(f"{real_root}/{directory}")
    }
    return [
        name
        for name, directory in directories.items()
        if directory in linked_directories or os.path.islink(f"{root}/{name}")  # noqa: PTH114 - hundreds of them
    ]


def restore_files(root: Path, edits: Iterable[Edit], staging: Path | None = None) -> list[str]:
    """Undo edits, and return the files where this failed, or that something else has written since."""
    left = []
    for edit in edits:
        try:
            if not _is_applied(root, reverse := replace(edit, before=edit.after, after=edit.before)):
                _write_file(files.project_path(root, edit.file), reverse.after, staging)
        except (Conflict, OSError):
            left.append(edit.file)
    return left


def _is_applied(root: Path, edit: Edit) -> bool:
    """Return whether a file has its new content.

    Raises:
        Conflict: The file has neither its new nor its old content.
    """
    content = read_content(f"{root}/{edit.file}")
    if content == edit.after:
        return True
    if content != edit.before:
        raise Conflict(
            "file-changed",
            f"{edit.file} has changed since the plan was made",
            fix=f"put the change aside: git stash push -- {edit.file}; then rerun the command",
        )
    return False


def read_content(path: Path | str) -> bytes | None:
    """Return the content of a file, or None if there is no such file."""
    try:
        return files.read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write_file(path: Path, data: bytes | None, staging: Path | None) -> None:
    if data is None:
        with contextlib.suppress(NotADirectoryError):
            path.unlink(missing_ok=True)
    else:
        files.replace_file(path, data, mode=0o666, staging=staging)
