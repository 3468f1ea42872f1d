"""What a bump changes: the contents of files, the tags, the message of the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import core
from relnox.commands.bumping import selection
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.commands.bumping.snapshot import Options, Snapshot
    from relnox.commands.project import Project
    from relnox.core.steps import Tag
    from relnox.core.version_bumps import DependencyUpdates, VersionBump
    from relnox.core.workspace import Workspace
    from relnox.source.changelog_tools import Release

    Decided = tuple[tuple[VersionBump, ...], DependencyUpdates]

__all__ = [
    "after",
    "foreign_locks",
    "lock_files",
    "message",
    "tags",
    "with_generated_changelogs",
    "with_generated_locks",
    "without_ignored_locks",
]

_FOREIGN_LOCKS = ("poetry.lock", "pdm.lock")
"""Lock files that only their own tools can write."""
_NAMELESS = ("", "v")
"""What stands before the version in tags of packages that are the repository's main line."""


def after(snapshot: Snapshot, decided: Decided) -> dict[str, bytes | None]:
    """What every file that changes will hold."""
    moved, follow = decided
    contents, config = snapshot.contents, snapshot.config
    after: dict[str, bytes | None] = dict(
        core.editing.bumped_files(snapshot.workspace, moved, follow, contents, config)
    )
    present = contents | {file: content for file, content in after.items() if content is not None}
    told = snapshot.fragments or ()
    core.release_notes.check_headings(moved, contents, told, snapshot.generated_changelogs, config)
    if config.changelog in ("auto", "keep-a-changelog"):
        ours = [move for move in moved if move.package.name not in snapshot.generated_changelogs]
        tags = {move.package.name: _tag_and_previous(move, snapshot) for move in ours}
        after |= dict(core.release_notes.update_changelogs(ours, present, tags, told, config, snapshot.today))
    after |= dict(core.release_notes.update_fragments(moved, told, contents, config))
    return after | dict(snapshot.generated_files)


def _tag_and_previous(move: VersionBump, snapshot: Snapshot) -> tuple[str | None, str | None]:
    """The tag of a move, and the one of the version before it, if there is one."""
    tag_format = snapshot.tag_formats[move.package.name]
    present = snapshot.state.tags if snapshot.state is not None else {}
    before = tag_format.render(move.before) if move.before is not None else None
    return tag_format.render(move.after), before if before in present else None


def with_generated_changelogs(snapshot: Snapshot, options: Options, project: Project) -> Snapshot:
    """What towncrier or git-cliff make of the changelogs, where the project is configured for one of them."""
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
    drafts: dict[str, bytes | None] = {}
    releases: dict[tuple[str, str], list[VersionBump]] = {}
    for move in selection.resolve(snapshot, options)[0]:
        folder = "." if lockstep else move.package.folder
        if tools[folder] is None and tools["."] is not None:
            own = core.release_notes.find_changelog(move.package, snapshot.contents, config)
            folder = "." if own is None or tools["."] == "git-cliff" else folder
        if tools[folder] is not None and core.release_notes.is_documented(move, config):
            # The root's git-cliff writes a changelog for each package, its towncrier one for all of them.
            alone = move.package.name if tools[folder] == "git-cliff" and not lockstep else ""
            releases.setdefault((folder, alone), []).append(move)
    by_tools = {move.package.name for together in releases.values() for move in together}
    for (folder, _), together in releases.items():
        release = _release(folder, together, snapshot)
        tool = tools[folder]
        assert tool is not None  # noqa: S101 - or else there is no release for it
        drafts |= changelog_tools.draft_changelog(
            tool, project.git, release, snapshot.today, config.changelog_file, pass_env=config.pass_env
        )
    contents = snapshot.contents | project.read_files(drafts)
    return snapshot._replace(generated_files=drafts, generated_changelogs=frozenset(by_tools), contents=contents)


def _release(folder: str, moves: list[VersionBump], snapshot: Snapshot) -> Release:
    """What a changelog tool in a folder is told of packages that it keeps the changelog of."""
    from relnox.source import changelog_tools

    config, first = snapshot.config, moves[0]
    tag_format = snapshot.tag_formats[first.package.name]
    version_groups = core.version_bumps.version_groups(snapshot.workspace, config)
    names = {
        package.name: track.name if track.kind == "fixed" else package.name
        for track in version_groups
        for package in track.packages
    }
    labels = {_label(names[move.package.name], move, snapshot): None for move in moves}
    is_one = len(version_groups) == 1 or folder == first.package.folder
    shares = not is_one and folder == "."
    version = core.versioning.format_version(first.after, config.scheme)
    own = core.release_notes.find_changelog(first.package, snapshot.contents, config)
    return changelog_tools.Release(
        folder=folder,
        version=", ".join(labels) if shares else version,
        tag=tag_format.render(first.after),
        paths=tuple(move.package.folder for move in moves) if shares else (),
        tags=tag_format.prefix if shares else "",
        changelog=own if shares else None,
    )


def _label(name: str, move: VersionBump, snapshot: Snapshot) -> str:
    """A version in a heading that several packages share: without a name where its tag has none."""
    version = core.versioning.format_version(move.after, snapshot.config.scheme)
    return version if snapshot.tag_formats[move.package.name].prefix in _NAMELESS else f"{name} {version}"


def with_generated_locks(snapshot: Snapshot, options: Options, project: Project) -> Snapshot:
    """What poetry and pdm make of their lock files, where that is asked for and requirements beside them move."""
    if not options.lock:
        return snapshot
    decided = selection.resolve(snapshot, options)
    stale = [name for name in foreign_locks(snapshot, decided[1]) if name in snapshot.contents]
    if not stale:
        return snapshot
    if project.git is None or project.state is None or project.state.head is None:
        raise Blocked(
            "todo",
            f"--lock makes {', '.join(stale)} anew in a clone, and this is no git checkout with a commit",
            fix="git init and commit first, or leave --lock out",
        )
    from relnox.source import tools

    project.before_tools()
    made = tools.update_lock_files(
        project.git, stale, planned=after(snapshot, decided), pass_env=project.config.pass_env
    )
    contents = snapshot.contents | project.read_files(made)
    return snapshot._replace(generated_files={**snapshot.generated_files, **made}, contents=contents)


def lock_files(workspace: Workspace) -> Iterator[str]:
    """Where lock files may be that only their own tools can write."""
    for package in workspace.packages:
        folder = "" if package.folder == "." else f"{package.folder}/"
        yield from (f"{folder}{name}" for name in _FOREIGN_LOCKS)


def without_ignored_locks(snapshot: Snapshot, project: Project) -> Snapshot:
    """The same without lock files that git ignores: they are this checkout's alone, and no commit takes them."""
    foreign = (name for name in lock_files(snapshot.workspace) if name in snapshot.contents)
    locks = [*snapshot.workspace.lock_files, *foreign]
    ignored = project.git.ignored_files(locks) if project.git is not None and locks else set()
    if not ignored:
        return snapshot
    kept = tuple(name for name in snapshot.workspace.lock_files if name not in ignored)
    return snapshot._replace(
        workspace=core.records.replace(snapshot.workspace, locks=kept),
        contents={name: content for name, content in snapshot.contents.items() if name not in ignored},
    )


def foreign_locks(snapshot: Snapshot, follow: DependencyUpdates) -> Iterator[str]:
    """Where lock files would be that only their own tools can write, beside requirements that move."""
    for name in follow:
        folder = snapshot.workspace.by_name[name].folder
        for lock in _FOREIGN_LOCKS:
            yield lock if folder == "." else f"{folder}/{lock}"


def tags(snapshot: Snapshot, moves: tuple[VersionBump, ...], names: Mapping[str, str]) -> tuple[Tag, ...]:
    """The tags of the moves; packages that share a tag share it."""
    found: dict[str, Tag] = {}
    for move in moves:
        name = names[move.package.name]
        what = "Release" if snapshot.config.versions == "lockstep" else f"{move.package.name}"
        found.setdefault(name, core.steps.Tag(name=name, message=f"{what} {move.after}"))
    return tuple(found.values())


def message(snapshot: Snapshot, moves: tuple[VersionBump, ...]) -> str:
    """The commit's message. Packages that move to several versions are listed."""
    versions = {move.after for move in moves}
    listed = ", ".join(f"{move.package.name} {move.after}" for move in moves)
    speaks_for_all = len(versions) == 1 and len(moves) == len(snapshot.workspace.packages)
    version = str(moves[0].after) if speaks_for_all else listed
    return snapshot.config.commit_message.replace("{version}", version).replace("{packages}", listed)
