"""Export a commit to a separate checkout, so that exactly the committed files are built.

The export is a worktree of the repository, so that filters, attributes and submodules work as usual, and versions
can be derived from tags. The modification time of its files is the time of the commit.
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

from relnox.source.git import Git
from relnox.source.local_attributes import check_attributes
from relnox.source.submodules import SUBMODULE_MODE, is_initialized
from relnox.system.files import make_private_directory, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_RECORD_FILE_NAME = "exports"
_EXPORT_DIRECTORY = re.compile(r"relnox-[a-z0-9_]{8}")
_CONVERSIONS = ("core.autocrlf=false", "core.eol=lf", f"core.attributesFile={os.devnull}")
"""Settings of git that keep files as committed on every machine; only attributes of the commit convert them."""
_VARIABLES = {"GIT_ATTR_NOSYSTEM": "1"}
_SETTINGS = (f"core.hooksPath={os.devnull}", "core.sparseCheckout=false", "checkout.workers=0", *_CONVERSIONS)
_OPTIONS = tuple(word for setting in _SETTINGS for word in ("-c", setting))
"""Options of git: no hooks, all files even if the current checkout is sparse, one worker per processor."""
_UMASK = 0o022
"""The umask of exports; backends copy file permissions, which must not depend on the user's umask."""


def export_commit(git: Git, commit: str, into: Path) -> Path:
    """Check out a commit, with its submodules, into a new directory.

    Submodules are taken from the current checkout; those that are not initialized there stay empty.

    Args:
        git: The current checkout.
        commit: The full id of the commit.
        into: The new directory, which must not exist.

    Returns:
        The directory in the export that corresponds to `git.root`.

    Raises:
        Failed: git cannot check out the commit, or attributes of the clone convert files; no files are left.
    """
    top = Path(git.top_level())
    into.mkdir(parents=True)
    # A unique name: the git of a killed run goes on, and when it fails it removes the worktree of its name.
    checkout = Path(tempfile.mkdtemp(prefix="relnox-", dir=into))
    try:
        _check_out(git, Git(top), commit, checkout, fix="check the repository: git fsck")
    except BaseException:  # an interruption too must leave no files
        remove_export(git, into)
        raise
    return checkout / git.prefix if git.prefix else checkout


def remove_export(git: Git, into: Path) -> None:
    """Remove the directory of an export that this run created, and its worktree in git, if they exist."""
    shutil.rmtree(into, ignore_errors=True)
    remove_leftover_export(git)


def remove_leftover_export(git: Git) -> None:
    """Remove the worktrees of an export, such as that of a killed run, from git, but not their files."""
    if not (exports := _recorded_exports(git)):
        return
    for repository, directory in exports:
        git.run(f"--git-dir={repository}", "worktree", "remove", "--force", "--force", directory, stderr=False)
    for repository, directory in exports[
        :1
    ]:  # a git that was killed early leaves a directory that it does not list
        leftover = Path(repository, "worktrees", Path(directory).name)
        if _EXPORT_DIRECTORY.fullmatch(leftover.name) and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
    _record_file(git).unlink(missing_ok=True)


def _check_out(git: Git, source: Git, commit: str, into: Path, fix: str) -> None:
    """Check out a commit of the repository `source`, and the commits of its submodules.

    Each directory is recorded before git creates a worktree for it, so that the next run can remove the worktree
    if this run is killed.
    """
    query = ("rev-parse", "--path-format=absolute", "--git-common-dir")
    repository = source.run(*query, stderr=False).check("git rev-parse").output.rstrip("\n")
    record = json.dumps([*_recorded_exports(git), (repository, str(into))]).encode()
    make_private_directory(git.private_directory())
    replace_file(_record_file(git), record, mode=0o600, keep_mode=False)
    command = ("worktree", "add", "--quiet", "--force", "--detach", str(into), commit)
    source.run(*_OPTIONS, *command, umask=_UMASK, variables=_VARIABLES).check(
        f"checking out {commit[:10]} of {source.root}", fix=fix
    )
    check_attributes(Git(into), Path(repository, "info", "attributes"))
    for name, submodule_commit in _list_submodules(into):
        if is_initialized(source.root / name):
            submodule_fix = "update the submodules: git submodule update --recursive"
            _check_out(git, Git(source.root / name), submodule_commit, into / name, submodule_fix)
    time = int(source.run("log", "-1", "--no-show-signature", "--format=%ct", commit, stderr=False).output)
    for name in Git(into).read_entries("ls-files"):
        with contextlib.suppress(OSError):  # a file that a filter left out
            os.utime(into / name, (time, time), follow_symlinks=False)
    Git(into).run(
        *_OPTIONS, "update-index", "-q", "--refresh", variables=_VARIABLES
    )  # or else the new times look like changes


def _list_submodules(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and commit of each submodule in a checkout."""
    for entry in Git(directory).read_entries("ls-files", "--stage"):
        mode, _, rest = entry.partition(" ")
        if mode == SUBMODULE_MODE:
            yield rest.partition("\t")[2], rest.partition(" ")[0]


def _record_file(git: Git) -> Path:
    return git.private_directory() / _RECORD_FILE_NAME


def _recorded_exports(git: Git) -> list[tuple[str, str]]:
    """Return the recorded exports as pairs of repository and directory: the export itself, then its submodules."""
    try:
        exports = json.loads(_record_file(git).read_text(encoding="utf-8"))
        return [(str(repository), str(directory)) for repository, directory in exports]
    except (OSError, ValueError, TypeError):  # no record, or half of one: then nothing was exported
        return []
