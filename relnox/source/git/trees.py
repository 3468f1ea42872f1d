"""Computes the tree that a commit of edited files would have, without changing the checkout or its index."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox.source.git import remotes
from relnox.source.git.environment import git_variables
from relnox.source.git.repository import blob_id
from relnox.system import process
from relnox.system.temporary_directories import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from relnox.core.bump.changes import Edit
    from relnox.source.git.repository import Git

_FETCH_TIMEOUT = 300.0
"""The timeout for fetching a branch, in seconds."""
_SYMBOLIC_LINK = "120000"
_SETTINGS = (
    "core.sparseCheckout=false",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.safecrlf=false",
)
"""Overrides of settings that would skip files, run programs or reject line ends when files are added."""


class PlannedFile(NamedTuple):
    """A file of a planned tree that differs from HEAD.

    Attributes:
        path: The path relative to the top level of the repository.
        before: The content at HEAD, or None if HEAD does not have the file.
        after: The content in the tree, or None for a removed file.
        mode: The mode in the tree, `100644` or `100755`; or `120000` if the file is a symbolic link at HEAD, which
            the tree would replace.
    """

    path: str
    before: bytes | None
    after: bytes | None
    mode: str


class PlannedTree(NamedTuple):
    """The tree of HEAD with edited files.

    Attributes:
        files: The files that differ from HEAD, as git would store them (after filters and line-end conversion).
    """

    id: str
    files: tuple[PlannedFile, ...]


class CommitContent(NamedTuple):
    """The content of a commit: the id of its tree, the ids of its parents, and its message, stripped."""

    tree: str
    parents: tuple[str, ...]
    message: str


def plan_tree(git: Git, edits: Iterable[Edit]) -> PlannedTree:
    """Return the tree that a commit of the edited files on HEAD would have.

    The checkout and the repository are not changed; the index, files and new objects are in a temporary directory.

    Raises:
        Failed: A git command failed.
    """
    with TemporaryDirectory() as directory:
        scratch = directory.path
        files, objects = scratch / "files", scratch / "objects"
        files.mkdir()
        objects.mkdir()
        variables = {
            "GIT_DIR": git.read_output("rev-parse", "--absolute-git-dir"),
            "GIT_WORK_TREE": str(files),
            "GIT_INDEX_FILE": str(scratch / "index"),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(
                git.root / git.read_output("rev-parse", "--git-path", "objects")
            ),
        }
        contents: dict[str, Edit] = {}

        def run(*words: str, stdin: str | None = None) -> str:
            settings = [word for setting in _SETTINGS for word in ("-c", setting)]
            completed = process.run(
                ["git", *settings, *words], cwd=files, env=git_variables() | variables, stdin=stdin, stderr=False
            )
            return completed.check(f"git {words[0]}").output

        for edit in edits:
            contents[f"{git.prefix}{edit.file}"] = edit
            if edit.after is not None:
                path = files / git.prefix / edit.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(edit.after)
                if os.access(git.root / edit.file, os.X_OK):
                    path.chmod(0o755)
        run("read-tree", "HEAD")
        add_options = ("--all", "--force", "--pathspec-from-file=-", "--pathspec-file-nul")
        run("--literal-pathspecs", "add", *add_options, stdin="\0".join(contents))
        tree = run("write-tree").strip()
        differences = run("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "HEAD", tree)

        def read(blob: str) -> bytes:
            return Path(files / run("unpack-file", blob).strip()).read_bytes()

        return PlannedTree(tree, tuple(_changed_files(differences, contents, read)))


def _changed_files(
    differences: str, edits: Mapping[str, Edit], read_blob: Callable[[str], bytes]
) -> Iterator[PlannedFile]:
    """Yield the files in the output of `git diff-tree --raw`.

    Contents are taken from the edits or, if a filter changed them, read from git.
    """
    fields = differences.split("\0")
    for header, path in zip(fields[:-1:2], fields[1::2], strict=True):
        old_mode, mode, old, new, _ = header.removeprefix(":").split(" ")
        if old_mode == _SYMBOLIC_LINK:
            yield PlannedFile(path, None, None, old_mode)
            continue
        edit = edits[path]
        before, after = (
            None
            if not blob.strip("0")
            else (content if content is not None and blob_id(content, blob) == blob else read_blob(blob))
            for blob, content in ((old, edit.before), (new, edit.after))
        )
        yield PlannedFile(path, before, after, mode)


def read_branch_head(git: Git, commit: str, remote: str, branch: str) -> CommitContent | None:
    """Return the content of the head of a remote's branch, or None if it is neither here nor can be fetched."""
    content = _read_commit(git, commit)
    if content is None:
        remotes.try_to_fetch_objects(git, remote, f"refs/heads/{branch}", timeout=_FETCH_TIMEOUT)
        content = _read_commit(git, commit)
    return content


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
