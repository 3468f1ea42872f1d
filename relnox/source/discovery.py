"""Find the packages of a project.

The first of these that exists determines the packages: the folders in `[tool.relnox] packages`, the members of a
uv workspace, the package in the root folder, or a search that skips test fixtures, templates and examples.
"""

from __future__ import annotations

import fnmatch
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relnox.core.documents import strings_in, table_at
from relnox.core.settings.patterns import normalize_path
from relnox.core.text import did_you_mean
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source import pyproject, version_files
from relnox.source.folder_search import (
    PYPROJECT,
    is_excluded,
    is_repository,
    is_skipped,
    search_folders,
    walk_folders,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from relnox.core.packages import Package
    from relnox.core.settings.config import Config

_UV_LOCK = "uv.lock"


def find_unlisted_packages(
    files: Sequence[str], root: Path, workspace: Workspace, config: Config
) -> tuple[Package, ...]:
    """Return the packages with a build system that are neither in the workspace nor excluded.

    `files` are all pyproject.toml files in the checkout, relative to the root; some may be outside the root.
    """
    document = pyproject.load(root / PYPROJECT) if (root / PYPROJECT).is_file() else {}
    uv = strings_in(table_at(document, "tool", "uv", "workspace").get("exclude"))
    project_folders = {package.folder for package in workspace.packages}
    packages: list[Package] = []
    for file in sorted(files, key=lambda file: file.count("/")):
        folder = posixpath.dirname(file) or "."
        parents = {folder.rsplit("/", depth)[0] for depth in range(1, folder.count("/") + 1)}
        if parents & (project_folders | {package.folder for package in packages}):
            continue  # a part of another package, such as its tests or an example
        parts = [part for part in folder.split("/") if part not in ("..", ".")]
        is_left_out = any(map(is_skipped, parts)) or is_excluded(folder, [*config.exclude, *uv])
        if folder in project_folders or is_left_out:
            continue
        try:
            document = pyproject.load(root / file)
            if "build-system" in document and pyproject.describes_package(document):
                packages.append(pyproject.parse_package(document, folder))
        except Blocked:  # an error only for packages of the project
            continue
    return tuple(packages)


def has_package_list(root: Path, config: Config) -> bool:
    """Return whether packages are listed in relnox's settings or in a uv workspace."""
    document = pyproject.load(root / PYPROJECT) if (root / PYPROJECT).is_file() else {}
    return bool(config.packages) or "workspace" in table_at(document, "tool", "uv")


def discover(
    root: Path, config: Config, filter_ignored: Callable[[Iterable[str]], set[str]] | None = None
) -> Workspace:
    """Return all packages of a project.

    Args:
        root: The project's root folder.
        config: The project's settings.
        filter_ignored: Returns those of the given paths that git ignores.

    Raises:
        Blocked: There is no package, two packages have the same name, a listed package cannot be read, or a
        pattern
            matches nothing.
    """
    _check_exclude(root, config.exclude, filter_ignored)
    document = pyproject.load(root / PYPROJECT) if (root / PYPROJECT).is_file() else {}
    uv = table_at(document, "tool", "uv")
    warnings: list[str] = []
    if config.packages:
        folders = _find_package_folders(root, config.packages, config.exclude, "[tool.relnox] packages")
        packages = _read_packages(root, folders, warnings)
    elif "workspace" in uv:
        globs, exclude = (strings_in(table_at(uv, "workspace").get(key)) for key in ("members", "exclude"))
        members = _find_package_folders(root, globs, [*exclude, *config.exclude], None)
        if _is_released_root(document, warnings):
            members = ["."] + [folder for folder in members if folder != "."]
        packages = _read_packages(root, members, warnings)
    elif pyproject.describes_package(document):
        packages = [_parse_package(root, document, ".")]
    else:
        packages = list(_search_packages(root, config.exclude, warnings))
    if not packages:
        raise _packages_missing(root)
    _check_repository(root, packages)
    if config.version_files:
        packages = version_files.add_declared_version_files(packages, config, root)
    packages.sort(key=lambda package: package.name)
    prefixes = dict.fromkeys(["", *(f"{package.folder}/" for package in packages if package.folder != ".")])
    lock_files = tuple(f"{prefix}{_UV_LOCK}" for prefix in prefixes if (root / f"{prefix}{_UV_LOCK}").is_file())
    return Workspace(tuple(packages), tuple(warnings), lock_files)


def _packages_missing(root: Path) -> Blocked:
    """Return the error that a project has no package; setuptools reads metadata that relnox does not read."""
    fix = 'add [project] to pyproject.toml, or set packages = ["libs/*"] in [tool.relnox]'
    for name in ("setup.cfg", "setup.py"):
        if (root / name).is_file():
            reason = f"relnox reads [project] of pyproject.toml, not {name}"
            return Blocked(
                "packages-missing",
                f"no package found in {root} ({reason})",
                fix=f"move the metadata from {name} to [project] in pyproject.toml",
            )
    return Blocked("packages-missing", f"no package found in {root}", fix=fix)


def _check_repository(root: Path, packages: Sequence[Package]) -> None:
    """Check that no package is in another repository, such as a submodule.

    Raises:
        Blocked: A package is in another repository, whose files a commit of this one cannot edit.
    """
    checked_folders = {"."}
    for package in packages:
        parts = package.folder.split("/")
        for folder in ("/".join(parts[:length]) for length in range(1, len(parts) + 1)):
            if folder not in checked_folders and is_repository(root / folder):
                raise Blocked(
                    "package-in-other-repository",
                    f"{package.name} is in another git repository or a submodule ({folder})",
                    fix="release it from that repository, or exclude it: set exclude = "
                    f'["{folder}"] in [tool.relnox]',
                )
            checked_folders.add(folder)


def _parse_package(root: Path, document: Mapping[str, Any], folder: str) -> Package:
    return version_files.locate_version(pyproject.parse_package(document, folder), document, root)


def _is_released_root(document: Mapping[str, Any], warnings: list[str]) -> bool:
    """Return whether the root of a uv workspace is a package to release; add a warning if it has no build system.

    `[tool.uv] package = false` is ignored, since published meta packages may set it as well.
    """
    if not pyproject.describes_package(document):
        return False
    if "build-system" not in document:
        name = table_at(document, "project").get("name", "the root")
        warnings.append(
            f"skipped {name}: the workspace root has no [build-system] "
            '(to release it, list "." in [tool.relnox] packages)'
        )
        return False
    return True


def _find_package_folders(root: Path, globs: Sequence[str], exclude: Sequence[str], key: str | None) -> list[str]:
    """Return the folders with a pyproject.toml that match the globs.

    If `key`, the setting that contains the globs, is given, each glob must match a folder. For a uv workspace it
    is None, and a glob need not match.
    """
    matching: dict[str, None] = {}
    for glob in globs:
        if ".." in normalize_path(glob).split("/"):
            raise Blocked(
                "pattern-outside-project",
                f"{glob!r} in {key or '[tool.uv.workspace]'} refers to a folder outside {root}",
                fix="move [tool.relnox] to the pyproject.toml of the folder that contains all packages",
            )
        if any(
            "**" in part and part != "**" for part in normalize_path(glob).split("/")
        ):  # Python 3.13 takes it for a single *
            raise Blocked(
                "value-invalid",
                f"{glob!r} in {key or '[tool.uv.workspace]'} is not a valid glob (** must be a whole "
                "path component)",
                fix="write it like `libs/*`",
            )
        matches = [root] if normalize_path(glob) in (".", "") else sorted(root.glob(normalize_path(glob)))
        folders = [folder.relative_to(root).as_posix() for folder in matches if (folder / PYPROJECT).is_file()]
        if not folders and key is not None:
            raise Blocked(
                "pattern-without-match",
                f"{glob!r} in {key} matches no folder with a {PYPROJECT}",
                fix=_suggest_glob(root, glob),
            )
        matching |= dict.fromkeys(folder for folder in folders if not is_excluded(folder, exclude))
    return list(matching)


def _suggest_glob(root: Path, glob: str) -> str:
    """Return a fix that suggests the folder, or glob for folders, closest to a glob that matches nothing."""
    with_file = [Path(top).relative_to(root) for top, _, files in walk_folders(root) if PYPROJECT in files]
    candidates = {folder.as_posix() for folder in with_file if folder.parts}
    candidates |= {f"{folder.parent.as_posix()}/*" for folder in with_file if len(folder.parts) > 1}
    return did_you_mean(normalize_path(glob), candidates) if candidates else "list the folders of the packages"


def _read_packages(root: Path, folders: Sequence[str], warnings: list[str]) -> list[Package]:
    """Return the packages in folders that the settings list; a package that cannot be read is an error."""
    packages: dict[str, Package] = {}
    for folder in folders:
        document = pyproject.load(root / f"{folder}/{PYPROJECT}")
        if not pyproject.describes_package(document):
            warnings.append(f"skipped {folder}: {PYPROJECT} describes no package")
            continue
        package = _parse_package(root, document, folder)
        if (other := packages.get(package.name)) is not None:
            raise Blocked(
                "package-name-twice",
                f"two packages are named {package.name}: {other.pyproject} and {package.pyproject}",
                fix=f'rename one of them, or set exclude = ["{package.folder}"] in [tool.relnox]',
            )
        packages[package.name] = package
    return list(packages.values())


def _search_packages(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[Package]:
    """Search for packages and yield them; packages that cannot be read are skipped with a warning."""
    folders: dict[str, str] = {}
    for folder in search_folders(root, exclude, warnings):
        try:
            document = pyproject.load(root / f"{folder}/{PYPROJECT}")
            if not pyproject.describes_package(document):
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


def _check_exclude(
    root: Path, globs: Sequence[str], filter_ignored: Callable[[Iterable[str]], set[str]] | None
) -> None:
    """Check that each pattern in the setting `exclude` matches a folder, or may match an ignored one later.

    Raises:
        Blocked: A pattern matches no folder.
    """
    unmatched_globs = [glob for glob in globs if not (root / normalize_path(glob)).is_dir()]
    unmatched_globs = [
        glob for glob in unmatched_globs if not is_skipped(posixpath.basename(normalize_path(glob)))
    ]
    if not unmatched_globs:
        return
    folders = [Path(top).relative_to(root).as_posix() for top, _, _ in walk_folders(root)]
    for glob in unmatched_globs:
        path = normalize_path(glob)
        if any(fnmatch.fnmatchcase(folder, path) for folder in folders) or (
            filter_ignored and filter_ignored([f"{path}/"])
        ):
            continue
        candidates = [folder for folder in folders if (root / folder / PYPROJECT).is_file() and folder != "."]
        raise Blocked(
            "pattern-without-match",
            f"{glob!r} in [tool.relnox] exclude matches no folder",
            fix=did_you_mean(path, candidates or folders[:20]),
        )
