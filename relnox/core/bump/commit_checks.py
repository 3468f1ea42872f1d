"""Preflight checks of a commit: whether git can commit the edited files, and nothing else with them.

Like those of `bump_checks`, each check yields its problems instead of raising an error.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from relnox.core.problems import Problem
from relnox.core.text import join_names

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package

_MAX_LISTED = 5
"""The maximum number of files named in a message."""


def check_files_can_be_committed(changed_files: Sequence[str], links: Sequence[str]) -> Iterator[Problem]:
    """Yield problems with files that the release commit would change.

    Args:
        changed_files: Those with uncommitted changes, which would be in the release.
        links: Those that are symbolic links, or in a directory that is one; git does not commit their targets.
    """
    if changed_files:
        yield Problem(
            code="tree-dirty",
            message=f"files that the bump edits have uncommitted changes: {join_names(changed_files)}",
            fix="commit the changes, or put them aside: git stash",
        )
    if links:
        yield Problem(
            code="file-is-link",
            message=f"{join_names(links)}: the release commit cannot change a file through a symbolic link",
            fix="name the file that the link leads to in [tool.relnox] (changelog-file, packages, version-files), "
            "or replace the link with the file",
        )


def check_no_operation_in_progress(operation: str | None) -> Iterator[Problem]:
    """Yield a problem if git waits for the end of an operation, such as `merge`, which a commit would end."""
    if operation is not None:
        yield Problem(
            code="operation-in-progress",
            message=f"a git {operation} is in progress (a release commit cannot be made or undone before it ends)",
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
            yield Problem(
                code="git-setting-invalid",
                message=f"{join_names(hidden_files, _MAX_LISTED)} {'is' if is_single else 'are'} marked {bit} "
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
            yield Problem(
                code="file-untracked",
                message=f"git does not track {join_names(own, _MAX_LISTED)} ({package.name} is not committed)",
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
            yield Problem(
                code="file-untracked",
                message=f"git does not track {join_names(files, _MAX_LISTED)} "
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
        yield Problem(
            code="imported-module-untracked",
            message=f"{importing} imports {imported_module} (untracked: not in the commit)",
            fix=f"git add {imported_module}, and commit it",
        )
