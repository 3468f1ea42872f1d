"""A release with a development version after it, killed before every change that relnox makes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from projects import copy_of
from running import run_in_process
from test_interruption import BEFORE, DRIVER, State, start, state, template

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["template"]

pytestmark = pytest.mark.heavy

RELEASE = ("--part", "minor", "--commit", "--tag", "--then-dev", "--push")
COMMITS = ["Start development of 2.1.1.dev1", "Release 2.1.0", "Start"]
DEVELOPING = State(
    commits=COMMITS,
    tags=["v2.1.0 Release 2.1.0"],
    status="",
    remote_commits=COMMITS,
    remote_tags=["v2.1.0 Release 2.1.0"],
    versions={"2.1.1.dev1"},
    left=[],
)
PARTS = 4


def killed(root: Path, at: int, number: int) -> tuple[int, str]:
    """Run the release under the driver, with a signal before a change: how it ended, and what it printed."""
    return start(root, "-c", DRIVER, str(at), str(number), "bump", *RELEASE).ended()


@pytest.fixture(scope="session")
def changes(template: Path, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many changes an undisturbed run makes."""
    root = copy_of(template, tmp_path_factory.mktemp("undisturbed") / "pair")
    code, output = killed(root, 0, 0)
    assert code == 0, output
    assert state(root) == DEVELOPING
    return int(output.rpartition("changes:")[2])


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_anywhere_a_rerun_finishes_and_abort_reverts(
    template: Path, tmp_path: Path, changes: int, part: int
) -> None:
    assert changes > 40
    ends = set()
    for at in range(1 + part, changes + 1, PARTS * 2):
        root = copy_of(template, tmp_path / f"before-{at}")
        code, output = killed(root, at, signal.SIGKILL)
        assert code == -signal.SIGKILL, (at, output)
        left = state(root)
        if at // PARTS // 2 % 2 and "pending.json" in left.left and not left.remote_tags:
            ran = run_in_process(root, "bump", "--abort")
            if ran.code == 0:
                assert state(root) == BEFORE, (at, left)
                ends.add("abort")
                continue
            # The push of the killed run went on after its state was read.
            assert "[bump-pushed]" in ran.text, (at, ran.text)
        ran = run_in_process(root, "bump", *RELEASE)
        assert ran.code == 0, (at, ran.text)
        assert state(root) == DEVELOPING, (at, left)
        ends.add("rerun")
    assert ends == {"abort", "rerun"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_anywhere_nothing_is_half_done(
    template: Path, tmp_path: Path, changes: int, number: signal.Signals
) -> None:
    for at in range(1 + (number is signal.SIGTERM), changes + 1, 8):
        root = copy_of(template, tmp_path / f"before-{at}")
        code, output = killed(root, at, number)
        found = state(root)
        if code != 0:
            assert found == BEFORE or (found.status == "" and found.left == ["pending.json"]), (at, output)
            ran = run_in_process(root, "bump", *RELEASE)
            assert ran.code == 0, (at, ran.text)
        assert state(root) == DEVELOPING, (at, output)
