"""Commands in fixes are those of the front end that was used, and work when they are pasted."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest
from projects import python, single, write
from running import FRONT_ENDS, run_front_end

from relnox.commands.init import NOXFILE, TASKS_FILE

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package outside git, with every session and every task."""
    root = single(tmp_path / "demo")
    write(root, {"noxfile.py": NOXFILE, "tasks.py": TASKS_FILE})
    return root


def fix(output: str) -> str:
    """The fix of the only error in an output."""
    (text,) = re.findall(r"^fix: (.*)$", output, re.MULTILINE)
    return str(text)


@pytest.mark.parametrize(
    ("front_end", "missing", "wrong_index"),
    [
        ("nox", "nox -s build-all", "nox -s publish -- --index pypi"),
        ("invoke", "invoke build-all", "invoke publish --index pypi"),
        ("relnox", "relnox build-all", "relnox publish --index pypi"),
    ],
)
def test_commands_are_the_front_ends(project: Path, front_end: str, missing: str, wrong_index: str) -> None:
    assert fix(run_front_end(front_end, project, "publish", "--index", "embedded").err) == missing
    output = fix(run_front_end(front_end, project, "publish-test", "--index", "pypi").err)
    assert output == f"{wrong_index}; or use a test index"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_the_hinted_command_is_one_that_works(project: Path, front_end: str) -> None:
    command = fix(
        run_front_end(front_end, project, "publish", "--index", "embedded", "--project", str(project)).err
    )

    words = shlex.split(command)
    done = python(project.parent if front_end == "relnox" else project, "-m", *words, "--from-tree", "--dry-run")

    assert str(project) in words
    assert done.returncode == 0, done.stderr
    assert "Plan of build-all" in done.stdout


def test_a_session_is_called_as_the_noxfile_calls_it(project: Path) -> None:
    write(
        project,
        {
            "noxfile.py": "from relnox import sessions\n"
            "names = {'publish': 'my publish', 'build-all': 'my build-all'}\n"
            "sessions.add('publish', 'build-all', names=names)\n"
        },
    )
    assert fix(run_front_end("nox", project, "my publish", "--index", "embedded").err) == "nox -s 'my build-all'"

    write(project, {"noxfile.py": "from relnox.sessions import publish\n"})
    assert fix(run_front_end("nox", project, "publish", "--index", "embedded").err) == "relnox build-all"


def test_a_task_is_called_as_the_tasks_file_calls_it(project: Path) -> None:
    write(
        project,
        {
            "tasks.py": (
                "from invoke.collection import Collection\nimport relnox.tasks\n"
                'ns = Collection(Collection.from_module(relnox.tasks, name="our_release"))\n'
            )
        },
    )
    output = run_front_end("invoke", project, "our-release.publish", "--index", "embedded").err
    assert fix(output) == "invoke our-release.build-all"

    write(project, {"tasks.py": "from relnox.tasks import publish\n"})
    assert fix(run_front_end("invoke", project, "publish", "--index", "embedded").err) == "relnox build-all"


@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_reports_for_programs_are_the_same(project: Path, front_end: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"

    run_front_end(front_end, project, "publish", "--index", "embedded", "--report", str(report))

    assert '"fix": "relnox build-all"' in report.read_text(encoding="utf-8")
