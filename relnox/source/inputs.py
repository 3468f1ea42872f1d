"""Digests of what packages are built from: the same digest means the same archives."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

from relnox.core.documents import table_at
from relnox.core.serialization import digest
from relnox.source.git import Git
from relnox.source.pyproject import load
from relnox.system.environment_variables import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from relnox.core.packages import Package

_FORMAT = 2
_DECLARATIVE = {
    "flit_core.buildapi": "flit-core",
    "hatchling.build": "hatchling",
    "pdm.backend": "pdm-backend",
    "poetry.core.masonry.api": "poetry-core",
    "uv_build": "uv-build",
}
"""Backends that run no code of the project unless it is configured, and the distributions they are in."""
_SETUPTOOLS = ("setuptools.build_meta", "setuptools.build_meta:__legacy__")
_CODE = ("setup.py", "hatch.toml", "hatch_build.py", "pdm_build.py")
"""Files with code, or with settings that can run code."""
_PDM_CODE = {"custom-hook", "run-setuptools", "setup-script"}
"""Settings of pdm-backend that run code."""
_SETTINGS = ("pyproject.toml", "setup.cfg")
_GIT_FILES = (".gitattributes", ".gitignore")
"""Files in parent folders that decide which files of a folder are shipped, and with which line endings."""
_GIT_SETTINGS = r"^(core\.(autocrlf|eol|symlinks|attributesfile)|filter\.)"
"""Settings of git that change the content of files in a checkout."""
_BACKEND_PREFIXES = ("HATCH_", "PDM_BUILD_", "POETRY_", "SETUPTOOLS_", "UV_DYNAMIC_VERSIONING_", "VCS_VERSIONING_")
"""Prefixes of environment variables that configure backends, for example with a version."""
_COMPILER_VARIABLES = ("ARCHFLAGS", "CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LDFLAGS")
_LINK, _SUBMODULE = "120000", "160000"


def input_digests(root: Path, git: Git, commit: str, packages: Iterable[Package]) -> dict[str, str]:
    """Compute a digest of each package's inputs in a commit.

    The inputs are the package's own folder. They are the whole commit if its settings or symbolic links refer to
    files elsewhere, or if code of the project runs during the build; in the latter case also the tags. Build
    requirements are not included.
    """
    packages = tuple(packages)
    top = Git(git.root)  # with paths from the top level, which has files that matter to a project below it as well
    links, submodules = _links_and_submodules(top, commit)
    trees, git_files = {}, {}
    with_code = {package.name for package in packages if _runs_code(root, package)}
    for package in packages:
        folder = git.prefix.rstrip("/") if package.folder == "." else f"{git.prefix}{package.folder}"
        has_link = any(link.startswith(f"{folder}/") for link in links)
        needs_all = has_link or package.name in with_code or _reads_other_folders(root, package)
        trees[package.name] = "" if needs_all else folder
        git_files[package.name] = list(_git_files_above(folder))
    ids = top.object_ids(commit, {*trees.values(), *(name for names in git_files.values() for name in names)})
    environment = [
        _FORMAT,
        [platform.python_implementation(), sys.version, *_describe_machine()],
        sorted(item for item in clean_environment(os.environ).items() if _affects_builds(item[0])),
        git.run("config", "--get-regexp", _GIT_SETTINGS, stderr=False).output,
        _initialized_submodules(git) if submodules else [],
    ]
    # Archives of these may depend on commits and tags themselves.
    with_history = with_code | {package.name for package in packages if package.source.kind in ("tags", "dynamic")}
    history = [commit, sorted(git.tags().items())] if with_history else None
    return {
        name: digest(
            [
                environment,
                ids[tree],
                [ids[file] for file in git_files[name]],
                history if name in with_history else None,
            ]
        )
        for name, tree in trees.items()
    }


def is_declarative(root: Path, package: Package) -> bool:
    """Return whether only the backend runs in a package's build: no code of the project, and no plugin."""
    required = [need.name for need in package.dependencies if need.table == "build"]
    is_computed = package.dynamic or package.source.kind == "tags"
    return not is_computed and required == [_DECLARATIVE.get(package.backend)] and not _runs_code(root, package)


def _reads_other_folders(root: Path, package: Package) -> bool:
    """Return whether a package's settings may refer to files outside of its folder."""
    files = (root / package.folder / name for name in _SETTINGS)
    return package.folder == "." or any(
        ".." in file.read_text(encoding="utf-8-sig", errors="replace") for file in files if file.is_file()
    )


def _runs_code(root: Path, package: Package) -> bool:
    """Return whether code other than the backend runs during the build."""
    folder = root / package.folder
    document = load(root / package.pyproject)
    declarative = package.backend in _DECLARATIVE or package.backend in _SETUPTOOLS
    return not declarative or any((folder / name).exists() for name in _CODE) or _has_hooks(document)


def _has_hooks(document: Mapping[str, Any]) -> bool:
    """Return whether the settings of a declarative backend make it run code."""
    hatch, pdm = (table_at(document, "tool", name) for name in ("hatch", "pdm"))
    targets = table_at(hatch, "build", "targets")
    return bool(
        table_at(hatch, "build", "hooks")
        or any(table_at(targets, name, "hooks") for name in targets)
        or table_at(hatch, "metadata", "hooks")
        or table_at(hatch, "version").get("source") == "code"
        or table_at(pdm, "build").keys() & _PDM_CODE
        or table_at(pdm, "version").get("source") == "call"
        or table_at(document, "tool", "poetry", "build")
        or "backend-path" in table_at(document, "build-system")
    )


def _describe_machine() -> list[str]:
    """Describe system, kernel, processor and C library; unlike `platform.platform`, without starting a program."""
    return [platform.system(), platform.release(), platform.machine(), *platform.libc_ver()]


def _links_and_submodules(git: Git, commit: str) -> tuple[list[str], list[str]]:
    """List the symbolic links and the submodules of a commit."""
    paths: dict[str, list[str]] = {_LINK: [], _SUBMODULE: []}
    for entry in git.entries("ls-tree", "-r", "--full-tree", commit):
        if entry.startswith((_LINK, _SUBMODULE)):
            paths[entry[:6]].append(entry.partition("\t")[2])
    return paths[_LINK], paths[_SUBMODULE]


def _initialized_submodules(git: Git) -> list[str]:
    """List the initialized submodules; the others are empty folders in a build."""
    status = git.run("submodule", "status", "--recursive", "--cached", stderr=False)
    return [line[1:].partition(" (")[0] for line in status.output.splitlines() if not line.startswith("-")]


def _affects_builds(variable: str) -> bool:
    return variable in _COMPILER_VARIABLES or variable.startswith(_BACKEND_PREFIXES)


def _git_files_above(folder: str) -> Iterator[str]:
    """List files of git that may be in the parents of a folder; all paths are relative to the top level."""
    parts = folder.split("/")
    for depth in range(len(parts)):
        yield from ("/".join([*parts[:depth], name]) for name in _GIT_FILES)
