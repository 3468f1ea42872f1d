"""The folder for archives, and what earlier builds left in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.steps.output_folder import read_manifest_if_valid

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path


class OutputFolder(NamedTuple):
    """The folder for archives before the build.

    Attributes:
        files: The names in it; those of folders end in a slash.
        removable: Those of them that --clean removes: the manifest, archives that it lists, and archives of
            packages of this workspace.
    """

    files: tuple[str, ...]
    removable: frozenset[str]


def read_output_folder(folder: Path, packages: Container[str]) -> OutputFolder:
    """Read the names in a folder for archives, which may not exist yet; `packages` are normalized names."""
    files = tuple(sorted(_file_names(folder))) if folder.is_dir() else ()
    manifest = read_manifest_if_valid(folder)
    built = {file.filename for file in manifest.distributions} if manifest is not None else set()
    return OutputFolder(
        files, frozenset(name for name in files if name in built or _may_be_from_build(name, packages))
    )


def _file_names(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        yield f"{path.name}/" if path.is_dir() and not path.is_symlink() else path.name


def _may_be_from_build(name: str, packages: Container[str]) -> bool:
    """Return whether a file may be from an earlier build: the manifest, or an archive of one of these packages."""
    if name in (core.manifest.MANIFEST_JSON, core.manifest.MANIFEST_TEXT):
        return True
    if not name.endswith((".whl", ".tar.gz")):
        return False
    # The version follows the last dash in the name of an sdist, and the first one in the name of a wheel.
    project = name.partition("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
    return core.names.normalized(project) in packages
