"""Which changelogs a release changes, their new contents, and notes on those that it does not change.

Prereleases do not change changelogs: their changes are listed under the final release.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date

from packaging.version import Version

from relnox.core import changelog
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.settings.config import Config
from relnox.core.text import format_count, join_names
from relnox.core.version_groups import find_version_groups
from relnox.core.versions import semver_compat
from relnox.core.workspace import Workspace
from relnox.errors import Blocked


def find_changelogs(
    workspace: Workspace, candidates: Mapping[str, Sequence[str]], contents: Mapping[str, bytes], config: Config
) -> dict[str, str]:
    """Map the name of each package that has a changelog to the path of that file; paths are relative to the root.

    It is in the directory of the package, or in the root if all packages that are published share one version.
    `candidates` maps directories to the paths of files that may be changelogs, the most usual first; `contents`
    maps those that exist to their content.
    """
    common = choose_changelog(".", candidates, contents)
    shared = _packages_of_common_changelog(workspace, config) if common is not None else frozenset()
    changelogs = {}
    for package in workspace.packages:
        own = choose_changelog(package.directory, candidates, contents)
        if own is None and package.name in shared:
            own = common
        if own is not None:
            changelogs[package.name] = own
    return changelogs


def choose_changelog(
    directory: str, candidates: Mapping[str, Sequence[str]], contents: Mapping[str, bytes]
) -> str | None:
    """Return the path of the changelog in a directory, or None if it has none.

    `candidates` maps directories to paths of files that may be changelogs; those that are not in `contents` do not
    exist. If there are several, it is the first with a heading for unreleased changes, or else the first.
    """
    paths = [path for path in candidates.get(directory, ()) if path in contents]
    return next(
        (path for path in paths if len(paths) > 1 and _has_any_unreleased_heading(contents[path])),
        next(iter(paths), None),
    )


def _packages_of_common_changelog(workspace: Workspace, config: Config) -> frozenset[str]:
    """Return the names of the packages to list in a changelog in the root; empty if their versions may differ."""
    groups = find_version_groups(workspace, config)
    if len(groups) > 1:  # private packages are not released
        groups = tuple(group for group in groups if not all(package.is_private for package in group.packages))
    names = frozenset(package.name for group in groups for package in group.packages)
    is_of_another_package = any(
        package.directory == "." and package.name not in names for package in workspace.packages
    )
    return names if len(groups) == 1 and groups[0].kind != "linked" and not is_of_another_package else frozenset()


def updated_changelogs(  # noqa: PLR0913, PLR0917 - the parts of a release
    bumps: Sequence[VersionBump],
    changelogs: Mapping[str, str],
    contents: Mapping[str, bytes],
    tags: Mapping[str, tuple[str | None, str | None]],
    config: Config,
    today: date,
) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the new content of each changelog that has unreleased changes; none for prereleases.

    `changelogs` has the path of each package's changelog, and `contents` the current content by path. `tags` has,
    by package, the tags of the new and of the previous release, for links: without the new one (None), links stay;
    without the previous one, the tag in the changelog is used. `today` is in UTC.

    Raises:
        Blocked: A changelog already has the version, or has several headings for unreleased changes.
    """
    for file, bumps_of_file in _bumps_by_changelog(bumps, changelogs, contents).items():
        text = _decode_changelog(contents[file])
        first = bumps_of_file[0]
        tag, previous = tags.get(first.package.name, (None, None))
        try:
            if changelog.is_unreleased_section_empty(text):
                continue
            after = changelog.add_release(
                text,
                version=semver_compat.format_version(first.after, config.scheme),
                date=today,
                tag=tag,
                previous_tag=previous,
            )
        except Blocked as error:
            raise Blocked(error.code, f"{file}: {error.message}", fix=error.fix) from None
        yield file, after.encode("utf-8", "surrogateescape")


def unchanged_changelog_notes(  # noqa: PLR0913, PLR0917 - the parts of a release
    bumps: Sequence[VersionBump],
    changelogs: Mapping[str, str],
    candidates: Mapping[str, Sequence[str]],
    contents: Mapping[str, bytes],
    changed: Collection[str],
    config: Config,
) -> Iterator[str]:
    """Yield notes on changelogs that a release does not change, with the reasons.

    `changelogs` has the path of each package's changelog. `candidates` has, by directory, the paths of files that
    may be changelogs, `contents` the content of those that exist, `changed` the files that the release changes.
    """
    bumps_to_list = [bump for bump in bumps if belongs_in_changelogs(bump)]
    versions = {changelogs.get(bump.package.name): bump.after for bump in bumps_to_list}
    files_by_reason: dict[str, list[str]] = {}
    for file, version in versions.items():
        if file is not None and file not in changed:
            reason = changelog.reason_version_has_no_section(_decode_changelog(contents[file]), version)
            files_by_reason.setdefault(reason or "", []).append(file)
    for reason, files in files_by_reason.items():
        if reason:
            yield f"{join_names(files)}: no section for this release ({reason})"
    directories = sorted({bump.package.directory for bump in bumps_to_list if bump.package.name in changelogs})
    others = [file for directory in directories for file in candidates.get(directory, ())]
    others = [file for file in others if file in contents and file not in {*versions, *changed}]
    if others := [file for file in others if _has_any_unreleased_heading(contents[file])]:
        setting = posixpath.relpath(others[0], directories[0])
        yield (
            f"{join_names(others)}: unreleased changes stay; to release them instead of those in the other "
            f'changelog, set [tool.relnox] changelog-file = "{setting}"'
        )
    common = choose_changelog(".", candidates, contents)
    without = [bump.package for bump in bumps_to_list if bump.package.name not in changelogs]
    is_unchanged = common is not None and common not in {*changelogs.values(), *changed}
    if common is not None and without and is_unchanged and _has_unreleased_entries(contents[common]):
        names = join_names([package.name for package in without])
        own = posixpath.normpath(f"{without[0].directory}/{posixpath.basename(common)}")
        yield (
            f"{common} is not changed, its entries stay (packages with versions of their own have changelogs "
            f"in their directories, and there is none of {names}); to list {without[0].name} in one, add {own}"
        )
    is_named = config.changelog == "keep-a-changelog" or config.changelog_file is not None
    if is_named and bumps_to_list and len(without) == len(bumps_to_list) and common is None:
        yield f"no changelog changes: there is no {config.changelog_file or 'CHANGELOG.md'} for these packages"


def remaining_change_file_notes(
    bumps: Sequence[VersionBump],
    change_files: Iterable[tuple[str, str, str, Sequence[str]]],
    removed: Collection[str],
) -> Iterator[str]:
    """Yield a note for each directory that still has change files (as scriv writes) after a final release.

    `change_files` are tuples of a directory, the tool, the command that collects the files (it may contain
    `{version}`), and the paths of the files. `removed` are the files that the release removes.
    """
    version = next((str(bump.after) for bump in bumps if belongs_in_changelogs(bump)), None)
    for directory, tool, command, files in change_files if version is not None else ():
        if left := [posixpath.relpath(file, directory) for file in files if file not in removed]:
            count = format_count(len(left), "change file")
            yield (
                f"{directory}: {count} of {tool} not released ({join_names(left, 2)}; relnox does not run {tool} "
                f"here); before the bump, run and commit: {command.replace('{version}', version or '')}"
            )


def belongs_in_changelogs(bump: VersionBump) -> bool:
    """Return whether changelogs get a section for the new version, as they do unless it is a prerelease."""
    return not bump.after.is_prerelease


def _bumps_by_changelog(
    bumps: Sequence[VersionBump], changelogs: Mapping[str, str], contents: Mapping[str, bytes]
) -> dict[str, list[VersionBump]]:
    """Map the path of each changelog with a heading for unreleased changes to the bumps listed in it."""
    by_file: dict[str, list[VersionBump]] = {}
    for bump in bumps:
        file = changelogs.get(bump.package.name)
        if file is not None and belongs_in_changelogs(bump):
            by_file.setdefault(file, []).append(bump)
    return {
        file: of_file for file, of_file in by_file.items() if _has_unreleased_heading(contents[file], of_file[0])
    }


def _has_unreleased_heading(content: bytes, bump: VersionBump) -> bool:
    """Return whether a changelog has a heading `Unreleased`, or one such as `1.2.0 (unreleased)` for this bump.

    The version there must be the new one, or the final one of the development version that the bump finishes.
    """
    versions = {bump.after}
    if bump.before is not None and bump.before.is_devrelease and not bump.after.is_prerelease:
        versions.add(Version(bump.before.base_version))
    return changelog.has_unreleased_heading(_decode_changelog(content), versions)


def _has_any_unreleased_heading(content: bytes) -> bool:
    """Return whether a changelog has a heading `Unreleased`, or one such as `1.2.0 (unreleased)`."""
    return changelog.has_unreleased_heading(_decode_changelog(content), None)


def _has_unreleased_entries(content: bytes) -> bool:
    """Return whether a changelog has text below its heading for unreleased changes; False for several headings."""
    try:
        return not changelog.is_unreleased_section_empty(_decode_changelog(content))
    except Blocked:
        return False


def _decode_changelog(content: bytes) -> str:
    """Decode the content of a changelog; invalid UTF-8 is preserved as surrogates."""
    return content.decode("utf-8", "surrogateescape")
