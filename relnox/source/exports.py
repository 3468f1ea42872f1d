"""A commit as a checkout of its own, so that what is built is what is committed and nothing besides.

It is a worktree of the repository: filters, attributes and submodules do what they do in every checkout, and a
version that is derived from tags is found. Its files are as old as the commit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.source.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["export", "remove", "remove_left_behind"]

_NOTE = "exports"
_NO_HOOKS = ("-c", f"core.hooksPath={os.devnull}")
_SUBMODULE = "160000"


def export(git: Git, commit: str, into: Path) -> Path:
    """Check a commit out into a new folder.

    Submodules are checked out from where they are in the present checkout; one that is not there stays empty, as
    after a clone.

    Args:
        git: The checkout whose commit it is.
        commit: The commit's full id.
        into: The new folder.

    Returns:
        The folder in it that `root` is in the present checkout.

    Raises:
        Failed: git cannot do it; nothing is left.
    """
    top = Path(git.run("rev-parse", "--show-toplevel", stderr=False).check("git rev-parse").output.rstrip("\n"))
    _note(git, into)
    try:
        _check_out(Git(top), commit, into)
    except BaseException:
        remove(git, into)
        raise
    return into / git.prefix if git.prefix else into


def remove(git: Git, into: Path) -> None:
    """Remove an export, and what git knows of it."""
    for folder in (*_submodules(into), into):
        known = Git(folder).run("rev-parse", "--path-format=absolute", "--git-common-dir", stderr=False)
        if known.returncode == 0 and (folder / ".git").is_file():
            common = Path(known.output.rstrip("\n"))
            git.run(
                "--git-dir", str(common), "worktree", "remove", "--force", "--force", str(folder), stderr=False
            )
    shutil.rmtree(into, ignore_errors=True)
    _note(git, None)


def remove_left_behind(git: Git) -> None:
    """Remove what a killed run left."""
    with contextlib.suppress(FileNotFoundError):
        remove(git, Path((git.private_folder() / _NOTE).read_text(encoding="utf-8")))


def _check_out(git: Git, commit: str, into: Path) -> None:
    adding = ("worktree", "add", "--quiet", "--force", "--detach", str(into), commit)
    git.run(*_NO_HOOKS, *adding).check(f"checking out {commit[:10]}", hint="git fsck; git worktree prune")
    for name, pinned in _pinned(into):
        if (git.root / name / ".git").exists():
            _check_out(Git(git.root / name), pinned, into / name)
    made = int(git.run("log", "-1", "--no-show-signature", "--format=%ct", commit, stderr=False).output)
    files = Git(into).run("ls-files", "-z", stderr=False).check("git ls-files").output
    for name in files.split("\0"):
        with contextlib.suppress(OSError):  # one that a filter or a sparse checkout left out
            os.utime(into / name, (made, made), follow_symlinks=False)
    Git(into).run("update-index", "-q", "--refresh")  # so that nothing takes them for changed


def _pinned(folder: Path) -> Iterator[tuple[str, str]]:
    """Submodules of a checkout, and the commits they are to be at."""
    for line in Git(folder).run("ls-files", "--stage", "-z", stderr=False).output.split("\0"):
        mode, _, rest = line.partition(" ")
        if mode == _SUBMODULE:
            yield rest.partition("\t")[2], rest.partition(" ")[0]


def _submodules(folder: Path) -> Iterator[Path]:
    """Checkouts below a checkout, the innermost first."""
    if (folder / ".git").is_file():
        for name, _ in _pinned(folder):
            if (folder / name / ".git").is_file():
                yield from _submodules(folder / name)
                yield folder / name


def _note(git: Git, into: Path | None) -> None:
    """Note down where an export is made: if this run is killed, the next one removes it."""
    note = git.private_folder() / _NOTE
    if into is None:
        note.unlink(missing_ok=True)
    else:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(str(into), encoding="utf-8")
