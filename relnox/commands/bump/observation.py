"""The state that a new bump is decided from: the packages, their files, git and its remote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relnox.commands.bump import selection
from relnox.commands.bump.project_state import FOREIGN_LOCKS, Observation, RemoteState
from relnox.commands.options import BumpOptions as Options
from relnox.commands.shared import hooks, tag_checks
from relnox.commands.shared.project import Project
from relnox.core import text
from relnox.core.bump import editing, release_notes
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.system.files import read_project_file


def observe_project(options: Options, project: Project, remote: RemoteState) -> Observation:
    """Read everything that a new bump is decided from.

    Raises:
        Blocked: The options select no packages.
    """
    _check_all_packages_checked_out(project)
    names = [package.name for package in selection.select_packages(options, project)]
    workspace = project.literals.workspace
    foreign_locks = project.read_files(_locks_of_other_tools(workspace))
    locks = (*workspace.lock_files, *foreign_locks, *_locks_with_versions(workspace))
    if ignored_files := _locks_ignored_by_git(locks, project):
        workspace = workspace.without_files(ignored_files)
    selected_packages = tuple(workspace.by_name[name] for name in names)
    config = project.config
    changelog_files = project.read_files(release_notes.changelog_paths(workspace, config))
    uses_tags = any(package.source.kind == "tags" for package in selected_packages)
    return Observation(
        workspace=workspace,
        selected=selected_packages,
        config=config,
        contents={
            **{name: read_project_file(project.root, name) for name in editing.editable_files(workspace)},
            **changelog_files,
            **{name: content for name, content in foreign_locks.items() if name not in ignored_files},
        },
        changelogs=release_notes.find_changelogs(workspace, changelog_files, config),
        tag_forms=project.tag_forms,
        tags=tuple(project.tags),
        history=project.history if uses_tags or options.part == "auto" else {},
        state=project.state,
        index_states=project.index_states,
        remote=remote,
        lines=project.lines,
        newer_tags=tag_checks.newer_tags(project),
        unlisted=project.unlisted,
        today=project.today,
        literals=project.literals.locations,
        untracked_imports=project.untracked_imports(selected_packages),
        hooks=hooks.read_hooks(project),
    )


def _check_all_packages_checked_out(project: Project) -> None:
    """Raise `Blocked` if a sparse checkout lacks packages, whose requirements could not be updated."""
    if project.git is None or project.git.config.get("core.sparsecheckout") != "true":
        return
    files = (name for name in project.tracked_project_files if name.endswith("pyproject.toml"))
    if missing := [name for name in files if not (project.root / name).exists()]:
        raise Blocked(
            "git-setting-invalid",
            f"the sparse checkout lacks {text.join_names(missing)}, whose requirements the bump may change",
            fix="git sparse-checkout disable",
        )


def observe_remote(options: Options, project: Project) -> RemoteState:
    """Read the tags and branches of the remote, if the bump depends on them.

    Raises:
        Blocked: The options need the remote and it does not exist.
        Failed: The options need the remote and it does not answer.
    """
    git, state = project.git, project.state
    if git is None or state is None:
        return RemoteState()
    remote = project.remote
    if options.push or options.pull_request:
        remote.require("--push" if options.push else "--pull-request")
    elif options.remote_tags == "never" or (options.remote_tags == "if-none" and state.tags):
        return RemoteState()
    if remote.refs is None:
        return RemoteState(error=remote.error)
    remote_head = remote.branches.get(str(state.branch))
    is_ancestor = remote_head is None or remote_head == state.head or git.is_ancestor(remote_head)
    return RemoteState(remote.tags, is_ancestor, branches=remote.branches)


def _locks_of_other_tools(workspace: Workspace) -> Iterator[str]:
    """Yield the path that each lock file of poetry or pdm would have, for each package."""
    for package in workspace.packages:
        directory = "" if package.directory == "." else f"{package.directory}/"
        yield from (f"{directory}{name}" for name in FOREIGN_LOCKS)


def _locks_with_versions(workspace: Workspace) -> Iterator[str]:
    """Yield the lock files of Cargo and npm that contain a package's version."""
    for package in workspace.packages:
        yield from (location.file for location in package.other_locations if location.is_in_lock)


def _locks_ignored_by_git(locks: Sequence[str], project: Project) -> set[str]:
    """Return the lock files that git ignores, which are therefore not part of a commit."""
    # git ignores no tracked file.
    untracked_files = [name for name in locks if name not in project.index_states] if locks else []
    return project.git.filter_ignored(untracked_files) if project.git is not None and untracked_files else set()
