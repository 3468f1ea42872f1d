"""The changes in CONTRIBUTING.md can be applied, and work."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import python, repository, single

ROOT = Path(__file__).parents[2]
DIFFS = re.findall(
    r"^```diff\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)
RUN_STEP = """
from types import SimpleNamespace
from relnox.steps.milestone import CreateMilestone

class Forge:
    milestones = []
    def request(self, method, *_, query=None, body=None):
        if method == "POST":
            self.milestones.append(body)
        return self.milestones

run = SimpleNamespace(forge=lambda remote: Forge())
step = CreateMilestone(remote_name="origin", name="2.0")
assert step.reason_to_skip(run) is None
print(step.title, step.verify(run, step.apply(run)), sep=": ")
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package with the changes, in a directory of its own."""
    shutil.copytree(ROOT / "relnox", tmp_path / "copy" / "relnox", ignore=shutil.ignore_patterns("__pycache__"))
    for diff in DIFFS:
        subprocess.run(["git", "apply", "-"], cwd=tmp_path / "copy", input=diff, text=True, check=True)
    return tmp_path / "copy"


def test_a_step_is_one_class_and_a_task_one_module(package: Path, tmp_path: Path) -> None:
    assert len(DIFFS) == 2
    path = {"PYTHONPATH": str(package)}
    ran = python(tmp_path, "-c", RUN_STEP, code=0, **path)
    assert (ran.stderr, ran.stdout) == ("", "create milestone 2.0: it exists\n")

    root = repository(single(tmp_path / "demo"))
    (root / "noxfile.py").write_text("from relnox import sessions\nsessions.add('milestone')\n")
    (root / "tasks.py").write_text("from relnox import tasks\nns = tasks.collection()\n")
    options = ("--name", "2.0", "--dry-run")
    for words in (
        ("relnox", "milestone", *options),
        ("invoke", "milestone", *options),
        ("nox", "-s", "milestone", "--", *options),
    ):
        ran = python(root, "-m", *words, code=None, **path)
        assert ran.returncode == 0, ran.stderr
        assert "1. create milestone 2.0" in ran.stdout + ran.stderr
