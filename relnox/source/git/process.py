"""How git is run: through its porcelain for scripts, refs by their full names, never a shell.

A git that changes a repository outlives a relnox that is killed, and one that is killed leaves its locks. Both are
known by a note, and put right by the next run.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import process
from relnox.errors import Failed
from relnox.files import make_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Program"]

_PATIENCE = 10.0
"""Seconds that a git which was left behind has to end."""
_LOCKS = ("index.lock", "HEAD.lock", "ORIG_HEAD.lock", "packed-refs.lock", "COMMIT_EDITMSG.lock")
"""Those of the gits that change a repository for relnox, besides those of refs."""
_HARMLESS = (b"-daemon", b"cat-file")
"""In the command line of a git that goes on for long and takes no lock."""
_OTHER_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)
"""Variables that lead git elsewhere than to the checkout it is started in; git sets them for its hooks."""
_OTHER_PATHS = ("GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_LITERAL_PATHSPECS", "GIT_NOGLOB_PATHSPECS")
"""Variables that change what a path means."""


_OF_POETRY = "POETRY_HTTP_BASIC_"
"""What poetry logs in to an index with, to read and to upload: of no use to git and its hooks."""


class Program:
    """git, at work in one checkout.

    Args:
        root: Folder that paths are relative to; the checkout's top or a folder in it.
        prefix: Where `root` is below the top, empty or ending in a slash.
        private: Where relnox keeps what must outlive a run, if it is known.
    """

    def __init__(self, root: Path, prefix: str = "", *, private: Path | None = None) -> None:
        self.root = root
        self.prefix = prefix
        self._private = private

    def run(  # noqa: PLR0913 - what a git can be given
        self,
        *words: str,
        stdin: str | bytes | None = None,
        stderr: bool = True,
        timeout: float | None = None,
        on_start: Callable[[int], None] | None = None,
        umask: int = -1,
        outlives: bool = True,
    ) -> process.Completed:
        """Run a git command in this checkout; the result is not checked. See `process.run`.

        Most are quick, and one that changes the repository must not be killed halfway: they outlive relnox.
        """
        return process.run(
            ["git", *words],
            cwd=self.root,
            env=_environment(),
            stdin=stdin,
            stderr=stderr,
            timeout=timeout,
            on_start=on_start,
            umask=umask,
            outlives=outlives,
        )

    def ask(self, *words: str) -> str:
        """What a git command prints, without the white space around it.

        Raises:
            Failed: It fails.
        """
        asked = self.run(*words, stderr=False)
        return asked.check(f"git {words[0]}").output.strip()

    def change(self, *words: str, stdin: str | None = None) -> process.Completed:
        """Run a git that changes the repository.

        Its process is noted down until it has ended: if relnox is killed, git goes on, and the next run waits for
        it. If git is killed, nobody but relnox knows whose locks are left.
        """
        note = self._note()
        make_private(note.parent)
        ended = self.run(*words, stdin=stdin, on_start=lambda group: _write_note(note, group))
        if ended.returncode < 0:
            self.recover()
        note.unlink(missing_ok=True)
        return ended

    def private_folder(self) -> Path:
        """The folder under git's own directory where relnox keeps what must outlive a run."""
        if self._private is None:
            self._private = self._git_path("relnox")
        return self._private

    def wait_for_left_behind(self) -> None:
        """Wait until the git of a run that was killed has ended: it goes on without that run.

        Raises:
            Failed: It does not end.
        """
        note = self._note()
        deadline = time.monotonic() + _PATIENCE
        while (group := _noted(note)) is not None and _is_at_work(group):
            if time.monotonic() > deadline:
                raise Failed(
                    "todo",
                    f"a git that an interrupted run started is still at work (process {group})",
                    fix=f"wait for it, or end it; if that process is no git, remove {note}",
                )
            time.sleep(0.02)

    def recover(self) -> None:
        """Wait for the git of a run that was killed, and remove the locks that it left if it was killed, too.

        Raises:
            Failed: It does not end.
        """
        self.wait_for_left_behind()
        note = self._note()
        if note.exists():
            # Locks that were there before are not its own; the note is a moment younger than it.
            since = note.stat().st_mtime - 1
            refs = self._git_path("refs")
            names = (*_LOCKS, f"next-index-{_noted(note)}.lock")
            folders = {refs.parent, self._git_path("index").parent}  # they differ in a linked worktree
            for lock in (*(folder / name for folder in folders for name in names), *refs.rglob("*.lock")):
                with contextlib.suppress(FileNotFoundError):  # of a git that ends just now
                    status = lock.lstat()
                    if stat.S_ISREG(status.st_mode) and status.st_uid == _user() and status.st_mtime >= since:
                        self._check_unused(lock)
                        lock.unlink()
            note.unlink()

    def _check_unused(self, lock: Path) -> None:
        """See that a lock is not that of a git which the user runs at this moment (where the system tells).

        Raises:
            Failed: Another git is at work in this checkout.
        """
        places = [os.path.realpath(place) for place in (self.ask("rev-parse", "--show-toplevel"), lock.parent)]
        for number, folder in _gits():
            if any(folder.is_relative_to(place) for place in places):
                raise Failed(
                    "todo",
                    f"another git is at work in this checkout (process {number}), and may hold {lock}",
                    fix="wait for it, or end it; then rerun the same command",
                )

    def _note(self) -> Path:
        return self.private_folder() / "git-at-work"

    def _git_path(self, name: str) -> Path:
        return self.root / self.ask("rev-parse", "--git-path", name)


def _user() -> int:
    return os.geteuid() if sys.platform != "win32" else 0


def _gits() -> Iterator[tuple[int, Path]]:
    """The processes of git that there are, and the folder that each works in, where there is /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program, _, words = (folder / "cmdline").read_bytes().partition(b"\0")
            if program.rpartition(b"/")[2] == b"git" and not any(word in words for word in _HARMLESS):
                yield int(folder.name), (folder / "cwd").readlink()


def _write_note(note: Path, group: int) -> None:
    note.write_text(str(group), encoding="ascii")


def _noted(note: Path) -> int | None:
    try:
        return int(note.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _is_at_work(group: int) -> bool:
    """Whether a process of the group is there; one that is dead and only not fetched by its parent is not."""
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
        state = Path(f"/proc/{group}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except (ProcessLookupError, PermissionError):
        return False
    except OSError:  # a leader that is gone before the others, or a system without /proc
        return True
    return state.split()[0] != "Z"


def _environment() -> dict[str, str]:
    """Keep git here, and keep it from asking, from opening an editor and from speaking another language.

    Nor does it lock anything to remember what it only looked at: killed, it would leave that lock.
    """
    environment = process.without_upload_credentials(os.environ)
    others = _OTHER_REPOSITORY + _OTHER_PATHS
    here = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_OF_POETRY) and name not in others
    }
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true", "GIT_OPTIONAL_LOCKS": "0"}
    return here | quiet | {"LC_ALL": "C.UTF-8", "LANGUAGE": "en"}
