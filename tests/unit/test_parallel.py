"""Steps side by side."""

from __future__ import annotations

import os
import subprocess
import sys
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


SLOW_CONFIGURATION = """
import sysconfig, time
fill = sysconfig._init_posix
sysconfig._init_posix = lambda variables: (time.sleep(0.2), fill(variables))

from relnox.building.environments import find_uv
from relnox.system.run_scope import ThreadPool

with ThreadPool(2) as pool:
    reading = pool.submit(sysconfig.get_config_vars)
    time.sleep(0.1)
    pool.submit(find_uv).result()
    reading.result()
"""


@pytest.mark.skipif(os.name != "posix", reason="the configuration of Python is read in another way")
def test_uv_is_found_while_another_thread_reads_the_configuration_of_python() -> None:
    subprocess.run([sys.executable, "-c", SLOW_CONFIGURATION], check=True)
