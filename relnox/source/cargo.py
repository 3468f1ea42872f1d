"""Find versions in Cargo.toml and Cargo.lock for packages that contain a Rust crate.

See The Cargo Book, "The Manifest Format" and "Workspaces".
"""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package, VersionSource
from relnox.core.records import Record
from relnox.core.versions.version_locations import find_locked_versions
from relnox.source.pyproject import load
from relnox.system.files import read_project_file

_MANIFEST = "Cargo.toml"
_OPERATORS = "=^~ "
_DEPENDENCY_TABLES = ("dependencies", "dev-dependencies", "build-dependencies")


class _CargoManifest(Record):
    """A Cargo.toml file: its path relative to the root, and its content."""

    file: str
    document: Mapping[str, Any]

    @property
    def directory(self) -> str:
        return posixpath.dirname(self.file)

    @property
    def crate_name(self) -> str:
        return str(table_at(self.document, "package").get("name", ""))

    @property
    def inherits_version(self) -> bool:
        """Whether the crate inherits its version from the Cargo workspace."""
        return table_at(self.document, "package", "version").get("workspace") is True


def find_version_locations(package: Package, document: Mapping[str, Any], root: Path) -> Iterator[VersionSource]:
    """Yield the places that contain the version of a package's Rust crate.

    They are the manifest (Cargo.toml), requirements on the crate, and the lock file, in this order; none if the
    manifest does not exist or has no version. `document` is the content of the package's pyproject.toml.
    """
    own = table_at(document, "tool", "maturin").get("manifest-path", _MANIFEST)
    manifest = _read_manifest(posixpath.normpath(f"{package.directory}/{own}"), root)
    if manifest is None:
        return
    top = _find_workspace_manifest(manifest, root)
    members = [manifest, *(_read_member_manifests(top, manifest, root) if top is not None else ())]
    source, keys, crates = manifest, ["package"], {manifest.crate_name}
    if manifest.inherits_version and top is not None:
        source, keys = top, ["workspace", "package"]
        crates = {member.crate_name for member in members if member.inherits_version}
    version = table_at(source.document, *keys).get("version")
    if not isinstance(version, str):
        return
    yield VersionSource(kind="toml", file=source.file, key=(*keys, "version"), text=version, semver=True)
    for member in {member.file: member for member in [*members, top or manifest]}.values():
        yield from _find_crate_requirements(member, crates, version)
    lock = posixpath.join((top or manifest).directory, "Cargo.lock")
    if (root / lock).is_file():
        spans = find_locked_versions(read_project_file(root, lock).decode())
        entries = tuple(sorted(name for name in crates if name in spans and spans[name].text == version))
        if entries:
            yield VersionSource(kind="lock", file=lock, key=entries, text=version, semver=True)


def _read_manifest(file: str, root: Path) -> _CargoManifest | None:
    """Return a manifest, or None if the file does not exist or is outside the project."""
    if file.startswith(("../", "/")) or not (root / file).is_file():
        return None
    return _CargoManifest(file, load(root, file))


def _find_workspace_manifest(manifest: _CargoManifest, root: Path) -> _CargoManifest | None:
    """Return the manifest of a crate's workspace: its own, the one it names, or the nearest one above it."""
    if "workspace" in manifest.document:
        return manifest
    workspace = table_at(manifest.document, "package").get("workspace")
    if isinstance(workspace, str):
        return _read_manifest(posixpath.normpath(posixpath.join(manifest.directory, workspace, _MANIFEST)), root)
    directory = manifest.directory
    while directory:
        directory = posixpath.dirname(directory)
        parent = _read_manifest(posixpath.join(directory, _MANIFEST), root)
        if parent is not None and "workspace" in parent.document:
            return parent
    return None


def _read_member_manifests(top: _CargoManifest, manifest: _CargoManifest, root: Path) -> Iterator[_CargoManifest]:
    """Yield the manifests of a workspace's members, except `manifest`."""
    for members in strings_in(table_at(top.document, "workspace").get("members")):
        pattern = posixpath.join(glob.escape(top.directory), members.strip("/"))
        for directory in sorted(glob.glob(pattern, root_dir=root, recursive=True, include_hidden=True)):  # noqa: PTH207 - "." as well
            file = posixpath.normpath(f"{directory}/{_MANIFEST}")
            member = _read_manifest(file, root) if file != manifest.file else None
            if member is not None:
                yield member


def _find_crate_requirements(manifest: _CargoManifest, crates: set[str], version: str) -> Iterator[VersionSource]:
    """Yield path dependencies on these crates that require `version`, and so change with each bump."""
    document = manifest.document
    for keys in (*((name,) for name in _DEPENDENCY_TABLES), ("workspace", "dependencies")):
        for name, entry in table_at(document, *keys).items():
            match entry:
                case {"path": str(), "version": str(text), **more} if (
                    more.get("package", name) in crates and text.lstrip(_OPERATORS) == version
                ):
                    lead = text[: len(text) - len(version)]
                    key = (*keys, name, "version")
                    yield VersionSource(
                        kind="toml", file=manifest.file, key=key, text=version, text_before=lead, semver=True
                    )
                case _:
                    continue
