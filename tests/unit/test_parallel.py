"""Steps side by side: what is never to be, ends."""

from __future__ import annotations

import pytest

from relnox.errors import Failed
from relnox.executor.parallel import _Queue
from relnox.steps import ClearCache


def test_steps_that_need_each_other_are_an_error() -> None:
    queue = _Queue([ClearCache(needs=("clear cache",))])
    queue.start_ready(lambda _: True)
    assert [step.key for step in queue.waiting] == ["clear cache"]
    with pytest.raises(Failed, match="wait for each other \\(a bug in relnox\\): clear cache"):
        queue.check_progress(is_running=False)


def test_steps_that_wait_for_what_goes_on_are_waited_for() -> None:
    queue = _Queue([ClearCache(needs=("clear cache",))])
    queue.check_progress(is_running=True)
    _Queue([]).check_progress(is_running=False)
