"""Remove the content of the embedded index before a release is tested on it."""

from __future__ import annotations

from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.errors import Failed
from relnox.steps.action import Action

__all__ = ["ClearIndex"]


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


class ClearingIndex(Action[ClearIndex]):
    """Removes all content of the embedded index before a release is tested on it."""

    def check(self) -> str | None:
        """Return why nothing is to do: it has only files of this release, as after an interrupted run."""
        files = {file.filename: file.sha256 for file in self.step.files}
        if self.run.indexes.embedded.holds_only(files):
            return "the index has only files of this release"
        return None

    def apply(self) -> None:
        """Remove everything, including files of this release."""
        self.run.indexes.clear_embedded()

    def verify(self) -> str:
        """Check that the index is empty."""
        if not self.run.indexes.embedded.holds_only({}):
            raise Failed(
                "index-not-cleared",
                f"{self.step.index} has files although it was cleared (another process uploads to it)",
                fix="end the other process, then rerun the command",
            )
        return "the index is empty"
