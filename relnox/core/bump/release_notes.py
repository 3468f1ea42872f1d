"""Updates of changelogs and change fragments for a release.

Prereleases do not change either of them unless `changelog-prereleases` is set: their changes are listed under the
final release.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from relnox.core.versions import semver_compat
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from relnox.core.bump.version_bumps import VersionBump
    from relnox.core.notes.fragments import Fragment
    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.workspace import Workspace


def changelog_paths(workspace: Workspace, config: Config) -> tuple[str, ...]:
    """Return the paths where the changelogs of the workspace may be; the files need not exist."""
    directories = {package.directory for package in workspace.packages} | {"."}
    return tuple(sorted(_path_in(directory, config.changelog_file) for directory in directories))


def find_changelog(package: Package, contents: Mapping[str, bytes], config: Config) -> str | None:
    """Return the path of a package's changelog, or None if there is none.

    It is the one in the directory of the package, or that of the root if all packages share one version.
    """
    own, common = (_path_in(directory, config.changelog_file) for directory in (package.directory, "."))
    if own in contents:
        return own
    return common if common in contents and config.versions == "lockstep" else None


def check_unreleased_headings(
    bumps: Sequence[VersionBump],
    contents: Mapping[str, bytes],
    changes: Sequence[Fragment],
    generated_changelogs: Collection[str],
    config: Config,
) -> None:
    """Check that each changelog that texts of change fragments are added to has a heading for unreleased changes.

    Args:
        bumps: The bumps.
        contents: The contents of the changelogs, by path.
        changes: The change fragments.
        generated_changelogs: The packages whose changelogs another tool writes; they are not checked.
        config: The settings of the project.

    Raises:
        Blocked: The changelog of a package with fragments has no such heading.
    """
    if config.changelog == "none":
        return
    for bump in bumps:
        package = bump.package
        if (
            not is_listed_in_changelogs(bump, config)
            or package.name in generated_changelogs
            or not _fragments_affecting(changes, [bump])
        ):
            continue
        file = find_changelog(package, contents, config)
        if file is not None and not _has_unreleased_heading(contents[file]):
            raise Blocked(
                "changelog-without-unreleased",
                f"{file} has no heading for unreleased changes (there are change fragments of {package.name})",
                fix=f'add a heading ## [Unreleased] to {file}, or set [tool.relnox] changelog = "none"',
            )


def update_changelogs(  # noqa: PLR0913, PLR0917 - the parts of a release
    bumps: Sequence[VersionBump],
    contents: Mapping[str, bytes],
    tags: Mapping[str, tuple[str | None, str | None]],
    changes: Sequence[Fragment],
    config: Config,
    today: date,
) -> Iterator[tuple[str, bytes]]:
    """Yield the new contents of the changelogs that have a heading for unreleased changes.

    Changelogs for which there are no changes, neither in the changelog nor in fragments, are left out.

    Args:
        bumps: The bumps.
        contents: The contents of the changelogs, by path.
        tags: Maps each package to the tag of the release and the tag of the previous one.
        changes: The change fragments.
        config: The settings of the project.
        today: The date in UTC.

    Yields:
        The path of a changelog, and its new content.

    Raises:
        Blocked: A changelog already has the version, or has several headings for unreleased changes.
    """
    for file, bumps_of_file in _bumps_by_changelog(bumps, contents, config).items():
        from relnox.core.notes import changelog, fragments

        text = _decode_changelog(contents[file])
        first = bumps_of_file[0]
        tag, previous = tags.get(first.package.name, (None, None))
        notes = [fragments.as_list_item(fragment) for fragment in _fragments_affecting(changes, bumps_of_file)]
        try:
            if not notes and changelog.is_unreleased_empty(text):
                continue
            after = changelog.add_release(
                changelog.remove_empty_sections(text),
                version=semver_compat.format_version(first.after, config.scheme),
                date=today,
                tag=tag,
                previous_tag=previous,
                addition="\n".join(notes),
            )
        except Blocked as error:
            raise Blocked(error.code, f"{file}: {error.message}", fix=error.fix) from None
        yield file, after.encode("utf-8", "surrogateescape")


def find_empty_changelogs(
    bumps: Sequence[VersionBump], contents: Mapping[str, bytes], changes: Sequence[Fragment], config: Config
) -> Iterator[str]:
    """Yield the changelogs whose section for unreleased changes would be empty in this release."""
    for file, bumps_of_file in _bumps_by_changelog(bumps, contents, config).items():
        from relnox.core.notes import changelog

        try:
            if not _fragments_affecting(changes, bumps_of_file) and changelog.is_unreleased_empty(
                _decode_changelog(contents[file])
            ):
                yield file
        except Blocked:  # reported by the release itself
            continue


def missing_changelog_notes(
    bumps: Sequence[VersionBump], contents: Mapping[str, bytes], config: Config
) -> Iterator[str]:
    """Yield a note if the settings name a changelog, and none is edited in this release."""
    is_named = config.changelog == "keep-a-changelog" or config.changelog_file != type(config)().changelog_file
    has_entries = any(is_listed_in_changelogs(bump, config) for bump in bumps)
    if is_named and has_entries and not _bumps_by_changelog(bumps, contents, config):
        yield (
            f"no changelog changes: there is no {config.changelog_file} with a heading for unreleased changes for "
            "these packages"
        )


def is_listed_in_changelogs(bump: VersionBump, config: Config) -> bool:
    """Return whether a bump is listed in changelogs: prereleases only if `changelog-prereleases` is set."""
    return config.changelog_prereleases or not bump.after.is_prerelease


def update_fragments(
    bumps: Sequence[VersionBump], changes: Sequence[Fragment], contents: Mapping[str, bytes], config: Config
) -> Iterator[tuple[str, bytes | None]]:
    """Remove the released packages from the change fragments.

    Yields:
        The path of a changed fragment, and its new content, or None if no package remains and the file is removed.
    """
    released_packages = {bump.package.name for bump in bumps if is_listed_in_changelogs(bump, config)}
    for fragment in changes:
        if released_packages & fragment.levels.keys():
            from relnox.core.notes import fragments

            yield fragment.file, fragments.remove_released_packages(contents[fragment.file], released_packages)


def _bumps_by_changelog(
    bumps: Sequence[VersionBump], contents: Mapping[str, bytes], config: Config
) -> dict[str, list[VersionBump]]:
    """Return the changelogs with a heading for unreleased changes, mapped to the bumps listed in each."""
    by_file: dict[str, list[VersionBump]] = {}
    for bump in bumps:
        file = find_changelog(bump.package, contents, config)
        if file is not None and is_listed_in_changelogs(bump, config):
            by_file.setdefault(file, []).append(bump)
    return {file: of_file for file, of_file in by_file.items() if _has_unreleased_heading(contents[file])}


def _fragments_affecting(changes: Sequence[Fragment], bumps: Sequence[VersionBump]) -> list[Fragment]:
    """Return the change fragments that request a release of one of the bumped packages."""
    return [fragment for fragment in changes if any(fragment.levels.get(bump.package.name) for bump in bumps)]


def _has_unreleased_heading(content: bytes) -> bool:
    """Return whether the content of a changelog has a heading for unreleased changes."""
    from relnox.core.notes import changelog

    return changelog.has_unreleased(_decode_changelog(content))


def _decode_changelog(content: bytes) -> str:
    """Decode the content of a changelog; invalid UTF-8 is preserved as surrogates."""
    return content.decode("utf-8", "surrogateescape")


def _path_in(directory: str, file: str) -> str:
    """Return the normalized path of a file in a directory."""
    return posixpath.normpath(f"{directory}/{file}")
