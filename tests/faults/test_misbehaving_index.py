"""A sample of the ways in which an index misbehaves; `nox -s hostile-index` has all of them."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hostile_runs import publish_and_check, signal_and_check
from misbehaviors import CASES, MISBEHAVIORS, SIGNALED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

SAMPLE = [case for case in CASES if case[0] not in SIGNALED][::17]


@pytest.mark.parametrize(("name", "size"), SAMPLE)
def test_no_false_success_no_hang_no_traceback(name: str, size: int, tmp_path: Path) -> None:
    publish_and_check(MISBEHAVIORS[name], size, tmp_path)


@pytest.mark.parametrize(("name", "number"), [(SIGNALED[0], signal.SIGINT), (SIGNALED[-1], signal.SIGTERM)])
def test_a_signal_ends_the_run_and_the_same_command_finishes_it(
    name: str, number: signal.Signals, tmp_path: Path
) -> None:
    signal_and_check(MISBEHAVIORS[name], number, tmp_path)
