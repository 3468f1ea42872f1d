"""Hash the inputs of a package's build: a package need not be built again if its digest is unchanged."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

from relnox.core.documents import table_at
from relnox.core.serialization import digest
from relnox.source.git import Git
from relnox.source.pyproject import load
from relnox.source.submodules import SUBMODULE_MODE
from relnox.system.environment_variables import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from relnox.core.packages import Package

_FORMAT_VERSION = 2
_DECLARATIVE_BACKENDS = {
    "flit_core.buildapi": "flit-core",
    "hatchling.build": "hatchling",
    "pdm.backend": "pdm-backend",
    "poetry.core.masonry.api": "poetry-core",
    "uv_build": "uv-build",
}
"""Maps backends that run project code only if it is configured to the distributions that contain them."""
_SETUPTOOLS_BACKENDS = ("setuptools.build_meta", "setuptools.build_meta:__legacy__")
_CODE_FILES = ("setup.py", "hatch.toml", "hatch_build.py", "pdm_build.py")
"""Files that contain code for the build, or settings that can make it run code."""
_PDM_CODE_SETTINGS = {"custom-hook", "run-setuptools", "setup-script"}
"""Settings of pdm-backend that make it run code of the project."""
_SETTINGS_FILES = ("pyproject.toml", "setup.cfg")
_GIT_FILES = (".gitattributes", ".gitignore")
"""Files in parent directories that affect which files of a directory are packaged, and their line endings."""
_GIT_SETTINGS = r"^(core\.symlinks|filter\.)"
"""A pattern for git settings that change the content of files in an export of a commit."""
_BACKEND_PREFIXES = ("HATCH_", "PDM_BUILD_", "POETRY_", "SETUPTOOLS_", "UV_DYNAMIC_VERSIONING_", "VCS_VERSIONING_")
"""Prefixes of environment variables that configure backends, for example with a version."""
_COMPILER_VARIABLES = ("ARCHFLAGS", "CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LDFLAGS")
_LINK_MODE = "120000"


def hash_build_inputs(
    root: Path, git: Git, commit: str, packages: Iterable[Package], entries: Sequence[str]
) -> dict[str, str]:
    """Return a digest of the build inputs of each package in a commit, by package name.

    The inputs are the files in the package's directory, or all files in the commit if the package's settings or
    symbolic links may refer to other directories. If code of the project runs during the build, the inputs are the
    whole commit and the tags. Python, the system, and the environment variables and git settings that affect
    builds are inputs as well; the installed build requirements are not.

    Args:
        root: The project's directory.
        git: The checkout.
        commit: The commit.
        packages: The packages.
        entries: The result of `Git.tree_entries` for the commit.
    """
    packages = tuple(packages)
    top = Git(git.root)  # with paths from the top level, which has files that matter to a project below it as well
    links = [entry.partition("\t")[2] for entry in entries if entry.startswith(_LINK_MODE)]
    has_submodules = any(entry.startswith(SUBMODULE_MODE) for entry in entries)
    trees, git_files = {}, {}
    with_code = {package.name for package in packages if _runs_code(root, package)}
    for package in packages:
        directory = git.prefix.rstrip("/") if package.directory == "." else f"{git.prefix}{package.directory}"
        has_link = any(link.startswith(f"{directory}/") for link in links)
        needs_all = has_link or package.name in with_code or _reads_other_directories(root, package)
        trees[package.name] = "" if needs_all else directory
        git_files[package.name] = list(_git_files_above(directory))
    ids = top.object_ids(commit, {*trees.values(), *(name for names in git_files.values() for name in names)})
    # Unlike `platform.platform`, these run no program.
    machine = [platform.system(), platform.release(), platform.machine(), *platform.libc_ver()]
    variables = sorted(clean_environment(os.environ).items())
    environment = [
        _FORMAT_VERSION,
        [platform.python_implementation(), sys.version, *machine],
        [item for item in variables if item[0] in _COMPILER_VARIABLES or item[0].startswith(_BACKEND_PREFIXES)],
        git.run("config", "--get-regexp", _GIT_SETTINGS, stderr=False).output,
        _initialized_submodules(git) if has_submodules else [],
    ]
    # Archives of these may depend on commits and tags themselves.
    with_history = with_code | {package.name for package in packages if package.source.kind in ("tags", "dynamic")}
    history = [commit, sorted(git.tags().items())] if with_history else None
    digests: dict[str, str] = {}
    for name, tree in trees.items():
        git_file_ids = [ids[file] for file in git_files[name]]
        digests[name] = digest([environment, ids[tree], git_file_ids, history if name in with_history else None])
    return digests


def has_declarative_build(root: Path, package: Package) -> bool:
    """Return whether a package's build runs only the backend itself, without plugins or code of the project."""
    build_requirements = [dependency.name for dependency in package.dependencies if dependency.table == "build"]
    is_computed = package.dynamic or package.source.kind == "tags"
    return (
        not is_computed
        and build_requirements == [_DECLARATIVE_BACKENDS.get(package.backend)]
        and not _runs_code(root, package)
    )


def _reads_other_directories(root: Path, package: Package) -> bool:
    """Return whether a package's settings may refer to files outside the package's directory."""
    files = (root / package.directory / name for name in _SETTINGS_FILES)
    return package.directory == "." or any(
        ".." in file.read_text(encoding="utf-8-sig", errors="replace") for file in files if file.is_file()
    )


def _runs_code(root: Path, package: Package) -> bool:
    """Return whether code of the project, or a backend that is not known, may run during the build."""
    directory = root / package.directory
    document = load(root / package.pyproject)
    declarative = package.backend in _DECLARATIVE_BACKENDS or package.backend in _SETUPTOOLS_BACKENDS
    return (
        not declarative or any((directory / name).exists() for name in _CODE_FILES) or _has_backend_hooks(document)
    )


def _has_backend_hooks(document: Mapping[str, Any]) -> bool:
    """Return whether the settings of a declarative backend make it run code."""
    hatch, pdm = (table_at(document, "tool", name) for name in ("hatch", "pdm"))
    targets = table_at(hatch, "build", "targets")
    return bool(
        table_at(hatch, "build", "hooks")
        or any(table_at(targets, name, "hooks") for name in targets)
        or table_at(hatch, "metadata", "hooks")
        or table_at(hatch, "version").get("source") == "code"
        or table_at(pdm, "build").keys() & _PDM_CODE_SETTINGS
        or table_at(pdm, "version").get("source") == "call"
        or table_at(document, "tool", "poetry", "build")
        or "backend-path" in table_at(document, "build-system")
    )


def _initialized_submodules(git: Git) -> list[str]:
    """Return the commit and path of each initialized submodule; others are empty directories in a build."""
    status = git.run("submodule", "status", "--recursive", "--cached", stderr=False)
    return [line[1:].partition(" (")[0] for line in status.output.splitlines() if not line.startswith("-")]


def _git_files_above(directory: str) -> Iterator[str]:
    """Yield the paths, relative to the top level, at which parents of a directory may have `_GIT_FILES`."""
    parts = directory.split("/")
    for depth in range(len(parts)):
        yield from ("/".join([*parts[:depth], name]) for name in _GIT_FILES)
