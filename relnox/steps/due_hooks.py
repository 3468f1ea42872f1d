"""Record that a hook is due once the release is public."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core import serialization
from relnox.core.planning.step import Step
from relnox.core.records import Record
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.steps.hooks import RunHook
from relnox.system import files

if TYPE_CHECKING:
    from pathlib import Path

    from relnox.steps.run import Run

_FOLDER_NAME = "due-hooks"


class NewDueHook(Record, kw_only=True):
    """A hook that was recorded as due by this run, and not by an earlier one."""

    key: str


class RecordDueHook(Step, kw_only=True):
    """Record that a hook is due once the release is public, so that it runs even if this run is killed before."""

    hook: RunHook

    @property
    def key(self) -> str:
        return f"record {self.hook.key}"

    @property
    def title(self) -> str:
        return f"record that the {self.hook.event} hook is due: {self.hook.hook.command}"


class RecordDueHookAction(Action[RecordDueHook]):
    """Records that a hook is due, in the private folder of the checkout."""

    def check(self) -> str | None:
        """Skip the step if an earlier run recorded the hook."""
        return "already recorded" if due_record_path(self.step.hook, self.run).exists() else None

    def apply(self) -> None:
        path = due_record_path(self.step.hook, self.run)
        files.make_private_folder(self.run.private)
        files.make_private_folder(path.parent)
        files.replace_file(path, f"{self.step.hook.title}\n".encode(), mode=0o600, keep_mode=False)
        self.result = NewDueHook(key=self.step.hook.key)

    def verify(self) -> str:
        path = due_record_path(self.step.hook, self.run)
        if not path.exists():
            raise Failed(
                "hook-not-recorded", f"{path} does not exist after it was written", fix="rerun the command"
            )
        return "recorded"


def due_record_path(step: RunHook, run: Run) -> Path:
    """Return the path of the file that records that a hook is due for a release on an index."""
    identity = [step.event, step.number, step.index, sorted(file.sha256 for file in step.files)]
    return run.private / _FOLDER_NAME / serialization.digest(identity)[:32]
