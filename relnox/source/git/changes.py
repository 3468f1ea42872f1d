"""Create and remove commits and tags, so that an interruption leaves all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.fixes import GIT_FAILED
from relnox.errors import Failed
from relnox.source.git import trees
from relnox.system.files import TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from relnox.core.planning.changes import Edit, NewTag
    from relnox.source.git.repository import Git

_PATHSPECS_FROM_STDIN = ("--pathspec-from-file=-", "--pathspec-file-nul")
_SIGNING_FIX = (
    "check that git can sign tags: git tag --sign --message=test relnox-test && git tag --delete relnox-test"
)
"""The fix if a tag cannot be signed; the tag of the test is deleted again."""


def commit(git: Git, message: str, edits: Sequence[Edit]) -> str:
    """Commit the planned content of edited files, whatever is staged and whatever the files contain meanwhile.

    Args:
        git: The checkout.
        message: The commit message.
        edits: The edits, with paths relative to `git.root`.

    Returns:
        The id of the tree that the commit has, unless a hook changed it.

    Raises:
        Failed: git or a hook rejected the commit.
    """
    tree = trees.plan_tree(git, edits, stored=True).id
    with TemporaryDirectory() as directory:
        index = directory.path / "index"
        if (content := read_index(git)) is not None:
            index.write_bytes(content)  # it knows which files of the checkout did not change
        variables = {"GIT_INDEX_FILE": str(index)}
        git.run("read-tree", "--reset", tree, variables=variables).check("git read-tree", fix=GIT_FAILED)
        command = ("commit", "--quiet", "--no-edit", f"--message={message}")
        completed = git.run(*command, variables=variables)
    completed.check("git commit", fix="fix what git or the hook reports, then rerun the command")
    unstage(git, [edit.file for edit in edits])
    return tree


def commit_tree(git: Git, tree: str, parent: str, message: str) -> str:
    """Create a commit that no ref points to, and return its id; git signs it if `commit.gpgSign` is set.

    Raises:
        Failed: git could not create or sign the commit.
    """
    is_signed = _is_set(git, "commit.gpgSign")
    command = ("commit-tree", *(("--gpg-sign",) if is_signed else ()), "-p", parent, "-F", "-", tree)
    completed = git.run(*command, stdin=message)
    fix = "check that git can sign: git commit-tree -S -m test HEAD^{tree}" if is_signed else GIT_FAILED
    return completed.check("git commit-tree", fix=fix).output.split()[-1]  # behind warnings


def undo_commits(git: Git, commit: str, count: int, tags: Iterable[str], files: Iterable[str]) -> None:
    """Remove the last `count` commits from the branch and delete tags in one transaction, then unstage the files.

    The branch is not changed if `commit`, the last of the commits, is not the current commit.
    """
    refs = [f"delete refs/tags/{name}" for name in tags]
    if git.head() == commit:
        refs.append(f"update HEAD {git.read_output('rev-parse', f'{commit}~{count}')} {commit}")
    _update_refs(git, refs, "undoing the bump")
    unstage(git, files)


def read_index(git: Git) -> bytes | None:
    """Return the content of git's index file, for `restore`; None if it does not exist."""
    try:
        return _index_file(git).read_bytes()
    except FileNotFoundError:
        return None


def restore(git: Git, commit: str | None, index: bytes | None) -> None:
    """Restore an earlier commit of the branch and an earlier index, without changing files in the checkout.

    Args:
        git: The checkout.
        commit: The commit, or None to keep the current one.
        index: The result of `read_index` at that time.

    Raises:
        Failed: Another git process is changing the index.
    """
    if commit is not None and git.head() != commit:
        git.run("reset", "--quiet", "--soft", commit).check("git reset", fix=GIT_FAILED)
    if index is None or index == read_index(git):
        return
    lock = _index_file(git).with_name("index.lock")
    try:
        with lock.open("xb") as file:
            file.write(index)
    except FileExistsError:
        raise Failed(
            "checkout-locked",
            f"git's index is in use ({lock} exists), so that the commit is not undone completely",
            fix="wait until the other git process has finished, then check: git status",
        ) from None
    lock.replace(_index_file(git))


def _index_file(git: Git) -> Path:
    return git.git_directory / "index"


def unstage(git: Git, files: Iterable[str]) -> None:
    """Reset these files in the index to the current commit, without changing them in the checkout."""
    if pathspecs := _pathspecs(git, files):
        command = ("reset", "--quiet", *_PATHSPECS_FROM_STDIN, "HEAD")
        git.run(*command, stdin=pathspecs).check("git reset", fix=GIT_FAILED)


def create_tag(git: Git, tag: NewTag, commit: str) -> None:
    """Create an annotated tag, which must not exist yet; git signs it if `tag.gpgSign` is set.

    Raises:
        Failed: git could not create or sign the tag; no tag is left.
    """
    message = ("--cleanup=whitespace", f"--message={tag.message}")
    completed = git.run("tag", "--annotate", *message, "--", tag.name, commit)
    is_signed = _is_set(git, "tag.gpgSign")
    completed.check(f"git tag {tag.name}", fix=_SIGNING_FIX if is_signed else GIT_FAILED)
    if is_signed and "\n-----BEGIN " not in git.read_output("cat-file", "tag", f"refs/tags/{tag.name}"):
        # git 2.39 succeeds without a signature where the SSH key is missing.
        delete_tags(git, [tag.name])
        raise Failed(
            "committer-unknown",
            f"git did not sign tag {tag.name} (although tag.gpgSign is set)",
            fix=_SIGNING_FIX,
        )


def create_tags(git: Git, tags: Sequence[NewTag], commit: str) -> None:
    """Create all of these annotated tags or, on failure, none; they must not exist yet.

    Raises:
        Failed: git could not create or sign the tags.
    """
    created_tags: list[str] = []
    try:
        for tag in tags:
            create_tag(git, tag, commit)
            created_tags.append(tag.name)
    except BaseException:  # an interruption too must leave all of the tags or none
        delete_tags(git, created_tags)
        raise


def delete_tags(git: Git, names: Iterable[str]) -> None:
    """Delete local tags in one transaction; tags that do not exist are ignored."""
    _update_refs(git, [f"delete refs/tags/{name}" for name in names], "deleting tags")


def _update_refs(git: Git, commands: Iterable[str], action: str) -> None:
    """Run commands of `git update-ref --stdin` in one transaction; `action` starts the error message."""
    lines = "".join(f"{command}\n" for command in commands)
    if lines:
        git.run("update-ref", "--stdin", stdin=lines).check(action, fix=GIT_FAILED)


def _is_set(git: Git, setting: str) -> bool:
    """Return whether a setting of git is true, in any of the forms that git accepts."""
    if git.config.get(setting.lower(), "false") == "false":
        return False
    return git.run("config", "--type=bool", "--get", setting, stderr=False).output.strip() == "true"


def _pathspecs(git: Git, files: Iterable[str]) -> str:
    """Return file names as input for `--pathspec-from-file`, with all characters taken literally."""
    return "\0".join(f":(top,literal){git.prefix}{name}" for name in files)
