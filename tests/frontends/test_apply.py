"""`relnox apply`: a plan that was written before runs if the project leads to it; killed runs are finished."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from planned import PLANNED
from projects import commit_all, everything, git, lockstep_workspace, repository, single, write
from releases import Package, release
from running import run

from relnox import Workspace, steps
from relnox.commands.shared.project import Project
from relnox.core.planning.plan import Plan
from relnox.core.records import replace
from relnox.errors import Blocked, ExitCode
from relnox.indexes.embedded import EmbeddedIndex

if TYPE_CHECKING:
    from running import RunResult

    from relnox.indexes.embedded import EmbeddedIndex as Index

BUMP = ("bump", "minor", "--commit", "--tag", "--push")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(lockstep_workspace(tmp_path / "acme"))


def planned(root: Path, file: Path, *words: str) -> dict[str, Any]:
    """Write the plan of a task, and return it."""
    ran = run(root, "relnox", *words, "--dry-run", "--plan", str(file))
    assert ran.code == 0, ran.text
    document: dict[str, Any] = json.loads(file.read_bytes())
    return document


def apply(root: Path, file: Path, *words: str) -> RunResult:
    return run(root, "relnox", "apply", str(file), *words)


def test_a_plan_is_applied_in_another_clone(root: Path, tmp_path: Path) -> None:
    plan = planned(root, tmp_path / "plan.json", *BUMP)
    before = everything(root)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"{root}.git", str(clone))

    ran = apply(clone, tmp_path / "plan.json", "--report", str(tmp_path / "report.json"))

    assert ran.code == 0, ran.text
    assert json.loads((tmp_path / "report.json").read_bytes())["plan"] == plan["digest"]
    assert everything(root).files == before.files
    assert git(clone, "log", "-1", "--format=%s") == "Release 2.1.0"
    assert git(Path(f"{root}.git"), "tag") == "v2.1.0"


def test_a_plan_in_the_project_and_from_standard_input(root: Path) -> None:
    planned(root, root / "plan.json", *BUMP)
    planned(root, root / "plan.json", *BUMP)
    text = (root / "plan.json").read_text(encoding="utf-8")

    assert apply(root, root / "plan.json", "--dry-run", "--report", "report.json").code == 0
    (root / "plan.json").unlink()
    words = [sys.executable, "-m", "relnox", "apply", "-"]
    ran = subprocess.run(words, cwd=root, input=text, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert git(Path(f"{root}.git"), "tag") == "v2.1.0"


@pytest.mark.parametrize(
    "words",
    [
        ("bump", "minor", "--plan", "one.json", "--report", "./one.json"),
        ("bump", "minor", "--plan", "-", "--report", "-"),
        ("status", "--json", "--plan", "-"),
    ],
)
def test_two_documents_have_two_files(root: Path, words: tuple[str, ...]) -> None:
    ran = run(root, "relnox", *words)
    assert ran.code == 1, ran.text
    assert "[options-conflict]" in ran.err
    assert git(root, "diff", "--stat") == ""


def test_an_applied_plan_is_done(root: Path, tmp_path: Path) -> None:
    planned(root, tmp_path / "plan.json", *BUMP)
    early = tmp_path / "early"
    shutil.copytree(root, early)
    assert apply(root, tmp_path / "plan.json").code == 0
    late = tmp_path / "late"
    git(tmp_path, "clone", "--quiet", f"{root}.git", str(late))
    remote = everything(root).remote

    for checkout in (root, early, late):
        ran = apply(checkout, tmp_path / "plan.json")
        assert ran.code == 0, ran.text
        assert "already done" in ran.err
        assert everything(root).remote == remote


def test_a_finished_bump_from_commits_is_done(root: Path, tmp_path: Path) -> None:
    git(root, "tag", "v2.0.0")
    commit_all(write(root, {"packages/core/new.py": "NEW = 1\n"}), "feat: new")
    planned(root, tmp_path / "plan.json", "bump", "auto", "--commit", "--tag")
    assert apply(root, tmp_path / "plan.json").code == 0

    again = apply(root, tmp_path / "plan.json")

    assert again.code == 0, again.text
    assert f"already done: the checkout has all tags of {tmp_path / 'plan.json'}" in again.err


@pytest.mark.parametrize("words", [("build-all",), ("bump", "minor"), ("rehearse",)], ids=lambda words: words[0])
def test_files_that_do_not_take_part_leave_a_plan_valid(
    root: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    planned(root, tmp_path / "plan.json", *words)
    write(root, {"todo.txt": "later\n", "packages/core/todo.txt": "later\n", "dist/todo.txt": "later\n"})

    ran = apply(root, tmp_path / "plan.json", "--dry-run")

    assert ran.code == 0, ran.text
    assert "todo.txt" in ran.text or words == ("rehearse",)


def test_another_world_is_refused_with_the_difference(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    commit = planned(root, file, *BUMP)["inputs"]["commit"]
    text = (root / "packages/core/pyproject.toml").read_text(encoding="utf-8")
    write(root, {"packages/core/pyproject.toml": f"{text}# a comment\n"})
    head = commit_all(root, "A comment")
    before = everything(root)

    ran = apply(root, file)

    assert ran.code == 1
    assert everything(root) == before
    assert f"error: {file} no longer matches the state of the project [plan-outdated]" in ran.err
    assert f"  commit: {commit} in the plan file, {head} now" in ran.err
    assert "  step differs: edit packages/agents/pyproject.toml" in ran.err
    assert "edits in the plan file: " in ran.err
    assert "edits now: " in ran.err
    assert f"fix: plan again: relnox bump --part minor --commit --tag --push --dry-run --plan {file}" in ran.err
    assert planned(root, file, *BUMP)["inputs"]["commit"] == head
    assert apply(root, file).code == 0


def test_problems_of_the_present_state_are_part_of_the_difference(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    planned(root, file, *BUMP)
    git(root, "tag", "v2.1.0", git(root, "commit-tree", "-m", "Elsewhere", "HEAD^{tree}"))

    ran = apply(root, file)

    assert ran.code == 4
    assert "problem only now: " in ran.err
    assert "[tag-exists]" in ran.err
    assert "[plan-outdated]" in ran.err


def test_a_dry_run_shows_whether_a_plan_still_holds(root: Path, tmp_path: Path) -> None:
    planned(root, tmp_path / "plan.json", *BUMP)
    before = everything(root)
    assert "Plan of bump" in apply(root, tmp_path / "plan.json", "--dry-run").out
    git(root, "commit", "--quiet", "--allow-empty", "--message", "Later")

    ran = apply(root, tmp_path / "plan.json", "-n")

    assert ran.code == 1
    assert "[plan-outdated]" in ran.out
    assert everything(root).files == before.files


def test_the_date_is_that_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = single(tmp_path / "demo")
    write(root, {"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n- Something.\n"})
    file = tmp_path / "plan.json"
    with monkeypatch.context() as patch:
        patch.setattr(Project, "today", date(2031, 5, 6))
        with Workspace.open(root).plan("bump", part="minor") as plan:
            file.write_text(plan.to_json(), encoding="utf-8")

    assert apply(root, file).code == 0
    assert "2031-05-06" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text.replace("2.1.0", "2.1.1", 1), "it was changed after it was written"),
        (lambda text: text.replace('"schema": 1', '"schema": 2', 1), "its schema is 2, and this version reads 1"),
        (lambda text: text.replace('"EditFiles"', '"EraseFiles"', 1), "unknown kind of step: EraseFiles"),
        (lambda _: "{}", "it is not a plan"),
        (lambda _: "nothing", "it is not JSON (line 1, column 1)"),
        (lambda _: "[" * 100_000, "recursion"),
    ],
)
def test_a_file_that_is_no_plan_is_refused(root: Path, tmp_path: Path, change: Any, reason: str) -> None:
    file = tmp_path / "plan.json"
    planned(root, file, *BUMP)
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    before = everything(root)

    ran = apply(root, file)

    assert ran.code == 1
    assert f"error: {file} cannot be applied: " in ran.err
    assert reason in ran.err
    assert "[plan-file-invalid]" in ran.err
    assert everything(root) == before


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "apply requires a plan file [plan-file-missing]"),
        (("nowhere.json",), "nowhere.json cannot be read: No such file or directory [plan-file-missing]"),
        (("a", "b"), "relnox apply takes one argument (PLAN), not 2: a, b [option-invalid]"),
        (("",), "relnox apply PLAN = '' is not valid: it names no file [value-invalid]"),
    ],
)
def test_a_missing_file_is_a_clear_error(root: Path, words: tuple[str, ...], error: str) -> None:
    ran = run(root, "relnox", "apply", *words)

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {error}\nfix: ")


@pytest.mark.heavy
@pytest.mark.parametrize(("task", "flags", "exit_code"), PLANNED)
def test_every_plan_can_be_read_back(shared: Path, tmp_path: Path, task: str, flags: str, exit_code: int) -> None:
    file = tmp_path / "plan.json"
    ran = run(shared, "relnox", task, *flags.split(), "--dry-run", "--plan", str(file))
    assert ran.code == exit_code
    text = file.read_text(encoding="utf-8")

    plan = Plan.from_json(text, steps.step_classes())

    assert plan.to_json() == text
    with Workspace.open(shared).plan("apply", file=str(file)) as again:
        assert [problem.code for problem in again.problems if problem.code == "plan-outdated"] == []
        assert again.digest == plan.digest


KILLED = """
import os, signal, sys

count = 0

def hook(event, arguments):
    global count
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    changes = writes or event in ("subprocess.Popen", "os.rename", "os.remove", "os.mkdir")
    if changes if sys.argv[2] == "changes" else event == "http.client.send":
        count += 1
        if count == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
from relnox.cli import main
sys.exit(main(sys.argv[3:]))
"""
"""Runs relnox, and kills it before the n-th call that changes something or starts a program, or request."""


def killed(root: Path, call: int, kind: str, file: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(call), kind, "apply", str(file)]
    ran = subprocess.run(command, cwd=root, check=False, capture_output=True, timeout=60)
    assert ran.returncode == -signal.SIGKILL, f"nothing is left to kill: {ran.stderr.decode()}"


@pytest.mark.heavy
@pytest.mark.parametrize("call", range(12, 60, 3))
def test_a_killed_bump_is_finished_by_the_same_command(root: Path, tmp_path: Path, call: int) -> None:
    planned(root, tmp_path / "plan.json", *BUMP)
    killed(root, call, "changes", tmp_path / "plan.json")

    ran = apply(root, tmp_path / "plan.json")

    assert ran.code == 0, ran.text
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "log", "--format=%s").splitlines() == ["Release 2.1.0", "Start"]
    assert git(Path(f"{root}.git"), "rev-parse", "v2.1.0^{commit}") == git(root, "rev-parse", "HEAD")


SETTINGS = """
[tool.relnox.indexes.own]
upload = "{upload}"
simple = "{simple}"
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "token")
    with EmbeddedIndex(tmp_path / "index") as server:
        yield server


def uploaded(directory: Path) -> int:
    """The number of files on the index."""
    return sum(path.suffix in (".whl", ".gz") for path in (directory / "index").rglob("*"))


def released(root: Path, index: Index) -> Path:
    """A project with a built release of three packages, and an index that counts as production."""
    release(root, [Package("core"), Package("tools", ("core",)), Package("demo", ("tools",))])
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(SETTINGS.format(upload=index.upload_url, simple=index.simple_url))
    return root


def test_a_file_is_the_confirmation_of_an_upload(tmp_path: Path, index: Index) -> None:
    root = released(tmp_path / "project", index)
    file = tmp_path / "plan.json"
    plan = planned(root, file, "publish", "--index", "own")
    assert plan["consent"].startswith("Publish core ")
    refused = run(root, "relnox", "publish", "--index", "own")
    assert "[confirmation-needed]" in refused.err

    ran = apply(root, file)

    assert ran.code == 0, ran.text
    assert uploaded(tmp_path) == 6


def test_credentials_may_be_other_ones(tmp_path: Path, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    root = released(tmp_path / "project", index)
    planned(root, tmp_path / "plan.json", "publish", "--index", "own")
    monkeypatch.delenv("RELNOX_OWN_TOKEN")
    content = f"[own]\nrepository = {index.upload_url}\nusername = me\npassword = secret\n"
    write(tmp_path, {"own.pypirc": f"[distutils]\nindex-servers = own\n\n{content}"})
    monkeypatch.setenv("TWINE_CONFIG_FILE", str(tmp_path / "own.pypirc"))

    ran = apply(root, tmp_path / "plan.json", "--dry-run")

    assert ran.code == 0, ran.text
    assert ".pypirc" in ran.out


def test_a_partly_published_plan_is_finished(tmp_path: Path, index: Index) -> None:
    root = released(tmp_path / "project", index)
    file = tmp_path / "plan.json"
    planned(root, file, "publish", "--index", "own")
    assert run(root, "relnox", "publish", "--index", "own", "--package", "core", "--yes").code == 0
    assert uploaded(tmp_path) == 2

    ran = apply(root, file)

    assert ran.code == 0, ran.text
    assert uploaded(tmp_path) == 6
    again = apply(root, file)
    assert again.code == 0, again.text
    assert uploaded(tmp_path) == 6


HOOKS = """
[[tool.relnox.hooks.before-publish]]
run = ["python", "-c", "open('before.txt', 'a').write('x')"]

[[tool.relnox.hooks.after-publish]]
run = ["python", "-c", "open('after.txt', 'a').write('x')"]
"""


@pytest.mark.heavy
@pytest.mark.parametrize("call", [None, 4, 9, 14])
def test_hooks_are_part_of_an_approved_plan(tmp_path: Path, index: Index, call: int | None) -> None:
    root = released(tmp_path / "project", index)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(HOOKS)
    planned(root, tmp_path / "plan.json", "publish", "--index", "own")
    if call is not None:
        killed(root, call, "requests", tmp_path / "plan.json")

    ran = apply(root, tmp_path / "plan.json")

    assert ran.code == 0, ran.text
    assert uploaded(tmp_path) == 6
    assert (root / "after.txt").read_text(encoding="utf-8") == "x"
    again = apply(root, tmp_path / "plan.json")
    assert again.code == 0, again.text
    assert (root / "after.txt").read_text(encoding="utf-8") == "x"


@pytest.mark.heavy
@pytest.mark.parametrize("call", range(1, 16, 2))
def test_a_killed_publication_is_finished_by_the_same_command(tmp_path: Path, index: Index, call: int) -> None:
    root = released(tmp_path / "project", index)
    planned(root, tmp_path / "plan.json", "publish", "--index", "own")
    killed(root, call, "requests", tmp_path / "plan.json")

    ran = apply(root, tmp_path / "plan.json")

    assert ran.code == 0, ran.text
    assert uploaded(tmp_path) == 6


def test_another_file_is_not_published(tmp_path: Path, index: Index) -> None:
    root = released(tmp_path / "project", index)
    file = tmp_path / "plan.json"
    planned(root, file, "publish", "--index", "own")
    shutil.rmtree(root)
    released(root, index)
    wheel = next((root / "dist").glob("demo-*.whl"))
    subprocess.run(
        [sys.executable, "-c", f"import zipfile; zipfile.ZipFile({str(wheel)!r}, 'a').writestr('demo/x.py', '')"],
        check=True,
    )

    ran = apply(root, file)

    assert ran.code == 4, ran.text
    assert "[archive-changed]" in ran.err
    assert uploaded(tmp_path) == 0


def test_python_code_applies_a_plan(root: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.json"
    workspace = Workspace.open(root)
    with workspace.plan("bump", part="minor", commit=True) as plan:
        file.write_text(plan.to_json(), encoding="utf-8")

    outcome = Workspace.open(root).run("apply", file=str(file))

    assert (outcome.exit_code, outcome.plan.task) == (ExitCode.DONE, "bump")
    assert outcome.plan.digest == plan.digest
    assert capfd.readouterr() == ("", "")
    git(root, "commit", "--quiet", "--allow-empty", "--message", "Later")
    with pytest.raises(Blocked) as error:
        Workspace.open(root).run("apply", file=str(file))
    assert "step only" in str(error.value) or "commit: " in str(error.value)


def test_a_project_outside_git_has_plans_too(tmp_path: Path) -> None:
    root = single(tmp_path / "demo")
    plan = planned(root, tmp_path / "plan.json", "bump", "2.0")
    assert plan["inputs"]["commit"] is None

    assert apply(root, tmp_path / "plan.json").code == 0
    assert 'version = "2.0"' in (root / "pyproject.toml").read_text(encoding="utf-8")


def test_a_plan_of_another_project_or_branch_is_refused(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    other = repository(single(tmp_path / "demo"))
    planned(other, file, "bump", "minor", "--commit")
    before = everything(root)
    ran = apply(root, file)
    assert ran.code == 1, ran.text
    assert "[plan-outdated]" in ran.err
    assert everything(root) == before

    planned(root, file, *BUMP)
    git(root, "switch", "--quiet", "--create", "other")
    before = everything(root)
    ran = apply(root, file)
    assert ran.code == 1, ran.text
    assert "[plan-outdated]" in ran.err
    assert "[branch-not-allowed]" in ran.err
    assert everything(root) == before


def test_a_plan_of_a_dirty_tree_needs_that_tree(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    path = root / "packages/core/pyproject.toml"
    clean = path.read_text(encoding="utf-8")
    path.write_text(f"{clean}# a comment\n", encoding="utf-8")
    planned(root, file, "bump", "minor", "--allow-dirty")
    path.write_text(clean, encoding="utf-8")
    before = everything(root)
    ran = apply(root, file)
    assert ran.code == 1, ran.text
    assert "[plan-outdated]" in ran.err
    assert everything(root) == before

    path.write_text(f"{clean}# a comment\n", encoding="utf-8")
    assert apply(root, file).code == 0
    assert path.read_text(encoding="utf-8") == f"{clean}# a comment\n".replace("2.0.0", "2.1.0")


def test_a_plan_of_another_version_with_other_options_is_refused(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    planned(root, file, *BUMP)
    approved = Plan.from_json(file.read_text(encoding="utf-8"), steps.step_classes())
    assert approved.inputs is not None
    options = tuple((name, value) for name, value in approved.inputs.options if name != "then_dev")
    older = replace(approved, inputs=replace(approved.inputs, options=(*options, ("new_option", True))))
    file.write_text(older.to_json(), encoding="utf-8")
    ran = apply(root, file)
    assert ran.code == 1
    assert (
        "was written by another version of relnox (options: new_option, then_dev) [plan-file-invalid]" in ran.err
    )
    assert "fix: write it again with this version of relnox: relnox TASK --dry-run --plan FILE" in ran.err
    assert git(root, "tag") == ""


def test_forged_plans_run_nothing(root: Path, tmp_path: Path) -> None:
    """With a valid digest: the file is compared with what the task plans now, and its options are checked."""
    file = tmp_path / "plan.json"
    planned(root, file, *BUMP)
    plan = Plan.from_json(file.read_text(encoding="utf-8"), steps.step_classes())
    assert plan.inputs is not None
    options = dict(plan.inputs.options)
    before = everything(root)
    for forged, code in (
        (replace(plan, steps=plan.steps[:-1]), "plan-outdated"),
        (replace(plan, notes=("all is well",)), "plan-outdated"),
        (
            replace(plan, inputs=replace(plan.inputs, options=tuple((options | {"part": "huge"}).items()))),
            "value-",
        ),
        (
            replace(plan, inputs=replace(plan.inputs, options=tuple((options | {"all": 5}).items()))),
            "value-invalid",
        ),
        (replace(plan, inputs=replace(plan.inputs, options=(*options.items(), ("x", "y")))), "plan-file-invalid"),
        (replace(plan, inputs=replace(plan.inputs, date="tomorrow")), "plan-file-invalid"),
        (replace(plan, task="rehearse"), "plan-file-invalid"),
        (replace(plan, task="init"), "plan-file-invalid"),
        (replace(plan, inputs=None), "plan-file-invalid"),
    ):
        file.write_text(forged.to_json(), encoding="utf-8")
        ran = apply(root, file)
        assert ran.code == 1, ran.text
        assert f"[{code}" in ran.err
        assert everything(root) == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b" " * (64 << 20) + b"{}", "it is larger than 64 MiB"),
        (b"\xff", "it is not UTF-8"),
        (b"null", "it is not a plan"),
        (b'{"schema": 1, "digest": 5, "task": 5, "steps": 5}', "it has no "),
    ],
    ids=["empty", "huge", "binary", "null", "other types"],
)
def test_standard_input_that_is_no_plan_is_refused(root: Path, content: bytes, reason: str) -> None:
    words = [sys.executable, "-m", "relnox", "apply", "-"]
    ran = subprocess.run(words, cwd=root, input=content, capture_output=True, check=False)
    message = ran.stderr.decode()
    assert ran.returncode == 1
    assert message.startswith("error: standard input cannot be ")
    assert reason in message
    assert "\nfix: " in message
