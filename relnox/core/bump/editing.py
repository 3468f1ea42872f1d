"""The edits of a bump: version locations, requirements on bumped packages, and lock files; what they result in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

from packaging.version import Version

from relnox.core import documents
from relnox.core.bump.version_bumps import DependencyUpdates, VersionBump
from relnox.core.packages import Package, VersionSource
from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.core.settings.config import Config
from relnox.core.text import replace_spans
from relnox.core.versions import semver_compat, version_locations
from relnox.core.versions.semver_compat import to_semver
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

Strings: TypeAlias = dict[tuple[str | int, ...], tuple[str, str]]
"""Strings of a TOML file by their keys: the current and the new value."""
_BOM = b"\xef\xbb\xbf"


def editable_files(workspace: Workspace) -> tuple[str, ...]:
    """Return the paths of all files that a bump may edit: version locations, pyproject.toml and lock files."""
    names = {location.file for package in workspace.packages for location in package.locations}
    names |= {package.pyproject for package in workspace.packages}
    return tuple(sorted(names | set(workspace.lock_files)))


def edits_between(
    before: Mapping[str, bytes], after: Mapping[str, bytes | None], links: Collection[str] = ()
) -> Iterator[Edit]:
    """Yield an edit for each file whose content changes, sorted by path.

    In `after`, None removes a file; `links` are the symbolic links, with their targets in `before`.
    """
    for file in sorted(after):
        if after[file] != before.get(file):
            yield Edit(file=file, before=before.get(file), after=after[file], is_link=file in links)


def edited_contents(
    workspace: Workspace,
    bumps: Sequence[VersionBump],
    updates: DependencyUpdates,
    contents: Mapping[str, bytes],
    config: Config,
) -> Iterator[tuple[str, bytes]]:
    """Yield each file that a bump edits with its new content; only versions and requirements change in it.

    `contents` has those of the `editable_files`.

    Raises:
        Blocked: A file has changed since it was read, or cannot hold the new version.
    """
    strings, others = _plan_replacements(workspace, bumps, updates, config)
    locked_versions = {bump.package.name: str(bump.after) for bump in bumps}
    for file in sorted({*strings, *others, *workspace.lock_files}):
        before = contents[file]
        mark, text = (_BOM, before[len(_BOM) :].decode()) if before.startswith(_BOM) else (b"", before.decode())
        try:
            if file in strings:
                text = documents.replace_strings(text, strings[file])
            for location, version in others.get(file, ()):
                text = version_locations.replace_version(text, location, version)
            if file in workspace.lock_files:
                text = _update_lock_file(text, locked_versions)
        except ValueError as error:
            raise Blocked(
                "bump-not-possible", f"cannot edit {file}: {error}", fix="edit the version there by hand"
            ) from error
        yield file, mark + text.encode()


def _plan_replacements(
    workspace: Workspace, bumps: Sequence[VersionBump], updates: DependencyUpdates, config: Config
) -> tuple[dict[str, Strings], dict[str, list[tuple[VersionSource, str]]]]:
    """Return the strings to replace in TOML files, and the other version locations with their new text.

    Returns:
        Two mappings by file: the strings, and pairs of a version location and the version as written there.
    """
    strings: dict[str, Strings] = {}
    others: dict[str, list[tuple[VersionSource, str]]] = {}
    for package in workspace.packages:
        for dependency, new_text in updates.get(package.name, ()):
            strings.setdefault(package.pyproject, {})[dependency.key] = (dependency.text, new_text)
    for bump in bumps:
        for location in bump.package.locations:
            text = format_version_for(bump.after, location, config)
            if text == location.text:
                continue
            if location.kind == "toml":
                value = (location.text_before + location.text, location.text_before + text)
                strings.setdefault(location.file, {})[location.key] = value
            else:
                others.setdefault(location.file, []).append((location, text))
    return strings, others


def format_version_for(version: Version, location: VersionSource, config: Config) -> str:
    """Return a version in the format of a location.

    Raises:
        Blocked: The location requires SemVer, which cannot express the version.
    """
    if location.semver:
        try:
            return to_semver(version)
        except Blocked as error:
            raise Blocked(error.code, f"{location.file}: {error.message}", fix=error.fix) from None
    return semver_compat.format_version(version, config.scheme)


def _update_lock_file(text: str, versions: Mapping[str, str]) -> str:
    """Return the text of a lock file with new versions of the given packages (`versions`, by name)."""
    spans = version_locations.find_locked_versions(text)
    return replace_spans(
        text, ((span.start, span.end, versions[name]) for name, span in spans.items() if name in versions)
    )


def workspace_after_release(
    workspace: Workspace, bumps: Sequence[VersionBump], updates: DependencyUpdates, config: Config
) -> Workspace:
    """Return the workspace with the versions and requirements that its packages have in the release commit."""
    after = {bump.package.name: bump.after for bump in bumps}
    packages = []
    for package in workspace.packages:
        texts = {dependency.key: text for dependency, text in updates.get(package.name, ())}
        dependencies = tuple(
            replace(dependency, text=texts[dependency.key]) if dependency.key in texts else dependency
            for dependency in package.dependencies
        )
        released_package: Package = replace(package, dependencies=dependencies)
        if (version := after.get(package.name)) is not None:
            source, *others = (
                replace(location, text=format_version_for(version, location, config))
                if location.is_in_file
                else location
                for location in (package.source, *package.other_locations)
            )
            released_package = replace(
                released_package,
                version=version if package.source.is_in_file else package.version,
                source=source,
                other_locations=tuple(others),
            )
        packages.append(released_package)
    return replace(workspace, packages=tuple(packages))
