"""The packages of one checkout and what holds between them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from relnox.core import graph
from relnox.core.names import normalized
from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from relnox.core.packages import DependencyTable, Package

__all__ = ["Workspace"]


class Workspace(Record):
    """All packages of a checkout, sorted by name.

    Attributes:
        packages: The packages; names are unique.
        warnings: What discovery passed over and why, for the reader.
        lock_files: uv.lock files of the root and of packages; a bump updates the versions of packages in them.
    """

    packages: tuple[Package, ...]
    warnings: tuple[str, ...] = ()
    lock_files: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Package]:
        """The packages by normalised name."""
        return {package.name: package for package in self.packages}

    def edges(self, *tables: DependencyTable) -> dict[str, frozenset[str]]:
        """For every package the packages of this workspace that it needs in these tables."""
        needs = {package.name: package.needs(*tables) & self.by_name.keys() for package in self.packages}
        for package in self.packages:
            asked = [need for need in package.dependencies if need.table in tables and need.extras]
            more = [name for need in asked for name in self._of_extras(need.name, need.extras)]
            needs[package.name] |= frozenset(more) - {package.name}
        return needs

    def _of_extras(self, name: str, extras: Iterable[str]) -> frozenset[str]:
        """Packages of this workspace that some extras of one of them bring along."""
        waiting = {(name, extra) for extra in extras}
        seen: set[tuple[str, str]] = set()
        while waiting - seen:
            package, extra = (waiting - seen).pop()
            seen.add((package, extra))
            for need in self.by_name[package].dependencies if package in self.by_name else ():
                if need.table == "extra" and need.extra == extra:
                    waiting |= {(need.name, each) for each in need.extras}
                    waiting.add((need.name, ""))
        return frozenset(package for package, _ in waiting if package in self.by_name)

    @cached_property
    def waves(self) -> tuple[tuple[Package, ...], ...]:
        """Packages in waves: each needs, to be built and to be installed, only packages of earlier waves.

        Extras and dependency groups do not order anything: siblings may name each other there.
        """
        order = graph.waves(self.edges("runtime", "build"))
        return tuple(tuple(self.by_name[name] for name in wave) for wave in order)

    def release_order(self, among: Iterable[Package] | None = None) -> tuple[Package, ...]:
        """The packages, each after those that it needs; only those `among` when given."""
        chosen = {package.name for package in (self.packages if among is None else among)}
        return tuple(package for wave in self.waves for package in wave if package.name in chosen)

    def dependents(self, of: str) -> tuple[Package, ...]:
        """Packages that name `of` in any of their requirements."""
        every: tuple[DependencyTable, ...] = ("runtime", "extra", "group", "build")
        return tuple(package for package in self.packages if of in package.needs(*every))

    def needed_by(self, package: Package) -> frozenset[str]:
        """Names of the workspace's packages that installing `package` needs, itself left out."""
        return graph.closure([package.name], self.edges("runtime")) - {package.name}

    def select(self, names: Iterable[str]) -> tuple[Package, ...]:
        """The packages that these names mean, each a distribution's or a folder's name.

        Raises:
            Blocked: A name means no package, or more than one.
        """
        chosen: dict[str, Package] = {}
        for name in names:
            package = self._find(name)
            chosen[package.name] = package
        return tuple(package for package in self.packages if package.name in chosen)

    def _find(self, name: str) -> Package:
        if found := self.by_name.get(normalized(name)):
            return found
        folder = name.rstrip("/")  # as a shell completes it
        in_folder = [package for package in self.packages if folder in (package.folder_name, package.folder)]
        match in_folder:
            case [package]:
                return package
            case []:
                known = [*self.by_name, *(package.folder_name for package in self.packages)]
                import difflib  # only where it is needed: it is not quick to open

                close = difflib.get_close_matches(name, known, n=1)
                fix = f"did you mean {close[0]}?" if close else f"the packages are {', '.join(self.by_name)}"
                raise Blocked("todo", f"there is no package {name} in this workspace", fix=fix)
            case several:
                folders = ", ".join(package.folder for package in several)
                raise Blocked(
                    "todo",
                    f"{name} is the name of more than one folder: {folders}",
                    fix=f"name the distribution: --package {several[0].name}",
                )
