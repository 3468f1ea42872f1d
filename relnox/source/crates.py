"""Rust crates: where Cargo.toml files contain their versions, and which crates and requirements have the same one.

See The Cargo Book, "The Manifest Format" and "Workspaces".
"""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from relnox.core.documents import KeyPath, strings_in, table_at
from relnox.core.packages import Dependency, Package, VersionSource
from relnox.core.records import Record, replace
from relnox.source import pyproject

CARGO = "Cargo.toml"
_VERSION_KEY: tuple[str, ...] = ("package", "version")
_DEPENDENCY_TABLES = ("dependencies", "dev-dependencies", "build-dependencies")


class _CargoManifest(Record):
    """A Cargo.toml file: its path relative to the root, and its content."""

    file: str
    document: Mapping[str, Any]

    @property
    def directory(self) -> str:
        """The directory of the file, relative to the root; empty for the root itself."""
        return posixpath.dirname(self.file)

    @property
    def crate_name(self) -> str:
        """The name of the crate; empty if the file only defines a Cargo workspace."""
        return str(table_at(self.document, "package").get("name", ""))

    @property
    def inherits_version(self) -> bool:
        """Whether the crate inherits its version from the Cargo workspace."""
        return table_at(self.document, "package", "version").get("workspace") is True

    def lists_directory(self, directory: str, key: Literal["members", "exclude"]) -> bool:
        """Return whether the list `key` of `[workspace]` has a directory (relative to the root) or one above it.

        Globs in the list are not expanded.
        """
        paths = strings_in(table_at(self.document, "workspace").get(key))
        parents = (posixpath.normpath(posixpath.join(self.directory, path)) for path in paths)
        return any(f"{directory}/".startswith(f"{parent}/") for parent in parents)

    def dependencies(self) -> Iterator[tuple[KeyPath, str, Mapping[str, Any]]]:
        """Yield the key path of the version, the name of the crate, and the table of each dependency.

        The table need not have a version. A dependency that is a string, its version, is yielded as a table with
        the key `version`.
        """
        targets = [("target", name) for name in table_at(self.document, "target")]
        tables = [(*keys, name) for keys in ((), *targets) for name in _DEPENDENCY_TABLES]
        for keys in (*tables, ("workspace", "dependencies")):
            for name, entry in table_at(self.document, *keys).items():
                if isinstance(entry, dict):
                    yield (*keys, name, "version"), entry.get("package", name), entry
                elif isinstance(entry, str):
                    yield (*keys, name), name, {"version": entry}


def find_crate_version_location(file: str, root: Path) -> VersionSource | None:
    """Return where the version of a crate is: in its manifest `file`, or in that of its Cargo workspace.

    `file` is relative to the root. Return None if there is no such manifest in the project, or it has no version.
    """
    manifest, keys = _read_manifest(file, root), _VERSION_KEY
    if manifest is not None and manifest.inherits_version:
        manifest = _find_workspace_manifest(manifest, root)
        keys = ("workspace", *_VERSION_KEY)
    version = table_at(manifest.document, *keys[:-1]).get("version") if manifest is not None else None
    if manifest is None or not isinstance(version, str):
        return None
    return VersionSource(kind="toml", file=manifest.file, key=keys, text=version, semver=True)


def add_crates(package: Package, root: Path) -> Package:
    """Return a package with the names of the Rust crates that have its version, and the requirements on them.

    The requirements are those with a version, on crates from a local path or a patch, in the Cargo.toml files of
    the same Cargo workspaces. A package without such crates is returned unchanged.
    """
    crates: set[str] = set()
    requirements: list[Dependency] = []
    for place in [place for place in package.locations if posixpath.basename(place.file) == CARGO]:
        manifests = _read_workspace_manifests(place.file, root)
        names = {
            manifest.crate_name for manifest in manifests if _is_version_of_crate(place, manifest, manifests[0])
        }
        patched = {name for manifest in manifests for name in table_at(manifest.document, "patch", "crates-io")}
        for manifest in manifests:
            for key, name, entry in manifest.dependencies():
                is_local = "path" in entry or name in patched
                if name in names and is_local and isinstance(entry.get("version"), str):
                    requirement = Dependency(
                        name=package.name,
                        text=entry["version"],
                        table="tool",
                        key=key,
                        syntax="cargo",
                        file=manifest.file,
                    )
                    requirements.append(requirement)
        crates |= names - {""}
    if not crates:
        return package
    return replace(package, crates=tuple(sorted(crates)), dependencies=(*package.dependencies, *requirements))


def _is_version_of_crate(place: VersionSource, manifest: _CargoManifest, top: _CargoManifest) -> bool:
    """Return whether `place` is the location of a crate's version: its own, or that of its workspace if inherited.

    `manifest` is that of the crate, and `top` that of the workspace.
    """
    holder, keys = (top, ("workspace", *_VERSION_KEY)) if manifest.inherits_version else (manifest, _VERSION_KEY)
    is_same_text = table_at(holder.document, *keys[:-1]).get("version") == place.text
    return holder.file == place.file and (place.key == keys or (place.kind == "pattern" and is_same_text))


def _read_manifest(file: str, root: Path) -> _CargoManifest | None:
    """Return the manifest at a path relative to the root; None if it does not exist or is outside the project."""
    file = posixpath.normpath(file)
    if file.startswith(("../", "/")) or not (root / file).is_file():
        return None
    return _CargoManifest(file, pyproject.read_toml(root, file))


def _find_workspace_manifest(manifest: _CargoManifest, root: Path) -> _CargoManifest | None:
    """Return the manifest of a crate's workspace: its own, the one it names, the nearest one above it, or None."""
    if "workspace" in manifest.document:
        return manifest
    workspace = table_at(manifest.document, "package").get("workspace")
    if isinstance(workspace, str):
        return _read_manifest(posixpath.join(manifest.directory, workspace, CARGO), root)
    directory = manifest.directory
    while directory:
        directory = posixpath.dirname(directory)
        parent = _read_manifest(posixpath.join(directory, CARGO), root)
        if (
            parent is not None
            and "workspace" in parent.document
            and not _excludes_directory(parent, manifest.directory)
        ):
            return parent
    return None


def _excludes_directory(workspace: _CargoManifest, directory: str) -> bool:
    """Return whether a workspace excludes a directory (relative to the root), and does not list it as a member."""
    return workspace.lists_directory(directory, "exclude") and not workspace.lists_directory(directory, "members")


def _read_workspace_manifests(file: str, root: Path) -> list[_CargoManifest]:
    """Return the manifests in the Cargo workspace of a crate, first that of the workspace, then those of members.

    `file` is the crate's manifest, relative to the root. Members are listed by the workspace, or are path
    dependencies of members below its directory. Without a workspace, `file` is the only manifest; the result is
    empty if it does not exist.
    """
    manifest = _read_manifest(file, root)
    top = manifest and (_find_workspace_manifest(manifest, root) or manifest)
    if top is None:
        return []
    files = [top.file, file]
    for members in strings_in(table_at(top.document, "workspace").get("members")):
        pattern = posixpath.join(glob.escape(top.directory), members.strip("/"), CARGO)
        files += sorted(glob.glob(pattern, root_dir=root, recursive=True, include_hidden=True))  # noqa: PTH207 - "." as well
    manifests: dict[str, _CargoManifest] = {}
    for name in files:  # which grows
        member = _read_manifest(name, root)
        if member is None or member.file in manifests or _excludes_directory(top, member.directory):
            continue
        manifests[member.file] = member
        paths = [entry["path"] for _, _, entry in member.dependencies() if isinstance(entry.get("path"), str)]
        below = f"{top.directory}/" if top.directory else ""
        targets = (posixpath.normpath(posixpath.join(member.directory, path, CARGO)) for path in paths)
        files += (target for target in targets if target.startswith(below))
    return list(manifests.values())
