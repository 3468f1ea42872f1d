"""Edit several files, so that either all edits are made or none, and nothing that others wrote is overwritten.

A file is only written if it has the content that is expected at that moment. It is replaced, so that it has either
its old or its new content, whenever a run is killed.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.core.text import join_names
from relnox.errors import Conflict, Failed, Problem
from relnox.system import files


def apply_edits(root: Path, edits: Iterable[Edit], staging: Path | None = None) -> tuple[Edit, ...]:
    """Make all edits or, if one fails, none; return those that this call made, without those made before.

    New files are written in `staging`, a directory outside of the checkout (None: beside the old files), before
    they replace the old ones.

    Raises:
        Blocked: A file is outside of the checkout; nothing was changed.
        Conflict: A file has neither its old nor its new content; the others were restored, or the error names
            them.
        Failed: A file could not be written; the others were restored, or the error names them.
    """
    edits = [edit for edit in edits if not _is_edit_applied(root, edit)]
    applied: list[Edit] = []
    try:
        for edit in edits:
            applied.append(edit)
            _write_edit(root, edit, staging)
    except BaseException as error:  # after an interruption, too, either all edits are made or none
        if isinstance(error, Conflict):
            applied.pop()  # that of the conflict, which was not made
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


def check_edit_paths(root: Path, edits: Iterable[Edit]) -> None:
    """Raise `Blocked` if a link leads from the path of an edit to a file outside of the checkout."""
    for edit in edits:
        _path_to_write(root, edit)


def are_edits_applied(root: Path, edits: Iterable[Edit]) -> bool:
    """Return whether every file has the new content of its edit."""
    return all(_current_content(root, edit) == edit.after for edit in edits)


def conflicting_files(root: Path, edits: Iterable[Edit]) -> list[str]:
    """Return the files that have neither the old nor the new content of their edits."""
    return [edit.file for edit in edits if _current_content(root, edit) not in (edit.before, edit.after)]


def copying_edit(root: Path, file: str, source: Path) -> Edit:
    """Return the edit that gives a file in `root` the content of the same path in `source`, another directory.

    The edit removes the file if it is missing in `source`.
    """
    edit = Edit(
        file=file, before=None, after=None, is_link=any((top / file).is_symlink() for top in (root, source))
    )
    return replace(edit, before=_current_content(root, edit), after=_current_content(source, edit))


def find_linked_files(root: Path, names: Iterable[str]) -> list[str]:
    """Return those of the files that are symbolic links, or are below a linked directory inside the root.

    Paths are relative to the root.
    """
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
    """Undo edits; return the files that could not be restored, or that something else has written since.

    These files are not changed. `staging` is the directory for new files until they replace the others (None:
    beside them).
    """
    left = []
    for edit in edits:
        try:
            if not _is_edit_applied(root, reverse := replace(edit, before=edit.after, after=edit.before)):
                _write_edit(root, reverse, staging)
        except (Problem, OSError):
            left.append(edit.file)
    return left


def _is_edit_applied(root: Path, edit: Edit) -> bool:
    """Return whether a file has its new content; raise `Conflict` if it has neither that nor the old one."""
    content = _current_content(root, edit)
    if content == edit.after:
        return True
    if content != edit.before:
        raise Conflict(
            "file-changed",
            f"{edit.file} has changed since the plan was made",
            fix=f"put the change aside: git stash push -- {edit.file}; then rerun the command",
        )
    return False


def read_link_targets(root: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Map each of the files that is a symbolic link to its target as written; other files are left out."""
    return {name: os.fsencode((root / name).readlink()) for name in names if (root / name).is_symlink()}


def _current_content(root: Path, edit: Edit) -> bytes | None:
    """Return the current content of an edit's file, of a link its target; None if the file does not exist."""
    path = root / edit.file
    try:
        return os.fsencode(path.readlink()) if edit.is_link and path.is_symlink() else files.read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _path_to_write(root: Path, edit: Edit) -> Path:
    """Return the real path of the file or link that an edit writes; raise `Blocked` outside of the checkout."""
    if not edit.is_link:
        return files.project_path(root, edit.file)
    return files.project_path(root, posixpath.dirname(edit.file)) / posixpath.basename(edit.file)


def _write_edit(root: Path, edit: Edit, staging: Path | None) -> None:
    """Write or remove the file of an edit; raise `Conflict` if it has neither its old nor its new content by now.

    `staging` is the directory for the new file until it replaces the old one (None: beside it).
    """
    path = _path_to_write(root, edit)
    compare = partial(_is_edit_applied, root, edit)  # once more: an editor may have saved it in between
    if edit.after is not None and not edit.is_link:
        files.replace_file(path, edit.after, mode=0o666, staging=staging, before_replacing=compare)
        return
    compare()
    if edit.after is None:
        with contextlib.suppress(NotADirectoryError):
            path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(os.fsdecode(edit.after))
