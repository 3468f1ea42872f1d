"""Front ends and the Python API: what is typed at any of them makes the same plan, byte for byte."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from planned import PLANNED
from projects import commit_all, copy_of, git, lockstep_workspace, python, repository, write

from relnox import Workspace
from relnox.arguments import parse
from relnox.commands import TASKS
from relnox.core.settings.schema import fields_of

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

pytestmark = pytest.mark.heavy

FRONT_ENDS = ("nox", "invoke", "relnox")

LOCK = "packages/dashboard/poetry.lock"
POETRY = """\
#!{python}
import pathlib
pathlib.Path("poetry.lock").write_text("made for\\n" + pathlib.Path("pyproject.toml").read_text())
"""
RELEASE = ("--part", "auto", "--commit", "--tag", "--lock")

# Flags are in the first column of a help text, descriptions are not.
FLAG_COLUMN = re.compile(r"^  (-\S.*?)(?:  |$)", re.MULTILINE)
FLAG = re.compile(r"--[a-z][a-z-]*")

BLOCKED = (
    (
        "bump",
        "--part minor --package core",
        "--package cannot select single packages (the 5 packages are bumped in lockstep)",
    ),
    ("bump", "--part minor --pull-request --commit", "--pull-request cannot be combined with --commit (it leaves"),
    ("check", "--only changelgo", "did you mean changelog?"),
    ("auto-tag", "--package cor", "cor"),
    ("build-all", "--package cor", "cor"),
    ("collect", "--from nowhere", "nowhere is not a directory"),
    ("publish-test", "--index embeded", "unknown index embeded"),
    ("publish", "--index embedded --dist nowhere", "nowhere/manifest.json does not exist: nothing was built"),
    ("verify-install", "--project nowhere", "nowhere is not a directory"),
    ("forge-release", "--notes none", "--notes = 'none' is not one of changelog, commits, generated"),
    ("release", "--until publish-test --index embedded --test-index none", "this release has no such stage"),
    ("rehearse", "--python conda", "conda"),
    (
        "bump",
        "--part minro",
        "--part = 'minro' is not one of major, minor, patch, release, pre, phase, post, dev, auto",
    ),
    ("bump", "--part auto --to 3.0", "--part auto takes neither --to nor --always-increment"),
    ("bump", "--undo", "is not a release commit"),
    ("verify-install", "--wait long", "--wait = 'long' is not a whole number [value-invalid]"),
)


def run_task(front_end: str, root: Path, task: str, *words: str, **variables: str) -> CompletedProcess[str]:
    """Run a task with a front end."""
    behind = ("-s", task, "--") if front_end == "nox" else (task,)
    return python(root, "-m", front_end, *behind, *words, code=None, **variables)


def planned(root: Path, plan: Path, task: str, flags: str, **variables: str) -> dict[str, tuple[bytes, int]]:
    """The plan and the exit code of each front end."""
    found = {}
    for front_end in FRONT_ENDS:
        done = run_task(front_end, root, task, *flags.split(), "--dry-run", "--plan", str(plan), **variables)
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
    options: dict[str, Any] = dict(parse(task, flags.split(), "relnox"))
    with Workspace.open(shared).plan(task, **options) as of_api:
        assert of_api.to_json().encode() == plan
        assert (of_api.problems != ()) == (exit_code != 0)
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
        done = run_task(front_end, shared, task, *flags.split(), "--dry-run", "--plan", str(plan))
        assert (front_end, done.returncode) == (front_end, 1)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert not plan.exists()


@pytest.mark.parametrize("task", TASKS)
def test_every_front_end_has_the_flags_of_the_schema(shared: Path, task: str) -> None:
    declared = {flag for each in fields_of(TASKS[task].options) for flag in (each.flag, each.negative) if flag}
    asked = {
        "relnox": ("-m", "relnox", task, "--help"),
        "invoke": ("-m", "invoke", "--help", task),
        "nox": ("-m", "nox", "-s", task, "--", "--help"),
    }
    for front_end, words in asked.items():
        done = python(shared, *words)
        flags = {flag for column in FLAG_COLUMN.findall(done.stdout) for flag in FLAG.findall(column)}
        assert (front_end, flags - {"--help"}, done.returncode) == (front_end, declared, 0)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lockstep workspace, tagged, with a change that asks for a minor release and a lock of poetry."""
    root = lockstep_workspace(tmp_path_factory.mktemp("template") / "acme")
    repository(write(root, {LOCK: "made for\n2.0.0\n"}))
    git(root, "tag", "v2.0.0")
    write(root, {"packages/core/src/acme_core/more.py": ""})
    commit_all(root, "feat: more")
    return root


@pytest.fixture(autouse=True)
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A poetry, and a clock for git that stands still: the same commit has the same name."""
    poetry = write(tmp_path / "programs", {"poetry": POETRY.format(python=sys.executable)}) / "poetry"
    poetry.chmod(0o755)
    monkeypatch.setenv("PATH", str(poetry.parent), prepend=":")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-11-01T12:00:00Z")


def test_every_front_end_makes_the_same_commit_and_takes_it_back(template: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    made, back = {}, {}
    for front_end in FRONT_ENDS:
        root = copy_of(template, tmp_path / front_end)
        before = git(root, "for-each-ref")
        done = run_task(front_end, root, "bump", *RELEASE, "--plan", str(plan))
        assert done.returncode == 0, (front_end, done.stdout, done.stderr)
        made[front_end] = (plan.read_bytes(), git(root, "for-each-ref", "refs/heads", "refs/tags"))
        assert git(root, "show", f"v2.1.0:{LOCK}").startswith("made for\n[project]")
        done = run_task(front_end, root, "bump", "--undo", "--plan", str(plan))
        assert done.returncode == 0, (front_end, done.stdout, done.stderr)
        back[front_end] = plan.read_bytes()
        assert (git(root, "for-each-ref"), git(root, "status", "--porcelain")) == (before, "")
    assert made == dict.fromkeys(FRONT_ENDS, made["relnox"])
    assert back == dict.fromkeys(FRONT_ENDS, back["relnox"])
    assert made["relnox"][0] != back["relnox"]
