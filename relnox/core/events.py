"""What happens during a run, as values that reporters tell and reports keep."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from relnox.core.records import Record

if TYPE_CHECKING:
    from datetime import datetime

    from relnox.core.plan import Plan, Table
    from relnox.core.publication import PublishedFile
    from relnox.core.steps import Step
    from relnox.errors import ExitCode, RelnoxError

__all__ = [
    "Event",
    "Notice",
    "Outcome",
    "OutputLine",
    "RunFinished",
    "RunStarted",
    "Status",
    "StepFinished",
    "StepStarted",
    "StepWarning",
    "Waiting",
]


class Status(StrEnum):
    """How a step ended, in nox's words."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"
    ABORTED = "aborted"


class RunStarted(Record):
    """A plan is about to be run."""

    plan: Plan


class StepStarted(Record):
    """A step is about to be checked and done."""

    step: Step


class OutputLine(Record):
    """A line that a program printed while a step was done; secrets are masked already."""

    step: Step
    text: str


class Waiting(Record):
    """Something is waited for, longer than a moment: a server that is away, a listing that is not there yet.

    Attributes:
        why: What for.
        again: When it is looked for again, with its zone.
        ends: When it is given up.
    """

    why: str
    again: datetime
    ends: datetime


class Notice(Record):
    """Something that does not stop a run and that somebody should change.

    Attributes:
        message: What is the case.
        fix: What to do about it; empty where there is nothing to do.
    """

    message: str
    fix: str = ""


class StepWarning(Record):
    """Something about a file that a step made that is most likely a mistake, and does not stop the run.

    Attributes:
        code: Stable name of the kind of problem.
        file: The file's name.
        message: What is wrong with the file.
        fix: One command or edit that solves it.
    """

    code: str
    file: str
    message: str
    fix: str


class StepFinished(Record):
    """A step ended.

    Attributes:
        status: How.
        detail: The evidence for a success, the reason for a skip, what happened otherwise.
        seconds: Wall clock, monotonic.
        error: What was raised, for a failure.
        warnings: What is most likely wrong with files that the step made.
    """

    step: Step
    status: Status
    detail: str
    seconds: float
    error: RelnoxError | None = None
    warnings: tuple[StepWarning, ...] = ()


class Outcome(Record):
    """How a whole plan ended.

    Attributes:
        plan: What was to be done.
        results: How each step ended, in order.
        exit_code: The contract's number.
        seconds: Wall clock, monotonic.
        stages: Outcomes of the tasks of a chain.
        tables: Results for people.
        deadline: Until when the rest of a partly public release can follow, where there is such a time.
        waits: What was waited for, as it was told.
        publication: The files of a release that was to be published, and what was seen of each on the index.
        fault: The traceback of a bug in relnox that ended the run while something was public, or might be.
    """

    plan: Plan
    results: tuple[StepFinished, ...]
    exit_code: ExitCode
    seconds: float
    stages: tuple[Outcome, ...] = ()
    tables: tuple[Table, ...] = ()
    deadline: str | None = None
    waits: tuple[Waiting, ...] = ()
    publication: tuple[PublishedFile, ...] = ()
    fault: str | None = None

    @property
    def warnings(self) -> int:
        """How many warnings there are, those of the tasks of a chain included."""
        return sum(len(result.warnings) for result in self.results) + sum(stage.warnings for stage in self.stages)


class RunFinished(Record):
    """A plan was run to its end, or to its first failure."""

    outcome: Outcome


Event = RunStarted | StepStarted | OutputLine | Waiting | Notice | StepFinished | RunFinished
