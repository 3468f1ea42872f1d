"""Versions in a package's own modules and pyproject.toml, besides the declared version files.

A literal is a string that a module assigns to `__version__` or `VERSION` at its top level. A literal that equals
the package's version is updated with it; a different one is reported as a mismatch. In pyproject.toml, the
version in a table of another release tool, such as `tool.commitizen.version`, is a literal if it equals the
package's version.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.version import Version

from relnox.core.packages import Package, VersionSource
from relnox.core.records import Record, replace
from relnox.core.settings.config import Config
from relnox.core.versions import version_locations
from relnox.core.workspace import Workspace, owning_package
from relnox.errors import Blocked
from relnox.source import pyproject
from relnox.source.git import Git
from relnox.source.python_modules import SOURCE_DIRECTORIES, full_module_name
from relnox.system.files import read_project_file

_ASSIGNMENT_PATTERN = r"^_*(version|VERSION|Version)_*[ ]*[:=]"
_MODULES_WITH_VERSION = ("__init__.py", "__about__.py", "__version__.py", "_version.py", "about.py", "version.py")
_PYPROJECT = "pyproject.toml"
_KEYS_OF_RELEASE_TOOLS = (
    *("briefcase.version", "bumpver.current_version", "bumpversion.current_version", "commitizen.version"),
    *("pixi.package.version", "pixi.project.version", "pixi.workspace.version", "poetry.version"),
    "tbump.version.current",
)
"""The keys below `tool` whose value is the version of the project."""
_VERSION_KEYS = ("version", "current_version", "current-version", "current")


class VersionLiterals(Record):
    """The versions that modules and tables of release tools contain as strings (literals).

    Attributes:
        workspace: The packages, with the literals added to their locations.
        locations: The literals alone.
        possible_locations: By package name, strings in tables of other tools that equal its version, but may mean
            something else; `workspace` does not have them.
    """

    workspace: Workspace
    locations: tuple[VersionSource, ...] = ()
    possible_locations: Mapping[str, Sequence[VersionSource]] = MappingProxyType({})


def find_version_literals(git: Git | None, workspace: Workspace, config: Config, root: Path) -> VersionLiterals:
    """Find the strings in modules and pyproject.toml files that are versions of packages.

    Outside git, only modules that usually have one are searched, such as `_version.py`. Nothing is found if
    `version-literals` is off, and for packages whose version is not in a file.
    """
    packages = [package for package in workspace.packages if package.source.is_in_file and package.version]
    if not packages or not config.version_literals:
        return VersionLiterals(workspace)
    if git is not None:
        files = [file for file, _ in git.grep(_ASSIGNMENT_PATTERN)]
    else:
        files = list(_find_usual_version_modules(root, packages))
    declared_files = {file.file for file in config.version_files}
    by_directory = {package.directory: package for package in workspace.packages}
    owners: dict[str, Package | None] = {}
    literals: dict[str, list[VersionSource]] = {}
    for file in dict.fromkeys(files):
        owner = owning_package(file, by_directory, owners)
        if file.endswith(".py") and file not in declared_files and owner in packages:
            literals.setdefault(owner.name, []).extend(_find_literals_in_module(root, file, owner))
    possible_locations: dict[str, list[VersionSource]] = {}
    packages_by_pyproject = {package.pyproject: package for package in packages}
    if (len(packages) == 1 or config.versions == "lockstep") and (root / _PYPROJECT).is_file():
        # Release tools may have the version of all packages in the root, where there may be no package.
        packages_by_pyproject.setdefault(_PYPROJECT, packages[0])
    for file, owner in packages_by_pyproject.items():
        tool = pyproject.read_toml(root, file).get("tool") if file not in declared_files else None
        for key in _find_version_keys(tool, owner, ("tool",)):
            if (file, key) != (owner.source.file, owner.source.key):
                group = literals if ".".join(key[1:]) in _KEYS_OF_RELEASE_TOOLS else possible_locations
                place = VersionSource(kind="toml", file=file, key=key, text=owner.source.text)
                group.setdefault(owner.name, []).append(place)
    with_literals = tuple(
        replace(package, other_locations=(*package.other_locations, *literals.get(package.name, ())))
        for package in workspace.packages
    )
    locations = tuple(location for of_package in literals.values() for location in of_package)
    workspace = replace(workspace, packages=with_literals) if locations else workspace
    return VersionLiterals(workspace, locations, possible_locations)


def _find_version_keys(value: Any, package: Package, key: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the path of each key such as `version` whose value in a table of tools is the package's version.

    `value` is at the path `key` of pyproject.toml. Tables of dependencies and of relnox are not searched.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            if "dependencies" not in name and name not in ("relnox", "sources"):
                yield from _find_version_keys(inner, package, (*key, name))
    elif (
        value == package.source.text
        and key[-1] in _VERSION_KEYS
        and package.version
        and any(package.version.release)
    ):
        yield key


def _find_usual_version_modules(root: Path, packages: Iterable[Package]) -> Iterator[str]:
    """Yield the paths, relative to the root, of modules that often contain a version, such as `_version.py`."""
    for package in packages:
        directory = root / package.directory
        for top in (directory, *(directory / name for name in SOURCE_DIRECTORIES)):
            for path in sorted(path for name in _MODULES_WITH_VERSION for path in top.glob(f"*/{name}")):
                yield path.relative_to(root).as_posix()


def _find_literals_in_module(root: Path, file: str, package: Package) -> Iterator[VersionSource]:
    """Yield the places of strings in a module, such as `__version__`, that are or seem its package's version.

    Nothing is found in files that are already in `package.locations`.
    """
    # In a file that is a location already, the settings decide which of its strings is the version.
    if full_module_name(root, file, package) is None or any(
        location.file == file for location in package.locations
    ):
        return
    try:
        code = read_project_file(root, file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, Blocked):
        return
    name = posixpath.basename(file)
    is_top_level = _is_in_top_level_package(root, file, package)
    for attribute, text in version_locations.version_literals_in(code):
        try:
            version = Version(text)
        except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
            continue
        if not any(version.release):  # 0.0.0 is replaced by the build
            continue
        is_dunder = attribute == "__version__"
        if version == package.version:
            is_location = is_dunder or is_top_level
        else:
            is_location = is_top_level and name in _MODULES_WITH_VERSION and (is_dunder or name != "__init__.py")
        if is_location:
            yield VersionSource(kind="attribute", file=file, key=(attribute,), text=text)


def _is_in_top_level_package(root: Path, file: str, package: Package) -> bool:
    """Return whether a module is in a top-level import package; a namespace package's child counts as one."""
    directory = posixpath.dirname(posixpath.dirname(file))
    while directory and directory != package.directory:
        if (root / directory / "__init__.py").is_file():
            return False
        directory = posixpath.dirname(directory)
    return True
