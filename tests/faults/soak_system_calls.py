"""Tasks with a fault injected at system calls that change something: bumps, builds and publishing at each.

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
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from backends import READING, in_tree
from package_index import PackageIndex
from projects import commit_all, copy_of, everything, git, repository, write
from releases import Package, is_whole, public, publish, release
from running import run
from stopped_bumps import SCENES, World
from system_calls import (
    FULL,
    FULL_FROM_THEN_ON,
    GROWING,
    KILLED,
    KILLED_WITH_RELNOX,
    OPENING,
    TRACED_HOOK,
    find_system_calls,
    inject_faults,
)
from test_full_disk import sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from system_calls import FaultyRun, SystemCall

    from relnox.core.release.manifest import Manifest

PARTS = 4
FAULTS = {"killed": KILLED, "no room": FULL, "no room from then on": FULL_FROM_THEN_ON}
SHARE_OF_FULL_DISKS = 4
"""One call in so many; runs are killed at every call."""
BUILD = ("build-all",)
PUBLISH = ("publish", "--index", "own", "--reporter", "plain")
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


def faulty_runs(
    calls: list[SystemCall], fault: str, share: slice, new: Callable[[str], Path], task: tuple[str, ...]
) -> Iterator[tuple[Path, FaultyRun]]:
    """Run a task with a fault at each call of a share."""
    if fault in (FULL, FULL_FROM_THEN_ON):
        calls = [call for call in calls if call.call in GROWING][::SHARE_OF_FULL_DISKS]
    if fault == FULL_FROM_THEN_ON:  # no file could be opened any more, not even to be read
        calls = [call for call in calls if call.call not in OPENING]
    for root, faulty_run in inject_faults(calls[share], fault, new, task):
        is_killed = faulty_run.was_made and fault in (KILLED, KILLED_WITH_RELNOX)
        if is_killed and (fault == KILLED_WITH_RELNOX or faulty_run.system_call.program == "relnox"):
            assert faulty_run.code == -signal.SIGKILL, faulty_run
        yield root, faulty_run


# --- bumps


@pytest.mark.parametrize("fault", [*FAULTS.values(), KILLED_WITH_RELNOX], ids=[*FAULTS, "killed with relnox"])
@in_parts
def test_a_bump_with_a_fault_at_any_call_is_finished_or_undone(
    part: slice, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, SCENES["plain"], monkeypatch)

    def new(_name: str) -> Path:
        world.reset()
        return world.root

    calls = find_system_calls(new, world.scene.command)
    if fault == KILLED_WITH_RELNOX:
        calls = [call for call in calls if call.program != "relnox"]
    for root, faulty_run in faulty_runs(calls, fault, part, new, world.scene.command):
        world.unlock()
        world.check(faulty_run)
        subprocess.run(["git", "fsck", "--no-dangling"], cwd=root, check=True, capture_output=True)
    sys.stdout.write(f"{world.states} states: all converged\n")


# --- builds and others


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
        with pytest.MonkeyPatch.context() as patch:

            def new(name: str) -> Path:
                return alone(self.template, directory / name / "project", patch)

            for root, faulty_run in faulty_runs(self.calls, fault, share, new, self.task):
                yield root, faulty_run
                shutil.rmtree(root.parent)


def alone(template: Path, root: Path, patch: pytest.MonkeyPatch) -> Path:
    """A copy, beside a directory for temporary files of its own."""
    directory = root.parent / f"{root.name}.TMPDIR"
    directory.mkdir(parents=True)
    patch.setenv("TMPDIR", str(directory))
    return copy_of(template, root)


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


# --- publishing


class Publication:
    """A release of three packages, and an index of its own for each run."""

    PACKAGES = (Package("core", wheels=2), Package("demo", ("core",), wheels=2), Package("more"))
    CONTENT = "# some bytes, so that an archive is sent in several pieces\n" * 500

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.stack = stack
        self.index: PackageIndex
        self.manifest: Manifest

    def new(self, name: str) -> Path:
        self.stack.close()
        root = self.directory / name
        self.manifest = release(root, self.PACKAGES, content=self.CONTENT)
        self.index = self.stack.enter_context(PackageIndex())
        address = f'upload = "{self.index.upload_url}"\nsimple = "{self.index.simple_url}"\nproduction = false\n'
        settings = f'[tool.relnox]\npackages = ["packages/*"]\n[tool.relnox.indexes.own]\n{address}'
        return write(root, {"pyproject.toml": settings})

    def is_finished(self, root: Path, how: object) -> None:
        """The same command: the index equals the manifest, no file was sent with other bytes, none twice."""
        built = {file.filename: file.sha256 for file in self.manifest.distributions}
        there = public(self.index, self.manifest)
        assert there.items() <= built.items(), how
        before = len(self.index.uploads)
        ran = publish(root, self.index)
        assert ran.code == 0, (how, ran.text)
        assert is_whole(self.index, self.manifest), how
        taken = [request for request in self.index.uploads if request.status == 200]
        assert all(request.sha256 == built[request.filename] for request in taken), how
        assert not there.keys() & {request.filename for request in self.index.uploads[before:]}, how


@in_parts
def test_publishing_that_is_killed_at_any_call_is_finished_by_the_same_command(
    part: slice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELNOX_OWN_TOKEN", "a-token")
    with ExitStack() as stack:
        publication = Publication(tmp_path, stack)
        calls = find_system_calls(publication.new, PUBLISH)
        assert len(calls) > 80
        for root, faulty_run in faulty_runs(calls, KILLED, part, publication.new, PUBLISH):
            publication.is_finished(root, faulty_run)
            shutil.rmtree(root)
