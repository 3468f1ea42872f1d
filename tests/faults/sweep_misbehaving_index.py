"""All ways in which an index misbehaves, for 2 and 6 files, and signals: `nox -s hostile-index`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hostile_runs import publish_and_check, signal_and_check
from misbehaviors import CASES, MISBEHAVIORS, SIGNALED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.mark.parametrize(("name", "size"), CASES)
def test_no_false_success_no_hang_no_traceback(
    name: str, size: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for key, value in publish_and_check(MISBEHAVIORS[name], size, tmp_path).items():
        record_property(key, value)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", SIGNALED)
def test_a_signal_ends_the_run_and_the_same_command_finishes_it(
    name: str, number: signal.Signals, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    for key, value in signal_and_check(MISBEHAVIORS[name], number, tmp_path).items():
        record_property(f"signal {key}", value)
