"""The edits of a bump: version locations, requirements on bumped packages, and lock files; what they result in."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from relnox.core import documents
from relnox.core.bump import lock_files
from relnox.core.bump.version_bumps import DependencyUpdates, ResolvedBumps, VersionBump
from relnox.core.packages import Package, VersionSource
from relnox.core.planning.step import Edit
from relnox.core.records import replace
from relnox.core.settings.config import Config
from relnox.core.versions import version_locations
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

StringChanges: TypeAlias = dict[tuple[str | int, ...], tuple[str, str]]
"""The strings to replace in a TOML file, by their keys: the current and the new value."""
_BOM = b"\xef\xbb\xbf"


def editable_files(workspace: Workspace) -> tuple[str, ...]:
    """Return the paths of all files that a bump may edit: version locations, requirements, lock files."""
    names = {location.file for package in workspace.packages for location in package.locations}
    for package in workspace.packages:
        names |= {package.pyproject, *(dependency.file for dependency in package.dependencies if dependency.file)}
    return tuple(sorted(names | set(workspace.lock_files)))


def edits_between(
    before: Mapping[str, bytes], after: Mapping[str, bytes | None], links: Collection[str] = ()
) -> Iterator[Edit]:
    """Yield an edit for each file in `after` whose content differs from that in `before`, sorted by path.

    A file that is not in `after` stays; one with None there is removed. `links` are the files that are symbolic
    links; their content is the target of the link.
    """
    for file in sorted(after):
        if after[file] != before.get(file):
            yield Edit(file=file, before=before.get(file), after=after[file], is_link=file in links)


def edit_contents(
    workspace: Workspace,
    bumps: Sequence[VersionBump],
    updates: DependencyUpdates,
    contents: Mapping[str, bytes],
    config: Config,
) -> Iterator[tuple[str, bytes]]:
    """Yield the path and the new content of each file that a bump edits: only versions and requirements change.

    Lock files are yielded even if nothing changes. `updates` are the requirements to rewrite. `contents` has the
    current content of all `editable_files`.

    Raises:
        Blocked: A file has changed since it was read, or cannot hold the new version.
    """
    resolved = ResolvedBumps(tuple(bumps), updates)
    strings, others = _replacements_by_file(workspace, bumps, updates, config)
    format_at = partial(version_locations.format_at, scheme=config.scheme)
    for file in sorted({*strings, *others, *workspace.lock_files}):
        before = contents[file]
        try:
            mark, text = (
                (_BOM, before[len(_BOM) :].decode()) if before.startswith(_BOM) else (b"", before.decode())
            )
            if file in strings:
                text = documents.replace_strings(text, strings[file])
            for location, version in others.get(file, ()):
                text = version_locations.replace_version(text, location, version)
            if file in workspace.lock_files:
                text = lock_files.update_lock_file(file, text, resolved, workspace, format_at)
        except ValueError as error:
            raise Blocked(
                "bump-not-possible", f"cannot edit {file}: {error}", fix="edit the version there by hand"
            ) from error
        yield file, mark + text.encode()


def _replacements_by_file(
    workspace: Workspace, bumps: Sequence[VersionBump], updates: DependencyUpdates, config: Config
) -> tuple[dict[str, StringChanges], dict[str, list[tuple[VersionSource, str]]]]:
    """Return what a bump replaces, by file path: strings in TOML files, and other locations of versions.

    The second mapping has pairs of a location and its new text.
    """
    strings: dict[str, StringChanges] = {}
    others: dict[str, list[tuple[VersionSource, str]]] = {}
    for package in workspace.packages:
        for dependency, new_text in updates.get(package.name, ()):
            file = dependency.file or package.pyproject
            strings.setdefault(file, {})[dependency.key] = (dependency.text, new_text)
    for bump in bumps:
        for location in bump.package.locations:
            text = version_locations.format_at(bump.after, location, config.scheme)
            if text == location.text:
                continue
            if location.kind == "toml":
                strings.setdefault(location.file, {})[location.key] = (location.text, text)
            else:
                others.setdefault(location.file, []).append((location, text))
    return strings, others


def workspace_after_release(
    workspace: Workspace, bumps: Sequence[VersionBump], updates: DependencyUpdates, config: Config
) -> Workspace:
    """Return the workspace with the versions and requirements that its packages have in the release commit.

    Versions that build backends read from tags stay.
    """
    after = {bump.package.name: bump.after for bump in bumps}
    packages = []
    for package in workspace.packages:
        texts = dict(updates.get(package.name, ()))
        dependencies = tuple(
            replace(dependency, text=texts.get(dependency, dependency.text)) for dependency in package.dependencies
        )
        released_package: Package = replace(package, dependencies=dependencies)
        if (version := after.get(package.name)) is not None:
            source, *others = (
                replace(location, text=version_locations.format_at(version, location, config.scheme))
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
