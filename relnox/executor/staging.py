"""A chain of tasks: each observes and plans when it is reached, here or in a throw-away clone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.core.events import Status
from relnox.errors import ExitCode, Failed
from relnox.source import git
from relnox.source.git import cloning

if TYPE_CHECKING:
    from relnox.core.events import Outcome
    from relnox.core.steps import CloneCheckout, Stage
    from relnox.errors import RelnoxError
    from relnox.executor.run import Run

__all__ = ["Cloning", "RunningStage"]


@dataclass
class Cloning:
    """Clones the checkout and makes a bare repository its remote, so that a push is rehearsed as well."""

    step: CloneCheckout
    run: Run

    def check(self) -> str | None:
        """It is always a fresh clone."""
        return None

    def apply(self) -> None:
        """Clone twice: the remote from the checkout, the working clone from the remote."""
        if self.run.git is None:
            raise Failed("todo", "this is no git checkout", fix="git init")
        step = self.step
        self.run.clone = cloning.clone_with_remote(self.run.git, self.run.scratch, step.commit, step.branch)

    def verify(self) -> str:
        """The clone is at the commit."""
        clone = git.find(self.run.clone) if self.run.clone is not None else None
        if clone is None or clone.head() != self.step.commit:
            raise Failed("todo", f"the clone is not at {self.step.commit[:10]}", fix="git fsck")
        return f"at {self.step.commit[:10]}"


@dataclass
class RunningStage:
    """Runs another task's plan; what it made is seen by its own proofs."""

    step: Stage
    run: Run

    def check(self) -> str | None:
        """A stage decides step by step what is done already."""
        return None

    def apply(self) -> None:
        """Observe, plan and run."""
        outcome = self.run.stage(self.step, self.run.clone or self.run.root)
        self.run.stages.append(outcome)
        if outcome.exit_code != ExitCode.DONE:
            raise _failure(self.step.task, outcome)

    def verify(self) -> str:
        """How many steps were done and how many were done before."""
        results = self.run.stages[-1].results
        done = sum(result.status is Status.SUCCESS for result in results)
        skipped = sum(result.status is Status.SKIPPED for result in results)
        return f"{done} steps" + (f", {skipped} skipped" if skipped else "")


def _failure(task: str, outcome: Outcome) -> RelnoxError:
    """The error of a stage, as the chain's own."""
    errors = [result.error for result in outcome.results if result.error is not None]
    for error in errors:
        if error.exit_code == outcome.exit_code:
            return error
    failure = Failed("todo", f"{task} ended with exit code {outcome.exit_code.value}", fix="see above")
    failure.exit_code = outcome.exit_code
    return failure
