"""The folder for everything that a run needs for a while only, what its programs make included."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from relnox.files import TemporaryFolder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ScratchFolder"]


class ScratchFolder(TemporaryFolder):
    """A temporary folder that Python's own `tempfile` uses for as long as it is there.

    Libraries make temporary folders as well (`pyproject_hooks`, for every hook): what a killed run leaves of them
    goes with the rest.
    """

    _before: str | None = None

    @property
    def temporary(self) -> Path:
        """The folder that programs are given for their temporary files."""
        return self.path / "tmp"

    def _make(self) -> Path:
        import tempfile

        folder = super()._make()
        (folder / "tmp").mkdir()
        self._before, tempfile.tempdir = tempfile.tempdir, str(folder / "tmp")
        return folder

    def __exit__(self, *exception: object) -> None:
        if self._path is not None:
            import tempfile

            if tempfile.tempdir == str(self._path / "tmp"):
                before = self._before
                tempfile.tempdir = before if before is not None and os.path.isdir(before) else None  # noqa: PTH112
        super().__exit__(*exception)
