"""Write the CI jobs that build platform wheels."""

from __future__ import annotations

from relnox.core.planning.step import Step
from relnox.steps.run import Run
from relnox.system.files import replace_file


class WriteMatrix(Step, kw_only=True):
    """Write the CI jobs that build platform wheels, as JSON."""

    key = "matrix"
    file: str
    text: str

    @property
    def title(self) -> str:
        return f"write the jobs for platform wheels to {self.file}"

    def done(self, run: Run) -> str | None:
        path = run.root / self.file
        return self.file if path.is_file() and path.read_bytes() == self.text.encode() else None

    def apply(self, run: Run) -> None:
        replace_file(run.root / self.file, self.text.encode())
