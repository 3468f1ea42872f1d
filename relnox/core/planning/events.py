"""The events of a run. Reporters show them, and reports in JSON are made from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from relnox.core.planning.checklist import CheckedItem, CheckStatus
from relnox.core.planning.plan import Plan, Table
from relnox.core.planning.step import Step
from relnox.core.records import Record, replace
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileState, PublishedFile
from relnox.errors import ExitCode, Problem


class Status(StrEnum):
    """How a step ended, with the names that nox uses; `aborted` means that it was interrupted or never started."""

    SUCCESS = "success"
    SKIPPED = "skipped"
    FAILED = "failed"
    ABORTED = "aborted"


class RunStarted(Record):
    """The run of a plan begins."""

    plan: Plan


class StepStarted(Record):
    """A step begins, by checking whether it is already done."""

    step: Step


class OutputLine(Record):
    """A line of output of a program that a step runs, with `****` instead of secrets."""

    step: Step
    text: str


class Waiting(Record):
    """A wait, such as for a server that is down or an uploaded file that the index does not list yet.

    Attributes:
        reason: Why the run waits, as words for a message.
        next_attempt: The time of the next attempt, with a time zone.
        deadline: The time at which relnox gives up, with a time zone.
    """

    reason: str
    next_attempt: datetime
    deadline: datetime


class StepFinished(Record):
    """A step ended.

    Attributes:
        detail: The verified result, the reason for skipping or aborting the step, or the error message.
        error: The error if the step failed, else None.
        warnings: The warnings of the step, such as those about archives that it built or downloaded.
    """

    step: Step
    status: Status
    detail: str
    seconds: float
    error: Problem | None = None
    warnings: tuple[Problem, ...] = ()


class Outcome(Record):
    """The result of running a whole plan.

    Attributes:
        results: The result of each step, in the order of the plan; empty if that was not executed.
        stages: The outcomes of the tasks that this task ran, such as those of `rehearse`.
        tables: The tables of the plan, and after them those that steps returned.
        deadline: The date and time, as text for a message, at which the index stops accepting the missing files of
            a partly published release; None if there is no such release, or the index has no such rule.
        waits: The waits that were reported, in order; short ones are not.
        publication: The files to publish, each with its state on the index; empty if nothing is to be uploaded.
        traceback: The traceback of a bug in relnox that ended the run when something was, or might be, public;
            else None.
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
        """The files to upload that the index now lists with the same hashes, in the order of the uploads.

        Files that an earlier run uploaded are included.
        """
        public = {
            (file.index, file.filename)
            for file in self.publication
            if file.state in (FileState.VERIFIED, FileState.PUBLIC)
        }
        uploads = (step.upload for step in self.plan.steps if step.upload is not None)
        return tuple(file for index, file in uploads if (index, file.filename) in public)

    @property
    def checklist(self) -> tuple[CheckedItem, ...]:
        """The items of the plan's checklist, with the results of the steps that decide them."""
        by_key = {result.step.key: result for result in self.results}
        return tuple(
            _add_results_to_item(item, [by_key[key] for key in item.steps if key in by_key])
            for item in self.plan.items
        )

    @property
    def warning_count(self) -> int:
        """The number of warnings in the results, including those of the tasks that this task ran."""
        return sum(len(result.warnings) for result in self.results) + sum(
            stage.warning_count for stage in self.stages
        )


def _add_results_to_item(item: CheckedItem, results: Sequence[StepFinished]) -> CheckedItem:
    """Return a checklist item with the problems and the status that follow from the results of its steps.

    An aborted step makes it `not checkable here`, unless there is an error. Without results, it stays unchanged.
    """
    if not results:
        return item
    errors = [result.error for result in results if result.error is not None]
    problems = (*item.problems, *errors, *(warning for result in results for warning in result.warnings))
    problems = tuple(problem.but(why=item.why) for problem in problems)
    status: CheckStatus = "ok"
    if any(problem.level == "error" for problem in problems):
        status = "failed"
    elif any(result.status is Status.ABORTED for result in results):
        status = "not checkable here"
    elif problems:
        status = "warning"
    details = (result.detail for result in results if result.error is None)
    return replace(item, status=status, problems=problems, detail="; ".join(filter(None, details)))


class RunFinished(Record):
    """The run of a plan ended."""

    outcome: Outcome


Event = RunStarted | StepStarted | OutputLine | Waiting | Problem | StepFinished | RunFinished
"""A problem that does not end the run is a warning or a note."""
