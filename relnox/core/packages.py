"""Packages: their names, the locations of their versions, and their requirements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relnox.core.names import normalized
from relnox.core.records import Record

if TYPE_CHECKING:
    from packaging.version import Version

SourceKind = Literal["toml", "attribute", "pattern", "text", "json", "lock", "tags", "dynamic"]

DependencyTable = Literal["runtime", "extra", "group", "build"]
"""Where a requirement is declared: `runtime` is always installed, `extra` with that extra, `group` never with the
package, `build` is needed to build its archives."""


class VersionSource(Record, kw_only=True):
    """A location of a package's version, and its spelling there.

    Attributes:
        kind: `toml` for a string in a TOML file; `attribute` for a name assigned in Python, `pattern` for the
            match of a regular expression, `text` for the whole file, `json` for the top-level `version` of a JSON
            file, `lock` for lines of a lock file; `tags` for a version derived from git tags, `dynamic` for one
            that only the build backend can compute (PEP 621 `dynamic`).
        file: Path of the file, POSIX, relative to the workspace root.
        key: Keys of the value in a TOML file; the attribute's name; the expression; the entries of a lock file;
            the prefix of tags if the backend's settings have one; else empty.
        text: The version exactly as written there; for `tags` and `dynamic` the name of its provider.
        lead: Text before the version in the same string: the operator of a requirement in Cargo.toml.
        semver: Whether the version is spelled as SemVer there, as in Cargo.toml and package.json.
        count: How often a pattern must match.
    """

    kind: SourceKind
    file: str
    key: tuple[str | int, ...] = ()
    text: str = ""
    lead: str = ""
    semver: bool = False
    count: int = 1

    @property
    def in_file(self) -> bool:
        """Whether the version is written in a file."""
        return self.kind not in ("tags", "dynamic")


class Dependency(Record, kw_only=True):
    """A requirement in a package's pyproject.toml.

    Attributes:
        name: Normalized name (PEP 503) of the required distribution.
        text: The requirement as written: a PEP 508 string, or a Poetry constraint.
        table: Where it is declared.
        key: Keys and list positions of the string in the file; empty if it is not a separate string and cannot be
            rewritten.
        poetry: Whether `text` is a Poetry constraint without the name.
    """

    name: str
    text: str
    table: DependencyTable
    key: tuple[str | int, ...] = ()
    poetry: bool = False

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras of the required distribution, normalized (PEP 685)."""
        requirement = self.text.partition(";")[0]
        if "[" not in requirement or self.poetry:
            return ()
        names = requirement.partition("[")[2].partition("]")[0]
        return tuple(normalized(name.strip()) for name in names.split(","))

    @property
    def extra(self) -> str:
        """The extra that the requirement belongs to, normalized; empty in other tables."""
        return normalized(str(self.key[2])) if self.table == "extra" and len(self.key) > 2 else ""  # noqa: PLR2004


class Package(Record, kw_only=True):
    """A distribution that can be built from a folder of the workspace.

    Attributes:
        name: Normalized name (PEP 503).
        folder: POSIX path relative to the workspace root, `.` for the root itself.
        version: The version, or None if it is in no file.
        source: Where the backend reads the version.
        other_locations: Further locations of the version, updated together with the source.
        backend: The PEP 517 build backend, as written or by its default (PEP 518).
        dependencies: Every requirement of the package, in the order of the file.
        private: Whether a `Private ::` classifier prevents its upload to any index.
        python: The supported Python versions, as written: `requires-python`, or Poetry's constraint; may be empty.
        classifiers: Its trove classifiers, as written.
        dynamic: Fields of its metadata that the backend computes (PEP 621); None for all of them.
    """

    name: str
    folder: str
    version: Version | None
    source: VersionSource
    backend: str
    dependencies: tuple[Dependency, ...] = ()
    other_locations: tuple[VersionSource, ...] = ()
    private: bool = False
    python: str = ""
    classifiers: tuple[str, ...] = ()
    dynamic: tuple[str, ...] | None = ()

    @property
    def pyproject(self) -> str:
        """Path of the package's pyproject.toml, POSIX, relative to the workspace root."""
        return "pyproject.toml" if self.folder == "." else f"{self.folder}/pyproject.toml"

    @property
    def folder_name(self) -> str:
        """Last part of the folder, which users may pass instead of the name."""
        return self.folder.rsplit("/", 1)[-1]

    @property
    def locations(self) -> tuple[VersionSource, ...]:
        """Every location of the version in a file."""
        return tuple(location for location in (self.source, *self.other_locations) if location.in_file)

    def needs(self, *tables: DependencyTable) -> frozenset[str]:
        """Return the names required in any of these tables, without the package's own (a self-referring extra)."""
        return frozenset(need.name for need in self.dependencies if need.table in tables) - {self.name}
