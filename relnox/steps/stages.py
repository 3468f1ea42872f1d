"""Steps that run other tasks, in the checkout or in a temporary clone of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import fixes
from relnox.core.planning.events import Status
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.core.text import format_count
from relnox.errors import ExitCode, Failed
from relnox.source.git import find_repository
from relnox.steps.action import Action

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from relnox.core.planning.events import Outcome
    from relnox.errors import RelnoxError
    from relnox.steps.run import Run


class TemporaryClone(Record):
    """The temporary clone in which stages run."""

    directory: Path


def checkout_directory(run: Run) -> Path:
    """Return the directory in which the stages of a run work: the temporary clone, or the project's directory."""
    clone = run.result(TemporaryClone)
    return run.root if clone is None else clone.directory


class CloneCheckout(Step, kw_only=True):
    """Clone the checkout and a remote for it to a temporary directory.

    Attributes:
        output: The directory that later steps write archives to, in the clone.
    """

    key = "clone"
    commit: str
    branch: str
    remote_name: str
    output: str

    @property
    def title(self) -> str:
        return f"clone commit {self.commit[:10]} and a remote for it to a temporary directory"


class CloneCheckoutAction(Action[CloneCheckout]):
    """Clones the checkout, with a bare repository as its remote, so that the push is rehearsed as well."""

    def apply(self) -> None:
        """Clone the checkout to the remote, and the remote to the working clone."""
        from relnox.source import copies

        step = self.step
        self.result = TemporaryClone(
            directory=copies.clone_with_remote(
                self.run.checkout, self.run.scratch, step.commit, step.branch, step.remote_name
            )
        )

    def verify(self) -> str:
        clone = find_repository(self.result.directory)
        if clone is None or clone.head() != self.step.commit:
            raise Failed(
                "clone-failed",
                f"the clone is not at commit {self.step.commit[:10]}",
                fix="check the repository for damage: git fsck",
            )
        if (clone.root / self.step.output).is_symlink():
            raise Failed(
                "output-outside-checkout",
                f"{self.step.output} is a symbolic link in the commit (archives would be written to its target)",
                fix=f"git rm --cached {self.step.output} && git commit -m 'Remove {self.step.output}'",
            )
        return f"at {self.step.commit[:10]}"


class Stage(Step, kw_only=True):
    """Run another task, which is planned when the step starts."""

    runs_project_code = True
    runs_task = True
    task: str
    options: tuple[tuple[str, str | bool | int | tuple[str, ...]], ...]

    @property
    def key(self) -> str:
        return self.task

    @property
    def title(self) -> str:
        return " ".join([self.task, *(word for option in self.options for word in fixes.option_words(*option))])


class StageRunner(Record):
    """Holds the function that runs the task of a stage in a directory; the run's caller passes it as a value."""

    run: Callable[[Stage, Path], Outcome]


class StageAction(Action[Stage]):
    """Runs another task, which verifies its own steps."""

    def apply(self) -> None:
        runner = self.run.result(StageRunner)
        assert runner is not None  # noqa: S101 - a value of every run
        self.result = outcome = runner.run(self.step, checkout_directory(self.run))
        if outcome.exit_code != ExitCode.DONE:
            raise _deciding_error(self.step.task, outcome)

    def verify(self) -> str:
        results = self.result.results
        succeeded_count = sum(result.status is Status.SUCCESS for result in results)
        skipped_count = sum(result.status is Status.SKIPPED for result in results)
        return format_count(succeeded_count, "step") + (f", {skipped_count} skipped" if skipped_count else "")


def _deciding_error(task: str, outcome: Outcome) -> RelnoxError:
    """Return the error that determined the exit code of a task."""
    errors = [result.error for result in outcome.results if result.error is not None]
    for error in errors:
        if error.exit_code == outcome.exit_code:
            return error
    failure = Failed(
        "program-failed",
        f"{task} failed with exit code {outcome.exit_code.value}",
        fix="fix the errors above, then rerun the command",
    )
    failure.exit_code = outcome.exit_code
    return failure
