"""Front ends and the Python API: what is typed at any of them makes the same plan, byte for byte."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from planned import PLANNED
from projects import commit_all, copy_of, git, lockstep_workspace, repository, write
from running import run, run_process

from relnox import Workspace
from relnox.arguments import parse_options
from relnox.commands import TASKS
from relnox.core.settings.schema import fields_of

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

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
FLAG = re.compile(r"--[a-z][a-z0-9-]*")

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
    ("release", "--until publish-test --index embedded --test-index none", "is not a stage of this release"),
    ("rehearse", "--python conda", "conda"),
    ("ci", "--matrix wheel", "--matrix = 'wheel' is not one of"),
)


LONGEST = {task: max((flags for name, flags, _ in PLANNED if name == task), key=len) for task, _, _ in PLANNED}


def run_task(front_end: str, root: Path, task: str, *words: str, **variables: str) -> RunResult:
    """Run a task with a front end."""
    behind = ("-s", task, "--") if front_end == "nox" else (task,)
    return run(root, front_end, *behind, *words, code=None, NO_COLOR="1", COLUMNS="200", **variables)


def check_plans(root: Path, plan: Path, task: str, flags: str, exit_code: int, **variables: str) -> bytes:
    """Check that the front ends make the same plan, and return it; nox knows no exit codes but 0 and 1.

    What stands behind the dashes of nox is parsed as the command line is: once for each task is enough.
    """
    found = {}
    for front_end in FRONT_ENDS if flags == LONGEST[task] or variables else FRONT_ENDS[1:]:
        ran = run_task(front_end, root, task, *flags.split(), "--dry-run", "--plan", str(plan), **variables)
        assert plan.is_file(), f"{front_end}: {ran.text}"
        assert ran.code == (min(exit_code, 1) if front_end == "nox" else exit_code), ran.text
        found[front_end] = plan.read_bytes()
        plan.unlink()
    assert found == dict.fromkeys(found, found["relnox"])
    return found["relnox"]


@pytest.mark.parametrize(("task", "flags", "exit_code"), PLANNED)
def test_every_front_end_plans_the_same(
    shared: Path, tmp_path: Path, task: str, flags: str, exit_code: int
) -> None:
    plan = check_plans(shared, tmp_path / "plan.json", task, flags, exit_code)
    assert json.loads(plan)["task"] == task
    options: dict[str, Any] = dict(parse_options(task, flags.split(), "relnox"))
    with Workspace.open(shared).plan(task, **options) as of_api:
        assert of_api.to_json().encode() == plan
        assert (of_api.problems != ()) == (exit_code != 0)
    assert git(shared, "status", "--porcelain") == ""


def test_every_task_is_compared() -> None:
    assert {task for task, _, _ in PLANNED} == {task for task, _, _ in BLOCKED} | {"status"} == set(TASKS)


def test_every_front_end_hears_the_environment(shared: Path, tmp_path: Path) -> None:
    said = {"RELNOX_STRICT": "yes", "RELNOX_OUTPUT": "elsewhere"}
    plan = check_plans(shared, tmp_path / "plan.json", "build-all", "--no-strict", 0, **said)
    (build, *_) = (step for step in json.loads(plan)["steps"] if step["kind"] == "Build")
    assert (build["strict"], build["output"]) == (False, "elsewhere")


@pytest.mark.parametrize(("task", "flags", "message"), BLOCKED)
def test_every_front_end_refuses_the_same(
    shared: Path, tmp_path: Path, task: str, flags: str, message: str
) -> None:
    plan = tmp_path / "plan.json"
    for front_end in FRONT_ENDS:
        ran = run_task(front_end, shared, task, *flags.split(), "--dry-run", "--plan", str(plan))
        assert ran.code == 1, ran.text
        assert message in ran.err
    assert not plan.exists()


@pytest.mark.parametrize("task", TASKS)
def test_every_front_end_has_the_flags_of_the_schema(shared: Path, task: str) -> None:
    declared = {
        flag for each in fields_of(TASKS[task].options) for flag in (each.flag, each.negative_flag) if flag
    }
    for words in (("relnox", task, "--help"), ("invoke", "--help", task), ("nox", "-s", task, "--", "--help")):
        text = run_process(shared, *words, code=0, COLUMNS="200").out
        flags = {flag for column in FLAG_COLUMN.findall(text) for flag in FLAG.findall(column)}
        assert (words, flags - {"--help"}) == (words, declared)


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
        ran = run_task(front_end, root, "bump", *RELEASE, "--plan", str(plan))
        assert ran.code == 0, ran.text
        made[front_end] = (plan.read_bytes(), git(root, "for-each-ref", "refs/heads", "refs/tags"))
        assert git(root, "show", f"v2.1.0:{LOCK}").startswith("made for\n[project]")
        ran = run_task(front_end, root, "bump", "--undo", "--plan", str(plan))
        assert ran.code == 0, ran.text
        back[front_end] = plan.read_bytes()
        assert (git(root, "for-each-ref"), git(root, "status", "--porcelain")) == (before, "")
    assert made == dict.fromkeys(FRONT_ENDS, made["relnox"])
    assert back == dict.fromkeys(FRONT_ENDS, back["relnox"])
    assert made["relnox"][0] != back["relnox"]
