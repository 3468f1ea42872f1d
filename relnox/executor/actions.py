"""Which action carries out which step."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from relnox.core import steps
from relnox.executor import building, editing, publishing, staging, verifying

if TYPE_CHECKING:
    from relnox.executor import Action
    from relnox.executor.run import Run

__all__ = ["action_for"]


def action_for(step: steps.Step, run: Run) -> Action:  # noqa: C901, PLR0912 - one case per kind of step
    """The action for a step."""
    match step:
        case steps.EditFiles():
            return editing.EditingFiles(step, run)
        case steps.Commit():
            return editing.Committing(step, run)
        case steps.CreateTags():
            return editing.Tagging(step, run)
        case steps.TakeBack():
            return editing.TakingBack(step, run)
        case steps.Push():
            return editing.Pushing(step, run)
        case steps.CleanFolder():
            return building.Cleaning(step, run)
        case steps.Build():
            return building.Building(step, run)
        case steps.RunTests():
            return building.Testing(step, run)
        case steps.CheckDistributions():
            return building.Checking(step, run)
        case steps.WriteManifest():
            return building.WritingManifest(step, run)
        case steps.Upload():
            return publishing.Uploading(step, run)
        case steps.AwaitIndex():
            return publishing.Awaiting(step, run)
        case steps.Download():
            return verifying.Downloading(step, run)
        case steps.CreateEnvironment():
            return verifying.CreatingEnvironment(step, run)
        case steps.Install():
            return verifying.Installing(step, run)
        case steps.CheckInstalled():
            return verifying.CheckingInstalled(step, run)
        case steps.ImportCheck():
            return verifying.Importing(step, run)
        case steps.RunSmoke():
            return verifying.RunningSmoke(step, run)
        case steps.CloneCheckout():
            return staging.Cloning(step, run)
        case steps.Stage():
            return staging.RunningStage(step, run)
        case _:
            assert_never(step)
