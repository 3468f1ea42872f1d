"""84 runs of all tasks that are killed at random, by SIGKILL, SIGTERM and SIGINT in equal parts.

Each is finished by the same command, leaves no process and, unless it was SIGKILL, nothing in the directory for
temporary files, and prints no traceback. Takes minutes: `nox -s soak`. `RELNOX_SOAK_SEED` chooses other moments.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from random_kills import SIGNALS, TASKS, Kills

if TYPE_CHECKING:
    from collections.abc import Iterator

    from random_kills import Result

KILLS = 84
SEED = os.environ.get("RELNOX_SOAK_SEED", "1")


@pytest.fixture(scope="module")
def kills(tmp_path_factory: pytest.TempPathFactory) -> Kills:
    return Kills(tmp_path_factory.mktemp("kills"))


@pytest.fixture(scope="module")
def results() -> Iterator[list[Result]]:
    """How runs ended; their numbers are printed at the end."""
    results: list[Result] = []
    yield results
    counted = Counter((result.task, result.number.name, result.code) for result in results)
    for (task, name, code), times in sorted(counted.items()):
        sys.stdout.write(f"{task}, {name}: exit code {code}, {times} times\n")


@pytest.mark.parametrize("number", range(KILLS))
def test_the_same_command_finishes_what_was_killed(kills: Kills, results: list[Result], number: int) -> None:
    chance = random.Random(f"{SEED} {number}")
    results.append(kills.kill([*TASKS][number % len(TASKS)], SIGNALS[number % len(SIGNALS)], chance))
