"""The packages of a project and the dependencies between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TypeVar

from relnox.core import graph
from relnox.core.packages import DependencyTable, Package, normalize_name
from relnox.core.records import Record
from relnox.core.text import suggest_name
from relnox.errors import Blocked

T = TypeVar("T")
LOCK_FILES = ("uv.lock", "poetry.lock", "pdm.lock")
"""Generated files. A commit that changes no other file of a package does not count as a change to the package."""


class Workspace(Record):
    """All packages of a project, sorted by name.

    Attributes:
        packages: The packages, whose names are unique.
        warnings: Messages about what discovery skipped, and why.
        lock_files: The lock files of uv, Cargo and npm that a bump updates, as POSIX paths relative to the root.
    """

    packages: tuple[Package, ...]
    warnings: tuple[str, ...] = ()
    lock_files: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Package]:
        """The packages by normalized name."""
        return {package.name: package for package in self.packages}

    def dependency_edges(self, *tables: DependencyTable) -> dict[str, frozenset[str]]:
        """Map the name of each package to those of the workspace packages that it requires in these tables.

        If a requirement there has extras, as in `acme[cli]`, what these extras require is included.
        """
        needs = {package.name: package.required_names(*tables) & self.by_name.keys() for package in self.packages}
        for package in self.packages:
            with_extras = [
                dependency
                for dependency in package.dependencies
                if dependency.table in tables and dependency.extras
            ]
            names = [
                name
                for dependency in with_extras
                for name in self._dependencies_of_extras(dependency.name, dependency.extras)
            ]
            needs[package.name] |= frozenset(names) - {package.name}
        return needs

    def _dependencies_of_extras(self, name: str, extras: Iterable[str]) -> frozenset[str]:
        """Return the workspace packages that extras of a package require, including through further extras."""
        needed = graph.reachable_names([(name, extra) for extra in extras], self._requirements_by_extra)
        return frozenset(package for package, _ in needed if package in self.by_name)

    @cached_property
    def _requirements_by_extra(self) -> Mapping[tuple[str, str], set[tuple[str, str]]]:
        """Maps a package and an extra of it to what that requires: pairs of package and extra, "" for none."""
        edges: dict[tuple[str, str], set[tuple[str, str]]] = {}
        for package in self.packages:
            for need in package.dependencies:
                if need.table == "extra":
                    needed = ((need.name, extra) for extra in ("", *need.extras))
                    edges.setdefault((package.name, need.extra), set()).update(needed)
        return edges

    @cached_property
    def waves(self) -> tuple[tuple[Package, ...], ...]:
        """The packages in waves: each can be built and installed with only the packages of earlier waves.

        Requirements in dependency groups, and in extras that no package requests, are ignored, since packages may
        require each other there.

        Raises:
            Blocked: Requirements at run time and to build form a cycle.
        """
        order = graph.sort_into_waves(self.dependency_edges("runtime", "build"))
        return tuple(tuple(self.by_name[name] for name in wave) for wave in order)

    def release_order(self, among: Iterable[Package] | None = None) -> tuple[Package, ...]:
        """Return the packages in `among`, by default all, in the order of `waves`: each follows those it needs."""
        names = {package.name for package in (self.packages if among is None else among)}
        return tuple(package for wave in self.waves for package in wave if package.name in names)

    def dependents(self, name: str) -> tuple[Package, ...]:
        """Return the packages that require this one directly: at run time, in extras or groups, or to build."""
        tables: tuple[DependencyTable, ...] = ("runtime", "extra", "group", "build")
        return tuple(package for package in self.packages if name in package.required_names(*tables))

    def runtime_dependencies(self, package: Package) -> frozenset[str]:
        """Return the names of the workspace packages that a package needs at run time, directly or indirectly."""
        return graph.reachable_names([package.name], self.dependency_edges("runtime")) - {package.name}

    def select(self, names: Iterable[str]) -> tuple[Package, ...]:
        """Return the packages with these names of distributions or directories, in the order of `packages`.

        Raises:
            Blocked: A name matches no package, or several packages.
        """
        selected_names = {self._find_by_name_or_directory(name).name for name in names}
        return tuple(package for package in self.packages if package.name in selected_names)

    def _find_by_name_or_directory(self, name: str) -> Package:
        """Return the only package whose distribution or directory has this name, or raise `Blocked`."""
        if package := self.by_name.get(normalize_name(name)):
            return package
        directory = name.rstrip("/")  # shell completion adds a slash
        in_directory = [
            package for package in self.packages if directory in (package.directory_name, package.directory)
        ]
        match in_directory:
            case [package]:
                return package
            case []:
                names = [*self.by_name, *(package.directory_name for package in self.packages)]
                fix = suggest_name(name, names, f"choose one of {', '.join(self.by_name)}")
                raise Blocked("package-unknown", f"no package {name} in this workspace", fix=fix)
            case packages:
                directories = ", ".join(package.directory for package in packages)
                raise Blocked(
                    "package-unknown",
                    f"{name} is the name of several directories: {directories}",
                    fix=f"use the name of the distribution: --package {packages[0].name}",
                )


def owning_package(file: str, owners: Mapping[str, T], cache: dict[str, T | None]) -> T | None:
    """Return the package whose directory contains a file, or None; the innermost one if directories are nested.

    `file` is a POSIX path relative to the root. `owners` maps the directories of packages, `.` for the root, to
    the packages or their names; the result is one of these values. `cache` is filled with results by directory:
    pass the same dict at each call with the same `owners`.
    """
    directory = file.rpartition("/")[0]
    if directory not in cache:
        package_directory = directory
        while package_directory and package_directory not in owners:
            package_directory = package_directory.rpartition("/")[0]
        cache[directory] = owners.get(package_directory or ".")
    return cache[directory]
