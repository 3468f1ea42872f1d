"""What a package is built from, as one digest: the same digest, the same archives."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from typing import TYPE_CHECKING

from relnox.source.pyproject import table_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from relnox.core.packages import Package
    from relnox.source.git import Git

__all__ = ["digests"]

_FORMAT = 1
_DECLARATIVE = ("flit_core.buildapi", "hatchling.build", "pdm.backend", "poetry.core.masonry.api", "uv_build")
"""Backends that run no code of the project, unless its settings say so."""
_SETUPTOOLS = ("setuptools.build_meta", "setuptools.build_meta:__legacy__")
_CODE = ("setup.py", "hatch_build.py", "pdm_build.py")
_OF_THE_WHOLE = (".gitattributes", ".gitignore")
"""Files further up that decide which files of a folder are shipped, and with which line ends."""


def digests(root: Path, git: Git, commit: str, packages: Iterable[Package]) -> dict[str, str]:
    """A digest of each package's inputs in a commit.

    A package's own folder is what it is built from, unless its settings name files elsewhere, or code of its own
    runs during the build: then it is all of the commit. What its build requires is not part of it.
    """
    every = tuple(packages)
    trees = {package.name: "" if _reaches_out(root, package) else package.folder for package in every}
    above = {package.name: _above(package.folder) for package in every}
    names = sorted({*trees.values(), *(name for of in above.values() for name in of)})
    ids = git.object_ids(commit, names)
    interpreter = (platform.python_implementation(), sys.version, platform.platform())
    return {
        package.name: _digest(
            [
                _FORMAT,
                interpreter,
                ids[trees[package.name]],
                [ids[name] for name in above[package.name]],
                commit if package.source.kind in ("tags", "dynamic") else None,
            ]
        )
        for package in every
    }


def _reaches_out(root: Path, package: Package) -> bool:
    """Whether the build of a package may read more than its own folder."""
    if package.folder == ".":
        return True
    folder = root / package.folder
    text = (root / package.pyproject).read_text(encoding="utf-8-sig")
    declarative = package.backend in _DECLARATIVE or package.backend in _SETUPTOOLS
    return not declarative or ".." in text or any((folder / name).exists() for name in _CODE) or _hooks(text)


def _hooks(text: str) -> bool:
    import tomllib

    document: Mapping[str, Any] = tomllib.loads(text)
    return bool(
        table_at(document, "tool", "hatch", "build", "hooks")
        or table_at(document, "tool", "hatch", "metadata", "hooks")
        or table_at(document, "tool", "poetry", "build")
        or "backend-path" in table_at(document, "build-system")
    )


def _above(folder: str) -> list[str]:
    parts = folder.split("/")
    folders = ["", *("/".join(parts[:depth]) for depth in range(1, len(parts)))]
    return [f"{each}/{name}".lstrip("/") for each in folders for name in _OF_THE_WHOLE]


def _digest(told: object) -> str:
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
