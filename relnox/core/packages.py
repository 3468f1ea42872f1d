"""Packages: their names in normal form (PEP 503), the locations of their versions, and their requirements.

A requirement is parsed by `packaging` only when it changes, since that is slow.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Literal

from packaging.version import Version

from relnox.core.records import Record

_SEPARATORS = re.compile(r"[-_.]+")
_VALID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_REQUIREMENT = re.compile(rf"\s*({_VALID.pattern})\s*(?:\Z|[\[(<>=!~;@])")


def normalize_name(name: str) -> str:
    """Return a name in its normal form (PEP 503, "Normalized Names")."""
    return _SEPARATORS.sub("-", name).lower()


def is_valid_name(name: str) -> bool:
    """Return whether a name is a valid name of a distribution (PEP 508, "Names")."""
    return _VALID.fullmatch(name) is not None


@cache
def requirement_name(text: str) -> str | None:
    """Return the normalized name at the start of a requirement.

    Return None if the requirement is invalid (PEP 508) or contains a placeholder in braces.
    """
    match = _REQUIREMENT.match(text)
    return normalize_name(match[1]) if match is not None and "{" not in text else None


SourceKind = Literal["toml", "attribute", "pattern", "text", "json", "tags", "dynamic"]

DependencyTable = Literal["runtime", "extra", "group", "build", "tool"]
"""The kind of table that declares a requirement.

- `runtime`: installed with the package.
- `extra`: installed with the package if that extra is requested.
- `group`: a dependency group, which is never installed with the package.
- `build`: needed to build the package's archives.
- `tool`: of another tool, such as a test environment, or of Cargo.
"""

Syntax = Literal["pep508", "poetry", "cargo"]
"""How a requirement is written; in Poetry's and Cargo's syntax, it does not contain the name."""


class VersionSource(Record, kw_only=True):
    """A place that has a package's version: text in a file, git tags, or the build backend.

    Attributes:
        kind: How the version is found. In a file: `toml` (a string in TOML), `attribute` (a string assigned to a
            name in Python), `pattern` (the match of a regular expression), `text` (the whole file) or `json` (a
            string in JSON). Otherwise: `tags` (derived from git tags) or `dynamic` (only the build backend can
            compute it; PEP 621 `dynamic`).
        file: The POSIX path of the file, relative to the workspace root; for `tags` and `dynamic`, pyproject.toml.
        key: Depends on the kind. `toml`: the keys that lead to the string; `json`: the same, or empty for the
            top-level `version`; `attribute`: the name; `pattern`: the regular expression; `tags`: the tag prefix
            that the backend's settings require, if any. Otherwise empty.
        text: The version exactly as written in the file; for `tags` and `dynamic`, what provides the version.
        semver: Whether the version is written in SemVer's form, as in Cargo.toml and package.json.
        count: The number of matches that a `pattern` must have.
        length: How many numbers of a release are written there: 2 for the 1.4 of 1.4.2, but 0 for all of them.
    """

    kind: SourceKind
    file: str
    key: tuple[str | int, ...] = ()
    text: str = ""
    semver: bool = False
    count: int = 1
    length: int = 0

    @property
    def is_in_file(self) -> bool:
        """Whether the version is written in a file."""
        return self.kind not in ("tags", "dynamic")


class Dependency(Record, kw_only=True):
    """A requirement in a package's pyproject.toml, or in a Cargo.toml on one of its crates.

    Attributes:
        name: Normalized name (PEP 503) of the required distribution.
        text: The requirement as written: a PEP 508 string, or a constraint in another syntax.
        table: The kind of table that declares it.
        key: The keys and list indexes that lead to the string in the file; empty if the requirement is not a
            string of its own, and thus cannot be rewritten.
        syntax: How `text` is written; in Poetry's and Cargo's syntax, it does not contain the name.
        file: The POSIX path of the file, relative to the workspace root; empty for the package's pyproject.toml.
    """

    name: str
    text: str
    table: DependencyTable
    key: tuple[str | int, ...] = ()
    syntax: Syntax = "pep508"
    file: str = ""

    @property
    def extras(self) -> tuple[str, ...]:
        """The normalized extras that are requested, such as `toml` in `coverage[toml]`; only in PEP 508 syntax."""
        requirement = self.text.partition(";")[0]
        if "[" not in requirement or self.syntax != "pep508":
            return ()
        names = requirement.partition("[")[2].partition("]")[0]
        return tuple(normalize_name(name.strip()) for name in names.split(","))

    @property
    def extra(self) -> str:
        """The normalized name of the extra that declares the requirement, or "" if it is not in an extra."""
        return normalize_name(str(self.key[2])) if self.table == "extra" and len(self.key) > 2 else ""  # noqa: PLR2004


class Package(Record, kw_only=True):
    """A distribution that can be built from a directory of the workspace.

    Attributes:
        name: Normalized name (PEP 503).
        directory: The POSIX path relative to the workspace root, or `.` for the root itself.
        version: The version, or None if no file contains it.
        source: The place from which the build backend takes the version.
        other_locations: Other places that have the version, which are updated together with `source`.
        backend: The PEP 517 build backend, or the legacy one of setuptools if pyproject.toml names none.
        dependencies: Every requirement of the package, in the order of the file.
        is_metadata_only: Whether the settings of its build backend say that it has no modules.
        finds_modules: Whether its backend looks for the modules by itself: no settings say where they are.
        is_private: Whether a `Private ::` classifier prevents its upload to any index.
        requires_python: The supported Python versions as written, in `requires-python` or Poetry's constraint;
            may be "".
        classifiers: The trove classifiers, as written.
        dynamic: The metadata fields that the backend computes (PEP 621), or None if it computes all of them.
        crates: The names of the Rust crates that have the package's version.
        extras: The normalized names of its extras, or None if the backend computes them.
    """

    name: str
    directory: str
    version: Version | None
    source: VersionSource
    backend: str
    dependencies: tuple[Dependency, ...] = ()
    other_locations: tuple[VersionSource, ...] = ()
    is_private: bool = False
    is_metadata_only: bool = False
    finds_modules: bool = False
    requires_python: str = ""
    classifiers: tuple[str, ...] = ()
    dynamic: tuple[str, ...] | None = ()
    crates: tuple[str, ...] = ()
    extras: tuple[str, ...] | None = None

    @property
    def pyproject(self) -> str:
        """The POSIX path of the package's pyproject.toml, relative to the workspace root."""
        return "pyproject.toml" if self.directory == "." else f"{self.directory}/pyproject.toml"

    @property
    def directory_name(self) -> str:
        """The last part of `directory` (`.` for the root), which users may pass instead of the package's name."""
        return self.directory.rsplit("/", 1)[-1]

    @property
    def locations(self) -> tuple[VersionSource, ...]:
        """All places in files that contain the version."""
        return tuple(location for location in (self.source, *self.other_locations) if location.is_in_file)

    def required_names(self, *tables: DependencyTable) -> frozenset[str]:
        """Return the normalized names of the distributions that these kinds of tables require.

        The package's own name, which it may require for its extras, is left out.
        """
        return frozenset(dependency.name for dependency in self.dependencies if dependency.table in tables) - {
            self.name
        }
