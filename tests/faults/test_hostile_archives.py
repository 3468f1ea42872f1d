"""Archives from elsewhere: refused by the name of their fault before they are collected, sent or installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import releases
from hostile_archives import HONEST, HOSTILE, LIMITS
from package_index import PackageIndex
from running import run_in_process

from relnox.building import archives, checks
from relnox.building.checks.expected import ExpectedArchive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[[Path], Path]

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore:Duplicate name")]

CASES = [pytest.param(make, words, id=name) for name, (make, words) in HOSTILE.items()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "demo" / "dist").mkdir(parents=True)
    return tmp_path / "demo"


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    with PackageIndex() as running:
        yield running


def project(root: Path, path: Path, index: PackageIndex) -> None:
    """A project that is said to have built this archive, and an index to publish it to."""
    own = f'[tool.relnox.indexes.own]\nupload = "{index.upload_url}"\nsimple = "{index.simple_url}"\n'
    releases.project_of(root, path, settings=f"{own}production = false\n")


@pytest.mark.parametrize(("make", "words"), CASES)
def test_hostile_archives_are_rejected_with_a_specific_message(
    make: Make, words: str, root: Path, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in LIMITS.items():
        monkeypatch.setattr(archives, name, limit)
    path = make(root / "dist")
    project(root, path, index)
    for code, task, *options in (
        (1, "collect", "--from", "dist", "--output", "out", "--partial"),
        (1, "publish", "--index", "own", "--yes"),
        (2, "verify-install", "--from", "dist"),
    ):
        ran = run_in_process(root, task, *options, code=code)
        assert words in ran.text, ran.text
        assert "Traceback" not in ran.text
    assert index.uploads == ()
    assert not (root / "out").exists()


@pytest.mark.parametrize("make", HONEST.values(), ids=HONEST)
def test_unusual_valid_archives_pass(make: Make, tmp_path: Path) -> None:
    path = make(tmp_path)
    assert checks.find_archive_errors(path, ExpectedArchive(name="", is_private=True)) == ()
    archive = checks.read_valid_archive(path)
    assert archive.fields["name"] == "Demo-App"
    expected = ExpectedArchive(name="demo-app", is_private=True)
    assert [finding for finding in checks.check_archive(archive, expected) if finding.level == "error"] == []
