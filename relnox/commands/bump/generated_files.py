"""Files that tools generate in a copy of the checkout: changelogs of towncrier or git-cliff, and lock files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from relnox.commands.bump.project_state import FOREIGN_LOCKS, Observation
from relnox.commands.bump.snapshot import NO_FILES, Decision, GeneratedFiles
from relnox.commands.shared.project import Project
from relnox.core import version_groups
from relnox.core.bump import release_notes
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.fixes import CREATE_REPOSITORY
from relnox.core.versions import semver_compat
from relnox.errors import Blocked
from relnox.source import changelog_tools, history, tools_on_copy
from relnox.source.changelog_tools import ChangelogRelease

if TYPE_CHECKING:
    from relnox.core.bump.version_bumps import DependencyUpdates

_NAMELESS_PREFIXES = ("", "v")
"""The tag prefixes of packages whose versions are shown without a name in shared changelog headings."""


def generate_changelogs(observation: Observation, decision: Decision, project: Project) -> GeneratedFiles:
    """Generate the changelogs with towncrier or git-cliff, if the project configures one of them.

    Raises:
        Failed: The tool is not installed, or fails.
    """
    config = observation.config
    if config.changelog in ("keep-a-changelog", "none") or project.git is None:
        return NO_FILES

    is_lockstep = config.versions == "lockstep"
    directories = {"."} | {package.directory for package in observation.workspace.packages if not is_lockstep}
    tools = {
        directory: changelog_tools.detect_changelog_tool(project.root / directory, config)
        for directory in directories
    }
    if not any(tools.values()):
        return NO_FILES
    project.before_tools()
    releases: dict[tuple[str, str], list[VersionBump]] = {}
    for bump in decision.bumps:
        directory = "." if is_lockstep else bump.package.directory
        if tools[directory] is None and tools["."] is not None:
            own = release_notes.own_changelog(bump.package, observation.contents, config)
            directory = "." if own is None or tools["."] == "git-cliff" else directory
        if tools[directory] is not None and release_notes.is_listed_in_changelogs(bump):
            # The root's git-cliff writes a changelog for each package, its towncrier one for all of them.
            single = bump.package.name if tools[directory] == "git-cliff" and not is_lockstep else ""
            releases.setdefault((directory, single), []).append(bump)
    after: dict[str, bytes | None] = {}
    commits = _packages_by_commit(observation, project) if "git-cliff" in tools.values() else {}
    for (directory, _), bumps in releases.items():
        tool = tools[directory]
        assert tool is not None  # noqa: S101 - or else there is no release for it
        after |= changelog_tools.run_changelog_tool(
            tool,
            project.git,
            _changelog_release(directory, bumps, observation, commits),
            observation.today,
            config.changelog_file,
            pass_env=config.pass_env,
        )
    packages = frozenset(bump.package.name for bumps in releases.values() for bump in bumps)
    return GeneratedFiles(project.read_files(after), after, packages)


def generate_locks(
    observation: Observation, decision: Decision, contents: Mapping[str, bytes | None], project: Project
) -> GeneratedFiles:
    """Generate the lock files of packages whose requirements change, with poetry or pdm.

    Args:
        observation: The state of the project.
        decision: The bumps, and the requirements that change.
        contents: Maps the path of each changed file to its new content, or to None if the file is removed.
        project: The project.

    Raises:
        Blocked: The project is not in a git repository with a commit.
        Failed: The tool is not installed, or fails.
    """
    outdated_files = outdated_locks(observation, decision.updates)
    if not outdated_files:
        return NO_FILES
    if project.git is None or observation.state is None or observation.state.head is None:
        raise Blocked(
            "not-a-git-repository",
            f"--lock needs a git repository with a commit (it generates {', '.join(outdated_files)} in a clone)",
            fix=f"{CREATE_REPOSITORY}; or remove --lock",
        )

    project.before_tools()
    after = tools_on_copy.update_lock_files(
        project.git, outdated_files, planned=contents, pass_env=observation.config.pass_env
    )
    return GeneratedFiles(project.read_files(after), after)


def outdated_locks(observation: Observation, updates: DependencyUpdates) -> list[str]:
    """Return the existing lock files of poetry and pdm next to packages whose requirements change."""
    directories = (observation.workspace.by_name[name].directory for name in updates)
    locks = (
        lock if directory == "." else f"{directory}/{lock}" for directory in directories for lock in FOREIGN_LOCKS
    )
    return [lock for lock in locks if lock in observation.contents]


def _packages_by_commit(observation: Observation, project: Project) -> Mapping[str, frozenset[str]]:
    """Map all commits to the packages that they change; empty if every commit counts, as for a single package."""
    config, workspace = observation.config, observation.workspace
    if project.git is None or not (config.paths or len(version_groups.find_version_groups(workspace, config)) > 1):
        return {}

    return history.packages_by_commit(project.git, workspace, config.paths)


def _changelog_release(
    directory: str, bumps: list[VersionBump], observation: Observation, commits: Mapping[str, frozenset[str]]
) -> ChangelogRelease:
    """Return the data for the changelog tool with settings in `directory`; commits are mapped to packages."""
    config, first = observation.config, bumps[0]
    tag_format = observation.tag_formats[first.package.name]
    groups = version_groups.find_version_groups(observation.workspace, config)
    names = {
        package.name: group.name if group.kind == "fixed" else package.name
        for group in groups
        for package in group.packages
    }
    labels = {_heading_label(names[bump.package.name], bump, observation): None for bump in bumps}
    is_shared = len(groups) > 1 and directory == "." and directory != first.package.directory
    version = semver_compat.format_version(first.after, config.scheme)
    own = release_notes.own_changelog(first.package, observation.contents, config)
    released_packages = {bump.package.name for bump in bumps}
    return changelog_tools.ChangelogRelease(
        directory=directory,
        version=", ".join(labels) if is_shared else version,
        tag=tag_format.render(first.after),
        tag_prefix=tag_format.prefix if len(groups) > 1 else None,
        excluded_commits=tuple(commit for commit, names in commits.items() if released_packages.isdisjoint(names)),
        changelog=(own or f"{first.package.directory}/{config.changelog_file}") if is_shared else None,
    )


def _heading_label(name: str, bump: VersionBump, observation: Observation) -> str:
    """Return the version for a heading that several packages share, after the name unless the tags have none."""
    version = semver_compat.format_version(bump.after, observation.config.scheme)
    is_nameless = observation.tag_formats[bump.package.name].prefix in _NAMELESS_PREFIXES
    return version if is_nameless else f"{name} {version}"
