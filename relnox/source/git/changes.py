"""Create and remove commits and tags, so that an interruption leaves all of them or none."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from relnox.core.fixes import GIT_FAILED
from relnox.core.planning.step import Edit, NewTag
from relnox.errors import Failed
from relnox.source import file_edits
from relnox.source.git import trees
from relnox.source.git.repository import Git
from relnox.system.files import TemporaryDirectory

_PATHSPECS_FROM_STDIN = ("--pathspec-from-file=-", "--pathspec-file-nul")
_REFLOG_ACTION = "relnox "
_SIGNING_FIX = (
    "check that git can sign tags: git tag --sign --message=test relnox-test && git tag --delete relnox-test"
)
"""The fix if a tag cannot be signed; the tag of the test is deleted again."""


def commit(git: Git, message: str, edits: Sequence[Edit]) -> str:
    """Commit edits that are made in the checkout, and nothing else that is changed or staged there.

    Git's index is not changed; `reset_index` makes it that of the new commit. The reflog has the planned tree, so
    that `planned_tree` knows it if this run is killed before the commit is compared with it.

    Returns:
        The id of the tree that the commit has, unless a hook changed it.

    Raises:
        Failed: git or a hook rejected the commit.
    """
    with TemporaryDirectory() as directory:
        index = directory.path / "index"
        with contextlib.suppress(FileNotFoundError):  # it knows which files did not change until its own time
            shutil.copy2(git.private_directory().with_name("index"), index)
        variables = {"GIT_INDEX_FILE": str(index)}

        def run(*words: str, stdin: str | None = None) -> str:
            completed = git.run(*trees.ADD_SETTINGS, *words, stdin=stdin, stderr=False, variables=variables)
            return completed.check("git commit", fix=GIT_FAILED).output

        run("read-tree", "--reset", "HEAD")
        run(
            "add", "--all", "--force", *_PATHSPECS_FROM_STDIN, stdin=_pathspecs(git, (edit.file for edit in edits))
        )
        tree = run("write-tree").strip()
        # What an editor has saved since the edit stays in the checkout; the commit gets the planned content.
        if not file_edits.are_applied(git.root, edits):
            tree = trees.plan_tree(git, edits, stored=True).id
            run("read-tree", "--reset", tree)
        variables["GIT_REFLOG_ACTION"] = f"{_REFLOG_ACTION}{tree}"
        completed = git.run("commit", "--quiet", "--no-edit", f"--message={message}", variables=variables)
    completed.check("git commit", fix="fix what git or the hook reports, then rerun the command")
    return tree


def planned_tree(git: Git) -> str | None:
    """Return the tree that `commit` planned for HEAD, or None if HEAD has been made or moved by something else."""
    reason = git.run(
        "log", "--walk-reflogs", "-1", "--no-show-signature", "--format=%gs", "HEAD", stderr=False
    ).output
    return reason.removeprefix(_REFLOG_ACTION).partition(":")[0] if reason.startswith(_REFLOG_ACTION) else None


def commit_tree(git: Git, tree: str, parent: str, message: str) -> str:
    """Create a commit that no ref points to, and return its id; git signs it if `commit.gpgSign` is set."""
    is_signed = _is_enabled(git, "commit.gpgSign")
    command = ("commit-tree", *(("--gpg-sign",) if is_signed else ()), "-p", parent, "-F", "-", tree)
    completed = git.run(*command, stdin=message)
    fix = "check that git can sign: git commit-tree -S -m test HEAD^{tree}" if is_signed else GIT_FAILED
    return completed.check("git commit-tree", fix=fix).output.split()[-1]  # behind warnings


def reset_index(git: Git, files: Iterable[str], commit: str = "HEAD") -> None:
    """Give these files in the index the content that they have in a commit, without changing the checkout."""
    if pathspecs := _pathspecs(git, files):
        command = ("reset", "--quiet", *_PATHSPECS_FROM_STDIN, commit)
        git.run(*command, stdin=pathspecs).check("git reset", fix=GIT_FAILED)


def move_branch(git: Git, old: str, new: str, tags: Mapping[str, str] = MappingProxyType({})) -> None:
    """Move the current branch from one commit to another, and delete tags, all in one transaction.

    `tags` has the object id that each tag must have; `old` and `new` are full ids.
    """
    commands = [f"delete refs/tags/{name} {object_id}" for name, object_id in tags.items()]
    _update_refs(git, [*commands, f"update HEAD {new} {old}"], "undoing the release")


def create_tag(git: Git, tag: NewTag, commit: str) -> None:
    """Create an annotated tag, which must not exist yet; git signs it if `tag.gpgSign` is set.

    Raises:
        Failed: git could not create or sign the tag; no tag is left.
    """
    message = ("--cleanup=whitespace", f"--message={tag.message}")
    completed = git.run("tag", "--annotate", *message, "--", tag.name, commit)
    is_signed = _is_enabled(git, "tag.gpgSign")
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
    """Create all of these annotated tags or, on failure, none; they must not exist yet."""
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


def _is_enabled(git: Git, setting: str) -> bool:
    """Return whether a setting of git is true, in any of the forms that git accepts."""
    if git.config.get(setting.lower(), "false") == "false":
        return False
    return git.run("config", "--type=bool", "--get", setting, stderr=False).output.strip() == "true"


def _pathspecs(git: Git, files: Iterable[str]) -> str:
    """Return file names as input for `--pathspec-from-file`, with all characters taken literally."""
    return "\0".join(f":(top,literal){git.prefix}{name}" for name in files)
