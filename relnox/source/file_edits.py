"""Edit several files in one transaction, so that either all edits are made or none.

Partly edited files cannot be distinguished from the user's own changes. Therefore, a record of the edits can be
written first and kept until all edits are made (`steps.bump_record`). Since the record contains the old and new
contents, edited files need not be synced to disk one by one.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.planning.changes import CombinedEdit
from relnox.core.records import replace
from relnox.errors import Conflict, Failed
from relnox.system import files
from relnox.system.temporary_directories import has_leftovers, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relnox.core.planning.changes import Edit

_SECTOR_SIZE = 512
"""The size in bytes of a disk sector; disks write sectors, or multiples of them, atomically."""


def apply_edits(root: Path, edits: Iterable[Edit], *, recorded: bool) -> None:
    """Make all edits or, if one fails, none.

    Args:
        root: The directory that the paths of the edits are relative to.
        edits: The edits.
        recorded: Whether a record of the edits exists. If so, files are overwritten in place, since a partly
            written file can be completed with the record. Otherwise, each file is replaced by a new one.

    Raises:
        Blocked: A file is outside of the checkout; nothing was changed.
        Conflict: A file has neither its old nor its new content; nothing was changed.
        Failed: A file could not be written; the others were restored.
        OSError: A file could not be written, and another one could not be restored.
    """
    edits = tuple(edits)
    check_paths(root, edits)
    for directory in _directories_of_replaced_files(root, edits, recorded=recorded):
        remove_leftovers(directory)
    remaining = [edit for edit in edits if not _is_applied(root, edit, recorded=recorded)]
    with contextlib.ExitStack() as undo:
        for edit in remaining:
            path = f"{root}/{edit.file}"
            undo.callback(_write_file, path, edit.before, recorded=recorded)
            try:
                _write_file(path, edit.after, recorded=recorded)
            except OSError as error:
                raise Failed(
                    "file-not-writable",
                    f"{edit.file} cannot be written ({error.strerror}); no file was changed",
                    fix="free disk space or fix the permissions, then rerun the command",
                ) from error
        undo.pop_all()


def check_paths(root: Path, edits: Iterable[Edit]) -> None:
    """Raise `Blocked` if a link leads from the path of an edit to a file outside of the checkout."""
    for edit in edits:
        files.project_path(root, edit.file)


def check_edits(root: Path, edits: Iterable[Edit]) -> None:
    """Check that recorded edits can be made; no file is changed.

    Raises:
        Conflict: A file has neither its old nor its new content.
    """
    for edit in edits:
        _is_applied(root, edit, recorded=True)


def are_applied(root: Path, edits: Iterable[Edit]) -> bool:
    """Return whether every file has its new content, and a killed run left no temporary file in its directory."""
    edits = tuple(edits)
    return all(read_content(f"{root}/{edit.file}") == edit.after for edit in edits) and not any(
        map(has_leftovers, _directories_of_replaced_files(root, edits, recorded=True))
    )


def sync_edits(root: Path, edits: Iterable[Edit], git_directory: Path | None = None) -> None:
    """Flush the edited files to disk and, if a `git_directory` is given, all that git has written to its disk."""
    paths = [root / edit.file for edit in edits]
    if git_directory is None:
        files.sync_files(paths)
    else:
        files.sync_file_systems([root, *(path if path.exists() else path.parent for path in paths), git_directory])


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


def restore_files(root: Path, edits: Iterable[Edit]) -> None:
    """Restore the content of every file from before the edits, whatever the file contains now.

    Call this only in the run that made the edits: since then, only a commit hook can have changed the files.
    """
    for edit in edits:
        _write_file(f"{root}/{edit.file}", edit.before, recorded=True)


def reversed_edits(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """Return the edits that undo the given edits."""
    return tuple(replace(edit, before=edit.after, after=edit.before) for edit in edits)


def _is_applied(root: Path, edit: Edit, *, recorded: bool) -> bool:
    """Return whether a file has its new content.

    Raises:
        Conflict: The file has neither its new nor its old content and, if `recorded`, is not partly written.
    """
    content = read_content(f"{root}/{edit.file}")
    if content == edit.after:
        return True
    contents = (
        (edit.before, edit.intermediate, edit.after)
        if isinstance(edit, CombinedEdit)
        else (edit.before, edit.after)
    )
    if content not in contents and not (
        recorded and any(map(partial(_is_partly_written, content), contents, contents[1:]))
    ):
        raise Conflict(
            "file-changed",
            f"{edit.file} has changed since the plan was made",
            fix=f"put the change aside: git stash push -- {edit.file}; then rerun the command",
        )
    return False


def _is_partly_written(content: bytes | None, before: bytes | None, after: bytes | None) -> bool:
    """Return whether a file was partly overwritten, either with its new content or with its old one.

    If the process is killed, the file has new bytes up to some position, followed by old bytes. After a power
    failure, each sector is either old or new, since disks write sectors in any order.
    """
    before, after = before or b"", after or b""
    return content is not None and (
        _is_mix_of_sectors(content, after, before) or _is_mix_of_sectors(content, before, after)
    )


def _is_mix_of_sectors(content: bytes, new: bytes, old: bytes) -> bool:
    """Return whether every sector is old or new, except for at most one that starts as new and ends as old."""
    if not min(len(new), len(old)) <= len(content) <= max(len(new), len(old)):
        return False
    has_mixed_sector = False
    for start in range(0, len(content), _SECTOR_SIZE):
        sector, new_sector, old_sector = (data[start : start + _SECTOR_SIZE] for data in (content, new, old))
        if sector in (new_sector, old_sector):
            continue
        pairs = enumerate(zip(sector, new_sector, strict=False))
        differences = (position for position, (byte, new_byte) in pairs if byte != new_byte)
        first = next(differences, min(len(sector), len(new_sector)))
        if has_mixed_sector or sector[first:] != old_sector[first:]:
            return False
        has_mixed_sector = True
    return True


def read_content(path: Path | str) -> bytes | None:
    """Return the content of a file, or None if there is no such file."""
    try:
        return files.read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _write_file(path: str, data: bytes | None, *, recorded: bool) -> None:
    if data is None:
        with contextlib.suppress(NotADirectoryError):
            Path(path).unlink(missing_ok=True)
    elif recorded and not _is_read_only(path):
        _overwrite_in_place(path, data)
    else:
        files.replace_file(Path(os.path.realpath(path)), data, mode=0o666)


def _is_read_only(path: str) -> bool:
    return not os.access(path, os.W_OK) and os.path.lexists(path)


def _directories_of_replaced_files(root: Path, edits: Iterable[Edit], *, recorded: bool) -> set[Path]:
    """Return the directories of files that are replaced, in which a killed run may have left temporary files."""
    paths = (f"{root}/{edit.file}" for edit in edits)
    replaced_files = (path for path in paths if not recorded or _is_read_only(path))
    return {Path(os.path.realpath(path)).parent for path in replaced_files}


def _overwrite_in_place(path: str, data: bytes) -> None:
    """Overwrite a file in place, which is fast and preserves permissions and links; create it if it is missing."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o666)
    try:
        position = 0
        while position < len(data):
            position += os.write(descriptor, data[position:])
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)
