"""The temporary folder of a run, which the programs that it runs use too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relnox.system.temporary_folders import TemporaryFolder

if TYPE_CHECKING:
    from pathlib import Path


class ScratchFolder(TemporaryFolder):
    """A temporary folder that is also the one of Python's `tempfile`.

    Libraries create temporary folders as well (`pyproject_hooks` for every hook): those that a killed run leaves
    are removed with this folder.
    """

    _previous: str | None = None

    @property
    def temporary(self) -> Path:
        """The folder for temporary files of programs."""
        return self.path / "tmp"

    def _make(self) -> Path:
        import tempfile

        folder = super()._make()
        (folder / "tmp").mkdir()
        self._previous, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
        return folder

    def __exit__(self, *exception: object) -> None:
        if self._path is not None:
            import tempfile

            if tempfile.tempdir == str(self._path / "tmp"):
                previous = self._previous
                tempfile.tempdir = previous if previous is not None and os.path.isdir(previous) else None  # noqa: PTH112
        super().__exit__(*exception)
