"""Steps side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from relnox.errors import Failed
from relnox.executor.parallel import _StepQueue
from relnox.steps import ClearIndex, WriteMatrix

if TYPE_CHECKING:
    from relnox.core.planning.step import Step


def test_steps_that_need_each_other_are_an_error() -> None:
    with pytest.raises(Failed, match="depend on each other \\(a bug in relnox\\): clear index"):
        _StepQueue([ClearIndex(index="own", files=(), needs=("clear index",))])


def test_steps_begin_in_the_order_of_the_plan_when_those_that_they_need_have_ended() -> None:
    matrix, cache = (
        WriteMatrix(file="jobs.json", text="", needs=("clear index", "elsewhere")),
        ClearIndex(index="own", files=()),
    )
    queue = _StepQueue([matrix, cache])
    begun: list[str] = []

    def begin(step: Step) -> bool:
        begun.append(step.key)
        return True

    queue.start_ready(begin)
    assert begun == ["clear index"]
    assert [step.key for step in queue.waiting] == ["matrix"]
    queue.end(cache)
    queue.start_ready(begin)
    assert begun == ["clear index", "matrix"]
    assert not queue.waiting


def test_a_step_that_has_to_wait_is_begun_later() -> None:
    queue = _StepQueue([ClearIndex(index="own", files=())])
    queue.start_ready(lambda _: False)
    assert [step.key for step in queue.waiting] == ["clear index"]
    queue.start_ready(lambda _: True)
    assert not queue.waiting
