"""How far a run has come, where telling of it fails."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from relnox.core.planning.events import Status, StepFinished
from relnox.core.planning.plan import Plan
from relnox.errors import ExitCode
from relnox.executor.scheduling import Progress
from relnox.executor.signals import Interruption
from relnox.steps.checklist import UntrackFiles

if TYPE_CHECKING:
    from relnox.core.planning.events import Event

STEPS = tuple(UntrackFiles(files=(name,)) for name in ("one", "two", "three"))


def given_up(*raised: BaseException | None) -> tuple[Progress, list[Event]]:
    """A run that a bug ended, and whose reporter raises these, one after the other."""
    events: list[Event] = []
    faults = iter(raised)

    def emit(event: Event) -> None:
        events.append(event)
        if (fault := next(faults, None)) is not None:
            raise fault

    progress = Progress(Plan(task="build-all", steps=STEPS), emit)
    progress.abort_remaining(ZeroDivisionError())
    return progress, events


def test_a_reporter_that_fails_costs_no_result() -> None:
    progress, events = given_up(ValueError("a bug in a reporter"), BrokenPipeError(), None)

    assert [result.status for result in progress.results] == [Status.ABORTED] * 3
    assert [event.step for event in events if isinstance(event, StepFinished)] == list(STEPS)
    assert progress.interrupted is None


@pytest.mark.parametrize(
    ("interruption", "exit_code"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (Interruption(signal.SIGINT), ExitCode.INTERRUPTED),
        (Interruption(signal.SIGTERM), ExitCode.TERMINATED),
    ],
    ids=["KeyboardInterrupt", "SIGINT", "SIGTERM"],
)
def test_an_interruption_is_kept(interruption: BaseException, exit_code: ExitCode) -> None:
    progress, _ = given_up(None, interruption)

    assert progress.interrupted is exit_code
    assert len(progress.results) == 3


def test_a_reporter_that_exits_costs_no_result() -> None:
    progress, _ = given_up(SystemExit(3))

    assert len(progress.results) == 3
