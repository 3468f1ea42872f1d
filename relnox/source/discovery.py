"""Find a project's root directory and its packages.

The first of these that exists determines the packages: the directories in `[tool.relnox] packages`, the members of
a uv workspace, the package in the root directory, or a search that skips test fixtures, templates and examples.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from relnox.core.documents import strings_in, table_at
from relnox.core.packages import Package
from relnox.core.settings.config import Config
from relnox.core.settings.patterns import normalize_path
from relnox.core.text import suggest_name
from relnox.core.workspace import Workspace
from relnox.errors import Blocked
from relnox.source import crates, pyproject, version_files
from relnox.system.files import read_project_file

_PYPROJECT = "pyproject.toml"
_SKIPPED_DIRECTORIES = frozenset(
    {
        *("__pycache__", "_vendor", "build", "cookiecutter", "dist", "doc", "docs", "example", "examples"),
        *("fixture", "fixtures", "node_modules", "samples", "site-packages", "template", "templates", "test"),
        *("testdata", "tests", "third_party", "vendor", "venv"),
    }
)
"""Names of directories whose pyproject.toml files are test data, templates or third-party code."""
_NO_PACKAGE = f"{_PYPROJECT} describes no package"
_NAME_IN_SETUP_CFG = re.compile(r"(?m)^name\s*[=:]")
_SKIPPED_SUFFIXES = tuple(
    f"{mark}{word}" for mark in "-_" for word in ("example", "examples", "template", "templates")
)


def find_project_root(start: Path, top: Path | None) -> Path:
    """Return the root directory of the project that `start` is in.

    The search goes upwards from `start` to `top`, the top-level directory of the checkout (None outside git). The
    root is the nearest directory whose pyproject.toml has `[tool.relnox]` or defines a uv workspace, else the
    nearest directory with a pyproject.toml, else `top`.

    Raises:
        Blocked: There is no such directory, or a pyproject.toml is invalid.
    """
    start = start.resolve()
    candidates = [start, *start.parents]
    if top is not None and top.resolve() in candidates:
        candidates = candidates[: candidates.index(top.resolve()) + 1]
    if os.path.lexists(start / _PYPROJECT) and not (start / _PYPROJECT).is_file():
        path = start / _PYPROJECT
        raise Blocked(
            "project-file-invalid",
            f"{path} is not a regular file",
            fix=shlex.join(["mv", str(path), f"{path}.old"]),
        )
    directories = [directory for directory in candidates if (directory / _PYPROJECT).is_file()]
    for directory in directories:
        tool = table_at(pyproject.read_toml(directory, _PYPROJECT), "tool")
        if "relnox" in tool or "workspace" in table_at(tool, "uv"):
            return directory
    if directories:
        return directories[0]
    if top is not None:
        return top
    raise Blocked(
        "project-not-found",
        f"no project found (there is no {_PYPROJECT} in {start} or its parent directories)",
        fix="cd into the project's directory, or pass --project DIR",
    )


def find_unlisted_packages(
    files: Sequence[str], root: Path, workspace: Workspace, config: Config
) -> tuple[Package, ...]:
    """Return the packages of a checkout that have a build system, but are not in the workspace.

    Left out are packages that settings exclude, packages inside other packages, invalid ones, and samples such as
    tests and templates. `files` are all pyproject.toml files in the checkout, relative to the root; some may be
    outside the root (`../pyproject.toml`).
    """
    document = pyproject.read_toml(root, _PYPROJECT) if (root / _PYPROJECT).is_file() else {}
    uv = strings_in(table_at(document, "tool", "uv", "workspace").get("exclude"))
    project_directories = {package.directory for package in workspace.packages}
    packages: list[Package] = []
    for file in sorted(files, key=lambda file: file.count("/")):
        directory = posixpath.dirname(file) or "."
        parents = {directory.rsplit("/", depth)[0] for depth in range(1, directory.count("/") + 1)}
        if parents & (project_directories | {package.directory for package in packages}):
            continue  # a part of another package, such as its tests or an example
        parts = [part for part in directory.split("/") if part not in ("..", ".")]
        is_left_out = any(map(is_skipped_directory, parts)) or _is_excluded(directory, [*config.exclude, *uv])
        if directory in project_directories or is_left_out or (root / file).is_symlink():
            continue
        try:
            document = pyproject.read_toml(root, file)
            if "build-system" in document and pyproject.describes_package(document):
                packages.append(pyproject.parse_package(document, directory))
        except Blocked:  # an error only for packages of the project
            continue
    return tuple(packages)


def discover_packages(
    root: Path, config: Config, filter_ignored: Callable[[Iterable[str]], set[str]] | None = None
) -> Workspace:
    """Return the packages of a project, with their versions, sorted by name.

    If no setting lists packages, and there is none in the root, all directories below it are searched. An invalid
    package is then skipped, with a warning in the result. `filter_ignored` returns those of the given paths that
    git ignores, which the setting `exclude` may name; it is None outside git.

    Raises:
        Blocked: There are no packages, or a package or setting is invalid.
    """
    _check_exclude_setting(root, config.exclude, filter_ignored)
    document = pyproject.read_toml(root, _PYPROJECT) if (root / _PYPROJECT).is_file() else {}
    uv = table_at(document, "tool", "uv")
    warnings: list[str] = []
    if config.packages:
        directories = _find_package_directories(root, config.packages, config.exclude, "[tool.relnox] packages")
        packages = _read_packages(root, directories, warnings)
    elif "workspace" in uv:
        globs, exclude = (strings_in(table_at(uv, "workspace").get(key)) for key in ("members", "exclude"))
        members = _find_package_directories(root, globs, [*exclude, *config.exclude], None)
        if pyproject.describes_package(document):
            members = ["."] + [directory for directory in members if directory != "."]
        packages = _read_packages(root, members, warnings, is_listed=False)
    elif pyproject.describes_package(document) and not _find_no_package_setting(document):
        packages = [version_files.read_package(document, ".", root)]
    else:
        packages = list(_search_packages(root, config.exclude, warnings))
    if not packages:
        raise _packages_missing_error(root, document)
    _check_same_repository(root, packages)
    if config.version_files:
        packages = version_files.add_declared_version_files(packages, config, root)
    _check_changelog_file_setting(
        config.changelog_file, [root, *(root / package.directory for package in packages)]
    )
    packages.sort(key=lambda package: package.name)
    return Workspace(tuple(crates.add_crates(package, root) for package in packages), tuple(warnings))


def _packages_missing_error(root: Path, document: Mapping[str, Any]) -> Blocked:
    """Return the error for a project without packages; `document` is the pyproject.toml of its root."""
    if pyproject.describes_package(document):
        return Blocked(
            "package-unknown",
            f"no package found in {root} ({_find_no_package_setting(document)} in pyproject.toml)",
            fix="to release the project, remove that line, and add [build-system] if it is missing",
        )
    if name := _find_metadata_in_setup_file(root, "."):
        return Blocked(
            "package-unknown",
            f"no package found in {root} (relnox reads [project] of pyproject.toml, not {name})",
            fix=f"move the metadata from {name} to [project] in pyproject.toml",
        )
    fix = 'add [project] to pyproject.toml, or set packages = ["libs/*"] in [tool.relnox]'
    return Blocked("package-unknown", f"no package found in {root}", fix=fix)


def _find_metadata_in_setup_file(root: Path, directory: str) -> str:
    """Return `setup.cfg` or `setup.py` if it declares the package of a directory, else an empty string."""
    with contextlib.suppress(OSError, Blocked):
        if _NAME_IN_SETUP_CFG.search(read_project_file(root, f"{directory}/setup.cfg").decode(errors="replace")):
            return "setup.cfg"
    return "setup.py" if (root / directory / "setup.py").is_file() else ""


def _check_same_repository(root: Path, packages: Sequence[Package]) -> None:
    """Raise `Blocked` if a package is in another repository, whose files a commit of this one cannot edit."""
    checked_directories = {"."}
    for package in packages:
        parts = package.directory.split("/")
        for directory in ("/".join(parts[:length]) for length in range(1, len(parts) + 1)):
            if directory not in checked_directories and _is_repository(root / directory):
                raise Blocked(
                    "package-unknown",
                    f"{package.name} is in another git repository or a submodule ({directory})",
                    fix=f'release it from that repository, and set [tool.relnox] exclude = ["{directory}"]',
                )
            checked_directories.add(directory)


def _reason_for_no_package(document: Mapping[str, Any], directory: str, root: Path) -> str | None:
    """Return why the pyproject.toml of a directory declares no package, or None if it declares one.

    The reason is empty if a setting such as `[tool.uv] package = false` says that there is none. As for uv, a
    project needs a build system to be a package, unless it has `[tool.uv] package = true`.
    """
    if not pyproject.describes_package(document):
        name = _find_metadata_in_setup_file(root, directory)
        return f"its metadata is in {name}, not in [project] of {_PYPROJECT}" if name else _NO_PACKAGE
    if _find_no_package_setting(document):
        return ""
    if "build-system" in document or table_at(document, "tool", "uv").get("package") is True:
        return None
    return "the project has no [build-system] (add one to release it, or else [tool.uv] package = false)"


def _find_no_package_setting(document: Mapping[str, Any]) -> str:
    """Return the line by which a pyproject.toml says that its project is no package, or an empty string.

    `[tool.uv] package = false` does not count if there is a build system.
    """
    for tool, key in (("uv", "package"), ("poetry", "package-mode"), ("pdm", "distribution")):
        is_meta_package = tool == "uv" and "build-system" in document
        if table_at(document, "tool", tool).get(key) is False and not is_meta_package:
            return f"[tool.{tool}] {key} = false"
    return ""


def _find_package_directories(
    root: Path, globs: Sequence[str], exclude: Sequence[str], setting: str | None
) -> list[str]:
    """Return the directories with a pyproject.toml, relative to the root, that match a glob and are not excluded.

    `setting` names the setting of relnox that has the globs; None for a uv workspace. Raise `Blocked` for an
    invalid glob, and for a glob of `setting` that matches nothing.
    """
    matching: dict[str, None] = {}
    for glob in globs:
        path = normalize_path(glob)
        if ".." in path.split("/"):
            raise Blocked(
                "setting-invalid",
                f"{glob!r} in {setting or '[tool.uv.workspace]'} refers to a directory outside {root}",
                fix="move [tool.relnox] to the pyproject.toml of the directory that contains all packages",
            )
        # Python 3.13 takes it for a single *.
        if any("**" in part and part != "**" for part in path.split("/")):
            raise Blocked(
                "value-invalid",
                f"{glob!r} in {setting or '[tool.uv.workspace]'} is not a valid glob (** must be a whole "
                "path component)",
                fix="write ** between slashes, like `libs/**/python`",
            )
        matches = [root] if path in (".", "") else sorted(root.glob(path))
        directories = [
            directory.relative_to(root).as_posix() for directory in matches if (directory / _PYPROJECT).is_file()
        ]
        if not directories and setting is not None:
            with_file = [name for name in _walk_directories(root) if (root / name / _PYPROJECT).is_file()]
            globs_of_parents = [f"{posixpath.dirname(name)}/*" for name in with_file if "/" in name]
            raise Blocked(
                "setting-invalid",
                f"{glob!r} in {setting} matches no directory with a {_PYPROJECT}",
                fix=suggest_name(path, {*with_file, *globs_of_parents}),
            )
        matching |= dict.fromkeys(directory for directory in directories if not _is_excluded(directory, exclude))
    return list(matching)


def _read_packages(
    root: Path, directories: Sequence[str], warnings: list[str], *, is_listed: bool = True
) -> list[Package]:
    """Return the packages in these directories; raise `Blocked` if one is invalid, or two have the same name.

    Directories without a package are skipped. A warning with the reason is appended to `warnings`, unless a
    setting there says that it is none. If a setting of relnox lists the directories (`is_listed`), projects
    without a build system or with `package = false` count as packages.
    """
    packages: dict[str, Package] = {}
    for directory in directories:
        document = pyproject.read_toml(root, f"{directory}/{_PYPROJECT}")
        reason = _reason_for_no_package(document, directory, root)
        if reason is not None and not (is_listed and pyproject.describes_package(document)):
            warnings += [f"skipped {directory}: {reason}"] if reason else []
            continue
        package = version_files.read_package(document, directory, root)
        if (other := packages.get(package.name)) is not None:
            raise Blocked(
                "project-file-invalid",
                f"two packages are named {package.name}: {other.pyproject} and {package.pyproject}",
                fix=f'rename one of them, or set [tool.relnox] exclude = ["{package.directory}"]',
            )
        packages[package.name] = package
    return list(packages.values())


def _search_packages(root: Path, exclude: Sequence[str], warnings: list[str]) -> Iterator[Package]:
    """Yield the packages in the root and all directories below it, except where a glob in `exclude` matches.

    An invalid package, or another one of the same name, is skipped, and a warning with the reason is appended to
    `warnings`. Directories such as `tests` are not searched, see `_find_pyproject_directories`.
    """
    directories: dict[str, str] = {}
    for directory in _find_pyproject_directories(root, exclude, warnings):
        try:
            document = pyproject.read_toml(root, f"{directory}/{_PYPROJECT}")
            if (reason := _reason_for_no_package(document, directory, root)) is not None:
                warnings += [f"skipped {directory}: {reason}"] if reason not in ("", _NO_PACKAGE) else []
                continue
            package = version_files.read_package(document, directory, root)
        except Blocked as error:
            warnings.append(f"skipped {directory}: {error.message.replace(f'{root}/', '')}")
            continue
        if package.name in directories:
            warnings.append(f"skipped {directory}: {directories[package.name]} is named {package.name} as well")
            continue
        directories[package.name] = directory
        yield package


def _check_exclude_setting(
    root: Path, globs: Sequence[str], filter_ignored: Callable[[Iterable[str]], set[str]] | None
) -> None:
    """Raise `Blocked` if a glob of the setting `exclude` matches neither a directory nor a path that git ignores.

    Names of directories that are never searched for packages are allowed. `filter_ignored` returns those of the
    given paths that git ignores; it is None outside git.
    """
    for glob in globs:
        path = normalize_path(glob)
        if (root / path).is_dir() or is_skipped_directory(posixpath.basename(path)):
            continue
        directories = list(_walk_directories(root))
        if not fnmatch.filter(directories, path) and not (filter_ignored and filter_ignored([f"{path}/"])):
            raise Blocked(
                "setting-invalid",
                f"{glob!r} in [tool.relnox] exclude matches no directory",
                fix=suggest_name(path, directories[:100]),
            )


def _check_changelog_file_setting(file: str | None, tops: Sequence[Path]) -> None:
    """Raise `Blocked` if `changelog-file` is a directory, or its directory does not exist; the file may be new.

    `file` is the value of the setting, None if it is not set. It may be relative to any of `tops`: the root and
    the directories of packages.
    """
    if file is None:
        return
    directory = posixpath.dirname(file)
    if any((top / file).is_dir() for top in tops):
        example = posixpath.join(file, "CHANGELOG.md")
        fix = f"name the file in it: [tool.relnox] changelog-file = {json.dumps(example)}"
        raise Blocked("setting-invalid", f"changelog-file = {file!r} is a directory", fix)
    if not any((top / directory).is_dir() for top in tops):
        directories = {path for top in tops for path in islice(_walk_directories(top), 100)} - {"."}
        path, new_file = shlex.quote(directory), shlex.quote(file)
        fix = f"create it: mkdir -p {path} && touch {new_file} && git add {new_file}, and commit it"
        raise Blocked(
            "setting-invalid",
            f"changelog-file = {file!r} is in a directory that neither the root nor a package has",
            suggest_name(directory, directories, fix),
        )


def _walk_directories(root: Path) -> Iterator[str]:
    """Yield `.` and the relative paths of all directories below the root, but hidden ones and `node_modules`."""
    for top, below, _ in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".") and name != "node_modules"]
        yield Path(top).relative_to(root).as_posix()


def _find_pyproject_directories(root: Path, exclude: Sequence[str], warnings: list[str]) -> list[str]:
    """Return the directories with a pyproject.toml, relative to the root; those with the fewest parents first.

    Not searched are virtual environments, other git repositories, and directories that `is_skipped_directory` or a
    glob in `exclude` matches. `warnings` gets a message for each directory that cannot be read.
    """

    def warn(error: OSError) -> None:
        directory = Path(error.filename).relative_to(root).as_posix()
        warnings.append(f"skipped {directory}: {error.strerror}")

    directories: list[str] = []
    for top, below, files in os.walk(root, onerror=warn):
        directory = Path(top)
        if "pyvenv.cfg" in files or (directory != root and _is_repository(directory)):
            below.clear()
            continue
        if _PYPROJECT in files and not (directory / _PYPROJECT).is_symlink():
            directories.append(directory.relative_to(root).as_posix())
        below[:] = [
            name
            for name in sorted(below)
            if not is_skipped_directory(name)
            and not _is_excluded((directory / name).relative_to(root).as_posix(), exclude)
        ]
    return sorted(directories, key=lambda directory: directory.count("/"))


def _is_repository(directory: Path) -> bool:
    """Return whether a directory is the top level of a git repository, a submodule or a worktree."""
    return (directory / ".git").exists()


def is_skipped_directory(name: str) -> bool:
    """Return whether searches skip directories with this name: hidden ones, tests, samples, third-party code."""
    lower = name.lower()
    is_template = "{{" in name or "{%" in name
    return (
        name.startswith(".") or lower in _SKIPPED_DIRECTORIES or lower.endswith(_SKIPPED_SUFFIXES) or is_template
    )


def _is_excluded(directory: str, globs: Sequence[str]) -> bool:
    """Return whether a glob matches the directory or one above it; both are relative to the root."""
    if not globs:  # usual, and there may be hundreds of directories
        return False
    paths = [directory, *(parent.as_posix() for parent in Path(directory).parents if parent != Path())]
    return any(fnmatch.fnmatchcase(path, normalize_path(glob)) for path in paths for glob in globs)
