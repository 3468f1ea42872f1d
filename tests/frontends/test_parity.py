"""Three front ends, one house: what is typed at any of them makes the same plan, byte for byte."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from planned import PLANNED
from projects import git, python

from relnox.commands import TASKS
from relnox.commands.options import OPTIONS
from relnox.core.settings.schema import fields_of

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.heavy

FRONT_ENDS = ("nox", "invoke", "relnox")

# Flags are in the first column of a help text, descriptions are not.
FLAG_COLUMN = re.compile(r"^  (-\S.*?)(?:  |$)", re.MULTILINE)
FLAG = re.compile(r"--[a-z][a-z-]*")

BLOCKED = (
    (
        "bump",
        "--part minor --package core",
        "--package cannot select single packages (the 5 packages are bumped in lockstep)",
    ),
    ("bump", "--part minor --tag", "--tag needs --commit [option-missing]"),
    ("bump", "--part minor --pull-request --commit", "--pull-request cannot be combined with --commit (it leaves"),
    ("auto-tag", "--package cor", "cor"),
    ("build-all", "--package cor", "cor"),
    ("collect", "--from nowhere", "nowhere is not a directory"),
    ("publish-test", "--index embeded", "unknown index embeded"),
    ("publish", "--index embedded --dist nowhere", "nowhere/manifest.json does not exist: nothing was built"),
    ("verify-install", "--project nowhere", "nowhere is not a directory"),
    ("rehearse", "--python conda", "conda"),
)


def run_bump(front_end: str, root: Path, task: str, *words: str, **variables: str) -> CompletedProcess[str]:
    """Run a task with a front end."""
    behind = ("-s", task, "--") if front_end == "nox" else (task,)
    return python(root, "-m", front_end, *behind, *words, **variables)


def planned(root: Path, plan: Path, task: str, flags: str, **variables: str) -> dict[str, tuple[bytes, int]]:
    """The plan and the exit code of each front end."""
    found = {}
    for front_end in FRONT_ENDS:
        done = run_bump(front_end, root, task, *flags.split(), "--dry-run", "--plan", str(plan), **variables)
        assert "Traceback" not in done.stderr
        assert plan.is_file(), f"{front_end}: {done.stderr}"
        found[front_end] = (plan.read_bytes(), done.returncode)
        plan.unlink()
    return found


def expected(plan: bytes, exit_code: int) -> dict[str, tuple[bytes, int]]:
    """The same from all front ends; nox knows no exit codes but 0 and 1."""
    return dict.fromkeys(FRONT_ENDS, (plan, exit_code)) | {"nox": (plan, min(exit_code, 1))}


@pytest.mark.parametrize(("task", "flags", "exit_code"), PLANNED)
def test_every_front_end_plans_the_same(
    shared: Path, tmp_path: Path, task: str, flags: str, exit_code: int
) -> None:
    found = planned(shared, tmp_path / "plan.json", task, flags)

    plan, _ = found["relnox"]
    assert found == expected(plan, exit_code)
    assert json.loads(plan)["task"] == task
    assert git(shared, "status", "--porcelain") == ""


def test_every_task_is_compared() -> None:
    assert {task for task, _, _ in PLANNED} == {task for task, _, _ in BLOCKED} | {"status"} == set(TASKS)


def test_every_front_end_hears_the_environment(shared: Path, tmp_path: Path) -> None:
    said = {"RELNOX_STRICT": "yes", "RELNOX_OUTPUT": "elsewhere"}
    found = planned(shared, tmp_path / "plan.json", "build-all", "--no-strict", **said)

    plan, _ = found["relnox"]
    assert found == expected(plan, 0)
    (build, *_) = (step for step in json.loads(plan)["steps"] if step["kind"] == "Build")
    assert (build["strict"], build["output"]) == (False, "elsewhere")


@pytest.mark.parametrize(("task", "flags", "message"), BLOCKED)
def test_every_front_end_refuses_the_same(
    shared: Path, tmp_path: Path, task: str, flags: str, message: str
) -> None:
    plan = tmp_path / "plan.json"
    for front_end in FRONT_ENDS:
        done = run_bump(front_end, shared, task, *flags.split(), "--dry-run", "--plan", str(plan))
        assert (front_end, done.returncode) == (front_end, 1)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not plan.exists()


@pytest.mark.parametrize("task", TASKS)
def test_every_front_end_has_the_flags_of_the_schema(shared: Path, task: str) -> None:
    declared = {flag for each in fields_of(OPTIONS[task]) for flag in (each.flag, each.negative) if flag}
    asked = {
        "relnox": ("-m", "relnox", task, "--help"),
        "invoke": ("-m", "invoke", "--help", task),
        "nox": ("-m", "nox", "-s", task, "--", "--help"),
    }
    for front_end, words in asked.items():
        done = python(shared, *words)
        flags = {flag for column in FLAG_COLUMN.findall(done.stdout) for flag in FLAG.findall(column)}
        assert (front_end, flags - {"--help"}, done.returncode) == (front_end, declared, 0)
