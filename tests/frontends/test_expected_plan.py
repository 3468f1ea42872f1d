"""`--expect-plan`: a plan that was written and approved before runs, and no other one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from projects import commit_all, everything, git, lockstep_workspace, repository, single, write
from running import run

from relnox.core.planning.plan import plan_digest

if TYPE_CHECKING:
    from running import RunResult

BUMP = ("bump", "minor", "--commit", "--tag", "--push")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(lockstep_workspace(tmp_path / "acme"))


@pytest.fixture
def file(root: Path, tmp_path: Path) -> Path:
    planned(root, tmp_path / "plan.json", *BUMP)
    return tmp_path / "plan.json"


def planned(root: Path, file: Path, *words: str) -> dict[str, Any]:
    """Write the plan of a task, and return it."""
    ran = run(root, "relnox", *words, "--dry-run", "--plan", str(file), code=0)
    document: dict[str, Any] = json.loads(file.read_bytes())
    assert document["digest"] in ran.out
    return document


def approved(root: Path, expected: Path | str, *words: str, code: int = 0) -> RunResult:
    return run(root, "relnox", *(words or BUMP), "--expect-plan", str(expected), code=code)


@pytest.mark.parametrize("by", ["file", "digest"])
def test_a_plan_runs_in_another_clone(root: Path, tmp_path: Path, file: Path, by: str) -> None:
    plan = json.loads(file.read_bytes())
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"{root}.git", str(clone))

    report = ("--report", str(tmp_path / "report.json"))
    approved(clone, file if by == "file" else plan["digest"], *BUMP, *report)
    assert json.loads((tmp_path / "report.json").read_bytes())["plan"] == plan["digest"]
    assert git(Path(f"{root}.git"), "tag") == "v2.1.0"


def test_another_commit_is_refused_with_the_difference(root: Path, file: Path) -> None:
    plan = json.loads(file.read_bytes())
    text = (root / "packages/core/pyproject.toml").read_text(encoding="utf-8")
    write(root, {"packages/core/pyproject.toml": f"{text}# a comment\n"})
    head = commit_all(root, "A comment")
    before = everything(root)

    ran = approved(root, file, code=1)

    assert everything(root) == before
    assert "error: the plan of bump is not the expected one [plan-differs]" in ran.err
    assert f'  commit: expected "{plan["commit"]}", now "{head}"' in ran.err
    assert "  step edit packages/agents/pyproject.toml" in ran.err
    assert "# a comment" in ran.err
    by_digest = approved(root, plan["digest"], code=1)
    assert f"expected {plan['digest']}, now " in by_digest.err
    assert everything(root) == before
    planned(root, file, *BUMP)
    approved(root, file)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("bump", "major", "--commit", "--tag", "--push"), "only expected: step tag v2.1.0"),
        (("bump", "minor", "--commit", "--tag"), "only expected: step push main, v2.1.0 to origin atomically"),
        (("build-all",), 'task: expected "bump", now "build-all"'),
    ],
)
def test_another_task_or_other_options_are_refused(
    root: Path, file: Path, words: tuple[str, ...], message: str
) -> None:
    before = everything(root)
    ran = approved(root, file, *words, code=1)
    assert message in ran.err
    assert everything(root) == before


def test_a_dry_run_shows_whether_a_plan_still_holds(root: Path, file: Path) -> None:
    approved(root, file, *BUMP, "--dry-run")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "Later")
    ran = approved(root, file, *BUMP, "-n", code=1)
    assert "[plan-differs]" in ran.err


def test_files_that_do_not_take_part_leave_a_plan_valid(root: Path, file: Path) -> None:
    shutil.copy(file, root / "plan.json")
    write(root, {"todo.txt": "later\n", "packages/core/todo.txt": "later\n"})
    approved(root, root / "plan.json")


def with_digest(text: str, **values: object) -> str:
    """Return a plan with other values, and the digest that fits them."""
    document = json.loads(text) | values
    return json.dumps(document | {"digest": plan_digest(document)})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("2.1.0", "2.1.1", 1), "it was changed after it was written"),
        (lambda text: text.replace('"schema": 1', '"schema": 2', 1), "it has no schema 1"),
        (lambda _: "{}", "it has no schema 1"),
        (lambda _: '{"schema": 1, "steps": 5}', "it was changed after it was written"),
        (lambda _: "nothing", "it is not JSON"),
        (lambda _: "[" * 100_000, "it is not JSON"),
        (lambda text: with_digest(text, steps=3), "its values do not have the types of a plan"),
        (lambda text: with_digest(text, steps=[1]), "its values do not have the types of a plan"),
        (lambda text: with_digest(text, steps=[{}]), "its values do not have the types of a plan"),
        (lambda text: with_digest(text, steps=None), "its values do not have the types of a plan"),
        (None, "it cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(root: Path, file: Path, change: Any, reason: str) -> None:
    if change is None:
        file.unlink()
    else:
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    before = everything(root)

    ran = approved(root, file, code=1)

    assert f"error: {file} is not a plan ({reason}" in ran.err
    assert "[plan-file-invalid]\nfix: " in ran.err
    assert everything(root) == before


def test_a_project_outside_git_has_plans_too(tmp_path: Path) -> None:
    root = single(tmp_path / "demo")
    plan = planned(root, tmp_path / "plan.json", "bump", "2.0")
    assert plan["commit"] is None
    approved(root, plan["digest"], "bump", "3.0", code=1)
    approved(root, plan["digest"], "bump", "2.0")
    assert 'version = "2.0"' in (root / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words",
    [
        ("bump", "minor", "--plan", "one.json", "--report", "./one.json"),
        ("bump", "minor", "--plan", "-", "--report", "-"),
        ("status", "--json", "--plan", "-"),
    ],
)
def test_two_documents_have_two_files(root: Path, words: tuple[str, ...]) -> None:
    ran = run(root, "relnox", *words, code=1)
    assert "[options-conflict]" in ran.err
    assert git(root, "diff", "--stat") == ""
