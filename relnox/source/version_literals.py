"""Find versions in a package's own modules, besides the declared version files.

A literal is a string that a module assigns to `__version__` or `VERSION` at its top level. A literal that equals
the package's version is updated with it; a different one is reported as a mismatch.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.version import InvalidVersion, Version

from relnox.core.packages import Package, VersionSource
from relnox.core.records import Record, replace
from relnox.core.settings.config import Config
from relnox.core.versions import version_locations
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source.git import Git
from relnox.system.files import read_project_file

_ASSIGNMENT_PATTERN = r"^_*(version|VERSION|Version)_*[ ]*[:=]"
_VERSION_FILES = ("__init__.py", "__about__.py", "__version__.py", "_version.py", "about.py", "version.py")
_SOURCE_DIRECTORIES = ("lib", "python", "src")
_FOREIGN_DIRECTORIES = frozenset(
    {
        *("_vendor", "benchmarks", "build", "dist", "doc", "docs", "example", "examples", "node_modules"),
        *("scripts", "templates", "test", "tests", "third_party", "tools", "vendor", "vendored"),
    }
)
"""Names of directories whose modules do not belong to a package."""


class VersionLiterals(Record):
    """The packages, with the literals added to their locations, and the literals alone."""

    workspace: Workspace
    locations: tuple[VersionSource, ...] = ()


def find_version_literals(git: Git | None, workspace: Workspace, config: Config, root: Path) -> VersionLiterals:
    """Search the packages' modules for literals; outside git, only modules that usually contain one."""
    packages = [package for package in workspace.packages if package.source.is_in_file and package.version]
    if not packages or not config.version_literals:
        return VersionLiterals(workspace)
    if git is not None:
        files = [file for file, _ in git.grep([_ASSIGNMENT_PATTERN])]
    else:
        files = list(_usual_modules(root, packages))
    declared_files = {file.file for file in config.version_files}
    owners = {package.directory: package for package in workspace.packages}
    literals: dict[str, list[VersionSource]] = {}
    for file in dict.fromkeys(files):
        owner = _owning_package(file, owners)
        if file.endswith(".py") and file not in declared_files and owner in packages:
            literals.setdefault(owner.name, []).extend(_literals_of_module(root, file, owner))
    with_literals = tuple(
        replace(package, other_locations=(*package.other_locations, *literals.get(package.name, ())))
        for package in workspace.packages
    )
    locations = tuple(location for of_package in literals.values() for location in of_package)
    return VersionLiterals(replace(workspace, packages=with_literals) if locations else workspace, locations)


def _usual_modules(root: Path, packages: Iterable[Package]) -> Iterator[str]:
    """Yield the modules in packages' directories that usually contain a version."""
    for package in packages:
        directory = root / package.directory
        for top in (directory, *(directory / name for name in _SOURCE_DIRECTORIES)):
            for path in sorted(path for name in _VERSION_FILES for path in top.glob(f"*/{name}")):
                yield path.relative_to(root).as_posix()


def _owning_package(file: str, owners: Mapping[str, Package]) -> Package | None:
    """Return the innermost package in whose directory a file is, or None; `owners` maps them to packages."""
    directory = posixpath.dirname(file)
    while directory and directory not in owners:
        directory = posixpath.dirname(directory)
    return owners.get(directory or ".")


def _literals_of_module(root: Path, file: str, package: Package) -> Iterator[VersionSource]:
    """Yield the literals in a package's module, except those that seem to be the version of something else."""
    # In a file that is a location already, the settings decide which of its strings is the version.
    if import_path(root, file, package) is None or any(location.file == file for location in package.locations):
        return
    try:
        code = read_project_file(root, file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, Blocked):
        return
    name = posixpath.basename(file)
    is_top_level = _is_in_top_level_package(root, file, package)
    for attribute, text in version_locations.find_literals(code):
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        if not any(version.release):  # 0.0.0 is replaced by the build
            continue
        is_dunder = attribute == "__version__"
        if version == package.version:
            is_location = is_dunder or is_top_level
        else:
            is_location = is_top_level and name in _VERSION_FILES and (is_dunder or name != "__init__.py")
        if is_location:
            yield VersionSource(kind="attribute", file=file, key=(attribute,), text=text)


def import_path(root: Path, file: str, package: Package) -> str | None:
    """Return the full name of a module by its path relative to the root, or None if it is not in the package."""
    if package.directory != "." and not file.startswith(f"{package.directory}/"):
        return None
    inside = file if package.directory == "." else file[len(package.directory) + 1 :]
    in_source, parts = False, inside.split("/")
    if parts[0] in _SOURCE_DIRECTORIES:
        in_source, parts = True, parts[1:]
    if len(parts) == 1:
        return parts[0][:-3] if parts[0] == f"{package.name.replace('-', '_')}.py" else None
    if any(part.lower() in _FOREIGN_DIRECTORIES or part.startswith(".") for part in parts[:-1]):
        return None
    if not in_source and not (root / package.directory / parts[0] / "__init__.py").is_file():
        return None
    return ".".join(parts).removesuffix(".py").removesuffix(".__init__")


def _is_in_top_level_package(root: Path, file: str, package: Package) -> bool:
    """Return whether a module is in a top-level import package; namespace packages around it are ignored."""
    directory = posixpath.dirname(posixpath.dirname(file))
    while directory and directory != package.directory:
        if (root / directory / "__init__.py").is_file():
            return False
        directory = posixpath.dirname(directory)
    return True
