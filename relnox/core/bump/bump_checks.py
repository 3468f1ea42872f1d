"""Preflight checks that several tasks share.

Each check yields its problems instead of raising an error, so that a plan can list the problems of all checks.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from relnox.core.packages import Package
from relnox.core.planning.changes import NewTag
from relnox.core.settings.release_lines import ReleaseLine
from relnox.core.text import join_names
from relnox.errors import Blocked, Conflict, Problem

_MAX_LISTED = 5
"""The maximum number of files named in a message."""


def check_no_uncommitted_changes(
    dirty: Iterable[str], edited_files: Iterable[str], packages: Iterable[Package]
) -> Iterator[Problem]:
    """Yield a problem if a file to edit or the directory of a bumped package has uncommitted changes.

    Args:
        dirty: The files with uncommitted changes.
        edited_files: The files that the bump edits.
        packages: The bumped packages.
    """
    files = set(edited_files)
    directories = [package.directory for package in packages]
    affected_files = [
        name
        for name in dirty
        if name in files or any(directory == "." or name.startswith(f"{directory}/") for directory in directories)
    ]
    if affected_files:
        names = ", ".join(affected_files[:_MAX_LISTED]) + (" …" if len(affected_files) > _MAX_LISTED else "")
        yield Blocked(
            "tree-dirty",
            f"uncommitted changes: {names}",
            fix="git stash, or commit them",
        )


def check_branch_allows_releases(
    branch: str | None, lines: Sequence[ReleaseLine], configured_lines: Sequence[ReleaseLine]
) -> Iterator[Problem]:
    """Yield a problem if the settings do not allow releases from the current branch.

    Args:
        branch: The current branch, or None if HEAD is detached; then no problem is reported here.
        lines: The release lines of the current branch.
        configured_lines: All configured release lines.
    """
    if branch is not None and configured_lines and not lines:
        names = [line.branch for line in configured_lines]
        single = [line.branch for line in configured_lines if not line.is_glob]
        yield Blocked(
            "branch-not-allowed",
            f"branch {branch} is not a release branch ([tool.relnox] branch: {join_names(names)})",
            fix=f"git switch {single[0] if single else 'BRANCH'}",
        )


def check_upstream_is_pushed_to(
    branch: str | None, remote: str, upstream: str | None, upstream_remote: str | None
) -> Iterator[Problem]:
    """Yield a problem if a branch would not be pushed to the branch that it tracks (`upstream`).

    Args:
        branch: The current branch, or None if HEAD is detached.
        remote: The name of the remote to push to.
        upstream: The remote-tracking branch, such as `origin/main`; None if there is none.
        upstream_remote: The remote of the upstream; `.` for a branch of this repository.
    """
    if branch is None or upstream is None or upstream_remote in (None, ".") or upstream == f"{remote}/{branch}":
        return
    name = upstream.removeprefix(f"{upstream_remote}/")
    fix = f"git branch --unset-upstream, or release on {name}: git switch {name}"
    if upstream_remote != remote:
        fix = f'[tool.relnox] remote = "{upstream_remote}"; or git branch --set-upstream-to {remote}/{branch}'
    yield Blocked(
        "branch-not-allowed",
        f"branch {branch} would be pushed to {remote}/{branch}, but it tracks {upstream}",
        fix=fix,
    )


def check_head_not_detached(branch: str | None) -> Iterator[Problem]:
    """Yield a problem if HEAD is detached (`branch` is None), since the commit would be on no branch."""
    if branch is None:
        yield Blocked(
            "head-detached",
            "HEAD is detached (the commit would be on no branch)",
            fix="git switch BRANCH",
        )


def check_not_behind_remote(branch: str | None, remote: str, *, is_ancestor: bool | None) -> Iterator[Problem]:
    """Yield a problem if the remote's branch has commits that the local branch lacks.

    Args:
        branch: The current branch, or None if HEAD is detached.
        remote: The name of the remote.
        is_ancestor: Whether the remote's branch is an ancestor of HEAD, or None if unknown.
    """
    if is_ancestor is False:
        yield Blocked(
            "branch-behind",
            f"{remote} has commits on {branch} that this checkout does not have",
            fix=f"git pull --rebase {remote} {branch}",
        )


def check_tags_do_not_exist(
    tags: Iterable[NewTag], local: Mapping[str, str], remote: Mapping[str, str], head: str | None, remote_name: str
) -> Iterator[Problem]:
    """Yield a problem for each planned tag that already exists, locally or on the remote.

    Args:
        tags: The planned tags.
        local: Maps each local tag to its commit.
        remote: Maps each tag on the remote to its commit.
        head: The commit that the planned tags may already be on, or None if the plan creates a commit for them.
        remote_name: The name of the remote.
    """
    for tag in tags:
        repositories = (("here", local), (f"on {remote_name}", remote))
        existing = {name: commits[tag.name] for name, commits in repositories if tag.name in commits}
        others = {name: commit[:10] for name, commit in existing.items() if commit != head}
        if others:
            ids = ", ".join(dict.fromkeys(others.values()))
            yield Conflict(
                "tag-exists",
                f"tag {tag.name} already exists {' and '.join(others)} ({ids})",
                fix=f"choose a higher version; to see the tag: git show {tag.name}",
            )


def check_no_operation_in_progress(operation: str | None) -> Iterator[Problem]:
    """Yield a problem if git waits for the end of an operation, such as `merge`, which a commit would end."""
    if operation is not None:
        yield Blocked(
            "operation-in-progress",
            f"a git {operation} is in progress (a release commit cannot be made or undone before it ends)",
            fix=f"finish it: git {operation} --continue",
        )


def check_no_hidden_files(files: Iterable[str], index_states: Mapping[str, str]) -> Iterator[Problem]:
    """Yield a problem for each bit of git's index that hides changes of these files from git.

    Args:
        files: The files.
        index_states: Maps tracked files to their letters in the output of `git ls-files -v`.
    """
    states = {file: index_states.get(file, "H") for file in sorted(files)}
    for bit, hidden_files in (
        ("skip-worktree", [file for file, state in states.items() if state in "Ss"]),
        ("assume-unchanged", [file for file, state in states.items() if state.islower()]),
    ):
        if hidden_files:
            is_single = len(hidden_files) == 1
            yield Blocked(
                "git-setting-invalid",
                f"{join_names(hidden_files, _MAX_LISTED)} {'is' if is_single else 'are'} marked {bit} "
                f"(git commits no changes of {'it' if is_single else 'them'})",
                fix=f"git update-index --no-{bit} -- {shlex.join(hidden_files)}",
            )


def check_files_tracked(
    untracked_files: Iterable[str],
    packages: Iterable[Package],
    *,
    ignored_files: Collection[str],
    changelogs: Collection[str] = (),
) -> Iterator[Problem]:
    """Yield problems for files that a release depends on and that git does not track.

    Args:
        untracked_files: The files, which exist.
        packages: The released packages.
        ignored_files: Those of the files that git ignores.
        changelogs: The paths of changelogs, which a setting leaves unchanged.
    """
    others = sorted(set(untracked_files))
    for package in packages:
        if package.pyproject in others and package.directory != ".":
            own = [file for file in others if file.startswith(f"{package.directory}/")]
            others = [file for file in others if file not in own]
            commit = f"commit it: git add -- {shlex.quote(package.directory)} && git commit"
            if package.pyproject in ignored_files:
                commit = "commit it, after its directory is removed from .gitignore"
            yield Blocked(
                "file-untracked",
                f"git does not track {join_names(own, _MAX_LISTED)} ({package.name} is not committed)",
                fix=f'{commit}; or leave the package out: [tool.relnox] exclude = ["{package.directory}"]',
            )
    for files, alternative in (
        (
            [file for file in others if file in changelogs],
            '; or leave it unchanged: [tool.relnox] changelog = "none"',
        ),
        ([file for file in others if file not in changelogs], ""),
    ):
        if files:
            is_single = len(files) == 1
            force = "--force " if any(file in ignored_files for file in files) else ""
            yield Blocked(
                "file-untracked",
                f"git does not track {join_names(files, _MAX_LISTED)} "
                f"({'it was' if is_single else 'they were'} never committed)",
                fix=f"commit {'it' if is_single else 'them'}: git add {force}-- {shlex.join(files)} && git commit"
                f"{alternative}",
            )


def check_no_untracked_imports(imports: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """Yield a problem for each committed module that imports an untracked one.

    Args:
        imports: Pairs of the importing module and the untracked module.
    """
    for importing, imported_module in imports:
        yield Blocked(
            "imported-module-untracked",
            f"{importing} imports {imported_module} (untracked: not in the commit)",
            fix=f"git add {imported_module}, and commit it",
        )
