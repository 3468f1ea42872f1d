"""Events of a run, which reporters show and reports contain."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from relnox.core.records import Record

if TYPE_CHECKING:
    from datetime import datetime

    from relnox.core.planning.plan import Plan, Table
    from relnox.core.planning.step import Step
    from relnox.core.release.manifest import Distribution
    from relnox.core.release.publication import PublishedFile
    from relnox.errors import ExitCode, RelnoxError


class Status(StrEnum):
    """How a step ended, in nox's terms."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"
    ABORTED = "aborted"


class RunStarted(Record):
    """The run of a plan begins."""

    plan: Plan


class StepStarted(Record):
    """A step begins with its check."""

    step: Step


class OutputLine(Record):
    """A line of output of a program that a step runs; secrets are masked."""

    step: Step
    text: str


class Waiting(Record):
    """A wait, such as for a server that is down or a file that is not listed yet.

    Attributes:
        why: The reason.
        again: Time of the next attempt, with its zone.
        ends: Time at which relnox gives up.
    """

    why: str
    again: datetime
    ends: datetime


class Notice(Record):
    """A note, or a warning where something should be changed; it does not stop the run.

    Attributes:
        message: The text.
        fix: What to change; empty for a note.
    """

    message: str
    fix: str = ""


class StepWarning(Record):
    """A warning about a file that a step made; it does not stop the run.

    Attributes:
        code: Stable name of the kind of problem.
        file: The name of the file; of several with the same problem, joined by commas.
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
        status: How it ended.
        detail: The result that was verified, the reason for a skip, or the error.
        seconds: Elapsed time.
        error: The error of a failed step.
        warnings: Warnings about files that the step made.
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
        plan: The plan.
        results: How each step ended, in order.
        exit_code: The exit code.
        seconds: Elapsed time.
        stages: Outcomes of the tasks of a chain.
        tables: Tables of results.
        deadline: When the index stops taking the missing files of a partly public release, if it does.
        waits: The waits of the run.
        publication: The files of a release, and their state on the index.
        traceback: The traceback of a bug in relnox that ended the run when something was, or might be, public.
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
    traceback: str | None = None

    @property
    def released(self) -> tuple[Distribution, ...]:
        """The files of the plan that the index listed with their hashes, in the order of the uploads."""
        from relnox.core.release.publication import State

        public = {
            (file.index, file.filename)
            for file in self.publication
            if file.state in (State.VERIFIED, State.PUBLIC)
        }
        uploads = (step.upload for step in self.plan.steps if step.upload is not None)
        return tuple(file for index, file in uploads if (index, file.filename) in public)

    @property
    def warnings(self) -> int:
        """The number of warnings, including those of the tasks of a chain."""
        return sum(len(result.warnings) for result in self.results) + sum(stage.warnings for stage in self.stages)


class RunFinished(Record):
    """The run of a plan ended."""

    outcome: Outcome


Event = RunStarted | StepStarted | OutputLine | Waiting | Notice | StepFinished | RunFinished
