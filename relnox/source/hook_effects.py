"""Check what a hook of the project changed: only files that it declares, no archives, and not the commit."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from relnox.core import fixes
from relnox.core.text import join_names
from relnox.errors import Failed
from relnox.source import file_edits
from relnox.source.hooks import hook_name, run_hook, settings_table
from relnox.source.tools_on_copy import copy_with_edits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.core.settings.hook_settings import Hook
    from relnox.source.git import Git

_REGULAR_MODE, _EXECUTABLE_MODE, _LINK_MODE = "100644", "100755", "120000"
"""File modes in git."""
_CACHE_DIRECTORIES = frozenset({"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".nox"})


def hash_changed_files(git: Git, ignored_patterns: Iterable[str] = ()) -> dict[str, str | None]:
    """Map each file of a checkout that differs from its commit to its SHA-256, or to None if it was removed.

    Files that git ignores are included only if they match one of the globs in `ignored_patterns`; caches of Python
    tools are never included.
    """
    return {
        name: _hash_file(git.root / name)
        for name in _changed_names(git, ignored_patterns)
        if (git.root / name).is_symlink() or not (git.root / name).is_dir()
    }


def find_nested_repositories(git: Git, ignored_patterns: Iterable[str] = ()) -> frozenset[str]:
    """Return the directories of other git repositories (clones, submodules) that differ from a checkout's commit.

    git does not report their files, so that `hash_changed_files`, which has the same parameters, returns none.
    """
    return frozenset(
        name.rstrip("/")
        for name in _changed_names(git, ignored_patterns)
        if not (git.root / name).is_symlink() and os.path.lexists(git.root / name / ".git")
    )


def _changed_names(git: Git, ignored_patterns: Iterable[str]) -> list[str]:
    """Return what git reports as changed, without caches; names of other repositories end in a slash."""
    names = set(git.changed_files())
    if globs := tuple(ignored_patterns):
        ignored_files = git.read_entries("ls-files", "--others", "--ignored", "--exclude-standard")
        names |= {name for name in ignored_files if _matches_any(name, globs)}
    return sorted(name for name in names if not set(name.split("/")) & _CACHE_DIRECTORIES)


def check_no_nested_repositories(hook: Hook, event: Mapping[str, Any], directories: Iterable[str]) -> None:
    """Check that a hook created or changed no git repository in the checkout: git does not report files in them.

    Raises:
        Failed: `directories`, those of the git repositories that the hook created or changed, is not empty.
    """
    if names := sorted(directories):
        raise Failed(
            "hook-created-repository",
            f"{hook_name(hook, event)} created or changed a git repository inside the checkout, which cannot be "
            f"part of a release: {join_names(names)}",
            fix=f"change the hook in {settings_table(event)} so that it clones elsewhere, and copies the files",
        )


def check_writes_are_declared(hook: Hook, event: Mapping[str, Any], names: Iterable[str]) -> None:
    """Check that a hook wrote only files that its setting `writes` declares.

    Raises:
        Failed: One of `names`, the files that the hook wrote, is not declared; they are relative to the root.
    """
    undeclared_files = sorted(name for name in names if not _matches_any(name, hook.writes))
    if undeclared_files:
        globs = f"writes = [{', '.join(json.dumps(name) for name in undeclared_files[:3])}]"
        raise Failed(
            "hook-wrote-undeclared-files",
            f"{hook_name(hook, event)} wrote files that its key `writes` does not name: "
            f"{join_names(undeclared_files)}",
            fix=f"declare them in {settings_table(event)}, such as {globs}, or change the hook so "
            "that it writes elsewhere",
        )


@contextmanager
def attribute_git_errors_to_hook(hook: Hook, event: Mapping[str, Any]) -> Iterator[None]:
    """Blame the hook if git fails in the `with` block, since git worked before the hook ran.

    Raises:
        Failed: git can no longer read the checkout.
    """
    try:
        yield
    except Failed as error:
        if error.code not in {"program-failed", "program-not-runnable"}:
            raise
        raise Failed(
            "hook-broke-checkout",
            f"{hook_name(hook, event)} left a checkout that git cannot read: {error.message}",
            fix=f"change the hook in {settings_table(event)} so that it does not change git's files",
        ) from error


def check_archives_are_unchanged(hook: Hook, event: Mapping[str, Any], changed_archives: Sequence[str]) -> None:
    """Check that a hook changed no archives, since the changed ones would be published without being checked.

    Raises:
        Failed: `changed_archives`, the archives that the hook changed or removed, is not empty.
    """
    if changed_archives:
        raise Failed(
            "archive-changed",
            f"{hook_name(hook, event)} changed or removed {join_names(changed_archives)}",
            fix=f"change the hook in {settings_table(event)} so that it changes no archives, then rebuild: "
            f"{fixes.task_command('build-all')}",
        )


def check_head_is_unchanged(
    hook: Hook, event: Mapping[str, Any], git: Git, before: tuple[str | None, str | None], *, is_copy: bool = False
) -> None:
    """Check that a hook did not change the current commit or branch, so that only planned changes are released.

    `before` is the result of `git.head_and_branch` before the hook ran. If the checkout is a temporary copy
    (`is_copy`), the error does not say how to restore it.

    Raises:
        Failed: The current commit or branch has changed.
    """
    if git.head_and_branch() == before:
        return
    commit, branch = before
    fix = f"change the hook in {settings_table(event)} so that it does not commit or switch branches"
    if not is_copy:
        switch = branch.removeprefix("refs/heads/") if branch is not None else f"--detach {commit}"
        fix += f"; to undo the change: git switch {switch}, and if the hook committed: git reset --soft {commit}"
    raise Failed("hook-changed-commit", f"{hook_name(hook, event)} changed the current commit or branch", fix=fix)


def check_file_modes(hook: Hook, event: Mapping[str, Any], git: Git, names: Iterable[str]) -> None:
    """Check that the changed files `names` are regular files with the modes that they have in the current commit.

    Otherwise, a plan, which has only the contents of files, could not repeat the change.

    Raises:
        Failed: The hook created a link or changed the permissions of a file.
    """
    names = list(names)
    entries = git.read_entries("ls-tree", "HEAD", "--", *names) if names else []
    modes = {entry.partition("\t")[2]: entry.partition(" ")[0] for entry in entries}
    unsupported_files = [
        name for name in names if _file_mode(git.root / name) not in {None, modes.get(name, _REGULAR_MODE)}
    ]
    if unsupported_files:
        raise Failed(
            "hook-wrote-unsupported-files",
            f"{hook_name(hook, event)} created links or changed file permissions: {join_names(unsupported_files)}",
            fix=f"change the hook in {settings_table(event)} so that it only writes regular files",
        )


def _file_mode(path: Path) -> str | None:
    """Return the mode that git would record for a file, or None for a missing file or a regular one on Windows."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(mode):
        return _LINK_MODE
    if os.name == "nt":
        return None
    return _EXECUTABLE_MODE if mode & stat.S_IXUSR else _REGULAR_MODE


def _matches_any(name: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern.removeprefix("./")) for pattern in globs)


def _hash_file(path: Path) -> str | None:
    try:
        is_opaque = path.is_symlink() and not path.is_file()  # reading a pipe or a device may never end
        return hashlib.sha256(os.fsencode(path.readlink()) if is_opaque else path.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return None


def run_hook_in_copy(
    hook: Hook,
    event: Mapping[str, Any],
    git: Git,
    contents: Mapping[str, bytes | None],
    on_line: Callable[[str], None] | None = None,
) -> dict[str, bytes | None]:
    """Run a hook in a temporary copy of the checkout with the planned edits, and return the files that it changes.

    The planned edits (`contents`) and the result are the new contents of files by path relative to the root, or
    None for a removed file. `on_line` is called with each line of the hook's output. The event that the hook gets
    has the directory of the copy as its `root`.

    Raises:
        Failed: The hook fails, makes commits, creates a repository, or writes links or files that it does not
            declare.
    """
    with copy_with_edits(git, contents) as clone:
        before, position = hash_changed_files(clone), clone.head_and_branch()
        run_hook(hook, {**event, "root": str(clone.root)}, clone.root, on_line=on_line, is_copy=True)
        with attribute_git_errors_to_hook(hook, event):
            check_head_is_unchanged(hook, event, clone, position, is_copy=True)
            check_no_nested_repositories(hook, event, find_nested_repositories(clone))
            after = hash_changed_files(clone)
            changed_files = [name for name in {**before, **after} if before.get(name, "") != after.get(name, "")]
            if hook.writes:
                check_writes_are_declared(hook, event, changed_files)
            check_file_modes(hook, event, clone, changed_files)
        return {name: file_edits.read_content(clone.root / name) for name in sorted(changed_files)}
