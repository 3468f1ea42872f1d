"""Steps side by side: what is never to be, ends."""

from __future__ import annotations

import pytest

from relnox.core.steps import ClearCache
from relnox.errors import Failed
from relnox.executor.side_by_side import _Queue


def test_steps_that_need_one_another_are_told_and_not_waited_for() -> None:
    queue = _Queue([ClearCache(needs=("clear cache",))])
    queue.try_each(lambda _: True)
    assert [step.key for step in queue.waiting] == ["clear cache"]
    with pytest.raises(Failed, match="wait for one another: clear cache"):
        queue.look_ahead(going_on=False)


def test_steps_that_wait_for_what_goes_on_are_waited_for() -> None:
    queue = _Queue([ClearCache(needs=("clear cache",))])
    queue.look_ahead(going_on=True)
    _Queue([]).look_ahead(going_on=False)
