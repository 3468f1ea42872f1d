"""Compute the tree that a commit of edited files would have, without changing the checkout or its index."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.fixes import GIT_FAILED
from relnox.source.git import remotes
from relnox.source.git.repository import Git
from relnox.system.files import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from relnox.core.planning.changes import Edit

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
        id: The object id of the tree.
        files: The files that differ from HEAD, as git would store them (after filters and line-end conversion).
    """

    id: str
    files: tuple[PlannedFile, ...]


class CommitContent(NamedTuple):
    """The content of a commit: the id of its tree, the ids of its parents, and its message, stripped."""

    tree: str
    parents: tuple[str, ...]
    message: str


def plan_tree(git: Git, edits: Iterable[Edit], base: str = "HEAD", *, stored: bool = False) -> PlannedTree:
    """Return the tree that a commit of the edited files on a base commit would have.

    The checkout and its index are not changed: the files and their index are in a temporary directory, and so are
    the new objects, unless they are `stored` in the repository.

    Raises:
        Failed: A git command failed.
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
            settings = [word for setting in _SETTINGS for word in ("-c", setting)]
            completed = Git(files).run(*settings, *words, stdin=stdin, stderr=False, variables=variables)
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
        differences = run("diff-tree", "-r", "-z", "--raw", "--no-abbrev", base, tree)

        def read(blob: str) -> bytes:
            return (files / run("unpack-file", blob).strip()).read_bytes()

        return PlannedTree(tree, tuple(_changed_files(differences, edits_by_path, read)))


def _changed_files(
    differences: str, edits: Mapping[str, Edit], read_blob: Callable[[str], bytes]
) -> Iterator[PlannedFile]:
    """Yield the files in the output of `git diff-tree`; `read_blob` reads contents that a filter changed."""
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
            else (content if content is not None and _blob_id(content, blob) == blob else read_blob(blob))
            for blob, content in ((old, edit.before), (new, edit.after))
        )
        yield PlannedFile(path, before, after, mode)


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


def _blob_id(content: bytes, like: str) -> str:
    """Return the object id of a blob with this content; `like` is an id with the same hash function."""
    algorithm = "sha1" if len(like) == 40 else "sha256"  # noqa: PLR2004 - hexadecimal digits of SHA-1
    return hashlib.new(algorithm, b"blob %d\0%b" % (len(content), content), usedforsecurity=False).hexdigest()
