"""Hooks: every front end and the Python API plan the same, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from loopback import make_sdist
from projects import git, python, repository, single, write
from releases import made_wheel, write_manifest

from relnox.api import Workspace

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.heavy

EDIT = "import pathlib\npathlib.Path('docs.txt').write_text('edited')\n"
HOOKS = """
[[tool.relnox.hooks.before-bump]]
task = "check"

[[tool.relnox.hooks.edit-bump]]
run = ["python", "edit.py"]
env = { B = "2", A = "1" }

[[tool.relnox.hooks.before-build]]
session = "generate"
writes = ["src/demo/*.py"]

[[tool.relnox.hooks.after-build]]
run = ["python", "check.py"]

[[tool.relnox.hooks.before-publish]]
session = "tests"
in-rehearsal = true

[[tool.relnox.hooks.after-publish]]
run = ["python", "announce.py"]
pass-env = ["CHAT_TOKEN"]
in-rehearsal = true

[[tool.relnox.hooks.after-verify]]
run = ["python", "announce.py"]
on-failure = "warn"
in-rehearsal = true
"""
ANNOUNCE = "python announce.py"
TASKS: tuple[tuple[str, dict[str, Any], list[str]], ...] = (
    ("bump", {"part": "minor", "commit": True, "tag": True}, ["run before-bump hook: invoke check"]),
    (
        "build-all",
        {},
        ["run before-build hook: nox -s generate", "run after-build hook: python check.py"],
    ),
    (
        "publish-test",
        {"index": "embedded"},
        [
            "run before-publish hook: nox -s tests",
            f"record that the after-publish hook is due: {ANNOUNCE}",
            f"run after-publish hook: {ANNOUNCE}",
            f"run after-verify hook: {ANNOUNCE}",
        ],
    ),
    ("verify-install", {"index": "embedded", "wait": 0}, [f"run after-verify hook: {ANNOUNCE}"]),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = single(tmp_path_factory.mktemp("hooks") / "demo")
    text = (root / "pyproject.toml").read_text()
    repository(write(root, {"pyproject.toml": text + HOOKS, "edit.py": EDIT, "docs.txt": "old"}))
    dist = root / "dist"
    paths = [make_sdist(dist, "demo", "1.2.3"), made_wheel(dist, "demo", version="1.2.3")]
    write_manifest(root, paths, {"demo": ()}, commit=git(root, "rev-parse", "HEAD"))
    return root


@pytest.mark.parametrize(("task", "options", "titles"), TASKS, ids=[task for task, _, _ in TASKS])
def test_every_front_end_plans_the_same_hooks(
    root: Path, tmp_path: Path, task: str, options: dict[str, Any], titles: list[str]
) -> None:
    words = [
        word
        for name, value in options.items()
        for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])
    ]
    file = tmp_path / "plan.json"
    plans = {}
    session = {"publish-test": "testpypi"}.get(task, task)
    for front_end in ("nox", "invoke", "relnox"):
        behind = ("-s", session, "--") if front_end == "nox" else (task,)
        ended = python(root, "-m", front_end, *behind, *words, "--dry-run", "--plan", str(file))
        assert ended.returncode == 0, ended.stderr + ended.stdout
        plans[front_end] = file.read_text(encoding="utf-8")
    with Workspace.open(root).plan(task, **options) as plan:
        plans["Python"] = plan.to_json()
    assert plans == dict.fromkeys(plans, plans["relnox"])
    document = json.loads(plans["relnox"])
    assert [step["title"] for step in document["steps"] if step["kind"] in {"RunHook", "RecordDueHook"}] == titles
    if task == "bump":
        assert "edit-bump hook (python edit.py) edits docs.txt" in document["notes"]
        assert "docs.txt" in str(document["steps"][1]["edits"])
    assert git(root, "status", "--porcelain") == ""
