"""Find the project's root and its packages.

Packages come from the first of these: the folders in `[tool.relnox] packages`, the members of a uv workspace, the
root, a search that skips test fixtures, templates and examples.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.core.settings.patterns import normalize_path
from relnox.core.settings.schema import did_you_mean
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source import pyproject, version_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config

__all__ = ["discover", "find_root", "lists_packages", "unlisted"]

_FILE = "pyproject.toml"
_LOCK = "uv.lock"
_SKIPPED = frozenset(
    {
        "__pycache__",
        "_vendor",
        "build",
        "cookiecutter",
        "dist",
        "doc",
        "docs",
        "example",
        "examples",
        "fixture",
        "fixtures",
        "node_modules",
        "samples",
        "site-packages",
        "template",
        "templates",
        "test",
        "testdata",
        "tests",
        "third_party",
        "vendor",
        "venv",
    }
)
"""Folders whose pyproject files are test data, templates or third-party code."""
_SKIPPED_SUFFIXES = tuple(
    f"{mark}{word}" for mark in "-_" for word in ("example", "examples", "template", "templates")
)
_INSTALLED = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Folders that no pattern in a project's settings is meant for."""


def find_root(start: Path, top: Path | None) -> Path:
    """Find the folder of the project that `start` is in.

    The nearest folder upwards, not above the checkout's `top`, whose pyproject.toml has `[tool.relnox]` or is a uv
    workspace; else the nearest that has a pyproject.toml; else the top of the checkout. If a checkout without
    settings has several packages, the project is the whole checkout.

    Raises:
        Blocked: There is no project here.
    """
    start = start.resolve()
    candidates = [start, *start.parents]
    if top is not None and top.resolve() in candidates:
        candidates = candidates[: candidates.index(top.resolve()) + 1]
    if os.path.lexists(start / _FILE) and not (start / _FILE).is_file():
        raise Blocked(
            "pyproject-not-a-file", f"{start / _FILE} is not a regular file", fix=f"mv {_FILE} {_FILE}.old"
        )
    with_file = [folder for folder in candidates if (folder / _FILE).is_file()]
    for folder in with_file:
        tool = pyproject.table_at(pyproject.load(folder / _FILE), "tool")
        if "relnox" in tool or "workspace" in pyproject.table_at(tool, "uv"):
            return folder
    if with_file:
        return top if top is not None and _is_one_of_several(with_file[0], top.resolve()) else with_file[0]
    if top is not None:
        return top
    raise Blocked(
        "project-not-found",
        f"no project found: no {_FILE} in {start} or its parent folders",
        fix="cd into the project's folder, or pass --project DIR",
    )


def _is_one_of_several(folder: Path, top: Path) -> bool:
    """Whether a folder is one of several packages in a checkout without settings."""
    if folder == top or not _describes_package(folder) or _describes_package(top):
        return False
    candidates = (top / name for name in _search_folders(top, (), []))
    packages = {candidate for candidate in candidates if _describes_package(candidate)}
    return folder in packages and len(packages) > 1


def _describes_package(folder: Path) -> bool:
    try:
        return (folder / _FILE).is_file() and pyproject.is_package(pyproject.load(folder / _FILE))
    except Blocked:
        return False


def unlisted(files: Sequence[str], root: Path, workspace: Workspace, config: Config) -> tuple[Package, ...]:
    """Find packages with a build system that are neither in the workspace nor excluded.

    Args:
        files: Every pyproject.toml of the checkout, relative to the root, which may be below the top.
        root: The project's folder.
        workspace: Its packages.
        config: Its settings.
    """
    document = pyproject.load(root / _FILE) if (root / _FILE).is_file() else {}
    uv = pyproject.strings(pyproject.table_at(document, "tool", "uv", "workspace").get("exclude"))
    project_folders = {package.folder for package in workspace.packages}
    packages: list[Package] = []
    for file in sorted(files, key=lambda file: file.count("/")):
        folder = posixpath.dirname(file) or "."
        parents = {folder.rsplit("/", depth)[0] for depth in range(1, folder.count("/") + 1)}
        if parents & (project_folders | {package.folder for package in packages}):
            continue  # a part of another package, such as its tests or an example
        parts = [part for part in folder.split("/") if part not in ("..", ".")]
        is_skipped = any(map(_is_skipped, parts)) or _is_excluded(folder, [*config.exclude, *uv])
        if folder in project_folders or is_skipped:
            continue
        try:
            document = pyproject.load(root / file)
            if "build-system" in document and pyproject.is_package(document):
                packages.append(pyproject.parse_package(document, folder))
        except Blocked:  # an error only for packages of the project
            continue
    return tuple(packages)


def lists_packages(root: Path, config: Config) -> bool:
    """Whether the settings, or those of a uv workspace, list the packages."""
    document = pyproject.load(root / _FILE) if (root / _FILE).is_file() else {}
    return bool(config.packages) or "workspace" in pyproject.table_at(document, "tool", "uv")


def discover(root: Path, config: Config, ignored: Callable[[Iterable[str]], set[str]] | None = None) -> Workspace:
    """Find all packages of a project.

    Args:
        root: The project's folder.
        config: Its settings.
        ignored: Picks the paths that git ignores.

    Raises:
        Blocked: There is no package, two have the same name, a listed one cannot be read, or a pattern matches
            nothing.
    """
    _check_exclude(root, config.exclude, ignored)
    document = pyproject.load(root / _FILE) if (root / _FILE).is_file() else {}
    uv = pyproject.table_at(document, "tool", "uv")
    warnings: list[str] = []
    if config.packages:
        folders = _match_folders(root, config.packages, config.exclude, "[tool.relnox] packages")
        packages = _read_packages(root, folders, warnings)
    elif "workspace" in uv:
        globs, exclude = (
            pyproject.strings(pyproject.table_at(uv, "workspace").get(key)) for key in ("members", "exclude")
        )
        members = _match_folders(root, globs, [*exclude, *config.exclude], None)
        if _is_released_root(document, warnings):
            members = ["."] + [folder for folder in members if folder != "."]
        packages = _read_packages(root, members, warnings)
    elif pyproject.is_package(document):
        packages = [_parse_package(root, document, ".")]
    else:
        packages = list(_search_packages(root, config.exclude, warnings))
    if not packages:
        raise Blocked(
            "packages-missing",
            f"no package found in {root}",
            fix='add [project] to pyproject.toml, or list folders: [tool.relnox] packages = ["libs/*"]',
        )
    if config.version_files:
        packages = version_files.add_declared(packages, config, root)
    packages.sort(key=lambda package: package.name)
    prefixes = dict.fromkeys(["", *(f"{package.folder}/" for package in packages if package.folder != ".")])
    lock_files = tuple(f"{prefix}{_LOCK}" for prefix in prefixes if (root / prefix / _LOCK).is_file())
    return Workspace(tuple(packages), tuple(warnings), lock_files)


def _parse_package(root: Path, document: Mapping[str, Any], folder: str) -> Package:
    return version_files.locate_version(pyproject.parse_package(document, folder), document, root)


def _is_released_root(document: dict[str, Any], warnings: list[str]) -> bool:
    """Whether the root of a uv workspace is a package to release.

    `[tool.uv] package = false` does not decide it: published meta packages have it as well.
    """
    if not pyproject.is_package(document):
        return False
    if "build-system" not in document:
        name = pyproject.table_at(document, "project").get("name", "the root")
        warnings.append(
            f"skipped {name}: the workspace root has no [build-system] "
            '(to release it, list "." in [tool.relnox] packages)'
        )
        return False
    return True


def _match_folders(root: Path, globs: Sequence[str], exclude: Sequence[str], key: str | None) -> list[str]:
    """Find folders with a pyproject.toml that match the globs; with `key`, a glob without a match is an error."""
    matching: dict[str, None] = {}
    for glob in globs:
        if ".." in normalize_path(glob).split("/"):
            raise Blocked(
                "pattern-outside-project",
                f"{glob!r} of {key or '[tool.uv.workspace]'} points outside of {root}",
                fix="set up relnox in the folder that contains all packages",
            )
        if any(
            "**" in part and part != "**" for part in normalize_path(glob).split("/")
        ):  # Python 3.13 takes it for a single *
            raise Blocked(
                "pattern-invalid",
                f"{glob!r} of {key or '[tool.uv.workspace]'} is not a valid glob (** must stand alone)",
                fix="write it like libs/*",
            )
        matches = [root] if normalize_path(glob) in (".", "") else sorted(root.glob(normalize_path(glob)))
        folders = [
            folder.relative_to(root).as_posix()
            for folder in matches
            if (folder / _FILE).is_file() and folder.is_dir()
        ]
        if not folders and key is not None:
            raise Blocked(
                "pattern-without-match",
                f"{glob!r} of {key} matches no folder with a {_FILE}",
                fix=_suggest_glob(root, glob),
            )
        matching |= dict.fromkeys(folder for folder in folders if not _is_excluded(folder, exclude))
    return list(matching)


def _suggest_glob(root: Path, glob: str) -> str:
    """Suggest the folder with a pyproject.toml whose name is closest to a glob without a match."""
    with_file = [Path(top).relative_to(root) for top, _, files in _walk(root) if _FILE in files]
    candidates = {folder.as_posix() for folder in with_file if folder.parts}
    candidates |= {f"{folder.parent.as_posix()}/*" for folder in with_file if len(folder.parts) > 1}
    return did_you_mean(normalize_path(glob), candidates) if candidates else "list the folders of the packages"


def _read_packages(root: Path, folders: Sequence[str], warnings: list[str]) -> list[Package]:
    """Read the packages of folders that the settings list: one that cannot be read is an error."""
    packages: dict[str, Package] = {}
    for folder in folders:
        document = pyproject.load(root / folder / _FILE)
        if not pyproject.is_package(document):
            warnings.append(f"skipped {folder}: {_FILE} describes no package")
            continue
        package = _parse_package(root, document, folder)
        if (other := packages.get(package.name)) is not None:
            raise Blocked(
                "package-name-duplicate",
                f"two packages are named {package.name}: {other.pyproject} and {package.pyproject}",
                fix=f'rename one, or exclude one: [tool.relnox] exclude = ["{package.folder}"]',
            )
        packages[package.name] = package
    return list(packages.values())


def _search_packages(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[Package]:
    """Search for packages: one that cannot be read is skipped with a warning."""
    folders: dict[str, str] = {}
    for folder in _search_folders(root, exclude, warnings):
        try:
            document = pyproject.load(root / folder / _FILE)
            if not pyproject.is_package(document):
                continue
            package = _parse_package(root, document, folder)
        except Blocked as error:
            warnings.append(f"skipped {folder}: {error.message.replace(f'{root}/', '')}")
            continue
        if package.name in folders:
            warnings.append(f"skipped {folder}: {folders[package.name]} is named {package.name} as well")
            continue
        folders[package.name] = folder
        yield package


def _search_folders(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[str]:
    """Search for folders with a pyproject.toml, shallow ones first, outside of virtual environments."""
    level = [root]
    while level:
        below: list[Path] = []
        for folder in level:
            relative = folder.relative_to(root).as_posix()
            try:
                with os.scandir(folder) as entries:
                    names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
            except OSError as error:
                warnings.append(f"skipped {relative}: {error.strerror}")
                continue
            if ("pyvenv.cfg", False) in names:
                continue
            if (_FILE, False) in names:
                yield relative
            below += [
                folder / name
                for name, is_folder in names
                if is_folder
                and not _is_skipped(name)
                and not _is_excluded((folder / name).relative_to(root).as_posix(), exclude)
            ]
        level = below


def _is_skipped(name: str) -> bool:
    lower = name.lower()
    is_template = "{{" in name or "{%" in name
    return name.startswith(".") or lower in _SKIPPED or lower.endswith(_SKIPPED_SUFFIXES) or is_template


def _check_exclude(root: Path, globs: Sequence[str], ignored: Callable[[Iterable[str]], set[str]] | None) -> None:
    """Check that every pattern of exclude matches a folder, or one that may appear later: a cache, an output.

    Raises:
        Blocked: One matches none.
    """
    unmatched = [glob for glob in globs if not (root / normalize_path(glob)).is_dir()]
    unmatched = [glob for glob in unmatched if not _is_skipped(posixpath.basename(normalize_path(glob)))]
    if not unmatched:
        return
    folders = [Path(top).relative_to(root).as_posix() for top, _, _ in _walk(root)]
    for glob in unmatched:
        path = normalize_path(glob)
        if any(fnmatch.fnmatchcase(folder, path) for folder in folders) or (ignored and ignored([f"{path}/"])):
            continue
        candidates = [folder for folder in folders if (root / folder / _FILE).is_file() and folder != "."]
        raise Blocked(
            "pattern-without-match",
            f"{glob!r} of [tool.relnox] exclude matches no folder",
            fix=did_you_mean(path, candidates or folders[:20]),
        )


def _walk(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Walk the folders below the root, except hidden ones, virtual environments and caches."""
    for top, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _INSTALLED]
        if "pyvenv.cfg" in files:
            folders.clear()
        yield top, folders, files


def _is_excluded(folder: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs matches the folder or one of its parents."""
    paths = [folder, *(parent.as_posix() for parent in Path(folder).parents if parent != Path())]
    return any(fnmatch.fnmatchcase(path, normalize_path(glob)) for path in paths for glob in globs)
