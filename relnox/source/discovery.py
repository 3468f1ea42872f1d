"""Find the project's root and its packages, and nothing that only looks like one.

In this order: the folders that `[tool.relnox] packages` lists, the members of a uv workspace, the root
alone, and else a careful walk that passes over fixtures, templates and examples.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.core.patterns import normalize_path
from relnox.core.schema import did_you_mean
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source import pyproject, version_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relnox.core.config import Config
    from relnox.core.packages import Package

__all__ = ["discover", "find_root", "lists_packages", "unlisted"]

_FILE = "pyproject.toml"
_LOCK = "uv.lock"
_PASSED_OVER = frozenset(
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
"""Folders whose pyproject files are test data, templates or somebody else's."""


_NEVER = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Folders that nothing in a project's settings means."""
_ENDINGS = tuple(f"{mark}{word}" for mark in "-_" for word in ("example", "examples", "template", "templates"))
"""What names of such folders end in."""


def find_root(start: Path, top: Path | None) -> Path:
    """The folder of the project that `start` is in.

    The nearest folder upwards, not above the checkout's `top`, whose pyproject.toml has `[tool.relnox]` or is
    a uv workspace; else the nearest that has one at all; else the top of the checkout. Of several packages in
    a checkout without settings none is a project by itself: their project is the whole checkout.

    Raises:
        Blocked: There is no project here.
    """
    start = start.resolve()
    candidates = [start, *start.parents]
    if top is not None and top.resolve() in candidates:
        candidates = candidates[: candidates.index(top.resolve()) + 1]
    if os.path.lexists(start / _FILE) and not (start / _FILE).is_file():
        raise Blocked(
            "todo", f"{start / _FILE} is not a regular file", fix=f"put a file there: mv {_FILE} {_FILE}.old"
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
        "todo",
        f"there is no project here: no {_FILE} in {start} or above it",
        fix="go to the project's folder, or name it: --project DIR",
    )


def _is_one_of_several(folder: Path, top: Path) -> bool:
    """Whether a folder is one of several packages that are found in a checkout without settings."""
    if folder == top or not _describes_package(folder) or _describes_package(top):
        return False
    packages = {top / each for each in _folders_with_file(top, (), []) if _describes_package(top / each)}
    return folder in packages and len(packages) > 1


def _describes_package(folder: Path) -> bool:
    try:
        return (folder / _FILE).is_file() and pyproject.is_package(pyproject.load(folder / _FILE))
    except Blocked:
        return False


def unlisted(files: Sequence[str], root: Path, workspace: Workspace, config: Config) -> tuple[Package, ...]:
    """Packages with a build system that the workspace does not have, though nothing leaves them out on purpose.

    Args:
        files: Every pyproject.toml of the checkout, relative to the root, which may be below the top.
        root: The project's folder.
        workspace: Its packages.
        config: Its settings.
    """
    document = pyproject.load(root / _FILE) if (root / _FILE).is_file() else {}
    uv = pyproject.strings(pyproject.table_at(document, "tool", "uv", "workspace").get("exclude"))
    taken = {package.folder for package in workspace.packages}
    found: list[Package] = []
    for file in sorted(files, key=lambda file: file.count("/")):
        folder = posixpath.dirname(file) or "."
        around = {folder.rsplit("/", depth)[0] for depth in range(1, folder.count("/") + 1)}
        if around & (taken | {package.folder for package in found}):
            continue  # a part of another package: its tests, its example
        parts = [part for part in folder.split("/") if part not in ("..", ".")]
        if folder in taken or any(map(_is_passed_over, parts)) or _excluded(folder, [*config.exclude, *uv]):
            continue
        try:
            document = pyproject.load(root / file)
            if "build-system" in document and pyproject.is_package(document):
                found.append(pyproject.package_of(document, folder))
        except Blocked:  # it is told where it is a package of the project
            continue
    return tuple(found)


def lists_packages(root: Path, config: Config) -> bool:
    """Whether the settings, or a uv workspace, say where the packages are."""
    document = pyproject.load(root / _FILE) if (root / _FILE).is_file() else {}
    return bool(config.packages) or "workspace" in pyproject.table_at(document, "tool", "uv")


def discover(root: Path, config: Config, ignored: Callable[[Iterable[str]], set[str]] | None = None) -> Workspace:
    """All packages of a project.

    Args:
        root: The project's folder.
        config: Its settings.
        ignored: Tells which paths git ignores.

    Raises:
        Blocked: There is none, two have one name, a listed one cannot be read, or a pattern means nothing.
    """
    _check_exclude(root, config.exclude, ignored)
    document = pyproject.load(root / _FILE) if (root / _FILE).is_file() else {}
    uv = pyproject.table_at(document, "tool", "uv")
    warnings: list[str] = []
    if config.packages:
        folders = _listed(root, config.packages, config.exclude, "[tool.relnox] packages")
        packages = _read_listed(root, folders, warnings)
    elif "workspace" in uv:
        globs, exclude = (
            pyproject.strings(pyproject.table_at(uv, "workspace").get(key)) for key in ("members", "exclude")
        )
        members = _listed(root, globs, [*exclude, *config.exclude], None)
        if _is_released_root(document, warnings):
            members = ["."] + [folder for folder in members if folder != "."]
        packages = _read_listed(root, members, warnings)
    elif pyproject.is_package(document):
        packages = [_package(root, document, ".")]
    else:
        packages = list(_walked(root, config.exclude, warnings))
    if not packages:
        raise Blocked(
            "todo",
            f"there is no package in {root}",
            fix='add [project] to pyproject.toml, or list folders: [tool.relnox] packages = ["libs/*"]',
        )
    if config.version_files:
        packages = version_files.with_declared(packages, config, root)
    packages.sort(key=lambda package: package.name)
    places = dict.fromkeys(["", *(f"{package.folder}/" for package in packages if package.folder != ".")])
    locks = tuple(f"{place}{_LOCK}" for place in places if (root / place / _LOCK).is_file())
    return Workspace(tuple(packages), tuple(warnings), locks)


def _package(root: Path, document: Mapping[str, Any], folder: str) -> Package:
    return version_files.located(pyproject.package_of(document, folder), document, root)


def _is_released_root(document: dict[str, Any], warnings: list[str]) -> bool:
    """Whether the root of a uv workspace is a package itself.

    `[tool.uv] package = false` does not say so alone: published meta packages carry it.
    """
    if not pyproject.is_package(document):
        return False
    if "build-system" not in document:
        name = pyproject.table_at(document, "project").get("name", "the root")
        warnings.append(
            f"{name} is the workspace's root and has no [build-system]: not taken for a package "
            '(to release it, list "." in [tool.relnox] packages)'
        )
        return False
    return True


def _listed(root: Path, globs: Sequence[str], exclude: Sequence[str], key: str | None) -> list[str]:
    """Folders with a pyproject.toml that the globs mean; with `key`, a glob without any is an error."""
    found: dict[str, None] = {}
    for glob in globs:
        if ".." in normalize_path(glob).split("/"):
            raise Blocked(
                "todo",
                f"{glob!r} of {key or '[tool.uv.workspace]'} leads out of {root}",
                fix="set up relnox in the folder that holds all packages",
            )
        if any(
            "**" in part and part != "**" for part in normalize_path(glob).split("/")
        ):  # Python 3.13 takes it for a single *
            raise Blocked(
                "todo",
                f"{glob!r} of {key or '[tool.uv.workspace]'} is no glob: ** stands alone, between slashes",
                fix="write it like libs/*",
            )
        matches = [root] if normalize_path(glob) in (".", "") else sorted(root.glob(normalize_path(glob)))
        folders = [
            folder.relative_to(root).as_posix()
            for folder in matches
            if (folder / _FILE).is_file() and folder.is_dir()
        ]
        kept = [folder for folder in folders if not _excluded(folder, exclude)]
        if not folders and key is not None:
            raise Blocked("todo", f"{glob!r} of {key} means no folder with a {_FILE}", fix=_near(root, glob))
        found |= dict.fromkeys(kept)
    return list(found)


def _near(root: Path, glob: str) -> str:
    """The folder with a pyproject.toml that is nearest to a glob which means none, as a hint."""
    with_file = [Path(top).relative_to(root) for top, _, files in _folders(root) if _FILE in files]
    known = {folder.as_posix() for folder in with_file if folder.parts}
    known |= {f"{folder.parent.as_posix()}/*" for folder in with_file if len(folder.parts) > 1}
    return did_you_mean(normalize_path(glob), known) if known else "list the folders of the packages"


def _read_listed(root: Path, folders: Sequence[str], warnings: list[str]) -> list[Package]:
    """Packages of folders that the project itself lists: what cannot be read is an error."""
    packages: dict[str, Package] = {}
    for folder in folders:
        document = pyproject.load(root / folder / _FILE)
        if not pyproject.is_package(document):
            warnings.append(f"{folder}/{_FILE} describes no package: passed over")
            continue
        package = _package(root, document, folder)
        if (other := packages.get(package.name)) is not None:
            raise Blocked(
                "todo",
                f"two packages are called {package.name}: {other.pyproject} and {package.pyproject}",
                fix=f'rename one, or leave one out: [tool.relnox] exclude = ["{package.folder}"]',
            )
        packages[package.name] = package
    return list(packages.values())


def _walked(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[Package]:
    """Packages found by looking: what cannot be read is passed over with a warning."""
    seen: dict[str, str] = {}
    for folder in _folders_with_file(root, exclude, warnings):
        try:
            document = pyproject.load(root / folder / _FILE)
            if not pyproject.is_package(document):
                continue
            package = _package(root, document, folder)
        except Blocked as error:
            warnings.append(f"{folder} is passed over: {error.message.replace(f'{root}/', '')}")
            continue
        if package.name in seen:
            warnings.append(f"{folder} is passed over: {seen[package.name]} is called {package.name} as well")
            continue
        seen[package.name] = folder
        yield package


def _folders_with_file(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[str]:
    """Folders with a pyproject.toml, shallow ones first; environments are not looked into."""
    level = [root]
    while level:
        below: list[Path] = []
        for folder in level:
            relative = folder.relative_to(root).as_posix()
            try:
                with os.scandir(folder) as entries:
                    names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
            except OSError as error:
                warnings.append(f"{relative} is passed over: {error.strerror}")
                continue
            if ("pyvenv.cfg", False) in names:
                continue
            if (_FILE, False) in names:
                yield relative
            below += [
                folder / name
                for name, is_folder in names
                if is_folder
                and not _is_passed_over(name)
                and not _excluded((folder / name).relative_to(root).as_posix(), exclude)
            ]
        level = below


def _is_passed_over(name: str) -> bool:
    lower = name.lower()
    return (
        name.startswith(".") or lower in _PASSED_OVER or lower.endswith(_ENDINGS) or "{{" in name or "{%" in name
    )


def _check_exclude(root: Path, globs: Sequence[str], ignored: Callable[[Iterable[str]], set[str]] | None) -> None:
    """See that every pattern of exclude means a folder, or one that is only made later: a cache, an output.

    Raises:
        Blocked: One means none.
    """
    waiting = [glob for glob in globs if not (root / normalize_path(glob)).is_dir()]
    waiting = [glob for glob in waiting if not _is_passed_over(posixpath.basename(normalize_path(glob)))]
    if not waiting:
        return
    folders = [Path(top).relative_to(root).as_posix() for top, _, _ in _folders(root)]
    for glob in waiting:
        plain = normalize_path(glob)
        if any(fnmatch.fnmatchcase(folder, plain) for folder in folders) or (ignored and ignored([f"{plain}/"])):
            continue
        near = [folder for folder in folders if (root / folder / _FILE).is_file() and folder != "."]
        raise Blocked(
            "todo",
            f"{glob!r} of [tool.relnox] exclude means no folder",
            fix=did_you_mean(plain, near or folders[:20]),
        )


def _folders(root: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """Every folder below the root, without hidden ones, environments and caches."""
    for top, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _NEVER]
        if "pyvenv.cfg" in files:
            folders.clear()
        yield top, folders, files


def _excluded(folder: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs means the folder or one that it is in."""
    parents = [folder, *(parent.as_posix() for parent in Path(folder).parents if parent != Path())]
    return any(fnmatch.fnmatchcase(each, normalize_path(glob)) for each in parents for glob in globs)
