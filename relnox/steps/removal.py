"""Remove the results of earlier runs: archives, and the content of the embedded index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.steps.action import Action

if TYPE_CHECKING:
    from pathlib import Path


class CleanDirectory(Step, kw_only=True):
    """Remove files of earlier builds from the output directory."""

    key = "clean"
    exclusive = True
    directory: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"remove {join_names(self.files)} from {self.directory}"


class CleanDirectoryAction(Action[CleanDirectory]):
    def check(self) -> str | None:
        return None if self._remaining_files() else "nothing to remove"

    def apply(self) -> None:
        for path in self._remaining_files():
            path.unlink()

    def verify(self) -> str:
        if remaining := self._remaining_files():
            raise Failed(
                "file-changed",
                f"{remaining[0]} still exists after it was removed",
                fix="stop other processes that write into that directory, then rerun the command",
            )
        return f"{format_count(len(self.step.files), 'file')} removed"

    def _remaining_files(self) -> list[Path]:
        directory = self.run.root / self.step.directory
        return [path for name in self.step.files if (path := directory / name).is_file() or path.is_symlink()]


class ClearIndex(Step, kw_only=True):
    """Remove all content of the embedded index, unless it has only files of this release.

    Attributes:
        files: The files of the release, which are kept if an interrupted run uploaded them.
    """

    key = "clear index"
    index: str
    files: tuple[Distribution, ...]

    @property
    def title(self) -> str:
        return f"remove all content of index {self.index}"


class ClearIndexAction(Action[ClearIndex]):
    def check(self) -> str | None:
        files = {file.filename: file.sha256 for file in self.step.files}
        if self.run.indexes.embedded.store.holds_only(files):
            return "the index has only files of this release"
        return None

    def apply(self) -> None:
        """Remove everything, including files of this release."""
        self.run.indexes.clear_embedded()

    def verify(self) -> str:
        if not self.run.indexes.embedded.store.holds_only({}):
            raise Failed(
                "index-unknown",
                f"{self.step.index} still has files after it was cleared (another process uploads to it)",
                fix="stop the other process, then rerun the command",
            )
        return "the index is empty"
