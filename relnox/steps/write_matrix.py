"""Write the CI jobs that build platform wheels."""

from __future__ import annotations

from relnox.core.planning.step import Step
from relnox.errors import Failed
from relnox.steps.action import Action
from relnox.system.files import replace_file


class WriteMatrix(Step, kw_only=True):
    """Write the CI jobs that build platform wheels, as JSON."""

    key = "matrix"
    file: str
    text: str

    @property
    def title(self) -> str:
        return f"write the jobs for platform wheels to {self.file}"


class WriteMatrixAction(Action[WriteMatrix]):
    def apply(self) -> None:
        replace_file(self.run.root / self.step.file, self.step.text.encode())

    def verify(self) -> str:
        if (self.run.root / self.step.file).read_bytes() != self.step.text.encode():
            raise Failed(
                "file-changed",
                f"{self.step.file} differs from what was written",
                fix="stop other processes that write this file, then rerun the command",
            )
        return self.step.file
