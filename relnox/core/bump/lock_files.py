"""Lock files that a bump edits: those of uv, Cargo and npm; after that, their tools find nothing to change.

The lock files of Poetry and PDM have a hash of all requirements, so that only their own tools can write them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core import documents
from relnox.core.bump.version_bumps import DependencyUpdates, ResolvedBumps, VersionBump
from relnox.core.documents import KeyPath, table_at
from relnox.core.packages import Dependency, VersionSource
from relnox.core.requirements import parse_clauses
from relnox.core.text import replace_spans
from relnox.core.versions.semver_compat import to_semver
from relnox.core.workspace import Workspace

NPM_LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
"""The names of npm's lock files, beside a package.json."""
EDITED_LOCKS = ("uv.lock", "Cargo.lock", *NPM_LOCKS)

_ENTRY = re.compile(
    r"^\[\[package\]\]\r?\nname = \"(?P<name>[^\"\n]+)\"\r?\nversion = \"(?P<version>[^\"\n]+)\"\r?\n"
    r"(?P<source>source = (?:\{ (?:editable|virtual|directory) = \"(?P<path>[^\"\n]*)\")?)?",
    re.MULTILINE,
)
"""An entry of uv.lock or Cargo.lock, as both tools always write it; it has a path if its source is a directory."""


def update_lock_file(
    file: str,
    text: str,
    resolved: ResolvedBumps,
    workspace: Workspace,
    format_at: Callable[[Version, VersionSource], str],
) -> str:
    """Return the text of a lock file of uv, Cargo or npm with the new versions and requirements of packages.

    `file` is its path relative to the root; `format_at` formats a version as a place in a file writes it.

    Raises:
        ValueError: The file does not have its usual form.
    """
    match posixpath.basename(file):
        case "uv.lock":
            return _update_uv_lock(file, text, resolved, workspace)
        case "Cargo.lock":
            return _update_cargo_lock(text, resolved.bumps)
        case _:
            return _update_npm_lock(file, text, resolved.bumps, format_at)


def _update_uv_lock(file: str, text: str, resolved: ResolvedBumps, workspace: Workspace) -> str:
    """Return the text of the uv.lock `file` with the new versions of packages and of their requirements.

    Entries of packages that come from elsewhere than the workspace stay.
    """
    from_index = packages_locked_from_index(file, text, resolved.updates, workspace)
    changes = {
        path: (old, new)
        for path, name, old, new in _specifier_changes(file, text, resolved.updates, workspace)
        if name not in from_index
    }
    text = documents.replace_strings(text, changes) if changes else text
    after = {(bump.package.name, bump.package.directory): str(bump.after) for bump in resolved.bumps}
    spans = [
        (*match.span("version"), after[package])
        for match in _ENTRY.finditer(text)
        if match["path"] is not None and (package := (match["name"], _resolve_path(file, match["path"]))) in after
    ]
    return replace_spans(text, spans)


def _update_cargo_lock(text: str, bumps: Sequence[VersionBump]) -> str:
    """Return the text of a Cargo.lock with the new versions of bumped crates (entries without a source)."""
    after = {
        (crate, place.text): bump.after
        for bump in bumps
        for crate in bump.package.crates
        for place in bump.package.locations
    }
    return replace_spans(
        text,
        (
            (*match.span("version"), to_semver(after[entry]))
            for match in _ENTRY.finditer(text)
            if not match["source"] and (entry := (match["name"], match["version"])) in after
        ),
    )


def packages_locked_from_index(
    file: str, text: str, updates: DependencyUpdates, workspace: Workspace
) -> list[str]:
    """Return the names of packages in `updates` that a uv.lock takes from an index, sorted.

    `updates` requires new versions of them, which the lock file cannot have yet. The result is empty for other
    lock files.

    Raises:
        ValueError: The text is not TOML.
    """
    if posixpath.basename(file) != "uv.lock":
        return []
    names = {name for _, name, _, _ in _specifier_changes(file, text, updates, workspace)}
    entries = documents.parse_toml(text).get("package", ()) if names else ()
    return sorted(names - {entry.get("name") for entry in entries if _source_directory(entry, file) is not None})


def _specifier_changes(
    file: str, text: str, updates: DependencyUpdates, workspace: Workspace
) -> Iterator[tuple[KeyPath, str, str, str]]:
    """Yield the version specifiers that a uv.lock repeats and that `updates` change.

    Each is a tuple of the keys that lead to it, the required package, the old text and the new text.
    """
    if not updates:
        return
    document = documents.parse_toml(text)
    owners: list[tuple[KeyPath, Any, str]] = [
        (("package", index, "metadata"), table_at(entry, "metadata"), name)
        for index, entry in enumerate(document.get("package", ()))
        if (package := workspace.by_name.get(name := str(entry.get("name")))) is not None
        and package.directory == _source_directory(entry, file)
    ]
    at_top = (package.name for package in workspace.packages if package.directory == _resolve_path(file, "."))
    owners += [(("manifest",), table_at(document, "manifest"), name) for name in at_top]
    for path, table, owner in owners:
        specifiers = dict(_changed_specifiers(updates.get(owner, ())))
        for inner, requirement in _nested_tables(table, path) if specifiers else ():
            if isinstance(old := requirement.get("specifier"), str):
                name = str(requirement.get("name"))
                if (new := specifiers.get((name, SpecifierSet(old)))) is not None:
                    yield (*inner, "specifier"), name, old, new


def _source_directory(entry: Mapping[str, Any], file: str) -> str | None:
    """Return the directory, relative to the root, that an entry of the uv.lock `file` is built from, or None."""
    source = table_at(entry, "source")
    paths = (source.get(key) for key in ("editable", "virtual", "directory"))
    return next((_resolve_path(file, path) for path in paths if isinstance(path, str)), None)


def _resolve_path(file: str, path: str) -> str:
    """Return a path relative to the root, for `path` relative to the directory of `file`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))


def _changed_specifiers(needs: Iterable[tuple[Dependency, str]]) -> Iterator[tuple[tuple[str, SpecifierSet], str]]:
    """Yield the old and the new specifier of each PEP 508 requirement, for a look-up in the lock file.

    `needs` has requirements with their new texts. Each result is a pair: the required package with its old
    specifier, and the new specifier as uv writes it.
    """
    for dependency, new_text in needs:
        if dependency.syntax == "pep508":  # the one that uv reads
            clauses = sorted(parse_clauses(new_text, "pep508"), key=lambda clause: clause.version)
            texts = [
                clause.operator + str(clause.version) + ".*" * ("*" in clause.version_text) for clause in clauses
            ]
            yield (dependency.name, Requirement(dependency.text).specifier), ",".join(texts)


def _nested_tables(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield each table in a TOML value, at any depth and the value included, with the keys that lead to it.

    `path` has the keys that lead to the value.
    """
    if isinstance(value, dict):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _nested_tables(inner, (*path, key))


def _update_npm_lock(
    file: str, text: str, bumps: Sequence[VersionBump], format_at: Callable[[Version, VersionSource], str]
) -> str:
    """Return the text of a lock file of npm with the new version of the package.json beside it.

    If the lock file has another version than the package.json before the bump, it was out of date and stays so.
    Invalid JSON stays as well.
    """
    package_json = posixpath.join(posixpath.dirname(file), "package.json")
    paths: tuple[KeyPath, ...] = (("version",), ("packages", "", "version"))
    for bump in bumps:
        for place in bump.package.locations:
            for path in paths if place.file == package_json else ():
                with suppress(ValueError):
                    if documents.read_string(documents.parse_json(text), path) == place.text:
                        change = {path: (place.text, format_at(bump.after, place))}
                        text = documents.replace_strings(text, change, documents.parse_json)
    return text
