"""The output folder: its manifest, and the archives that are moved into it."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from relnox import building
from relnox.core.planning import fixes
from relnox.core.release.manifest import MANIFEST_JSON, Manifest
from relnox.errors import Blocked, Failed
from relnox.system.files import make_output_folder
from relnox.system.temporary_folders import TemporaryFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from relnox.core.release.manifest import Distribution

_WRITABLE_BY_OTHERS = 0o022


def read_manifest_if_valid(output: Path) -> Manifest | None:
    """Return the manifest of an earlier run in a folder, or None if it is missing or invalid."""
    path = output / MANIFEST_JSON
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError, Blocked):
        return None


@contextlib.contextmanager
def staging_folder(output: Path, package: str) -> Iterator[Path]:
    """Create a temporary folder for a package's archives in the output folder; remove those of killed runs.

    Its name is unique, since processes of a killed run may still write into theirs.
    """
    make_output_folder(output)
    with TemporaryFolder(output) as folder:
        staging = folder.path / package
        staging.mkdir()
        yield staging


def move_files(folder: Path, files: Iterable[Path]) -> None:
    """Move files to a folder atomically: their content is on the disk before their names exist."""
    for path in files:
        with path.open("rb") as content:
            path.chmod(path.stat().st_mode & ~_WRITABLE_BY_OTHERS)
            os.fsync(content.fileno())
        path.replace(folder / path.name)


def check_unchanged(folder: Path, files: Iterable[Distribution]) -> None:
    """Raise an error if a file was removed or changed since it was built and checked."""
    for file in files:
        if not building.file_hashes.file_matches(folder / file.filename, file.size, file.sha256):
            raise Failed(
                "archive-changed",
                f"{file.filename} was changed or removed after it was built",
                fix="stop other processes that write into that folder, then build again: "
                f"{fixes.task_command('build-all', '--clean')}",
            )
