"""Three doors, one house: what is typed at any of them makes the same plan, byte for byte."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from planned import PLANNED
from projects import git, python
from running import nox_has

from relnox.commands import TASKS, load
from relnox.core.options import options_of

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.heavy

DOORS = ("nox", "invoke", "relnox")

# The flags of a help text stand in its first column; what is told of them does not.
FLAG_COLUMN = re.compile(r"^  (-\S.*?)(?:  |$)", re.MULTILINE)
FLAG = re.compile(r"--[a-z][a-z-]*")

BLOCKED = (
    (
        "bump",
        "--part minor --package core",
        "--package cannot select single packages (the 5 packages are bumped in lockstep)",
    ),
    ("bump", "--part minor --tag", "--tag needs --commit [option-missing]"),
    ("build-all", "--package cor", "cor"),
    ("collect", "--from nowhere", "nowhere is not a folder"),
    ("publish-test", "--index embeded", "there is no index called embeded"),
    ("publish", "--index embedded --dist nowhere", "nowhere/manifest.json does not exist: nothing was built"),
    ("verify-install", "--project nowhere", "nowhere is not a folder"),
    ("rehearse", "--installer conda", "conda"),
)


def knock(door: str, root: Path, task: str, *words: str, **variables: str) -> CompletedProcess[str]:
    """Run a task through a door."""
    behind = ("-s", task, "--") if door == "nox" else (task,)
    return python(root, "-m", door, *behind, *words, **variables)


def planned(root: Path, plan: Path, task: str, flags: str, **variables: str) -> dict[str, tuple[bytes, int]]:
    """The plan and the exit code of each door. The file has one name, since `--explain` tells it."""
    found = {}
    for door in DOORS:
        done = knock(door, root, task, *flags.split(), "--dry-run", "--plan", str(plan), **variables)
        assert "Traceback" not in done.stderr
        assert plan.is_file(), f"{door}: {done.stderr}"
        found[door] = (plan.read_bytes(), done.returncode)
        plan.unlink()
    return found


def expected(plan: bytes, exit_code: int) -> dict[str, tuple[bytes, int]]:
    """The same from all doors; nox knows no exit codes but 0 and 1."""
    return dict.fromkeys(DOORS, (plan, exit_code)) | {"nox": (plan, min(exit_code, 1))}


@pytest.mark.parametrize(("task", "flags", "exit_code"), PLANNED)
def test_every_door_plans_the_same(shared: Path, tmp_path: Path, task: str, flags: str, exit_code: int) -> None:
    found = planned(shared, tmp_path / "plan.json", task, flags)

    plan, _ = found["relnox"]
    assert found == expected(plan, exit_code)
    assert json.loads(plan)["task"] == task
    assert git(shared, "status", "--porcelain") == ""


def test_every_task_is_compared() -> None:
    assert {task for task, _, _ in PLANNED} == {task for task, _, _ in BLOCKED} | {"status"} == set(TASKS)


def test_every_door_hears_the_environment(shared: Path, tmp_path: Path) -> None:
    said = {"RELNOX_STRICT": "yes", "RELNOX_OUTPUT": "elsewhere", "RELNOX_INSTALLER": "uv"}
    found = planned(shared, tmp_path / "plan.json", "build-all", "--no-strict", **said)

    plan, _ = found["relnox"]
    assert found == expected(plan, 0)
    (build, *_) = (step for step in json.loads(plan)["steps"] if step["kind"] == "Build")
    assert (build["strict"], build["output"], build["installer"]) == (False, "elsewhere", "uv")


@pytest.mark.parametrize(("task", "flags", "message"), BLOCKED)
def test_every_door_refuses_the_same(shared: Path, tmp_path: Path, task: str, flags: str, message: str) -> None:
    plan = tmp_path / "plan.json"
    for door in DOORS:
        done = knock(door, shared, task, *flags.split(), "--dry-run", "--plan", str(plan))
        assert (door, done.returncode) == (door, 1)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not plan.exists()


@pytest.mark.parametrize("task", TASKS)
def test_every_door_has_the_flags_of_the_schema(shared: Path, task: str) -> None:
    declared = {flag for each in options_of(load(task).Options) for flag in (each.flag, each.negative) if flag}
    asked = {
        "relnox": ("-m", "relnox", task, "--help"),
        "invoke": ("-m", "invoke", "--help", task),
        # nox answers --usage only where something is selected.
        "nox": ("-m", "nox", "-s", task, "--usage", task),
    }
    if not nox_has("2026.4.10"):  # --usage
        del asked["nox"]
    for door, words in asked.items():
        done = python(shared, *words)
        told = {flag for column in FLAG_COLUMN.findall(done.stdout) for flag in FLAG.findall(column)}
        assert (door, told - {"--help"}, done.returncode) == (door, declared, 0)
