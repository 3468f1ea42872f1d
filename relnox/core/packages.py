"""What a package is: its name, where its version lives, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["Dependency", "DependencyTable", "Package", "SourceKind", "VersionSource"]

SourceKind = Literal["project", "poetry", "attribute", "pattern", "text", "dynamic"]

DependencyTable = Literal["runtime", "extra", "group", "build"]
"""Where a requirement stands: `runtime` is installed always, `extra` when asked for, `group` never by an
installer, `build` is needed to make the package's own archives."""


@dataclass(frozen=True, kw_only=True)
class VersionSource:
    """Where a package's version lives and how it is spelled there.

    Attributes:
        kind: `project` for `[project].version`, `poetry` for `[tool.poetry].version`; in another file that
            pyproject.toml names, `attribute` for a name that Python assigns, `pattern` for what a regular
            expression finds, `text` for the whole file; `dynamic` for a version that only the build backend
            can work out (PEP 621 `dynamic`).
        file: Path of the file, POSIX, relative to the workspace root.
        key: Keys that lead to the value in a TOML file; the name, or the expression; else empty.
        text: The version exactly as written there; for `dynamic` the name of what provides it.
    """

    kind: SourceKind
    file: str
    key: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Dependency:
    """One requirement as a package's pyproject.toml states it.

    Attributes:
        name: Normalised name (PEP 503) of what is required.
        text: The requirement as written: a PEP 508 string, or a Poetry constraint.
        table: Which kind of need it is.
        key: Keys and list positions that lead to the string in the file; empty where it is not a string of
            its own and cannot be rewritten.
        poetry: Whether `text` is a Poetry constraint without the name.
    """

    name: str
    text: str
    table: DependencyTable
    key: tuple[str | int, ...] = ()
    poetry: bool = False


@dataclass(frozen=True, kw_only=True)
class Package:
    """A distribution that can be built from a folder of the workspace.

    Attributes:
        name: Normalised name (PEP 503).
        folder: POSIX path relative to the workspace root, `.` for the root itself.
        version: The version, or None where only the build backend knows it.
        source: Where the version lives.
        backend: The PEP 517 build backend, as written or by its default (PEP 518).
        dependencies: Every requirement of the package, in the order of the file.
        private: Whether a `Private ::` classifier keeps it off every index.
    """

    name: str
    folder: str
    version: Version | None
    source: VersionSource
    backend: str
    dependencies: tuple[Dependency, ...] = ()
    private: bool = False

    @property
    def pyproject(self) -> str:
        """Path of the package's pyproject.toml, POSIX, relative to the workspace root."""
        return "pyproject.toml" if self.folder == "." else f"{self.folder}/pyproject.toml"

    @property
    def folder_name(self) -> str:
        """Last part of the folder, by which people also call the package."""
        return self.folder.rsplit("/", 1)[-1]

    def needs(self, *tables: DependencyTable) -> frozenset[str]:
        """Names required in any of these tables, the package's own name (a self-referring extra) left out."""
        return frozenset(need.name for need in self.dependencies if need.table in tables) - {self.name}
