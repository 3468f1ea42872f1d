"""The output folder of builds, and the files that earlier builds left in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from relnox import core
from relnox.steps.built_archives import read_manifest_if_valid

if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from pathlib import Path


class OutputFolder(NamedTuple):
    """The content of the output folder before the build.

    Attributes:
        files: The names of all files and folders in it; names of folders end with a slash.
        removable: The names that `--clean` removes: the manifest, the archives that it lists, and other archives
            of this project's packages.
    """

    files: tuple[str, ...]
    removable: frozenset[str]


def read_output_folder(folder: Path, packages: Container[str]) -> OutputFolder:
    """Read the content of an output folder, which may not exist yet.

    Args:
        folder: The folder.
        packages: The normalized names of the project's packages.
    """
    files = tuple(sorted(_file_names(folder))) if folder.is_dir() else ()
    manifest = read_manifest_if_valid(folder)
    built = {file.filename for file in manifest.distributions} if manifest is not None else set()
    return OutputFolder(
        files, frozenset(name for name in files if name in built or _may_be_from_build(name, packages))
    )


def _file_names(folder: Path) -> Iterator[str]:
    """Yield the names in a folder, with a slash after those of folders."""
    for path in folder.iterdir():
        yield f"{path.name}/" if path.is_dir() and not path.is_symlink() else path.name


def _may_be_from_build(name: str, packages: Container[str]) -> bool:
    """Return whether a file name is that of a manifest, or of an archive of one of the packages."""
    if name in (core.manifest.MANIFEST_JSON, core.manifest.MANIFEST_TEXT):
        return True
    if not name.endswith((".whl", ".tar.gz")):
        return False
    # The version follows the last dash in the name of an sdist, and the first one in the name of a wheel.
    project = name.partition("-")[0] if name.endswith(".whl") else name.rpartition("-")[0]
    return core.names.normalized(project) in packages
