"""Change several files as one, all or none.

Half-edited files cannot be told from the user's own work, so what is about to be done is written down first,
under git's own directory, until it is through (`Pending`). It is the only record relnox keeps.

After a power failure the same holds as after a kill. The record is on the disk, with the names of its file and of
its folder, before the first edit; it holds all bytes, so that the edits need not be synced one by one. They are
synced all at once, with what git made of them, before anything is pushed and before the record is dropped.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import files
from relnox.core import fixes, serialization
from relnox.core.records import Record
from relnox.core.steps import Commit, CreateTags, Edit, EditFiles, Push, UndoBump
from relnox.errors import Conflict, Failed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Pending",
    "apply",
    "complete_pending",
    "content",
    "digest",
    "discard_pending",
    "is_applied",
    "read_last",
    "read_pending",
    "restore",
    "reverse",
    "sync",
    "write_pending",
]

_PENDING, _LAST = "pending.json", "last.json"
_SECTOR = 512
"""What a disk writes as a whole, or a part of it."""

LocalStep = EditFiles | Commit | CreateTags | Push | UndoBump


class Pending(Record, kw_only=True):
    """What a task was about to do to the checkout.

    Attributes:
        request: The options that chose it: only the same command may go on with it.
        steps: The steps.
        head: The commit that the checkout was at; None outside git and before the first one.
    """

    request: tuple[str, ...]
    steps: tuple[LocalStep, ...]
    head: str | None = None

    @property
    def command(self) -> str:
        """The command to type to go on."""
        return fixes.command("bump", *self.request)


def apply(root: Path, edits: Iterable[Edit], *, recorded: bool) -> None:
    """Make all edits, or none.

    Args:
        root: What the files are relative to.
        edits: The edits.
        recorded: Whether they are written down (`write_pending`). Files are overwritten in their place then: half
            an overwriting can be told from the user's work by the record, and is gone on with. Otherwise each
            file is replaced by a whole new one.

    Raises:
        Conflict: A file is neither as it was planned from nor as it should become; nothing was changed.
        Failed: A file could not be written; those that were are as before again.
        OSError: A file could not be written, and another one not be made as before again.
    """
    edits = tuple(edits)
    for folder in _replaced_in(root, edits, recorded=recorded):
        files.remove_leftovers(folder)
    waiting = [edit for edit in edits if not _holds(root, edit, recorded=recorded)]
    with contextlib.ExitStack() as undo:
        for edit in waiting:
            undo.callback(_put, root / edit.file, edit.before, recorded=recorded)
            try:
                _put(root / edit.file, edit.after, recorded=recorded)
            except OSError as error:
                raise Failed(
                    "todo",
                    f"{edit.file} cannot be written: {error.strerror}; the other files are as they were",
                    fix="free the disk or mend the permissions, then type the same command again",
                ) from error
        undo.pop_all()


def is_applied(root: Path, edits: Iterable[Edit]) -> bool:
    """Whether every file is as it should become, and nothing half-written lies beside it."""
    edits = tuple(edits)
    return all(_content(root / edit.file) == edit.after for edit in edits) and not any(
        map(files.has_leftovers, _replaced_in(root, edits, recorded=True))
    )


def sync(root: Path, edits: Iterable[Edit], *others: Path) -> None:
    """Make edits last, and all else that was written on their file systems and those of other places."""
    paths = (Path(os.path.realpath(root / edit.file)) for edit in edits)
    files.sync([root, *(path if path.exists() else path.parent for path in paths), *others])


def restore(root: Path, edits: Iterable[Edit]) -> None:
    """Give every file its content from before the edits back, whatever it holds by now.

    That is for the run that made the edits and knows that nobody but a hook of its commit can have changed more.
    """
    for edit in edits:
        _put(root / edit.file, edit.before, recorded=True)


def reverse(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits that take these back."""
    return tuple(Edit(file=edit.file, before=edit.after, after=edit.before) for edit in edits)


def write_pending(folder: Path, pending: Pending) -> None:
    """Write down what is about to be done; it is on the disk afterwards."""
    files.make_private(folder)
    content = json.dumps(serialization.encode(pending)).encode()
    files.replace_file(folder / _PENDING, content, mode=0o600, keep_mode=False)


def read_pending(folder: Path) -> Pending | None:
    """What an interrupted run was about to do, or None."""
    return _read(folder / _PENDING, "an interrupted bump")


def read_last(folder: Path) -> Pending | None:
    """What the last bump did, or None."""
    return _read(folder / _LAST, "the last bump")


def discard_pending(folder: Path) -> None:
    """Drop the record: what it told of is taken back, or was never begun."""
    (folder / _PENDING).unlink(missing_ok=True)


def complete_pending(folder: Path, pending: Pending) -> None:
    """What the record told of is through: it becomes that of the last bump, unless it took one back."""
    if any(isinstance(step, UndoBump) for step in pending.steps):
        (folder / _LAST).unlink(missing_ok=True)
        discard_pending(folder)
    else:
        (folder / _PENDING).replace(folder / _LAST)


def _read(file: Path, what: str) -> Pending | None:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found: Pending = serialization.decode(Pending, json.loads(content))
    except ValueError as error:
        raise Failed(
            "todo",
            f"{file}, the record of {what}, cannot be read: {error}",
            fix="look at git status and git diff, then remove that file",
        ) from error
    return found


def _holds(root: Path, edit: Edit, *, recorded: bool) -> bool:
    """Whether the file is as it should become; it must be that, or as it was planned from, or half of each."""
    present = _content(root / edit.file)
    if present == edit.after:
        return True
    if present != edit.before and not (recorded and _is_half_written(present, edit)):
        raise Conflict(
            "todo",
            f"{edit.file} is neither as it was when the change was planned nor as it should become",
            fix=f"somebody else edits it: look at git diff -- {edit.file}, then type the command again",
        )
    return False


def _is_half_written(present: bytes | None, edit: Edit) -> bool:
    """Whether an overwriting stopped in the middle, in either direction.

    A kill leaves new bytes up to some place, and old ones behind it. After a power failure each sector is an old
    or a new one, since the disk writes them in any order.
    """
    before, after = edit.before or b"", edit.after or b""
    return present is not None and (_is_mixed(present, after, before) or _is_mixed(present, before, after))


def _is_mixed(present: bytes, new: bytes, old: bytes) -> bool:
    """Whether each sector is as in one of two contents, but for one in which the new one was cut off."""
    if not min(len(new), len(old)) <= len(present) <= max(len(new), len(old)):
        return False
    cut = False
    for start in range(0, len(present), _SECTOR):
        here, ours, theirs = (content[start : start + _SECTOR] for content in (present, new, old))
        if here in (ours, theirs):
            continue
        differing = (place for place, (mine, its) in enumerate(zip(here, ours, strict=False)) if mine != its)
        same = next(differing, min(len(here), len(ours)))
        if cut or here[same:] != theirs[same:]:
            return False
        cut = True
    return True


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def content(path: Path) -> bytes | None:
    """The bytes of a file; None where there is none."""
    return _content(path)


def digest(path: Path) -> str | None:
    """SHA-256 of a file in hex; None where there is none."""
    content = _content(path)
    import hashlib

    return None if content is None else hashlib.sha256(content).hexdigest()


def _put(path: Path, content: bytes | None, *, recorded: bool) -> None:
    if content is None:
        with contextlib.suppress(NotADirectoryError):
            path.unlink(missing_ok=True)
    elif recorded and not _is_read_only(path):
        _overwrite(path, content)
    else:
        files.replace_file(path, content, mode=0o666)


def _is_read_only(path: Path) -> bool:
    return not os.access(path, os.W_OK) and os.path.lexists(path)


def _replaced_in(root: Path, edits: Iterable[Edit], *, recorded: bool) -> set[Path]:
    """The folders in which files are replaced by whole new ones: a killed run may have left something there."""
    paths = [root / edit.file for edit in edits]
    replaced = (path for path in paths if not recorded or _is_read_only(path))
    return {Path(os.path.realpath(path)).parent for path in replaced}


def _overwrite(path: Path, content: bytes) -> None:
    """Write a new content over the old one: quick, and whatever the file is besides its content stays."""
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    try:
        out = os.open(path, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        out = os.open(path, flags, 0o666)
    try:
        written = 0
        while written < len(content):
            written += os.write(out, content[written:])
        os.ftruncate(out, len(content))
    finally:
        os.close(out)
