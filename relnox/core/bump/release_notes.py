"""Updates of changelogs for a release, and the title and body of a release pull request, in Markdown.

Prereleases do not change changelogs: their changes are listed under the final release. In pull requests, text from
the project is in code, where it cannot notify people, refer to issues or change the layout.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date

from packaging.version import Version

from relnox.core import changelog
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.records import Record
from relnox.core.settings.config import Config
from relnox.core.text import escape_line, format_count, join_names, split_lines
from relnox.core.version_groups import find_version_groups
from relnox.core.versions import semver_compat
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

MAX_BODY_SIZE = 65_536
"""The maximum size of a pull request's body.

GitHub's limit is in characters. relnox counts bytes instead, to stay within the limit however they are counted.
"""
MAX_TITLE_LENGTH = 250

_DONE = re.compile(r"- \[[xX]\]")
_SHORTENED = "\n\n_Shortened: the rest is in the changed files._"


def find_changelogs(
    workspace: Workspace, candidates: Mapping[str, Sequence[str]], contents: Mapping[str, bytes], config: Config
) -> dict[str, str]:
    """Return the path of each package's changelog; packages without one are left out.

    It is the one in the directory of the package, or that of the root if all packages that are published share one
    version.

    Args:
        workspace: The packages.
        candidates: The files that may be changelogs, by directory, the most usual first.
        contents: The contents of the files that exist, by path.
        config: The settings of the project.
    """
    common = changelog_in(".", candidates, contents)
    shared = _packages_of_common_changelog(workspace, config) if common is not None else frozenset()
    changelogs = {}
    for package in workspace.packages:
        own = changelog_in(package.directory, candidates, contents)
        if own is None and package.name in shared:
            own = common
        if own is not None:
            changelogs[package.name] = own
    return changelogs


def changelog_in(
    directory: str, candidates: Mapping[str, Sequence[str]], contents: Mapping[str, bytes]
) -> str | None:
    """Return the changelog in a directory: the first with unreleased changes, else the first; None without any."""
    paths = [path for path in candidates.get(directory, ()) if path in contents]
    return next(
        (path for path in paths if len(paths) > 1 and _is_pending(contents[path])), next(iter(paths), None)
    )


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


def changelog_notes(  # noqa: PLR0913, PLR0917 - the parts of a release
    bumps: Sequence[VersionBump],
    changelogs: Mapping[str, str],
    candidates: Mapping[str, Sequence[str]],
    contents: Mapping[str, bytes],
    changed: Collection[str],
    config: Config,
) -> Iterator[str]:
    """Yield notes on changelogs that a release does not change, with the reasons.

    `changed` are the files that it changes; the other arguments are those of `update_changelogs` and
    `find_changelogs`.
    """
    bumps_to_list = [bump for bump in bumps if is_listed_in_changelogs(bump)]
    versions = {changelogs.get(bump.package.name): bump.after for bump in bumps_to_list}
    files_by_reason: dict[str, list[str]] = {}
    for file, version in versions.items():
        if file is not None and file not in changed:
            reason = changelog.reason_without_section(_decode_changelog(contents[file]), version)
            files_by_reason.setdefault(reason or "", []).append(file)
    for reason, files in files_by_reason.items():
        if reason:
            yield f"{join_names(files)}: no section for this release ({reason})"
    directories = sorted({bump.package.directory for bump in bumps_to_list if bump.package.name in changelogs})
    others = [file for directory in directories for file in candidates.get(directory, ())]
    others = [file for file in others if file in contents and file not in {*versions, *changed}]
    if others := [file for file in others if _is_pending(contents[file])]:
        setting = posixpath.relpath(others[0], directories[0])
        yield (
            f"{join_names(others)}: unreleased changes stay; to release them instead of those in the other "
            f'changelog, set [tool.relnox] changelog-file = "{setting}"'
        )
    common = changelog_in(".", candidates, contents)
    without = [bump.package for bump in bumps_to_list if bump.package.name not in changelogs]
    is_unchanged = common is not None and common not in {*changelogs.values(), *changed}
    if common is not None and without and is_unchanged and _has_entries(contents[common]):
        names = join_names([package.name for package in without])
        own = _path_in(without[0].directory, posixpath.basename(common))
        yield (
            f"{common} is not changed, its entries stay (packages with versions of their own have changelogs "
            f"in their directories, and there is none of {names}); to list {without[0].name} in one, add {own}"
        )
    is_named = config.changelog == "keep-a-changelog" or config.changelog_file is not None
    if is_named and bumps_to_list and len(without) == len(bumps_to_list) and common is None:
        yield f"no changelog changes: there is no {config.changelog_file or 'CHANGELOG.md'} for these packages"


def change_file_notes(
    bumps: Sequence[VersionBump],
    change_files: Iterable[tuple[str, str, str, Sequence[str]]],
    removed: Collection[str],
) -> Iterator[str]:
    """Yield a note on the change files of other tools in each directory that a final release does not remove.

    `change_files` are directories, tools, their commands and the files; `removed` are the files that the release
    removes.
    """
    version = next((str(bump.after) for bump in bumps if is_listed_in_changelogs(bump)), None)
    for directory, tool, command, files in change_files if version is not None else ():
        if left := [posixpath.relpath(file, directory) for file in files if file not in removed]:
            count = format_count(len(left), "change file")
            yield (
                f"{directory}: {count} of {tool} not released ({join_names(left, 2)}; relnox does not run {tool} "
                f"here); before the bump, run and commit: {command.replace('{version}', version or '')}"
            )


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
    return changelog.has_unreleased_heading(_decode_changelog(content), versions)


def _is_pending(content: bytes) -> bool:
    """Return whether the content of a changelog has changes below a heading that is not released yet."""
    return changelog.has_unreleased_heading(_decode_changelog(content), None)


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
        last_release: The last release, with which this commit was compared, such as `1.2.0 on pypi`.
        differences: What changes in its archives, and how.
    """

    name: str
    before: str
    after: str
    reason: str
    tag: str
    changes: str
    private: bool = False
    last_release: str = ""
    differences: tuple[tuple[str, str], ...] = ()


def format_pull_request_title(message: str) -> str:
    """Return the title of the pull request: the first line of a commit message, at most `MAX_TITLE_LENGTH`."""
    line = escape_line(message.strip().partition("\n")[0].strip())
    return line if len(line) <= MAX_TITLE_LENGTH else f"{line[: MAX_TITLE_LENGTH - 1]}…"


def format_pull_request_body(
    packages: Sequence[PullRequestPackage], branch: str, limit: int = MAX_BODY_SIZE, *, tasks: str = ""
) -> str:
    """Return the body of the pull request; if it exceeds the limit in bytes, the rest is left out, with a note.

    `tasks` is the Markdown list of what a person has to do, or empty.
    """
    lines: list[str] = []
    size = len(_SHORTENED.encode())
    for line in _lines(packages, branch, tasks):
        size += len(line.encode()) + 1
        if size > limit:
            return "\n".join(lines).rstrip() + _SHORTENED
        lines.append(line)
    return "\n".join(lines)


def keep_checked_tasks(body: str, before: str) -> str:
    """Return a body in which the tasks are done that are done in the body before."""
    done = {uncheck_task(line).rstrip(): line.rstrip() for line in before.splitlines() if _DONE.match(line)}
    return "\n".join(done.get(line, line) for line in body.split("\n"))


def uncheck_task(line: str) -> str:
    """Return a line of a body as if its task were not done."""
    return _DONE.sub("- [ ]", line)


def _lines(packages: Sequence[PullRequestPackage], branch: str, tasks: str) -> Iterator[str]:
    """Yield the lines of the body: the packages, the tasks, and the changelogs; packages may share a text."""
    yield "| package | from | to | why | tag |"
    yield "|---|---|---|---|---|"
    for package in packages:
        name = _code(package.name) + " (private)" * package.private
        yield f"| {name} | {package.before} | {package.after} | {_code(package.reason)} | {_code(package.tag)} |"
    yield ""
    yield f"After the merge, `auto-tag` on {_code(branch)} creates the tags. Private packages are not published."
    yield from ("", *tasks.split("\n")) if tasks else ()
    for package in packages:
        if package.differences:
            yield from (
                "",
                f"**Archives of {_code(package.name)} compared with {_code(package.last_release)}**",
                "",
            )
            yield from ("| what | change |", "|---|---|")
            yield from (f"| {what} | {_code(change)} |" for what, change in package.differences)
    for text in dict.fromkeys(package.changes for package in packages if package.changes):
        yield ""
        yield f"**Changes of {', '.join(_code(package.name) for package in packages if package.changes == text)}**"
        yield ""
        # A block of indented code ends at the first line that is not indented, whatever is inside.
        yield from (f"    {escape_line(line.expandtabs(4))}".rstrip() for line in split_lines(text))


def _code(text: str) -> str:
    """Return text as inline code for a table cell."""
    return f"`{escape_line(text).replace('`', chr(39)).replace('|', '/')}`"
