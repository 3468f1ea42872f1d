"""Remove the results of earlier runs: archives, and the content of the embedded index."""

from __future__ import annotations

from pathlib import Path

from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.text import format_count, join_names
from relnox.steps.run import Run


class CleanDirectory(Step, kw_only=True):
    """Remove files of earlier builds from the output directory."""

    key = "clean"
    exclusive = True
    directory: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"remove {join_names(self.files)} from {self.directory}"

    def done(self, run: Run) -> str | None:
        return None if self._remaining_files(run) else f"{format_count(len(self.files), 'file')} removed"

    def apply(self, run: Run) -> None:
        for path in self._remaining_files(run):
            path.unlink()

    def _remaining_files(self, run: Run) -> list[Path]:
        paths = [run.root / self.directory / name for name in self.files]
        return [path for path in paths if path.is_file() or path.is_symlink()]


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

    def done(self, run: Run) -> str | None:
        files = {file.filename: file.sha256 for file in self.files}
        return "the index has no other files" if run.indexes.embedded.store.holds_only(files) else None

    def apply(self, run: Run) -> None:
        """Remove everything, including files of this release."""
        run.indexes.clear_embedded()
