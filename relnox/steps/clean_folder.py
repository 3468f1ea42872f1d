"""Remove files of earlier builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.step import Step
from relnox.core.text import counted, listing
from relnox.errors import Failed
from relnox.steps.action import Action

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["CleanFolder"]


class CleanFolder(Step, kw_only=True):
    """Remove files of earlier builds from the output folder."""

    key = "clean"
    exclusive = True
    folder: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"remove {listing(self.files)} from {self.folder}"


class Cleaning(Action[CleanFolder]):
    """Removes the files of an output folder that the plan names, never folders."""

    def check(self) -> str | None:
        """Done if none of them exists."""
        return None if self._remaining() else "nothing to remove"

    def apply(self) -> None:
        """Remove the files."""
        for path in self._remaining():
            path.unlink()

    def verify(self) -> str:
        """Check that none of them exists."""
        if remaining := self._remaining():
            raise Failed(
                "file-not-removed",
                f"{remaining[0]} still exists after it was removed",
                fix="stop other processes that write into that folder, then rerun the command",
            )
        return f"{counted(len(self.step.files), 'file')} removed"

    def _remaining(self) -> list[Path]:
        folder = self.run.root / self.step.folder
        return [path for name in self.step.files if (path := folder / name).is_file() or path.is_symlink()]
