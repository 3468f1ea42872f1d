"""Tasks that are killed before each change and each request, and sent signals before some: `nox -s soak`."""

from __future__ import annotations

import shutil
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from backends import READING
from projects import copy_of, everything, git, repository, write
from running import run
from stopped_bumps import MANY, SCENES, World
from stops import count_stops, stopped
from test_interrupted_publishing import CODES, publish_until

if TYPE_CHECKING:
    from pathlib import Path

STRIDE = 10
STRIDE_OF_MANY = 50


@pytest.mark.parametrize("name", [*SCENES, "500 packages"])
def test_stopped_before_any_change_a_bump_is_finished_or_undone(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, SCENES.get(name, MANY), monkeypatch)
    every = 1 if name in SCENES else STRIDE_OF_MANY
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
        stride = every if number == signal.SIGKILL else every * STRIDE
        places = range(min(int(number), stride), world.stops + 1, stride)
        for at in places:
            world.stop_before(at, number)
        sys.stdout.write(f"{name}: {number.name} at {len(places)} of {world.stops} stops\n")
    sys.stdout.write(f"{name}: {world.states} states, all converged\n")


@pytest.mark.parametrize("number", CODES)
def test_publishing_stopped_before_any_request_or_change_is_finished(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    at, stride, output = 1, 1 if number == signal.SIGKILL else STRIDE, ""
    while "stops:" not in output:
        code, output = publish_until(tmp_path / "project", at, number, "any")
        assert code in (0, CODES[number]), (at, output)
        shutil.rmtree(tmp_path / "project")
        at += stride
    sys.stdout.write(f"{number.name} at {at // stride} stops: all converged\n")


TASKS = {
    "build-all": ("build-all",),
    "collect": ("collect", "--from", "jobs"),
    "publish-test": ("publish-test", "--index", "embedded"),
    "verify-install": ("verify-install", "--from", "dist"),
    "rehearse": ("rehearse", "--part", "minor"),
}
ARCHIVES = ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package that was built, here and by a job."""
    files = {
        "pyproject.toml": (
            '[project]\nname = "home"\nversion = "1.0"\n\n[tool.relnox]\nbranch = "main"\n\n'
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["backend"]\n'
        ),
        "home.py": "",
        "backend/backend.py": READING,
        ".gitignore": "/dist/\n/jobs/\n",
    }
    root = repository(write(tmp_path_factory.mktemp("template") / "home", files))
    assert run(root, "relnox", "build-all").code == 0
    shutil.copytree(root / "dist", root / "jobs" / "one")
    return root


@pytest.mark.parametrize("task", TASKS)
def test_other_tasks_killed_before_any_change_are_finished(task: str, template: Path, tmp_path: Path) -> None:
    before, root = everything(template), tmp_path / "home"
    stops = count_stops(copy_of(template, root), TASKS[task])
    for at in range(1, stops + 1):
        for directory in (root, tmp_path / "home.git"):
            shutil.rmtree(directory)
        code, output = stopped(copy_of(template, root), TASKS[task], at)
        assert code in (0, -signal.SIGKILL), output
        again = run(root, "relnox", *TASKS[task])
        assert again.code == 0, (at, again.text)
        after = everything(root)
        assert (after.refs, after.head, after.staged) == (before.refs, before.head, before.staged), at
        assert git(root, "status", "--porcelain") == "", at
        assert sorted(path.name for path in (root / "dist").glob("home-*")) == ARCHIVES, at
    sys.stdout.write(f"{task}: killed at {stops} stops, all converged\n")
