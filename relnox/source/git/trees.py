"""Trees of commits in temporary directories: the files of a commit, and the tree that edited files would have.

The checkout and its index are not changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from relnox.core.fixes import GIT_FAILED
from relnox.core.planning.step import Edit
from relnox.source.git import remotes
from relnox.source.git.repository import Git
from relnox.system.files import TemporaryDirectory

_FETCH_TIMEOUT = 300.0
"""The timeout for fetching a branch, in seconds."""
_SYMBOLIC_LINK = "120000"
ADD_SETTINGS = tuple(
    word
    for setting in ("sparseCheckout=false", "fsmonitor=false", "hooksPath=/dev/null", "safecrlf=false")
    for word in ("-c", f"core.{setting}")
)
"""Overrides of settings that would skip files, run programs or reject line ends when files are added."""


class PlannedTree(NamedTuple):
    """The tree of a commit with edited files.

    Attributes:
        id: The object id of the tree.
        is_changed: Whether it differs from the tree of the commit.
        links: The paths, relative to the top level of the repository, of symbolic links that the tree replaces.
    """

    id: str
    is_changed: bool
    links: tuple[str, ...]


class CommitContent(NamedTuple):
    """The content of a commit: the id of its tree, the ids of its parents, and its message, stripped."""

    tree: str
    parents: tuple[str, ...]
    message: str


def plan_tree(git: Git, edits: Iterable[Edit], base: str = "HEAD", *, stored: bool = False) -> PlannedTree:
    """Return the tree that a commit of the edited files on a base commit would have.

    The checkout and its index are not changed: the files and their index are in a temporary directory, and so are
    the new objects, unless they are `stored` in the repository.
    """
    with TemporaryDirectory() as directory:
        files, objects = directory.path / "files", directory.path / "objects"
        files.mkdir()
        objects.mkdir()
        variables = {
            "GIT_DIR": str(git.git_directory),
            "GIT_WORK_TREE": str(files),
            "GIT_INDEX_FILE": str(directory.path / "index"),
        }
        if not stored:
            variables["GIT_OBJECT_DIRECTORY"] = str(objects)
            variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = git.read_output(
                "rev-parse", "--path-format=absolute", "--git-path", "objects"
            )
        edits_by_path = {f"{git.prefix}{edit.file}": edit for edit in edits}

        def run(*words: str, stdin: str | None = None) -> str:
            completed = Git(files).run(*ADD_SETTINGS, *words, stdin=stdin, stderr=False, variables=variables)
            return completed.check(f"git {words[0]}", fix=GIT_FAILED).output

        for name, edit in edits_by_path.items():
            if edit.after is not None:
                path = files / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(edit.after)
                if os.access(git.root / edit.file, os.X_OK):
                    path.chmod(0o755)
        run("read-tree", base)
        add_options = ("--all", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
        run("--literal-pathspecs", "add", *add_options, stdin="\0".join(edits_by_path))
        tree = run("write-tree").strip()
        differences = run("diff-tree", "-r", "-z", "--raw", base, tree).split("\0")
        old_modes = zip(differences[:-1:2], differences[1::2], strict=True)
        links = tuple(path for header, path in old_modes if header.startswith(f":{_SYMBOLIC_LINK}"))
        return PlannedTree(tree, len(differences) > 1, links)


def read_branch_head(git: Git, commit: str, remote: str, branch: str) -> CommitContent | None:
    """Return the content of `commit`, the head of a remote's branch; the branch is fetched if this clone lacks it.

    Return None if the commit cannot be fetched.
    """
    if (content := _read_commit(git, commit)) is not None:
        return content
    remotes.try_to_fetch_objects(git, remote, f"refs/heads/{branch}", timeout=_FETCH_TIMEOUT)
    return _read_commit(git, commit)


def _read_commit(git: Git, commit: str) -> CommitContent | None:
    """Return the content of a commit, or None if this clone does not have it.

    In a shallow clone, the parents are those recorded in the commit.
    """
    completed = git.run("cat-file", "commit", commit, stderr=False)
    if completed.returncode != 0:
        return None
    header, _, message = completed.output.partition("\n\n")
    fields = [line.partition(" ") for line in header.split("\n")]
    return CommitContent(
        tree=next(value for name, _, value in fields if name == "tree"),
        parents=tuple(value for name, _, value in fields if name == "parent"),
        message=message.strip(),
    )


@contextmanager
def temporary_checkout(git: Git, commit: str) -> Iterator[Git]:
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
