"""Export the commit to build."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from relnox.core.planning.step import Step
from relnox.errors import Failed
from relnox.steps.action import Action

if TYPE_CHECKING:
    from relnox.steps.run import Run

__all__ = ["Export"]


class Export(Step, kw_only=True):
    """Export a commit to a scratch folder, so that only committed files are built.

    Attributes:
        commit: The full commit id.
    """

    exclusive: ClassVar[bool] = True
    concurrent: ClassVar[bool] = True
    commit: str

    @property
    def key(self) -> str:
        return "export"

    @property
    def title(self) -> str:
        return f"export commit {self.commit[:10]} (without uncommitted changes)"

    def action(self, run: Run) -> Exporting:
        return Exporting(self, run)


class Exporting(Action[Export]):
    """Exports the commit to build into a scratch folder."""

    def check(self) -> str | None:
        """Return None: the commit is always exported again."""
        return None

    def apply(self) -> None:
        """Export the commit."""
        from relnox.source import exports
        from relnox.source.git import Git

        if self.run.git is None:
            raise Failed("not-a-git-repository", "project is not in a git checkout", fix="git init")
        exports.remove_leftover(self.run.git)
        self.run.commit = self.step.commit
        self.run.export = self.run.scratch / "source"
        self.run.source = exports.export(self.run.git, self.step.commit, self.run.export)
        self.run.tracked = Git(self.run.source).tracked_files()

    def verify(self) -> str:
        """Check that the project's folder is in the commit."""
        if not self.run.source.is_dir():
            raise Failed(
                "project-not-committed",
                f"project folder is not in commit {self.step.commit[:10]}",
                fix="commit the project: git add . && git commit",
            )
        return f"exported {self.step.commit[:10]}"
