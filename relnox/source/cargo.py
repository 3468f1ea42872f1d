"""The Rust side of a package: its Cargo.toml, the workspace's where the version is inherited, and Cargo.lock.

Cargo's own rules are followed: The Cargo Book, "The Manifest Format" and "Workspaces".
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, NamedTuple

from relnox.core import version_locations as texts
from relnox.core.packages import VersionSource
from relnox.source.pyproject import load, strings, table_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import Package

__all__ = ["places"]

_MANIFEST = "Cargo.toml"
_OPERATORS = "=^~ "
_TABLES = ("dependencies", "dev-dependencies", "build-dependencies")


class _Manifest(NamedTuple):
    """A Cargo.toml: its path relative to the root, and what it says."""

    file: str
    document: Mapping[str, Any]

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.file)

    @property
    def crate(self) -> str:
        return str(table_at(self.document, "package").get("name", ""))

    @property
    def inherits(self) -> bool:
        """Whether the version is the workspace's."""
        return table_at(self.document, "package", "version").get("workspace") is True


def places(package: Package, document: Mapping[str, Any], root: Path) -> Iterator[VersionSource]:
    """Where the version of a package's crate stands: its manifest, crates that ask for it, the lock; in order.

    Nothing, where there is no manifest or no version in it.

    Args:
        package: The package.
        document: Its pyproject.toml.
        root: The workspace's root.
    """
    own = table_at(document, "tool", "maturin").get("manifest-path", _MANIFEST)
    manifest = _manifest(posixpath.normpath(f"{package.folder}/{own}"), root)
    if manifest is None:
        return
    top = _workspace_of(manifest, root)
    members = [manifest, *(_members(top, manifest, root) if top is not None else ())]
    keys: tuple[str, ...]
    if manifest.inherits and top is not None:
        holder, keys, moving = top, ("workspace", "package"), [each for each in members if each.inherits]
    else:
        holder, keys, moving = manifest, ("package",), [manifest]
    text = table_at(holder.document, *keys).get("version")
    if not isinstance(text, str):
        return
    yield VersionSource(kind="toml", file=holder.file, key=(*keys, "version"), text=text, semver=True)
    crates = {each.crate for each in moving}
    for each in {each.file: each for each in [*members, *([top] if top is not None else [])]}.values():
        yield from _requirements(each, crates, text)
    lock = posixpath.join((top or manifest).folder, "Cargo.lock")
    if (root / lock).is_file():
        lines = texts.find_locked_versions((root / lock).read_text(encoding="utf-8"))
        named = tuple(sorted(name for name in crates if name in lines and lines[name].text == text))
        if named:
            yield VersionSource(kind="lock", file=lock, key=named, text=text, semver=True)


def _manifest(file: str, root: Path) -> _Manifest | None:
    """A manifest inside the project, or None."""
    if file.startswith("../") or not (root / file).is_file():
        return None
    return _Manifest(file, load(root / file))


def _workspace_of(manifest: _Manifest, root: Path) -> _Manifest | None:
    """The manifest of the workspace that a crate is in: its own, the one it names, or the next one above it."""
    if "workspace" in manifest.document:
        return manifest
    named = table_at(manifest.document, "package").get("workspace")
    if isinstance(named, str):
        return _manifest(posixpath.normpath(posixpath.join(manifest.folder, named, _MANIFEST)), root)
    folder = manifest.folder
    while folder:
        folder = posixpath.dirname(folder)
        found = _manifest(posixpath.join(folder, _MANIFEST), root)
        if found is not None and "workspace" in found.document:
            return found
    return None


def _members(top: _Manifest, besides: _Manifest, root: Path) -> Iterator[_Manifest]:
    for glob in strings(table_at(top.document, "workspace").get("members")):
        for folder in sorted((root / top.folder).glob(glob.strip("/"))):
            file = posixpath.normpath(f"{folder.relative_to(root).as_posix()}/{_MANIFEST}")
            found = _manifest(file, root) if file != besides.file else None
            if found is not None:
                yield found


def _requirements(manifest: _Manifest, crates: set[str], version: str) -> Iterator[VersionSource]:
    """Requirements on the moving crates by path that name the very version: Cargo checks them against it."""
    document = manifest.document
    for keys in (*((name,) for name in _TABLES), ("workspace", "dependencies")):
        for name, entry in table_at(document, *keys).items():
            match entry:
                case {"path": str(), "version": str(text), **more} if (
                    more.get("package", name) in crates and text.lstrip(_OPERATORS) == version
                ):
                    lead = text[: len(text) - len(version)]
                    key = (*keys, name, "version")
                    yield VersionSource(
                        kind="toml", file=manifest.file, key=key, text=version, lead=lead, semver=True
                    )
                case _:
                    continue
