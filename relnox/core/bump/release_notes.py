"""Updates of changelogs for a release, and the title and body of a release pull request, in Markdown.

Prereleases do not change changelogs: their changes are listed under the final release. In pull requests, text from
the project is in code, where it cannot notify people, refer to issues or change the layout.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from packaging.version import Version

from relnox.core import changelog
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.settings.config import Config
from relnox.core.text import escape_line, join_names, split_lines
from relnox.core.version_groups import find_version_groups
from relnox.core.versions import semver_compat
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

MAX_BODY_SIZE = 65_536
"""The maximum size of a pull request's body.

GitHub's limit is in characters. relnox counts bytes instead, to stay within the limit however they are counted.
"""
MAX_TITLE_LENGTH = 250

_SHORTENED = "\n\n_Shortened: the rest is in the changed files._"


def changelog_paths(workspace: Workspace, config: Config) -> tuple[str, ...]:
    """Return the paths where the changelogs of the workspace may be; the files need not exist."""
    directories = {package.directory for package in workspace.packages} | {"."}
    return tuple(sorted(_path_in(directory, config.changelog_file) for directory in directories))


def find_changelogs(workspace: Workspace, contents: Mapping[str, bytes], config: Config) -> dict[str, str]:
    """Return the path of each package's changelog; packages without one are left out.

    It is the one in the directory of the package, or that of the root if all packages that are published share one
    version.

    Args:
        workspace: The packages.
        contents: The contents of the files that exist, by path.
        config: The settings of the project.
    """
    common = _path_in(".", config.changelog_file)
    shared = _packages_of_common_changelog(workspace, config) if common in contents else frozenset()
    changelogs = {}
    for package in workspace.packages:
        own = own_changelog(package, contents, config)
        if own is not None or package.name in shared:
            changelogs[package.name] = own or common
    return changelogs


def own_changelog(package: Package, contents: Mapping[str, bytes], config: Config) -> str | None:
    """Return the path of the changelog in a package's directory, or None if there is none."""
    own = _path_in(package.directory, config.changelog_file)
    return own if own in contents else None


def _packages_of_common_changelog(workspace: Workspace, config: Config) -> frozenset[str]:
    """Return the packages that the changelog of the root may be about, since they always have one version."""
    groups = find_version_groups(workspace, config)
    if len(groups) > 1:  # private packages are not released
        groups = tuple(group for group in groups if not all(package.is_private for package in group.packages))
    names = frozenset(package.name for group in groups for package in group.packages)
    is_of_another_package = any(
        package.directory == "." and package.name not in names for package in workspace.packages
    )
    return names if len(groups) == 1 and groups[0].kind != "linked" and not is_of_another_package else frozenset()


def update_changelogs(  # noqa: PLR0913, PLR0917 - the parts of a release
    bumps: Sequence[VersionBump],
    changelogs: Mapping[str, str],
    contents: Mapping[str, bytes],
    tags: Mapping[str, tuple[str | None, str | None]],
    config: Config,
    today: date,
) -> Iterator[tuple[str, bytes]]:
    """Yield the new contents of the changelogs that have a heading for unreleased changes.

    Changelogs without unreleased changes are left out.

    Args:
        bumps: The bumps.
        changelogs: The changelog of each package, from `find_changelogs`.
        contents: The contents of the changelogs, by path.
        tags: Maps each package to the tag of the release and the tag of the previous one.
        config: The settings of the project.
        today: The date in UTC.

    Yields:
        The path of a changelog, and its new content.

    Raises:
        Blocked: A changelog already has the version, or has several headings for unreleased changes.
    """
    for file, bumps_of_file in _bumps_by_changelog(bumps, changelogs, contents).items():
        text = _decode_changelog(contents[file])
        first = bumps_of_file[0]
        tag, previous = tags.get(first.package.name, (None, None))
        try:
            if changelog.is_unreleased_empty(text):
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


def changelog_notes(
    bumps: Sequence[VersionBump],
    changelogs: Mapping[str, str],
    contents: Mapping[str, bytes],
    config: Config,
) -> Iterator[str]:
    """Yield a note on each changelog that this release does not change, with the reason.

    The arguments are those of `update_changelogs`.
    """
    bumps_to_list = [bump for bump in bumps if is_listed_in_changelogs(bump)]
    edited = _bumps_by_changelog(bumps, changelogs, contents)
    for file in edited:
        try:
            if changelog.is_unreleased_empty(_decode_changelog(contents[file])):
                yield f"{file}: no section for this release (Unreleased is empty)"
        except Blocked:  # reported by the release itself
            continue
    for file in dict.fromkeys(
        changelogs[bump.package.name] for bump in bumps_to_list if bump.package.name in changelogs
    ):
        if file not in edited:
            yield (
                f"{file} is not changed (no heading for unreleased changes); to list releases in it, add "
                '## [Unreleased] above the last version; to hide this note, set [tool.relnox] changelog = "none"'
            )
    common = _path_in(".", config.changelog_file)
    without = [bump.package for bump in bumps_to_list if bump.package.name not in changelogs]
    if without and common not in changelogs.values() and _has_entries(contents.get(common, b"")):
        names = join_names([package.name for package in without])
        yield (
            f"{common} is not changed, its entries stay (packages with versions of their own have changelogs in "
            f"their directories, and there is none of {names}); to list "
            f"{without[0].name} in one, add {_path_in(without[0].directory, config.changelog_file)}"
        )
    is_named = config.changelog == "keep-a-changelog" or config.changelog_file != type(config)().changelog_file
    if is_named and bumps_to_list and len(without) == len(bumps_to_list) and common not in contents:
        yield f"no changelog changes: there is no {config.changelog_file} for these packages"


def is_listed_in_changelogs(bump: VersionBump) -> bool:
    """Return whether a bump is listed in changelogs: not if it is a prerelease."""
    return not bump.after.is_prerelease


def _bumps_by_changelog(
    bumps: Sequence[VersionBump], changelogs: Mapping[str, str], contents: Mapping[str, bytes]
) -> dict[str, list[VersionBump]]:
    """Return the changelogs with a heading for unreleased changes, mapped to the bumps listed in each."""
    by_file: dict[str, list[VersionBump]] = {}
    for bump in bumps:
        file = changelogs.get(bump.package.name)
        if file is not None and is_listed_in_changelogs(bump):
            by_file.setdefault(file, []).append(bump)
    return {
        file: of_file for file, of_file in by_file.items() if _has_unreleased_heading(contents[file], of_file[0])
    }


def _has_unreleased_heading(content: bytes, bump: VersionBump) -> bool:
    """Return whether the content of a changelog has a heading for unreleased changes.

    One with a version, such as `1.2.0 (unreleased)`, counts if that is the new version, or the final one of the
    current development version.
    """
    versions = {bump.after}
    if bump.before is not None and bump.before.is_devrelease and not bump.after.is_prerelease:
        versions.add(Version(bump.before.base_version))
    return changelog.has_unreleased(_decode_changelog(content), versions)


def _has_entries(content: bytes) -> bool:
    """Return whether the content of a changelog has text below a heading for unreleased changes."""
    try:
        return not changelog.is_unreleased_empty(_decode_changelog(content))
    except Blocked:
        return False


def _decode_changelog(content: bytes) -> str:
    """Decode the content of a changelog; invalid UTF-8 is preserved as surrogates."""
    return content.decode("utf-8", "surrogateescape")


def _path_in(directory: str, file: str) -> str:
    """Return the normalized path of a file in a directory."""
    return posixpath.normpath(f"{directory}/{file}")


class PullRequestPackage(Record, kw_only=True):
    """A package of the release.

    Attributes:
        name: The name of the package.
        before: The current version.
        after: The new version.
        reason: Why the package is bumped.
        tag: The tag of the new version.
        changes: The text about the new version in the package's changelog; empty if there is none.
        private: Whether the package is not published.
    """

    name: str
    before: str
    after: str
    reason: str
    tag: str
    changes: str
    private: bool = False


def format_title(message: str) -> str:
    """Return the title of the pull request: the first line of a commit message, at most `MAX_TITLE_LENGTH`."""
    line = escape_line(message.strip().partition("\n")[0].strip())
    return line if len(line) <= MAX_TITLE_LENGTH else f"{line[: MAX_TITLE_LENGTH - 1]}…"


def format_body(packages: Sequence[PullRequestPackage], branch: str, limit: int = MAX_BODY_SIZE) -> str:
    """Return the body of the pull request; if it exceeds the limit in bytes, the rest is left out, with a note."""
    lines: list[str] = []
    size = len(_SHORTENED.encode())
    for line in _lines(packages, branch):
        size += len(line.encode()) + 1
        if size > limit:
            return "\n".join(lines).rstrip() + _SHORTENED
        lines.append(line)
    return "\n".join(lines)


def _lines(packages: Sequence[PullRequestPackage], branch: str) -> Iterator[str]:
    """Yield the lines of the body: a table of the packages, and their changelogs; packages may share a text."""
    yield "| package | from | to | why | tag |"
    yield "|---|---|---|---|---|"
    for package in packages:
        name = _code(package.name) + " (private)" * package.private
        yield f"| {name} | {package.before} | {package.after} | {_code(package.reason)} | {_code(package.tag)} |"
    yield ""
    yield f"After the merge, `auto-tag` on {_code(branch)} creates the tags. Private packages are not published."
    for text in dict.fromkeys(package.changes for package in packages if package.changes):
        yield ""
        yield f"**Changes of {', '.join(_code(package.name) for package in packages if package.changes == text)}**"
        yield ""
        # A block of indented code ends at the first line that is not indented, whatever is inside.
        yield from (f"    {escape_line(line.expandtabs(4))}".rstrip() for line in split_lines(text))


def _code(text: str) -> str:
    """Return text as inline code for a table cell."""
    return f"`{escape_line(text).replace('`', chr(39)).replace('|', '/')}`"
