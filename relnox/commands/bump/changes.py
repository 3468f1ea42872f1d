"""The changes of a bump: contents of files, tags, and the commit message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bump import selection
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.commands.bump.snapshot import Options, Snapshot
    from relnox.commands.shared.project import Project
    from relnox.core.bump.version_bumps import DependencyUpdates, ResolvedBumps, VersionBump
    from relnox.core.steps import Tag
    from relnox.core.workspace import Workspace
    from relnox.source.changelog_tools import Release

__all__ = [
    "commit_message",
    "contents_after",
    "foreign_locks",
    "lock_files",
    "tags",
    "with_generated_changelogs",
    "with_generated_locks",
    "without_ignored_locks",
]

_FOREIGN_LOCKS = ("poetry.lock", "pdm.lock")
"""Lock files that only their own tools can write."""
_NAMELESS_PREFIXES = ("", "v")
"""Prefixes of tags of packages that are the repository's main line."""


def contents_after(snapshot: Snapshot, resolved: ResolvedBumps) -> dict[str, bytes | None]:
    """Return the new content of every file that changes; None for a file that is removed."""
    bumps, updates = resolved
    contents, config = snapshot.contents, snapshot.config
    after: dict[str, bytes | None] = dict(
        core.editing.bumped_files(snapshot.workspace, bumps, updates, contents, config)
    )
    present = contents | {file: content for file, content in after.items() if content is not None}
    fragments = snapshot.fragments or ()
    core.release_notes.check_headings(bumps, contents, fragments, snapshot.generated_changelogs, config)
    if config.changelog in ("auto", "keep-a-changelog"):
        own = [bump for bump in bumps if bump.package.name not in snapshot.generated_changelogs]
        tags = {bump.package.name: _tag_and_previous(bump, snapshot) for bump in own}
        after |= dict(core.release_notes.update_changelogs(own, present, tags, fragments, config, snapshot.today))
    after |= dict(core.release_notes.update_fragments(bumps, fragments, contents, config))
    return after | dict(snapshot.generated_files)


def _tag_and_previous(bump: VersionBump, snapshot: Snapshot) -> tuple[str | None, str | None]:
    """Return the tag of a bump, and the tag of the version before it, if there is one."""
    tag_format = snapshot.tag_formats[bump.package.name]
    present = snapshot.state.tags if snapshot.state is not None else {}
    before = tag_format.render(bump.before) if bump.before is not None else None
    return tag_format.render(bump.after), before if before in present else None


def with_generated_changelogs(snapshot: Snapshot, options: Options, project: Project) -> Snapshot:
    """Add the files that towncrier or git-cliff write in a copy, if the project configures one of them."""
    config = project.release_config
    if config.changelog in ("keep-a-changelog", "none") or project.git is None:
        return snapshot
    from relnox.source import changelog_tools

    lockstep = config.versions == "lockstep"
    folders = {"."} | {package.folder for package in project.workspace.packages if not lockstep}
    tools = {folder: changelog_tools.find_tool(project.root / folder, config) for folder in folders}
    if not any(tools.values()):
        return snapshot
    project.before_tools()
    generated: dict[str, bytes | None] = {}
    releases: dict[tuple[str, str], list[VersionBump]] = {}
    for bump in selection.resolve(snapshot, options).bumps:
        folder = "." if lockstep else bump.package.folder
        if tools[folder] is None and tools["."] is not None:
            own = core.release_notes.find_changelog(bump.package, snapshot.contents, config)
            folder = "." if own is None or tools["."] == "git-cliff" else folder
        if tools[folder] is not None and core.release_notes.is_documented(bump, config):
            # The root's git-cliff writes a changelog for each package, its towncrier one for all of them.
            single = bump.package.name if tools[folder] == "git-cliff" and not lockstep else ""
            releases.setdefault((folder, single), []).append(bump)
    for (folder, _), bumps in releases.items():
        release = _release(folder, bumps, snapshot)
        tool = tools[folder]
        assert tool is not None  # noqa: S101 - or else there is no release for it
        generated |= changelog_tools.draft_changelog(
            tool, project.git, release, snapshot.today, config.changelog_file, pass_env=config.pass_env
        )
    return snapshot._replace(
        generated_files=generated,
        generated_changelogs=frozenset(bump.package.name for bumps in releases.values() for bump in bumps),
        contents=snapshot.contents | project.read_files(generated),
    )


def _release(folder: str, bumps: list[VersionBump], snapshot: Snapshot) -> Release:
    """Return what the changelog tool in a folder needs to know of the packages whose changelog it keeps."""
    from relnox.source import changelog_tools

    config, first = snapshot.config, bumps[0]
    tag_format = snapshot.tag_formats[first.package.name]
    groups = core.version_bumps.version_groups(snapshot.workspace, config)
    names = {
        package.name: group.name if group.kind == "fixed" else package.name
        for group in groups
        for package in group.packages
    }
    labels = {_label(names[bump.package.name], bump, snapshot): None for bump in bumps}
    is_single = len(groups) == 1 or folder == first.package.folder
    is_shared = not is_single and folder == "."
    version = core.versioning.format_version(first.after, config.scheme)
    own = core.release_notes.find_changelog(first.package, snapshot.contents, config)
    return changelog_tools.Release(
        folder=folder,
        version=", ".join(labels) if is_shared else version,
        tag=tag_format.render(first.after),
        paths=tuple(bump.package.folder for bump in bumps) if is_shared else (),
        tags=tag_format.prefix if is_shared else "",
        changelog=own if is_shared else None,
    )


def _label(name: str, bump: VersionBump, snapshot: Snapshot) -> str:
    """Return a version for a heading that several packages share: without a name if its tag has none."""
    version = core.versioning.format_version(bump.after, snapshot.config.scheme)
    is_nameless = snapshot.tag_formats[bump.package.name].prefix in _NAMELESS_PREFIXES
    return version if is_nameless else f"{name} {version}"


def with_generated_locks(snapshot: Snapshot, options: Options, project: Project) -> Snapshot:
    """Add the lock files that poetry and pdm write in a copy, for --lock and where requirements change."""
    if not options.lock:
        return snapshot
    resolved = selection.resolve(snapshot, options)
    stale = [name for name in foreign_locks(snapshot, resolved.updates) if name in snapshot.contents]
    if not stale:
        return snapshot
    if project.git is None or project.state is None or project.state.head is None:
        raise Blocked(
            "not-a-git-repository",
            f"--lock needs a git repository with a commit (it generates {', '.join(stale)} in a clone)",
            fix="run git init and commit first, or leave --lock out",
        )
    from relnox.source import tools

    project.before_tools()
    planned = contents_after(snapshot, resolved)
    generated = tools.update_lock_files(project.git, stale, planned=planned, pass_env=project.config.pass_env)
    return snapshot._replace(
        generated_files={**snapshot.generated_files, **generated},
        contents=snapshot.contents | project.read_files(generated),
    )


def lock_files(workspace: Workspace) -> Iterator[str]:
    """Yield the paths at which lock files may exist that only their own tools can write."""
    for package in workspace.packages:
        folder = "" if package.folder == "." else f"{package.folder}/"
        yield from (f"{folder}{name}" for name in _FOREIGN_LOCKS)


def without_ignored_locks(snapshot: Snapshot, project: Project) -> Snapshot:
    """Drop lock files that git ignores: they belong to this checkout only and are not committed."""
    foreign = (name for name in lock_files(snapshot.workspace) if name in snapshot.contents)
    locks = [*snapshot.workspace.lock_files, *foreign]
    ignored = project.git.ignored_files(locks) if project.git is not None and locks else set()
    if not ignored:
        return snapshot
    tracked = tuple(name for name in snapshot.workspace.lock_files if name not in ignored)
    return snapshot._replace(
        workspace=core.records.replace(snapshot.workspace, lock_files=tracked),
        contents={name: content for name, content in snapshot.contents.items() if name not in ignored},
    )


def foreign_locks(snapshot: Snapshot, updates: DependencyUpdates) -> Iterator[str]:
    """Yield the paths of such lock files beside requirements that change."""
    for name in updates:
        folder = snapshot.workspace.by_name[name].folder
        for lock in _FOREIGN_LOCKS:
            yield lock if folder == "." else f"{folder}/{lock}"


def tags(snapshot: Snapshot, bumps: tuple[VersionBump, ...], names: Mapping[str, str]) -> tuple[Tag, ...]:
    """Return the tags of the bumps, each once: packages may share one."""
    by_name: dict[str, Tag] = {}
    for bump in bumps:
        name = names[bump.package.name]
        subject = "Release" if snapshot.config.versions == "lockstep" else bump.package.name
        by_name.setdefault(name, core.steps.Tag(name=name, message=f"{subject} {bump.after}"))
    return tuple(by_name.values())


def commit_message(snapshot: Snapshot, bumps: tuple[VersionBump, ...]) -> str:
    """Fill in the commit message; `{version}` lists the packages unless all of them get one version."""
    versions = {bump.after for bump in bumps}
    packages = ", ".join(f"{bump.package.name} {bump.after}" for bump in bumps)
    is_common = len(versions) == 1 and len(bumps) == len(snapshot.workspace.packages)
    version = str(bumps[0].after) if is_common else packages
    return snapshot.config.commit_message.replace("{version}", version).replace("{packages}", packages)
