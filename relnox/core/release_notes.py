"""Changelogs and change fragments of a release.

A prerelease changes neither unless `changelog-prereleases` is set: its changes are listed under the final release.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from relnox.core import changelog, fragments, versioning
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from relnox.core.config import Config
    from relnox.core.fragments import Fragment
    from relnox.core.packages import Package
    from relnox.core.version_bumps import VersionBump
    from relnox.core.workspace import Workspace

__all__ = [
    "changelog_paths",
    "check_headings",
    "find_changelog",
    "find_empty_changelogs",
    "is_documented",
    "update_changelogs",
    "update_fragments",
]


def changelog_paths(workspace: Workspace, config: Config) -> tuple[str, ...]:
    """List the paths where changelogs may be; the files need not exist."""
    folders = {package.folder for package in workspace.packages} | {"."}
    return tuple(sorted(_in(folder, config.changelog_file) for folder in folders))


def find_changelog(package: Package, contents: Mapping[str, bytes], config: Config) -> str | None:
    """Find the changelog of a package: its own, or that of the root if all packages share one version."""
    own, common = _in(package.folder, config.changelog_file), config.changelog_file
    if own in contents:
        return own
    return common if common in contents and config.versions == "lockstep" else None


def check_headings(
    moves: Sequence[VersionBump],
    contents: Mapping[str, bytes],
    told: Sequence[Fragment],
    by_tools: Collection[str],
    config: Config,
) -> None:
    """See that what change fragments tell has a place in a changelog before the fragments are used up.

    Args:
        moves: What moves.
        contents: Files by path, changelogs among them.
        told: The change fragments.
        by_tools: Packages whose changelogs another tool keeps.
        config: The project's settings.

    Raises:
        Blocked: The changelog of a package that fragments tell of has no heading for it.
    """
    if config.changelog == "none":
        return
    for move in moves:
        package = move.package
        if not is_documented(move, config) or package.name in by_tools:
            continue
        file = find_changelog(package, contents, config)
        has_fragments = any(each.levels.get(package.name) for each in told)
        if has_fragments and file is not None and not _has_unreleased(contents[file]):
            raise Blocked(
                "todo",
                f"change fragments tell of {package.name}, and {file} has no heading for what is unreleased",
                fix=f'add a heading ## [Unreleased] to {file}, or set [tool.relnox] changelog = "none"',
            )


def update_changelogs(  # noqa: PLR0913, PLR0917 - what a release is
    moves: Sequence[VersionBump],
    contents: Mapping[str, bytes],
    tags: Mapping[str, tuple[str | None, str | None]],
    told: Sequence[Fragment],
    config: Config,
    today: date,
) -> Iterator[tuple[str, bytes]]:
    """The changelogs after a release, in the form of Keep a Changelog.

    Args:
        moves: What moves.
        contents: Files by path; those of `files` that are there among them.
        tags: For each package the tag of the release and the one before it.
        told: The change fragments.
        config: The project's settings.
        today: The day of the release, in UTC.

    Raises:
        Blocked: A changelog has the version already, or more than one `Unreleased`.
    """
    by_file: dict[str, list[VersionBump]] = {}
    for move in moves:
        file = find_changelog(move.package, contents, config)
        if file is not None and is_documented(move, config):
            by_file.setdefault(file, []).append(move)
    for file, together in by_file.items():
        if not _has_unreleased(contents[file]):
            continue
        text = contents[file].decode("utf-8", "surrogateescape")
        first = together[0]
        tag, previous = tags.get(first.package.name, (None, None))
        names = [move.package.name for move in together]
        notes = [
            fragments.notes([each], next(name for name in names if each.levels.get(name)))
            for each in told
            if any(each.levels.get(name) for name in names)
        ]
        try:
            if not notes and changelog.is_unreleased_empty(text):
                continue
            after = changelog.add_release(
                changelog.remove_empty_sections(text),
                version=versioning.format_version(first.after, config.scheme),
                date=today,
                tag=tag,
                previous_tag=previous,
                addition="\n".join(notes),
            )
        except Blocked as error:
            raise Blocked("todo", f"{file}: {error.message}", fix=error.fix) from None
        yield file, after.encode("utf-8", "surrogateescape")


def find_empty_changelogs(
    moves: Sequence[VersionBump], contents: Mapping[str, bytes], told: Sequence[Fragment], config: Config
) -> Iterator[str]:
    """Changelogs that have a heading for what is unreleased and nothing under it.

    Args:
        moves: What moves.
        contents: Files by path, changelogs among them.
        told: The change fragments.
        config: The project's settings.
    """
    by_file: dict[str, list[str]] = {}
    for move in moves:
        file = find_changelog(move.package, contents, config)
        if file is not None and is_documented(move, config):
            by_file.setdefault(file, []).append(move.package.name)
    for file, names in by_file.items():
        text = contents[file].decode("utf-8", "surrogateescape")
        if any(each.levels.get(name) for each in told for name in names) or not changelog.has_unreleased(text):
            continue
        try:
            if changelog.is_unreleased_empty(text):
                yield file
        except Blocked:  # the release itself tells of it
            continue


def is_documented(move: VersionBump, config: Config) -> bool:
    """Whether a changelog tells of a move: of a prerelease where that is set, else of the release that follows."""
    return config.changelog_prereleases or not move.after.is_prerelease


def update_fragments(
    moves: Sequence[VersionBump], told: Sequence[Fragment], contents: Mapping[str, bytes], config: Config
) -> Iterator[tuple[str, bytes | None]]:
    """The fragments after a release: gone, or without the packages that are released."""
    released = {move.package.name for move in moves if is_documented(move, config)}
    for each in told:
        if released & each.levels.keys():
            yield each.file, fragments.remove_packages(contents[each.file], released)


def _has_unreleased(content: bytes) -> bool:
    return changelog.has_unreleased(content.decode("utf-8", "surrogateescape"))


def _in(folder: str, file: str) -> str:
    return posixpath.normpath(f"{folder}/{file}")
