"""Tasks with a fault injected at system calls that change something: bumps and builds at each, others at some.

They are relnox's own, those of each git that it starts with all that this one starts, and those of a backend. At
each of them the process is killed, or the disk has no room, once or from then on. Then nothing is half, and the
same command finishes. `system_calls` says which calls count. Needs strace, and takes long: `nox -s soak`. The
tests beside it interrupt at the same points by other means, quicker and coarser.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from backends import READING, in_tree
from projects import commit_all, copy_of, everything, git, remote_of, repository, write
from running import run
from system_calls import (
    FULL,
    FULL_FROM_THEN_ON,
    GROWING,
    KILLED,
    OPENING,
    TRACED_HOOK,
    find_system_calls,
    inject_faults,
)
from test_full_disk import sound
from test_interruption import BUMP, RELEASED, bump, state, template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from system_calls import FaultyRun, SystemCall

__all__ = ["template"]

PARTS = 4
FAULTS = {"killed": KILLED, "no room": FULL, "no room from then on": FULL_FROM_THEN_ON}
SHARE_OF_FULL_DISKS = 4
"""One call in so many; runs are killed at every call."""
BUILD = ("build-all",)
OTHERS = {
    "collect": ("collect", "--from", "jobs"),
    "publish-test": ("publish-test", "--index", "embedded"),
    "verify-install": ("verify-install", "--from", "dist"),
    "rehearse": ("rehearse", "--part", "minor"),
}
SHARE_OF_OTHERS = 20
"""One call in so many at which other tasks are killed."""
ARCHIVES = ["home-1.0-py3-none-any.whl", "home-1.0.tar.gz"]

in_parts = pytest.mark.parametrize("part", [slice(part, None, PARTS) for part in range(PARTS)], ids=range(PARTS))
with_each_fault = pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)


class Project(NamedTuple):
    """A task with injected faults, in copies of a project, at its system calls."""

    template: Path
    task: tuple[str, ...]
    calls: list[SystemCall]

    @classmethod
    def explored(cls, template: Path, task: tuple[str, ...], directory: Path) -> Project:
        """Find the calls, in copies that are made in a directory."""
        with pytest.MonkeyPatch.context() as patch:
            return cls(
                template, task, find_system_calls(lambda name: alone(template, directory / name, patch), task)
            )

    def faulty_runs(
        self, fault: str, directory: Path, share: slice = slice(None)
    ) -> Iterator[tuple[Path, FaultyRun]]:
        """A copy for each call of a share, after a run with a fault there, and in its surroundings."""
        found = self.calls
        if fault != KILLED:
            found = [system_call for system_call in found if system_call.call in GROWING][::SHARE_OF_FULL_DISKS]
        if fault == FULL_FROM_THEN_ON:  # no file could be opened any more, not even to be read
            found = [system_call for system_call in found if system_call.call not in OPENING]
        with pytest.MonkeyPatch.context() as patch:

            def new(name: str) -> Path:
                return alone(self.template, directory / name / "project", patch)

            for root, faulty_run in inject_faults(found[share], fault, new, self.task):
                if fault == KILLED and faulty_run.was_made and faulty_run.system_call.program == "relnox":
                    assert faulty_run.code == -signal.SIGKILL, faulty_run
                yield root, faulty_run
                shutil.rmtree(root.parent)


def alone(template: Path, root: Path, patch: pytest.MonkeyPatch) -> Path:
    """A copy, beside a directory for temporary files of its own."""
    directory = root.parent / f"{root.name}.TMPDIR"
    directory.mkdir(parents=True)
    patch.setenv("TMPDIR", str(directory))
    return copy_of(template, root)


@pytest.fixture(scope="session")
def bumped(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.explored(template, BUMP, tmp_path_factory.mktemp("bumped"))


@with_each_fault
@in_parts
def test_a_bump_with_a_fault_at_any_call_is_finished_by_the_same_command(
    bumped: Project, tmp_path: Path, part: slice, fault: str
) -> None:
    for root, faulty_run in bumped.faulty_runs(fault, tmp_path, part):
        for lock in (*remote_of(root).rglob("*.lock"), *(root / ".git").rglob("*.lock")):
            lock.unlink()  # of a git that was killed: the next one names it
        if faulty_run.code != 0:
            again = bump(root)
            assert again.code == 0, (faulty_run, again.text)
        assert state(root) == RELEASED, faulty_run
        subprocess.run(["git", "fsck", "--no-dangling"], cwd=root, check=True, capture_output=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A package that was built, and has changed since; its backend is traced, too."""
    directory = tmp_path_factory.mktemp("built")
    (directory / "home").mkdir()
    home = repository(in_tree(directory / "home", hook=TRACED_HOOK))
    assert run(home, "relnox", *BUILD).code == 0
    (home / "home.py").write_text("changed = True\n", encoding="utf-8")
    commit_all(home)
    return Project.explored(home, BUILD, directory)


@with_each_fault
@in_parts
def test_a_build_with_a_fault_at_any_call_leaves_nothing_half_and_the_same_command_finishes(
    built: Project, tmp_path: Path, part: slice, fault: str
) -> None:
    for root, faulty_run in built.faulty_runs(fault, tmp_path, part):
        assert faulty_run.code in {0, -signal.SIGKILL, 2}, faulty_run
        sound(root)
        with zipfile.ZipFile(root / "dist/home-1.0-py3-none-any.whl") as wheel:
            assert b"changed" in wheel.read("home.py"), faulty_run
        if fault != KILLED:
            assert list(Path(os.environ["TMPDIR"]).iterdir()) == [], faulty_run


@pytest.fixture(scope="session")
def handed_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    root = repository(write(tmp_path_factory.mktemp("handed on") / "home", files))
    assert run(root, "relnox", *BUILD).code == 0
    shutil.copytree(root / "dist", root / "jobs" / "one")
    return root


@pytest.mark.parametrize("task", OTHERS)
def test_other_tasks_that_are_killed_are_finished_by_the_same_command(
    task: str, handed_on: Path, tmp_path: Path
) -> None:
    project = Project.explored(handed_on, OTHERS[task], tmp_path / "explored")
    before = everything(handed_on)
    for root, faulty_run in project.faulty_runs(KILLED, tmp_path, slice(None, None, SHARE_OF_OTHERS)):
        again = run(root, "relnox", *OTHERS[task])
        assert again.code == 0, (faulty_run, again.text)
        after = everything(root)
        assert (after.refs, after.head, after.staged) == (before.refs, before.head, before.staged), faulty_run
        assert git(root, "status", "--porcelain") == "", faulty_run
        assert sorted(path.name for path in (root / "dist").glob("home-*")) == ARCHIVES, faulty_run
        if task == "publish-test":
            files = root / ".git" / "relnox" / "index" / "files"
            assert sorted(path.name for path in files.iterdir()) == ARCHIVES, faulty_run
