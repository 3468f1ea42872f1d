"""Find versions outside the declared version files: literals in a package's own modules, and mentions.

A literal is a string that a module assigns to `__version__` or `VERSION` at its top level. A literal that equals
the package's version is updated with it; a different one is reported as a mismatch. Any other file that contains
the version (documentation, requirement files, settings of other tools) is a mention.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from relnox.core.packages import VersionSource
from relnox.core.records import Record, replace
from relnox.core.versions import version_locations
from relnox.errors import Blocked
from relnox.system.files import read_project_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config
    from relnox.core.workspace import Workspace
    from relnox.source.git import Git

_ASSIGNMENT_PATTERN = r"^_*(version|VERSION|Version)_*[ ]*[:=]"
_TUPLE_PATTERN = r"^_*(version|VERSION)_(info|INFO)_*[^=]*="
_VERSION_FILES = ("__init__.py", "__about__.py", "__version__.py", "_version.py", "about.py", "version.py")
_SOURCE_DIRECTORIES = ("lib", "python", "src")
_FOREIGN_DIRECTORIES = frozenset(
    {
        *("_vendor", "benchmarks", "build", "dist", "doc", "docs", "example", "examples", "node_modules"),
        *("scripts", "templates", "test", "tests", "third_party", "tools", "vendor", "vendored"),
    }
)
"""Names of directories whose modules do not belong to a package."""
_CHANGELOGS = ("changelog", "changes", "history", "news", "release_notes", "releases")
"""Prefixes of the names of changelogs, which list all versions."""
_GENERATED_FILES = ("*.lock", "*-lock.json", "*.svg", "*.min.js", "*.map")


class VersionLiterals(Record):
    """Literals and mentions of the packages' versions.

    Attributes:
        workspace: The packages, with the literals added to their locations.
        locations: The literals.
        mentions: Maps each package name to the other files that contain the package's version.
    """

    workspace: Workspace
    locations: tuple[VersionSource, ...] = ()
    mentions: Mapping[str, tuple[str, ...]] = {}


def find_version_literals(git: Git | None, workspace: Workspace, config: Config, root: Path) -> VersionLiterals:
    """Search tracked files for versions of the packages; outside git, only modules that usually contain one."""
    packages = _packages_with_version_in_file(workspace)
    if not packages:
        return VersionLiterals(workspace)
    location_files = {location.file for package in workspace.packages for location in package.locations}
    declared_files = {file.file for file in config.version_files}
    if git is not None:
        lines = list(git.grep(_search_expressions(packages), _GENERATED_FILES))
    else:
        lines = list(_lines_of_usual_modules(root, packages))
    owners = {package.directory: package for package in workspace.packages}
    modules: dict[str, Package] = {}
    for file, line in lines if config.version_literals else ():
        is_module = file.endswith(".py") and file not in declared_files and file not in modules
        if is_module and re.match(_ASSIGNMENT_PATTERN, line):
            owner = _owning_package(file, owners)
            if owner in packages:
                modules[file] = owner
    literals: dict[str, list[VersionSource]] = {}
    for file, package in modules.items():
        for location in _literals_of_module(root, file, package):
            literals.setdefault(package.name, []).append(location)
    locations = tuple(location for of_package in literals.values() for location in of_package)
    not_mentions = location_files | declared_files | {location.file for location in locations}
    with_literals = tuple(
        replace(package, other_locations=(*package.other_locations, *literals.get(package.name, ())))
        for package in workspace.packages
    )
    other_lines = ((file, line) for file, line in lines if file not in not_mentions)
    mentions = _find_mentions(other_lines, packages, owners, config)
    return VersionLiterals(
        replace(workspace, packages=with_literals) if literals else workspace, locations, mentions
    )


def _packages_with_version_in_file(workspace: Workspace) -> list[Package]:
    return [package for package in workspace.packages if package.source.is_in_file and package.version is not None]


def _search_expressions(packages: Iterable[Package]) -> list[str]:
    """Return the expressions that match lines with a literal or a package's version."""
    texts = sorted({re.escape(text) for package in packages for text in _version_texts(package)})
    versions = [f"({'|'.join(texts)})"] if texts else []
    return [_ASSIGNMENT_PATTERN, _TUPLE_PATTERN, *versions]


def _lines_of_usual_modules(root: Path, packages: Iterable[Package]) -> Iterator[tuple[str, str]]:
    """Yield the file and text of each line in modules that usually contain a version."""
    for package in packages:
        directory = root / package.directory
        for top in (directory, *(directory / name for name in _SOURCE_DIRECTORIES)):
            for path in sorted(path for name in _VERSION_FILES for path in top.glob(f"*/{name}")):
                file = path.relative_to(root).as_posix()
                for line in read_project_file(root, file).decode(errors="replace").splitlines():
                    yield file, line


def _version_texts(package: Package) -> set[str]:
    """Return the forms of a package's version to search for, except bare numbers, which match too much."""
    return {text for text in (package.source.text, str(package.version)) if "." in text}


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


def _find_mentions(
    lines: Iterable[tuple[str, str]], packages: Iterable[Package], owners: Mapping[str, Package], config: Config
) -> dict[str, tuple[str, ...]]:
    """Map each package to the files that contain its version: its own files, and lines that also have its name."""
    by_text: dict[str, list[Package]] = {}
    for package in packages:
        for text in _version_texts(package):
            by_text.setdefault(text, []).append(package)
    has_one_version = config.versions == "lockstep" or len(owners) == 1
    versions = re.compile("|".join(map(re.escape, sorted(by_text, key=len, reverse=True))) or r"(?!)")
    files: dict[str, dict[str, None]] = {}
    for file, line in lines:
        if posixpath.basename(file).lower().startswith(_CHANGELOGS):
            continue
        owner = _owning_package(file, owners)
        for text in dict.fromkeys(_versions_in(line, versions)):
            for package in by_text[text]:
                if package is owner or (owner is None and has_one_version) or _names_package(line, package):
                    files.setdefault(package.name, {})[file] = None
        numbers = _find_tuple(line)
        release = owner.version.release if owner is not None and owner.version is not None else ()
        if owner is not None and numbers and numbers == release[: len(numbers)]:
            files.setdefault(owner.name, {})[file] = None
    return {name: tuple(names) for name, names in files.items()}


def _versions_in(line: str, versions: re.Pattern[str]) -> Iterator[str]:
    """Yield the versions in a line, except those that are part of a longer version or word."""
    for match in versions.finditer(line):
        before, after = line[: match.start()], line[match.end() :]
        if not re.search(r"[0-9A-Za-z.]\Z", before.removesuffix("v")) and not re.match(
            r"[0-9A-Za-z+]|\.[0-9a-z]", after
        ):
            yield match[0]


def _find_tuple(line: str) -> tuple[int, ...]:
    numbers = re.search(r"=\s*\(?\s*((?:[0-9]+\s*,\s*)+[0-9]+)", line) if re.match(_TUPLE_PATTERN, line) else None
    return tuple(int(number) for number in numbers[1].split(",")) if numbers is not None else ()


def _names_package(line: str, package: Package) -> bool:
    name = re.sub("-", "[-_.]", re.escape(package.name).replace("\\-", "-"))
    return re.search(rf"(?<![\w.-]){name}(?![\w-])", line, re.IGNORECASE) is not None
