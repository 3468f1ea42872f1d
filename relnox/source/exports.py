"""A commit as a checkout of its own, so that what is built is what is committed and nothing besides.

It is a worktree of the repository: filters, attributes and submodules do what they do in every checkout, and a
version that is derived from tags is found. Its files are as old as the commit.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.files import make_private, replace_file
from relnox.source.git import Git

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["export", "remove", "remove_leftover"]

_NOTE = "exports"
_CHECKOUT = re.compile(r"relnox-[a-z0-9_]{8}")
_SETTINGS = (f"core.hooksPath={os.devnull}", "core.sparseCheckout=false", "checkout.workers=0")
_AS_EVER = tuple(word for setting in _SETTINGS for word in ("-c", setting))
"""No hook runs; all files are there, though `git worktree add` is sparse where the present checkout is; as many
workers write them as there are processors."""
_SUBMODULE = "160000"
_UMASK = 0o022
"""Backends take permissions from the files: those of the user's own habits are left out."""


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
    into.mkdir(parents=True)
    # A name of its own: the git of a killed run goes on, and when it fails it drops what goes by its name.
    checkout = Path(tempfile.mkdtemp(prefix="relnox-", dir=into))
    try:
        _check_out(git, Git(top), commit, checkout, fix="git fsck")
    except BaseException:  # an interruption too leaves nothing behind
        remove(git, into)
        raise
    return checkout / git.prefix if git.prefix else checkout


def remove(git: Git, into: Path) -> None:
    """Remove an export of this run, and what git knows of it; there may be nothing of either."""
    shutil.rmtree(into, ignore_errors=True)
    _forget(git)


def remove_leftover(git: Git) -> None:
    """Let git forget what a killed run exported; its files go with the temporary folder of that run."""
    if _noted(git):
        _forget(git)


def _forget(git: Git) -> None:
    noted = _noted(git)
    for repository, folder in noted:
        removing = ("worktree", "remove", "--force", "--force", folder)
        git.run(f"--git-dir={repository}", *removing, stderr=False)
    for repository, folder in noted[:1]:  # a git that was killed early left what it does not list
        left = Path(repository, "worktrees", Path(folder).name)
        if _CHECKOUT.fullmatch(left.name) and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
    _note(git).unlink(missing_ok=True)


def _check_out(git: Git, source: Git, commit: str, into: Path, fix: str) -> None:
    """Check a commit of a repository out, and what it pins of those below it.

    Each folder is noted down before git knows of it: if this run is killed, the next one removes it.
    """
    asking = ("rev-parse", "--path-format=absolute", "--git-common-dir")
    repository = source.run(*asking, stderr=False).check("git rev-parse").output.rstrip("\n")
    note = json.dumps([*_noted(git), (repository, str(into))]).encode()
    make_private(git.private_folder())
    replace_file(_note(git), note, mode=0o600, keep_mode=False)
    adding = ("worktree", "add", "--quiet", "--force", "--detach", str(into), commit)
    source.run(*_AS_EVER, *adding, umask=_UMASK, outlives=False).check(
        f"checking out {commit[:10]} of {source.root}", fix=fix
    )
    for name, pinned in _pinned(into):
        if (source.root / name / ".git").exists():
            _check_out(git, Git(source.root / name), pinned, into / name, "git submodule update --recursive")
    made = int(source.run("log", "-1", "--no-show-signature", "--format=%ct", commit, stderr=False).output)
    files = Git(into).run("ls-files", "-z", stderr=False).check("git ls-files").output
    for name in files.split("\0"):
        with contextlib.suppress(OSError):  # one that a filter left out
            os.utime(into / name, (made, made), follow_symlinks=False)
    Git(into).run(*_AS_EVER, "update-index", "-q", "--refresh")  # so that nothing takes them for changed


def _pinned(folder: Path) -> Iterator[tuple[str, str]]:
    """Submodules of a checkout, and the commits they are to be at."""
    for line in Git(folder).run("ls-files", "--stage", "-z", stderr=False).output.split("\0"):
        mode, _, rest = line.partition(" ")
        if mode == _SUBMODULE:
            yield rest.partition("\t")[2], rest.partition(" ")[0]


def _note(git: Git) -> Path:
    return git.private_folder() / _NOTE


def _noted(git: Git) -> list[tuple[str, str]]:
    """The repositories that an export was made from, and its folder in each; its own first."""
    try:
        noted = json.loads(_note(git).read_text(encoding="utf-8"))
        return [(str(repository), str(folder)) for repository, folder in noted]
    except (OSError, ValueError, TypeError):  # none, or half of one: nothing was made then
        return []
