"""The action of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from relnox.core import steps

if TYPE_CHECKING:
    from relnox.executor import Action
    from relnox.executor.run import Run

__all__ = ["action_for"]


def action_for(step: steps.Step, run: Run) -> Action:
    """Return the action for a step; its module is imported on first use."""
    match step:
        case steps.EditFiles() | steps.Commit() | steps.CreateTags() | steps.UndoBump() | steps.Push():
            return _editing(step, run)
        case (
            steps.ClearCache()
            | steps.Export()
            | steps.PrepareBuildEnvironment()
            | steps.Build()
            | steps.CheckReproducibility()
        ):
            return _building(step, run)
        case steps.BuildWheels() | steps.WriteMatrix():
            return _building(step, run)
        case steps.CleanFolder() | steps.RunTests() | steps.CheckDistributions() | steps.WriteManifest():
            return _artifacts(step, run)
        case steps.Collect() | steps.WriteCollection():
            return _collecting(step, run)
        case steps.ClearIndex() | steps.Attest() | steps.LogIn() | steps.CheckProvenance():
            return _publishing(step, run)
        case steps.Upload() | steps.AwaitIndex():
            return _publishing(step, run)
        case steps.CloneCheckout() | steps.Stage():
            return _staging(step, run)
        case _:
            return _verifying(step, run)


def _editing(
    step: steps.EditFiles | steps.Commit | steps.CreateTags | steps.UndoBump | steps.Push, run: Run
) -> Action:
    from relnox.executor import editing

    match step:
        case steps.EditFiles():
            return editing.EditingFiles(step, run)
        case steps.Commit():
            return editing.Committing(step, run)
        case steps.CreateTags():
            return editing.Tagging(step, run)
        case steps.UndoBump():
            return editing.UndoingBump(step, run)
        case steps.Push():
            return editing.Pushing(step, run)
        case _:
            assert_never(step)


def _building(
    step: steps.ClearCache
    | steps.Export
    | steps.PrepareBuildEnvironment
    | steps.Build
    | steps.CheckReproducibility
    | steps.BuildWheels
    | steps.WriteMatrix,
    run: Run,
) -> Action:
    from relnox.executor import building, comparing, platform_wheels

    match step:
        case steps.ClearCache():
            return building.ClearingCache(step, run)
        case steps.Export():
            return building.Exporting(step, run)
        case steps.PrepareBuildEnvironment():
            return building.PreparingEnvironment(step, run)
        case steps.Build():
            return building.Building(step, run)
        case steps.CheckReproducibility():
            return comparing.CheckingReproducibility(step, run)
        case steps.BuildWheels():
            return platform_wheels.BuildingWheels(step, run)
        case steps.WriteMatrix():
            return platform_wheels.WritingMatrix(step, run)
        case _:
            assert_never(step)


def _artifacts(
    step: steps.CleanFolder | steps.RunTests | steps.CheckDistributions | steps.WriteManifest, run: Run
) -> Action:
    from relnox.executor import artifacts

    match step:
        case steps.CleanFolder():
            return artifacts.Cleaning(step, run)
        case steps.RunTests():
            return artifacts.Testing(step, run)
        case steps.CheckDistributions():
            return artifacts.Checking(step, run)
        case steps.WriteManifest():
            return artifacts.WritingManifest(step, run)
        case _:
            assert_never(step)


def _collecting(step: steps.Collect | steps.WriteCollection, run: Run) -> Action:
    from relnox.executor import collecting

    match step:
        case steps.Collect():
            return collecting.Collecting(step, run)
        case steps.WriteCollection():
            return collecting.WritingCollection(step, run)
        case _:
            assert_never(step)


def _publishing(
    step: steps.ClearIndex | steps.Attest | steps.LogIn | steps.Upload | steps.AwaitIndex | steps.CheckProvenance,
    run: Run,
) -> Action:
    from relnox.executor import attesting, publishing

    match step:
        case steps.Attest():
            return attesting.Attesting(step, run)
        case steps.CheckProvenance():
            return attesting.CheckingProvenance(step, run)
        case steps.ClearIndex():
            return publishing.ClearingIndex(step, run)
        case steps.LogIn():
            return publishing.LoggingIn(step, run)
        case steps.Upload():
            return publishing.Uploading(step, run)
        case steps.AwaitIndex():
            return publishing.Awaiting(step, run)
        case _:
            assert_never(step)


def _staging(step: steps.CloneCheckout | steps.Stage, run: Run) -> Action:
    from relnox.executor import staging

    match step:
        case steps.CloneCheckout():
            return staging.Cloning(step, run)
        case steps.Stage():
            return staging.RunningStage(step, run)
        case _:
            assert_never(step)


def _verifying(step: steps.Download | steps.CopyFiles | steps.VerifyInstall, run: Run) -> Action:
    from relnox.executor import verifying

    match step:
        case steps.Download():
            return verifying.Downloading(step, run)
        case steps.CopyFiles():
            return verifying.CopyingFiles(step, run)
        case steps.VerifyInstall():
            return verifying.Verifying(step, run)
        case _:
            assert_never(step)
