"""Builds and bumps where a disk is full or calls do not succeed: nothing half passes for whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from backends import in_tree
from projects import commit_all, copy_of, everything, git, is_released, pair, repository
from running import run
from stops import NO_ROOM, count_stops, stopped

from relnox.cli import main
from relnox.system import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(os.name != "posix", reason="calls as POSIX has them")]

BUMP = ("bump", "--part", "minor", "--commit", "--tag")
CUT = """\
import os, resource, sys

most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
os.execv(sys.executable, [sys.executable, "-m", "relnox", "build-all"])
"""
"""Let every file grow to so many bytes only: what is larger is written in part, by whatever program."""


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return repository(pair(tmp_path_factory.mktemp("template") / "pair"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return repository(in_tree(tmp_path / "home"))


def sound(root: Path, stem: str = "home-1.0") -> None:
    """Check that no published file is incomplete, and that a rerun finishes and leaves nothing else."""
    whole(root)
    run(root, "relnox", "build-all", code=0)
    whole(root)
    for entry in json.loads((root / "dist/manifest.json").read_text(encoding="utf-8"))["artifacts"]:
        digest = hashlib.sha256((root / "dist" / entry["name"]).read_bytes()).hexdigest()
        assert digest == entry["hashes"]["sha256"]
    assert sorted(path.name for path in (root / "dist").iterdir()) == [
        "BUILD_MANIFEST.txt",
        f"{stem}-py3-none-any.whl",
        f"{stem}.tar.gz",
        "manifest.json",
    ]
    assert len(git(root, "worktree", "list").splitlines()) == 1
    assert git(root, "status", "--porcelain", "--untracked-files=all") == ""


def whole(root: Path) -> None:
    """Each archive that has its final name can be read to its end, and a manifest tells of the files it names."""
    from relnox.building import archives

    for path in (*(root / "dist").glob("*.whl"), *(root / "dist").glob("*.tar.gz")):
        archives.read_archive(path)
    if (root / "dist/manifest.json").exists():
        for entry in json.loads((root / "dist/manifest.json").read_text(encoding="utf-8"))["artifacts"]:
            assert (root / "dist" / entry["name"]).is_file()


def test_no_room_for_any_file_in_the_checkout(home: Path) -> None:
    calls = count_stops(home, ("build-all",), kind="file")
    assert calls >= 3
    failed = 0
    for at in range(1, calls + 1):
        code, output = stopped(home, ("build-all",), at, NO_ROOM, kind="file")
        assert code in (0, 2), (at, output)
        failed += code == 2
        assert code == 0 or "No space left on device" in output, (at, output)
        whole(home)
    assert failed > 1  # the lock is the first
    sound(home)


@pytest.mark.parametrize("most", [0, 50, 500, 4000, 30_000])
def test_no_file_can_be_written_whole(home: Path, most: int) -> None:
    for name in "abcd":  # together larger than any other file: at last it is the sdist that is cut
        (home / f"{name}.py").write_text(f"# {os.urandom(10_000).hex()}\n", encoding="ascii")
    commit_all(home)
    argv = [sys.executable, "-c", CUT, str(most)]
    ended = subprocess.run(argv, cwd=home, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2, ended.stderr
    assert "error: " in ended.stderr or "FAILED" in ended.stderr
    assert "\nTraceback" not in ended.stderr
    assert not list(home.glob("dist/home*"))
    sound(home)


@contextmanager
def no_room(monkeypatch: pytest.MonkeyPatch, *numbers: int) -> Iterator[None]:
    """Let there be no room when a `pyproject.toml` is written, or written back, for the n-th time."""
    write, seen = files.replace_file, 0

    def writing(path: Path, content: bytes, **options: Any) -> None:
        nonlocal seen
        seen += content.startswith(b"[project]")
        if content.startswith(b"[project]") and seen in numbers:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content, **options)

    with monkeypatch.context() as full:
        full.setattr(files, "replace_file", writing)
        yield
    assert seen >= max(numbers)


def test_a_bump_that_cannot_take_its_edits_back_is_finished_by_the_same_command(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copy_of(template, tmp_path / "pair")
    with no_room(monkeypatch, 2, 3):
        assert main([*BUMP, "--push", "--project", str(root)]) == 2
    assert "not restored: packages/base/pyproject.toml" in capsys.readouterr().err
    assert git(root, "diff", "--name-only") == "packages/base/pyproject.toml"
    assert main([*BUMP, "--push", "--project", str(root)]) == 0
    assert is_released(root, "2.1.0")


@pytest.mark.parametrize("at", [1, 2])
def test_an_undo_that_fails_changes_nothing(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    root = copy_of(template, tmp_path / "pair")
    before = everything(root)
    assert main([*BUMP, "--project", str(root)]) == 0
    released = everything(root)
    with no_room(monkeypatch, at):
        assert main(["bump", "--undo", "--project", str(root)]) == 2
    assert everything(root) == released
    assert main(["bump", "--undo", "--project", str(root)]) == 0
    assert everything(root) == before
