"""Checks of the checkout that several tasks share: its branch, and files that are not as in the commit.

Each check yields its problems, so that a plan can list those of all checks.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence

from relnox.commands.shared.project import Project
from relnox.core.packages import Package
from relnox.core.text import join_names
from relnox.errors import Blocked, Problem
from relnox.source import file_edits

_MAX_LISTED = 5
"""The maximum number of files named in a message."""


def branch_not_allowed(project: Project) -> Iterator[Problem]:
    """Yield a problem if the settings do not allow releases from the current branch; none if HEAD is detached."""
    branch = project.state.branch if project.state is not None else None
    if branch is not None and project.config.branch and not project.lines:
        names = [line.branch for line in project.config.branch]
        single = [line.branch for line in project.config.branch if not line.is_glob]
        yield Blocked(
            "branch-not-allowed",
            f"branch {branch} is not a release branch ([tool.relnox] branch: {join_names(names)})",
            f"git switch {single[0] if single else 'BRANCH'}",
        )


def other_upstream(project: Project) -> Iterator[Problem]:
    """Yield a problem if the current branch would be pushed to another branch than the one it tracks."""
    state, remote = project.state, project.config.remote
    if state is None or state.branch is None or state.upstream is None:
        return
    if state.upstream_remote in (None, ".") or state.upstream == f"{remote}/{state.branch}":
        return
    name = state.upstream.removeprefix(f"{state.upstream_remote}/")
    fix = f"git branch --unset-upstream, or release on {name}: git switch {name}"
    if state.upstream_remote != remote:
        own = f"git branch --set-upstream-to {remote}/{state.branch}"
        fix = f'[tool.relnox] remote = "{state.upstream_remote}"; or {own}'
    yield Blocked(
        "branch-not-allowed",
        f"branch {state.branch} would be pushed to {remote}/{state.branch}, but it tracks {state.upstream}",
        fix,
    )


def uncommitted_changes(
    changed_files: Iterable[str], files: Collection[str], packages: Sequence[Package]
) -> Iterator[Problem]:
    """Yield a problem if one of these files, or a file in the directory of a package, has uncommitted changes."""
    directories = tuple("./" if package.directory == "." else f"./{package.directory}/" for package in packages)
    names = [name for name in changed_files if name in files or f"./{name}".startswith(directories)]
    if names:
        listed = ", ".join(names[:_MAX_LISTED]) + (" …" if len(names) > _MAX_LISTED else "")
        yield Blocked("tree-dirty", f"uncommitted changes: {listed}", "git stash, or commit them")


def hidden_files(files: Iterable[str], project: Project) -> Iterator[Problem]:
    """Yield a problem for each bit of git's index that hides changes of these files from git."""
    states = {file: project.index_states.get(file, "H") for file in sorted(files)}
    for bit, names in (
        ("skip-worktree", [file for file, state in states.items() if state in "Ss"]),
        ("assume-unchanged", [file for file, state in states.items() if state.islower()]),
    ):
        if names:
            are, them = ("is", "it") if len(names) == 1 else ("are", "them")
            yield Blocked(
                "git-setting-invalid",
                f"{join_names(names, _MAX_LISTED)} {are} marked {bit} (git commits no changes of {them})",
                f"git update-index --no-{bit} -- {shlex.join(names)}",
            )


def untracked_files(
    files: Collection[str], packages: Iterable[Package], project: Project, *, changelogs: Collection[str] = ()
) -> Iterator[Problem]:
    """Yield problems for files of released packages that git does not track, links excepted.

    `changelogs` are the paths of changelogs, which a setting leaves unchanged.
    """
    links = project.once(file_edits.find_links, project.root, frozenset(files))
    others = sorted(set(files).difference(project.index_states, links))
    ignored = set(others).difference(project.state.untracked_files if project.state is not None else ())
    for package in packages:
        if package.pyproject in others and package.directory != ".":
            own = [file for file in others if file.startswith(f"{package.directory}/")]
            others = [file for file in others if file not in own]
            commit = f"commit it: git add -- {shlex.quote(package.directory)} && git commit"
            if package.pyproject in ignored:
                commit = "commit it, after its directory is removed from .gitignore"
            yield Blocked(
                "file-untracked",
                f"git does not track {join_names(own, _MAX_LISTED)} ({package.name} is not committed)",
                f'{commit}; or leave the package out: [tool.relnox] exclude = ["{package.directory}"]',
            )
    leave_unchanged = '; or leave it unchanged: [tool.relnox] changelog = "none"'
    for is_changelog, alternative in ((True, leave_unchanged), (False, "")):
        if names := [file for file in others if (file in changelogs) == is_changelog]:
            was, them = ("it was", "it") if len(names) == 1 else ("they were", "them")
            force = "--force " if any(file in ignored for file in names) else ""
            yield Blocked(
                "file-untracked",
                f"git does not track {join_names(names, _MAX_LISTED)} ({was} never committed)",
                f"commit {them}: git add {force}-- {shlex.join(names)} && git commit{alternative}",
            )


def untracked_imports(packages: Iterable[Package], project: Project) -> Iterator[Problem]:
    """Yield a problem for each committed module of the packages that imports an untracked one."""
    for importing, imported_module in project.untracked_imports(packages):
        yield Blocked(
            "imported-module-untracked",
            f"{importing} imports {imported_module} (untracked: not in the commit)",
            f"git add {imported_module}, and commit it",
        )
