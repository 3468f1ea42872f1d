"""Create and remove commits and tags, all of them or none; read commits, and the trees that edits would have."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from relnox.core.fixes import GIT_FAILED
from relnox.core.planning.step import Edit, NewTag
from relnox.errors import Failed
from relnox.source import file_edits
from relnox.source.git import remotes
from relnox.source.git.repository import Git
from relnox.system.files import temporary_directory

_PATHSPECS_FROM_STDIN = ("--pathspec-from-file=-", "--pathspec-file-nul")
_REFLOG_ACTION = "relnox "
_SIGNING_FIX = (
    "check that git can sign tags: git tag --sign --message=test relnox-test && git tag --delete relnox-test"
)
"""The fix if a tag cannot be signed; the tag of the test is deleted again."""
_FETCH_TIMEOUT = 300.0
"""The timeout for fetching a branch, in seconds."""
_SYMBOLIC_LINK = "120000"
_ADD_SETTINGS = tuple(
    word
    for setting in ("sparseCheckout=false", "fsmonitor=false", "hooksPath=/dev/null", "safecrlf=false")
    for word in ("-c", f"core.{setting}")
)
"""Overrides of settings that would skip files, run programs or reject line ends when files are added."""


def commit_edits(git: Git, message: str, edits: Sequence[Edit]) -> str:
    """Commit edits that `apply_edits` has made in the checkout, and nothing else that is changed or staged there.

    Git's index is not changed: call `reset_index` for the files afterwards. The id of the planned tree, which is
    that of HEAD with the edits, is also written to the reflog: if this run is killed, the next one can still
    compare it with the commit (see `read_planned_tree`).

    Returns:
        The id of the planned tree; a hook may have given the commit another one.

    Raises:
        Failed: git or a hook fails.
    """
    with temporary_directory() as directory:
        index = directory / "index"
        with contextlib.suppress(FileNotFoundError):  # it knows which files did not change until its own time
            shutil.copy2(git.private_directory().with_name("index"), index)
        variables = {"GIT_INDEX_FILE": str(index)}

        def run(*words: str, stdin: str | None = None) -> str:
            completed = git.run(*_ADD_SETTINGS, *words, stdin=stdin, stderr=False, variables=variables)
            return completed.check("git commit", fix=GIT_FAILED).output

        run("read-tree", "--reset", "HEAD")
        run(
            "add", "--all", "--force", *_PATHSPECS_FROM_STDIN, stdin=_pathspecs(git, (edit.file for edit in edits))
        )
        tree = run("write-tree").strip()
        # What an editor has saved since the edit stays in the checkout; the commit gets the planned content.
        if not file_edits.are_edits_applied(git.root, edits):
            tree = plan_tree(git, edits, stored=True).id
            run("read-tree", "--reset", tree)
        variables["GIT_REFLOG_ACTION"] = f"{_REFLOG_ACTION}{tree}"
        completed = git.run("commit", "--quiet", "--no-edit", f"--message={message}", variables=variables)
    completed.check("git commit", fix="fix what git or the hook reports, then rerun the command")
    return tree


def read_planned_tree(git: Git) -> str | None:
    """Return the id of the tree that `commit_edits` planned for the commit HEAD, as recorded in the reflog.

    It differs from that of the commit if a hook changed files. None if `commit_edits` did not create the commit.
    """
    reason = git.run(
        "log", "--walk-reflogs", "-1", "--no-show-signature", "--format=%gs", "HEAD", stderr=False
    ).output
    return reason.removeprefix(_REFLOG_ACTION).partition(":")[0] if reason.startswith(_REFLOG_ACTION) else None


def commit_tree(git: Git, tree: str, parent: str, message: str) -> str:
    """Create a commit that no ref points to, and return its id; git signs it if `commit.gpgSign` is set."""
    is_signed = _is_setting_enabled(git, "commit.gpgSign")
    command = ("commit-tree", *(("--gpg-sign",) if is_signed else ()), "-p", parent, "-F", "-", tree)
    completed = git.run(*command, stdin=message)
    fix = "check that git can sign: git commit-tree -S -m test HEAD^{tree}" if is_signed else GIT_FAILED
    return completed.check("git commit-tree", fix=fix).output.split()[-1]  # behind warnings


def reset_index(git: Git, files: Iterable[str], commit: str = "HEAD") -> None:
    """Reset these files in git's index to their content in a commit, without changing the checkout."""
    if pathspecs := _pathspecs(git, files):
        command = ("reset", "--quiet", *_PATHSPECS_FROM_STDIN, commit)
        git.run(*command, stdin=pathspecs).check("git reset", fix=GIT_FAILED)


def move_branch(git: Git, old: str, new: str, tags_to_delete: Mapping[str, str] = MappingProxyType({})) -> None:
    """Move the current branch from the commit `old` to `new` (full ids), and delete tags, all in one transaction.

    `tags_to_delete` maps each tag to the object id that it must still have. If one of these or the branch has
    another, `Failed` is raised and nothing is changed.
    """
    commands = [f"delete refs/tags/{name} {object_id}" for name, object_id in tags_to_delete.items()]
    _update_refs(git, [*commands, f"update HEAD {new} {old}"], "undoing the release")


def create_tag(git: Git, tag: NewTag, commit: str) -> None:
    """Create an annotated tag, signed if `tag.gpgSign` is set; on failure, raise `Failed` and leave no tag.

    The tag must not exist yet.
    """
    message = ("--cleanup=whitespace", f"--message={tag.message}")
    completed = git.run("tag", "--annotate", *message, "--", tag.name, commit)
    is_signed = _is_setting_enabled(git, "tag.gpgSign")
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
    """Create all of these annotated tags or, on failure, none, and raise `Failed`; they must not exist yet."""
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
    """Run commands of `git update-ref --stdin` in one transaction; raise `Failed`, with no change, if one fails.

    `action` says in the error what failed, such as `deleting tags`.
    """
    lines = "".join(f"{command}\n" for command in commands)
    if lines:
        git.run("update-ref", "--stdin", stdin=lines).check(action, fix=GIT_FAILED)


def _is_setting_enabled(git: Git, setting: str) -> bool:
    """Return whether a setting of git is true, in any of the forms that git accepts."""
    if git.config.get(setting.lower(), "false") == "false":
        return False
    return git.run("config", "--type=bool", "--get", setting, stderr=False).output.strip() == "true"


def _pathspecs(git: Git, files: Iterable[str]) -> str:
    """Return files, relative to the root, as NUL-separated text for `--pathspec-from-file`.

    Characters of globs in names stand for themselves. The text is empty if there are no files.
    """
    return "\0".join(f":(top,literal){git.prefix}{name}" for name in files)


class PlannedTree(NamedTuple):
    """The tree that a commit of edits on a base commit would have.

    Attributes:
        id: The object id of the tree.
        is_changed: Whether it differs from the tree of the base commit.
        links: The symbolic links of the base commit that the edits change, replace or remove, by path relative to
            the top level of the repository.
    """

    id: str
    is_changed: bool
    links: tuple[str, ...]


class CommitContent(NamedTuple):
    """The content of a commit: the ids of its tree and its parents, and its message without surrounding space."""

    tree: str
    parents: tuple[str, ...]
    message: str


def plan_tree(git: Git, edits: Iterable[Edit], base: str = "HEAD", *, stored: bool = False) -> PlannedTree:
    """Compute the tree that a commit of the edits on a base commit would have.

    The checkout and its index are not changed. Only with `stored`, the tree is added to the repository, so that it
    can be committed.
    """
    with temporary_directory() as directory:
        files, objects = directory / "files", directory / "objects"
        files.mkdir()
        objects.mkdir()
        variables = {
            "GIT_DIR": str(git.git_directory),
            "GIT_WORK_TREE": str(files),
            "GIT_INDEX_FILE": str(directory / "index"),
        }
        if not stored:
            variables["GIT_OBJECT_DIRECTORY"] = str(objects)
            variables["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = git.read_output(
                "rev-parse", "--path-format=absolute", "--git-path", "objects"
            )
        edits_by_path = {f"{git.prefix}{edit.file}": edit for edit in edits}

        def run(*words: str, stdin: str | None = None) -> str:
            completed = Git(files).run(*_ADD_SETTINGS, *words, stdin=stdin, stderr=False, variables=variables)
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


def read_or_fetch_commit(git: Git, commit: str, remote: str, branch: str) -> CommitContent | None:
    """Return the content of a commit, or None if it cannot be fetched.

    The remote's branch is only fetched if this clone lacks the commit.
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


@contextlib.contextmanager
def temporary_checkout(git: Git, commit: str) -> Iterator[Git]:
    """Yield a temporary checkout of a commit, which is removed at the end of the `with` block.

    It has its own files and index, but the refs and settings of the repository. Files of Git LFS stay pointers.
    """
    with temporary_directory() as directory:
        top = directory / "files"
        # It marks the top of a checkout; with a file `.git`, git would take it for a linked worktree.
        (top / ".git").mkdir(parents=True)
        variables = {
            "GIT_DIR": str(git.git_directory),
            "GIT_WORK_TREE": str(top),
            "GIT_INDEX_FILE": str(directory / "index"),
            "GIT_LFS_SKIP_SMUDGE": "1",
        }
        root = top / git.prefix if git.prefix else top
        root.mkdir(exist_ok=True, parents=True)
        committed = Git(root, git.prefix, variables)
        for command, *words in (("read-tree", commit), ("checkout-index", "--all", "--quiet")):
            completed = Git(top, variables=variables).run("-c", "core.sparseCheckout=false", command, *words)
            completed.check(f"git {command}", fix=GIT_FAILED)
        yield committed
