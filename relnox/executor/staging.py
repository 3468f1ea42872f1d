"""Actions of steps that run other tasks, in the checkout or in a temporary clone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.core.planning.events import Status
from relnox.errors import ExitCode, Failed
from relnox.source import git
from relnox.source.git import cloning

if TYPE_CHECKING:
    from relnox.core.planning.events import Outcome
    from relnox.core.steps import CloneCheckout, Stage
    from relnox.errors import RelnoxError
    from relnox.executor.run import Run

__all__ = ["Cloning", "RunningStage"]


@dataclass
class Cloning:
    """Clones the checkout, with a bare repository as its remote, so that the push is rehearsed as well."""

    step: CloneCheckout
    run: Run

    def check(self) -> str | None:
        """Never skip: every rehearsal needs a new clone."""
        return None

    def apply(self) -> None:
        """Clone the checkout to the remote, and the remote to the working clone."""
        if self.run.git is None:
            raise Failed("not-a-git-repository", f"{self.run.root} is not in a git repository", fix="git init")
        step = self.step
        self.run.clone = cloning.clone_with_remote(self.run.git, self.run.scratch, step.commit, step.branch)

    def verify(self) -> str:
        """Check that the clone is at the commit."""
        clone = git.find(self.run.clone) if self.run.clone is not None else None
        if clone is None or clone.head() != self.step.commit:
            raise Failed("clone-failed", f"the clone is not at commit {self.step.commit[:10]}", fix="git fsck")
        return f"at {self.step.commit[:10]}"


@dataclass
class RunningStage:
    """Runs another task, whose own steps are verified by themselves."""

    step: Stage
    run: Run

    def check(self) -> str | None:
        """Never skip: the task decides for each of its steps whether it is done."""
        return None

    def apply(self) -> None:
        """Observe, plan and run the task."""
        outcome = self.run.stage(self.step, self.run.clone or self.run.root)
        self.run.stages.append(outcome)
        if outcome.exit_code != ExitCode.DONE:
            raise _failure(self.step.task, outcome)

    def verify(self) -> str:
        """Count the steps that were done and skipped."""
        results = self.run.stages[-1].results
        done = sum(result.status is Status.SUCCESS for result in results)
        skipped = sum(result.status is Status.SKIPPED for result in results)
        return f"{done} steps" + (f", {skipped} skipped" if skipped else "")


def _failure(task: str, outcome: Outcome) -> RelnoxError:
    """Find the error that decided a task's exit code."""
    errors = [result.error for result in outcome.results if result.error is not None]
    for error in errors:
        if error.exit_code == outcome.exit_code:
            return error
    failure = Failed(
        "stage-failed", f"{task} ended with exit code {outcome.exit_code.value}", fix="fix the problems above"
    )
    failure.exit_code = outcome.exit_code
    return failure
