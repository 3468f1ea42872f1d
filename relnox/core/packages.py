"""What a package is: its name, where its version lives, and what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from relnox.core.names import normalized
from relnox.core.records import Record

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["Dependency", "DependencyTable", "Package", "SourceKind", "VersionSource"]

SourceKind = Literal["toml", "attribute", "pattern", "text", "json", "lock", "tags", "dynamic"]

DependencyTable = Literal["runtime", "extra", "group", "build"]
"""Where a requirement stands: `runtime` is installed always, `extra` when asked for, `group` never by an
installer, `build` is needed to make the package's own archives."""


class VersionSource(Record, kw_only=True):
    """A place where a package's version stands, and how it is spelled there.

    Attributes:
        kind: `toml` for a string of a TOML file; `attribute` for a name that Python assigns, `pattern` for what a
            regular expression finds, `text` for the whole file, `json` for a JSON file's top-level `version`,
            `lock` for lines of a lock file; `tags` for a version that is derived from git's tags, `dynamic` for
            one that only the build backend can work out (PEP 621 `dynamic`).
        file: Path of the file, POSIX, relative to the workspace root.
        key: Keys that lead to the value in a TOML file; the name; the expression; the entries of a lock; what a
            tag begins with, where the backend's settings say so; else empty.
        text: The version exactly as written there; for `tags` and `dynamic` the name of what provides it.
        lead: What stands before the version in the same string: the operator of a requirement of Cargo's.
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

    @property
    def extras(self) -> tuple[str, ...]:
        """The extras that are asked for, normalised (PEP 685)."""
        if "[" not in self.text or self.poetry:
            return ()
        inside = self.text.partition("[")[2].partition("]")[0]
        return (
            tuple(normalized(each.strip()) for each in inside.split(","))
            if self.text.index("[") < _end(self.text)
            else ()
        )

    @property
    def extra(self) -> str:
        """The extra that the requirement belongs to, normalised; empty for one of another table."""
        return normalized(str(self.key[2])) if self.table == "extra" and len(self.key) > 2 else ""  # noqa: PLR2004


class Package(Record, kw_only=True):
    """A distribution that can be built from a folder of the workspace.

    Attributes:
        name: Normalised name (PEP 503).
        folder: POSIX path relative to the workspace root, `.` for the root itself.
        version: The version, or None where no file states it.
        source: Where the version lives.
        other_locations: Further locations of the version, updated together with the source.
        backend: The PEP 517 build backend, as written or by its default (PEP 518).
        dependencies: Every requirement of the package, in the order of the file.
        private: Whether a `Private ::` classifier keeps it off every index.
        python: The Pythons it runs on, as written: `requires-python`, or Poetry's constraint; empty for any.
        classifiers: Its trove classifiers, as written.
        dynamic: Fields of its metadata that the backend works out (PEP 621); None for all of them.
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
        """Last part of the folder, by which people also call the package."""
        return self.folder.rsplit("/", 1)[-1]

    @property
    def locations(self) -> tuple[VersionSource, ...]:
        """Every location of the version in a file."""
        return tuple(location for location in (self.source, *self.other_locations) if location.in_file)

    def needs(self, *tables: DependencyTable) -> frozenset[str]:
        """Names required in any of these tables, the package's own name (a self-referring extra) left out."""
        return frozenset(need.name for need in self.dependencies if need.table in tables) - {self.name}


def _end(requirement: str) -> int:
    """Where a requirement's marker begins."""
    return (requirement.find(";") + 1 or len(requirement) + 1) - 1
