"""Releases in one command that are stopped: run again, they end as one that was not."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from projects import HATCHLING, copy_of, git, lockstep_workspace, remote_of, repository, single, write
from running import run
from stops import count_stops, stopped

from relnox.commands.options import RELEASE_STAGES
from relnox.commands.shared.releases import read_manifest
from relnox.indexes.embedded import FileStore
from relnox.source.git import find_repository

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.network]


def independent(root: Path) -> Path:
    """Three packages with versions of their own; the second one needs the first."""
    files = {
        "pyproject.toml": '[tool.relnox]\npackages = ["packages/*"]\nversions = "independent"\n',
        ".gitignore": "/dist/\n",
    }
    for name, needs in (("own-base", "[]"), ("own-top", '["own-base>=1.0"]'), ("own-else", "[]")):
        files[f"packages/{name}/pyproject.toml"] = (
            f'[project]\nname = "{name}"\nversion = "1.0"\ndependencies = {needs}\n\n{HATCHLING}'
        )
        files[f"packages/{name}/src/{name.replace('-', '_')}/__init__.py"] = ""
    return write(root, files)


class Shape(NamedTuple):
    """A project, the options of its release, and the tags that it ends with."""

    make: Any
    words: tuple[str, ...]
    tags: set[str]


SHAPES = {
    "single": Shape(single, ("minor",), {"v1.3.0"}),
    "lockstep": Shape(lockstep_workspace, ("minor",), {"v2.1.0"}),
    "independent": Shape(
        independent,
        ("minor", "--package", "own-base", "--package", "own-top"),
        {"own-base-v1.1", "own-top-v1.1"},
    ),
}
INDEX = ("--index", "embedded")
SEVERITY = '\n[tool.relnox.check.severity]\nchangelog = "off"\nreadme = "off"\n'


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A repository of each shape."""
    made = {}
    for name, shape in SHAPES.items():
        made[name] = tmp_path_factory.mktemp(name) / "project"
        shape.make(made[name])
        with (made[name] / "pyproject.toml").open("a", encoding="utf-8") as settings:
            settings.write(SEVERITY)
        repository(made[name])
    return made


def assert_released(root: Path, shape: Shape) -> None:
    """The remote has the commit and its tags, and the index has exactly the files of its build."""
    head = git(root, "rev-parse", "HEAD")
    assert git(remote_of(root), "rev-parse", "main") == head
    assert set(git(remote_of(root), "tag", "--points-at", head).split()) == shape.tags
    assert git(root, "log", "--format=%s").splitlines()[1:] == ["Start"]
    assert git(root, "status", "--porcelain") == ""
    manifest = read_manifest(root, "dist")
    assert manifest.commit == head
    checkout = find_repository(root)
    assert checkout is not None
    public = {file.filename: file.sha256 for file in FileStore(checkout.private_directory() / "index").files()}
    assert public == {file.filename: file.sha256 for file in manifest.distributions}
    assert len(public) == 2 * len(manifest.packages)


@pytest.mark.parametrize("name", SHAPES)
def test_a_release_killed_anywhere_is_finished_by_the_same_command(
    name: str, templates: dict[str, Path], tmp_path: Path
) -> None:
    shape = SHAPES[name]
    words = ("release", *shape.words, *INDEX, "--yes")
    count = count_stops(copy_of(templates[name], tmp_path / "whole"), words)
    assert_released(tmp_path / "whole", shape)
    kills = 12 if name == "single" else 6
    for number in range(kills):
        root = copy_of(templates[name], tmp_path / f"killed-{number}")
        code, _ = stopped(root, words, 1 + number * (count - 1) // kills)
        assert code == -signal.SIGKILL
        run(root, "relnox", "status", code=0)
        run(root, "relnox", *words, code=0)
        assert_released(root, shape)


@pytest.mark.parametrize("name", SHAPES)
def test_a_release_that_ends_after_a_stage_is_finished_by_the_next_command(
    name: str, templates: dict[str, Path], tmp_path: Path
) -> None:
    shape, root = SHAPES[name], copy_of(templates[name], tmp_path / "project")
    following: list[str] = []
    for stage in RELEASE_STAGES:
        if stage == "forge-release":  # not with the embedded index
            continue
        ran = run(root, "relnox", "release", *shape.words, *INDEX, "--yes", "--until", stage, code=0)
        sent = set(RELEASE_STAGES[RELEASE_STAGES.index("push") :])
        assert bool(git(remote_of(root), "tag")) == (stage in sent)
        following = ran.err.splitlines()[-1].removeprefix("next: ").split()
        if stage in ("check", "bump", "gate"):
            copy = copy_of(root, tmp_path / f"after-{stage}")
            run(copy, *following, "--yes", code=0)
            assert_released(copy, shape)
    run(root, *following, "--yes", code=0)
    assert_released(root, shape)
