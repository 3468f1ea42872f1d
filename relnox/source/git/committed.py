"""The files of a commit in a temporary directory, to plan a bump from them and not from the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from relnox.core.fixes import GIT_FAILED
from relnox.source.git.repository import Git
from relnox.system.files import TemporaryDirectory


@contextmanager
def files_of_commit(git: Git, commit: str) -> Iterator[Git]:
    """Yield the repository with a temporary checkout of a commit, whose index is temporary as well.

    Refs and settings are those of the repository. No file in the temporary directory leads to it, since git would
    take that directory for the place of a linked worktree.
    """
    with TemporaryDirectory() as directory:
        top = directory.path / "files"
        (top / ".git").mkdir(parents=True)  # which marks the top of a checkout
        variables = {
            "GIT_DIR": str(git.git_directory),
            "GIT_WORK_TREE": str(top),
            "GIT_INDEX_FILE": str(directory.path / "index"),
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
        root = top / git.prefix if git.prefix else top
        root.mkdir(exist_ok=True, parents=True)
        committed = Git(root, git.prefix, variables)
        for command, *words in (("read-tree", commit), ("checkout-index", "--all", "--quiet")):
            completed = Git(top, variables=variables).run("-c", "core.sparseCheckout=false", command, *words)
            completed.check(f"git {command}", fix=GIT_FAILED)
        yield committed
