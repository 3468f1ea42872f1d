"""Find versions that are written down besides the known places: literals in a package's own modules, and mentions.

A literal is a string that a module assigns to `__version__` or `VERSION` at its top level. One that equals the
package's version moves along; one that lags behind is a place that does not agree. Everything else that names the
version (documentation, requirement files, settings of other tools) is a mention.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import InvalidVersion, Version

from relnox.core import version_locations
from relnox.core.packages import VersionSource
from relnox.core.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from relnox.core.config import Config
    from relnox.core.packages import Package
    from relnox.core.workspace import Workspace
    from relnox.source.git import Git

__all__ = ["Literals", "find", "import_path"]

_LITERAL = r"^_*(version|VERSION|Version)_*[ ]*[:=]"
_TUPLE = r"^_*(version|VERSION)_(info|INFO)_*[^=]*="
_VERSION_FILES = ("__init__.py", "__about__.py", "__version__.py", "_version.py", "about.py", "version.py")
_SOURCE_FOLDERS = ("lib", "python", "src")
_NOT_OWN = frozenset(
    {
        *("_vendor", "benchmarks", "build", "dist", "doc", "docs", "example", "examples", "node_modules"),
        *("scripts", "templates", "test", "tests", "third_party", "tools", "vendor", "vendored"),
    }
)
"""Folders whose modules are not the package's own."""
_HISTORIES = ("changelog", "changes", "history", "news", "release_notes", "releases")
"""Beginnings of the names of files that tell of every version."""
_LOCKS = ("*.lock", "*-lock.json", "*.svg", "*.min.js", "*.map")


class Literals(NamedTuple):
    """What was found.

    Attributes:
        workspace: The packages, literals among their locations.
        locations: The literals.
        mentions: By package: further files that name its version.
    """

    workspace: Workspace
    locations: tuple[VersionSource, ...] = ()
    mentions: Mapping[str, tuple[str, ...]] = {}


def find(git: Git | None, workspace: Workspace, config: Config, root: Path) -> Literals:
    """Look through all tracked files at once; outside git through the modules that usually hold a version.

    Args:
        git: The checkout, if there is one.
        workspace: The packages.
        config: The project's settings.
        root: The project's folder.
    """
    stated = [package for package in workspace.packages if package.source.in_file and package.version is not None]
    if not stated:
        return Literals(workspace)
    known = {place.file for package in workspace.packages for place in package.locations}
    no_places = {place.file for place in config.version_files}
    lines = list(_lines(git, stated) if git is not None else _usual_lines(root, stated))
    owners = {package.folder: package for package in workspace.packages}
    modules: dict[str, Package] = {}
    for file, line in lines if config.version_literals else ():
        if file.endswith(".py") and file not in no_places and file not in modules and re.match(_LITERAL, line):
            owner = _owner(file, owners)
            if owner in stated:
                modules[file] = owner
    found: dict[str, list[VersionSource]] = {}
    for file, package in modules.items():
        for place in _literals(root, file, package):
            found.setdefault(package.name, []).append(place)
    known |= no_places | {place.file for places_ in found.values() for place in places_}
    changed = tuple(
        replace(package, other_locations=(*package.other_locations, *found[package.name]))
        if package.name in found
        else package
        for package in workspace.packages
    )
    return Literals(
        replace(workspace, packages=changed) if found else workspace,
        tuple(place for places_ in found.values() for place in places_),
        _mentions(((file, line) for file, line in lines if file not in known), stated, owners, config),
    )


def _lines(git: Git, packages: Iterable[Package]) -> Iterator[tuple[str, str]]:
    texts = sorted({re.escape(text) for package in packages for text in _texts(package)})
    versions = [f"({'|'.join(texts)})"] if texts else []
    return git.grep([_LITERAL, _TUPLE, *versions], _LOCKS)


def _usual_lines(root: Path, packages: Iterable[Package]) -> Iterator[tuple[str, str]]:
    """Lines of the modules that usually hold a version."""
    for package in packages:
        folder = root / package.folder
        for top in (folder, *(folder / name for name in _SOURCE_FOLDERS)):
            for path in sorted(path for name in _VERSION_FILES for path in top.glob(f"*/{name}")):
                file = path.relative_to(root).as_posix()
                for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                    yield file, line


def _texts(package: Package) -> set[str]:
    """How the version is written; a bare number says too little to be looked for."""
    return {text for text in (package.source.text, str(package.version)) if "." in text}


def _owner(file: str, owners: Mapping[str, Package]) -> Package | None:
    """The package whose folder a file is in, the innermost one."""
    folder = posixpath.dirname(file)
    while folder and folder not in owners:
        folder = posixpath.dirname(folder)
    return owners.get(folder or ".")


# --- literals --------------------------------------------------------------------------------------


def _literals(root: Path, file: str, package: Package) -> Iterator[VersionSource]:
    """The literals of a module, unless it is not the package's own or they are another thing's version."""
    # In a file that states the version already, settings say which of its strings does.
    if import_path(root, file, package) is None or any(place.file == file for place in package.locations):
        return
    try:
        code = (root / file).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return
    name = posixpath.basename(file)
    is_top = _is_top(root, file, package)
    for attribute, text in version_locations.find_literals(code):
        version = _parsed(text)
        if version is None or not any(version.release):  # 0.0.0 is filled in by the build
            continue
        is_dunder = attribute == "__version__"
        if version == package.version:
            states = is_dunder or is_top
        else:
            states = is_top and name in _VERSION_FILES and (is_dunder or name != "__init__.py")
        if states:
            yield VersionSource(kind="attribute", file=file, key=(attribute,), text=text)


def import_path(root: Path, file: str, package: Package) -> str | None:
    """The name that a module of a package is imported by; None for a file that is no module of its own."""
    if package.folder != "." and not file.startswith(f"{package.folder}/"):
        return None
    inside = file if package.folder == "." else file[len(package.folder) + 1 :]
    in_source, parts = False, inside.split("/")
    if parts[0] in _SOURCE_FOLDERS:
        in_source, parts = True, parts[1:]
    if len(parts) == 1:
        return parts[0][:-3] if parts[0] == f"{package.name.replace('-', '_')}.py" else None
    if any(part.lower() in _NOT_OWN or part.startswith(".") for part in parts[:-1]):
        return None
    if not in_source and not (root / package.folder / parts[0] / "__init__.py").is_file():
        return None
    return ".".join(parts).removesuffix(".py").removesuffix(".__init__")


def _is_top(root: Path, file: str, package: Package) -> bool:
    """Whether no import package is around the one that a module is in; namespace folders are none."""
    folder = posixpath.dirname(posixpath.dirname(file))
    while folder and folder != package.folder:
        if (root / folder / "__init__.py").is_file():
            return False
        folder = posixpath.dirname(folder)
    return True


def _parsed(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


# --- mentions --------------------------------------------------------------------------------------


def _mentions(
    lines: Iterable[tuple[str, str]], packages: Iterable[Package], owners: Mapping[str, Package], config: Config
) -> dict[str, tuple[str, ...]]:
    """By package the files that name its version: its own, and those that name it together with its version."""
    by_text: dict[str, list[Package]] = {}
    for package in packages:
        for text in _texts(package):
            by_text.setdefault(text, []).append(package)
    together = config.versions == "lockstep" or len(owners) == 1
    versions = re.compile("|".join(map(re.escape, sorted(by_text, key=len, reverse=True))) or r"(?!)")
    found: dict[str, dict[str, None]] = {}
    for file, line in lines:
        if posixpath.basename(file).lower().startswith(_HISTORIES):
            continue
        owner = _owner(file, owners)
        for text in dict.fromkeys(_versions_in(line, versions)):
            for package in by_text[text]:
                if package is owner or (owner is None and together) or _names(line, package):
                    found.setdefault(package.name, {})[file] = None
        numbers = _tuple_in(line)
        release = owner.version.release if owner is not None and owner.version is not None else ()
        if owner is not None and numbers and numbers == release[: len(numbers)]:
            found.setdefault(owner.name, {})[file] = None
    return {name: tuple(files) for name, files in found.items()}


def _versions_in(line: str, versions: re.Pattern[str]) -> Iterator[str]:
    """The versions in a line that are no part of a longer one."""
    for match in versions.finditer(line):
        before, after = line[: match.start()], line[match.end() :]
        if not re.search(r"[0-9A-Za-z.]\Z", before.removesuffix("v")) and not re.match(
            r"[0-9A-Za-z+]|\.[0-9a-z]", after
        ):
            yield match[0]


def _tuple_in(line: str) -> tuple[int, ...]:
    found = re.search(r"=\s*\(?\s*((?:[0-9]+\s*,\s*)+[0-9]+)", line) if re.match(_TUPLE, line) else None
    return tuple(int(number) for number in found[1].split(",")) if found is not None else ()


def _names(line: str, package: Package) -> bool:
    name = re.sub("-", "[-_.]", re.escape(package.name).replace("\\-", "-"))
    return re.search(rf"(?<![\w.-]){name}(?![\w-])", line, re.IGNORECASE) is not None
