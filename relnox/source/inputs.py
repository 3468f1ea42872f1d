"""What a package is built from, as one digest: the same digest, the same archives."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from functools import lru_cache
from typing import TYPE_CHECKING

from relnox import process
from relnox.source.git import Git
from relnox.source.pyproject import table_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from relnox.core.packages import Package

__all__ = ["digests", "is_declarative"]

_FORMAT = 2
_DECLARATIVE = {
    "flit_core.buildapi": "flit-core",
    "hatchling.build": "hatchling",
    "pdm.backend": "pdm-backend",
    "poetry.core.masonry.api": "poetry-core",
    "uv_build": "uv-build",
}
"""Backends that run no code of the project, unless its settings say so; and the names they are required by."""
_SETUPTOOLS = ("setuptools.build_meta", "setuptools.build_meta:__legacy__")
_CODE = ("setup.py", "hatch.toml", "hatch_build.py", "pdm_build.py")
"""Files that are code, or may name some."""
_PDM_CODE = {"custom-hook", "run-setuptools", "setup-script"}
"""Settings of pdm-backend that name code."""
_SETTINGS = ("pyproject.toml", "setup.cfg")
_OF_THE_WHOLE = (".gitattributes", ".gitignore")
"""Files further up that decide which files of a folder are shipped, and with which line ends."""
_OF_THE_CHECKOUT = r"^(core\.(autocrlf|eol|symlinks|attributesfile)|filter\.)"
"""What git is configured with that decides what files look like in a checkout."""
_TOLD_BACKENDS = ("HATCH_", "PDM_BUILD_", "POETRY_", "SETUPTOOLS_", "UV_DYNAMIC_VERSIONING_", "VCS_VERSIONING_")
"""What variables begin with that tell backends something, such as a version."""
_TOLD_COMPILERS = ("ARCHFLAGS", "CC", "CFLAGS", "CPPFLAGS", "CXX", "CXXFLAGS", "LDFLAGS")
_LINK, _SUBMODULE = "120000", "160000"


def digests(root: Path, git: Git, commit: str, packages: Iterable[Package]) -> dict[str, str]:
    """A digest of each package's inputs in a commit.

    A package's own folder is what it is built from, unless its settings or links in it name files elsewhere, or
    code of its own runs during the build: then it is all of the commit, and the tags where they can be seen. What
    its build requires is not part of it.
    """
    every = tuple(packages)
    whole = Git(git.root)  # paths from the top: what is there concerns a project further down as well
    links, submodules = _special(whole, commit)
    trees, above = {}, {}
    code = {package.name for package in every if _runs_code(root, package)}
    for package in every:
        folder = git.prefix.rstrip("/") if package.folder == "." else f"{git.prefix}{package.folder}"
        linked = any(link.startswith(f"{folder}/") for link in links)
        wide = linked or package.name in code or _reaches_out(root, package)
        trees[package.name] = "" if wide else folder
        above[package.name] = list(_above(folder))
    ids = whole.object_ids(commit, {*trees.values(), *(name for of in above.values() for name in of)})
    surroundings = [
        _FORMAT,
        [platform.python_implementation(), sys.version, *_machine()],
        sorted(told for told in process.clean_environment(os.environ).items() if _is_told(told[0])),
        git.run("config", "--get-regexp", _OF_THE_CHECKOUT, stderr=False).output,
        _checked_out(git) if submodules else [],
    ]
    # Whose archives may depend on commits and tags themselves.
    seeing = code | {package.name for package in every if package.source.kind in ("tags", "dynamic")}
    history = [commit, sorted(git.tags().items())] if seeing else None
    return {
        name: _digest(
            [surroundings, ids[tree], [ids[each] for each in above[name]], history if name in seeing else None]
        )
        for name, tree in trees.items()
    }


def is_declarative(root: Path, package: Package) -> bool:
    """Whether nothing runs when a package is built but its backend: no code of the project, and no plugin."""
    required = [need.name for need in package.dependencies if need.table == "build"]
    worked_out = package.dynamic or package.source.kind == "tags"
    return not worked_out and required == [_DECLARATIVE.get(package.backend)] and not _runs_code(root, package)


def _reaches_out(root: Path, package: Package) -> bool:
    """Whether the settings of a package may have its build read more than its own folder."""
    texts = (root / package.folder / name for name in _SETTINGS)
    told = any(".." in path.read_text(encoding="utf-8-sig", errors="replace") for path in texts if path.is_file())
    return package.folder == "." or told


def _runs_code(root: Path, package: Package) -> bool:
    """Whether code that is not the backend's runs during the build: it may do anything."""
    folder = root / package.folder
    text = (root / package.pyproject).read_text(encoding="utf-8-sig")
    declarative = package.backend in _DECLARATIVE or package.backend in _SETUPTOOLS
    return not declarative or any((folder / name).exists() for name in _CODE) or _hooks(text)


@lru_cache(maxsize=1 << 10)
def _hooks(text: str) -> bool:
    """Whether settings of a declarative backend have it run something."""
    import tomllib

    document: Mapping[str, Any] = tomllib.loads(text)
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


def _machine() -> list[str]:
    """System, kernel, processor and C library. `platform.platform` starts a program, with all of our variables."""
    return [platform.system(), platform.release(), platform.machine(), *platform.libc_ver()]


def _special(whole: Git, commit: str) -> tuple[list[str], list[str]]:
    """The symbolic links and the submodules of a commit."""
    listed = whole.run("ls-tree", "-r", "-z", "--full-tree", commit, stderr=False).check("git ls-tree").output
    found: dict[str, list[str]] = {_LINK: [], _SUBMODULE: []}
    for entry in listed.split("\0"):
        if entry.startswith((_LINK, _SUBMODULE)):
            found[entry[:6]].append(entry.partition("\t")[2])
    return found[_LINK], found[_SUBMODULE]


def _checked_out(git: Git) -> list[str]:
    """Which submodules are there: one that is not is empty in what is built."""
    asked = git.run("submodule", "status", "--recursive", "--cached", stderr=False)
    return [line[1:].partition(" (")[0] for line in asked.output.splitlines() if not line.startswith("-")]


def _is_told(name: str) -> bool:
    return name in _TOLD_COMPILERS or name.startswith(_TOLD_BACKENDS)


def _above(folder: str) -> Iterator[str]:
    """Files of the folders above one that have a say in it; both are relative to the top."""
    parts = folder.split("/")
    for depth in range(len(parts)):
        yield from ("/".join([*parts[:depth], name]) for name in _OF_THE_WHOLE)


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
