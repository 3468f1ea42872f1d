"""Change several files as one, all or none.

Half-edited files cannot be told from the user's own work, so what is about to be done is written down first,
under git's own directory, until it is through (`Pending`). It is the only record relnox keeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core import serialise
from relnox.core.records import Record
from relnox.core.steps import Commit, CreateTags, Edit, EditFiles, Push, TakeBack
from relnox.errors import Conflict, Failed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Pending",
    "apply",
    "conclude_pending",
    "digest",
    "forget_pending",
    "is_applied",
    "read_last",
    "read_pending",
    "replace_file",
    "restore",
    "reverse",
    "write_pending",
]

_PENDING, _LAST = "pending.json", "last.json"

LocalStep = EditFiles | Commit | CreateTags | Push | TakeBack


class Pending(Record, kw_only=True):
    """What a task was about to do to the checkout.

    Attributes:
        request: The options that chose it: only the same command may go on with it.
        steps: The steps.
    """

    request: tuple[str, ...]
    steps: tuple[LocalStep, ...]

    @property
    def command(self) -> str:
        """The command to type to go on."""
        return shlex.join(["relnox", "bump", *self.request])


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
    for edit in edits:
        if edit.before is None or not recorded:
            with contextlib.suppress(NotADirectoryError):
                _temporary(root / edit.file).unlink(missing_ok=True)  # of a run that was killed
    waiting = [edit for edit in edits if not _holds(root, edit, recorded=recorded)]
    with contextlib.ExitStack() as undo:
        for edit in waiting:
            undo.callback(_put, root / edit.file, edit.before, recorded=recorded)
            try:
                _put(root / edit.file, edit.after, recorded=recorded)
            except OSError as error:
                raise Failed(
                    f"{edit.file} cannot be written: {error.strerror}; the other files are as they were",
                    hint="free the disk or mend the permissions, then type the same command again",
                ) from error
        undo.pop_all()


def is_applied(root: Path, edits: Iterable[Edit]) -> bool:
    """Whether every file is as it should become, and nothing half-written lies beside it."""
    return all(
        _content(root / edit.file) == edit.after
        and not (edit.before is None and _temporary(root / edit.file).exists())
        for edit in edits
    )


def restore(root: Path, edits: Iterable[Edit]) -> None:
    """Give every file its content from before the edits back, whatever it holds by now.

    That is for the run that made the edits and knows that nobody but a hook of its commit can have changed more.
    """
    for edit in edits:
        _put(root / edit.file, edit.before, recorded=True)


def reverse(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits that take these back."""
    return tuple(Edit(file=edit.file, before=edit.after, after=edit.before) for edit in edits)


def replace_file(path: Path, content: bytes) -> None:
    """Put a whole new content in a file's place, durably; a reader sees the old or the new one, never half.

    A symbolic link stays one, and permissions stay what they were. The new file has one name until it is whole,
    so that what a killed run leaves of it is found by the next.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    temporary.unlink(missing_ok=True)
    try:
        with temporary.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_pending(folder: Path, pending: Pending) -> None:
    """Write down what is about to be done."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / _PENDING, json.dumps(serialise.encode(pending)).encode())


def read_pending(folder: Path) -> Pending | None:
    """What an interrupted run was about to do, or None."""
    return _read(folder / _PENDING, "an interrupted bump")


def read_last(folder: Path) -> Pending | None:
    """What the last bump did, or None."""
    return _read(folder / _LAST, "the last bump")


def forget_pending(folder: Path) -> None:
    """Drop the record: what it told of is taken back, or was never begun."""
    (folder / _PENDING).unlink(missing_ok=True)


def conclude_pending(folder: Path, pending: Pending) -> None:
    """What the record told of is through: it becomes that of the last bump, unless it took one back."""
    if any(isinstance(step, TakeBack) for step in pending.steps):
        (folder / _LAST).unlink(missing_ok=True)
        forget_pending(folder)
    else:
        (folder / _PENDING).replace(folder / _LAST)


def _read(file: Path, what: str) -> Pending | None:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found: Pending = serialise.decode(Pending, json.loads(content))
    except ValueError as error:
        raise Failed(
            f"{file}, the record of {what}, cannot be read: {error}",
            hint="look at git status and git diff, then remove that file",
        ) from error
    return found


def _holds(root: Path, edit: Edit, *, recorded: bool) -> bool:
    """Whether the file is as it should become; it must be that, or as it was planned from, or half of each."""
    present = _content(root / edit.file)
    if present == edit.after:
        return True
    if present != edit.before and not (recorded and _is_half_written(present, edit)):
        raise Conflict(
            f"{edit.file} is neither as it was when the change was planned nor as it should become",
            hint=f"somebody else edits it: look at git diff -- {edit.file}, then type the command again",
        )
    return False


def _is_half_written(present: bytes | None, edit: Edit) -> bool:
    """Whether an overwriting stopped in the middle: new bytes up to some place, and old ones behind it."""
    if present is None or edit.before is None or edit.after is None:
        return False
    same = (number for number, (here, new) in enumerate(zip(present, edit.after, strict=False)) if here != new)
    written = next(same, min(len(present), len(edit.after)))
    return any(present[written:] == old[written:] for old in (edit.before, edit.after))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest(path: Path) -> str | None:
    """SHA-256 of a file in hex; None where there is none."""
    content = _content(path)
    import hashlib

    return None if content is None else hashlib.sha256(content).hexdigest()


def _put(path: Path, content: bytes | None, *, recorded: bool) -> None:
    if content is None:
        with contextlib.suppress(NotADirectoryError):
            path.unlink(missing_ok=True)
    elif recorded and os.access(path, os.W_OK):
        _overwrite(path, content)
    else:
        replace_file(path, content)


def _overwrite(path: Path, content: bytes) -> None:
    """Write a new content over the old one: quick, and whatever the file is besides its content stays."""
    out = os.open(path, os.O_WRONLY | getattr(os, "O_BINARY", 0))
    try:
        written = 0
        while written < len(content):
            written += os.write(out, content[written:])
        os.ftruncate(out, len(content))
    finally:
        os.close(out)


def _temporary(path: Path) -> Path:
    path = Path(os.path.realpath(path))
    return path.with_name(f".{path.name}.relnox")
