"""The steps of plans: what each is, when it is done, how it is done, and how that is verified.

There is a module for each topic. A step (`core.planning.step.Step`) is a record, made when a task is planned; its
action (`steps.action.Action`) is made when the plan runs. Classes are imported on first use, `steps.Upload` from
`relnox.steps.upload`, and modules of steps import what is slow in the methods that use it: plans are made before
anything runs, and most tasks have few kinds of steps.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relnox.core.planning.step import Step
    from relnox.steps.attest import Attest as Attest
    from relnox.steps.await_index import AwaitIndex as AwaitIndex
    from relnox.steps.build import Build as Build
    from relnox.steps.build_environments import PrepareBuildEnvironment as PrepareBuildEnvironment
    from relnox.steps.collect import Collect as Collect
    from relnox.steps.edit_files import EditFiles as EditFiles
    from relnox.steps.export_commit import Export as Export
    from relnox.steps.fetch_release import CopyFiles as CopyFiles
    from relnox.steps.fetch_release import Download as Download
    from relnox.steps.git import Commit as Commit
    from relnox.steps.git import CreateTags as CreateTags
    from relnox.steps.git import Push as Push
    from relnox.steps.git import ResetIndex as ResetIndex
    from relnox.steps.hooks import RunHook as RunHook
    from relnox.steps.pull_request import CommitToBranch as CommitToBranch
    from relnox.steps.pull_request import OpenPullRequest as OpenPullRequest
    from relnox.steps.push_tags import PushTags as PushTags
    from relnox.steps.removal import CleanDirectory as CleanDirectory
    from relnox.steps.removal import ClearIndex as ClearIndex
    from relnox.steps.reproducibility import CheckReproducibility as CheckReproducibility
    from relnox.steps.run_tests import RunTests as RunTests
    from relnox.steps.stages import CloneCheckout as CloneCheckout
    from relnox.steps.stages import Stage as Stage
    from relnox.steps.undo_bump import UndoBump as UndoBump
    from relnox.steps.upload import LogIn as LogIn
    from relnox.steps.upload import Upload as Upload
    from relnox.steps.verify_install import VerifyInstall as VerifyInstall
    from relnox.steps.write_manifest import WriteManifest as WriteManifest
    from relnox.steps.write_manifest import WriteMergedManifest as WriteMergedManifest
    from relnox.steps.write_matrix import WriteMatrix as WriteMatrix

_CLASSES_BY_MODULE = {
    "attest": "Attest",
    "await_index": "AwaitIndex",
    "build": "Build",
    "build_environments": "PrepareBuildEnvironment",
    "collect": "Collect",
    "edit_files": "EditFiles",
    "export_commit": "Export",
    "fetch_release": "CopyFiles Download",
    "git": "Commit CreateTags Push ResetIndex",
    "hooks": "RunHook",
    "pull_request": "CommitToBranch OpenPullRequest",
    "push_tags": "PushTags",
    "removal": "CleanDirectory ClearIndex",
    "reproducibility": "CheckReproducibility",
    "run_tests": "RunTests",
    "stages": "CloneCheckout Stage",
    "undo_bump": "UndoBump",
    "upload": "LogIn Upload",
    "verify_install": "VerifyInstall",
    "write_manifest": "WriteMergedManifest WriteManifest",
    "write_matrix": "WriteMatrix",
}
_MODULES_BY_CLASS = {name: topic for topic, names in _CLASSES_BY_MODULE.items() for name in names.split()}


def step_classes() -> tuple[type[Step], ...]:
    """Return the classes of all steps; this imports all modules of steps."""
    return tuple(getattr(import_module(f"{__name__}.{topic}"), name) for name, topic in _MODULES_BY_CLASS.items())


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES_BY_CLASS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES_BY_CLASS[name]}"), name)
