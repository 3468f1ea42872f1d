"""Temporary directories: gone after every run and after a killed one; what others have put beside them stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import repository
from running import run

from relnox.system import process, process_watcher, temporary_directories
from relnox.system.temporary_directories import ScratchDirectory, TemporaryDirectory

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="locks of directories are POSIX's")

NAME = "relnox-0123456789abcdef"
KILLED = """\
import os, signal
from pathlib import Path
from relnox.system.temporary_directories import TemporaryDirectory
with TemporaryDirectory(Path.cwd()) as directory:
    (directory.path / "work" / "deep").mkdir(parents=True)
    (directory.path / "work").chmod(0o500)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files."""
    parent = tmp_path / "temporary"
    parent.mkdir()
    monkeypatch.setenv("TMPDIR", str(parent))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return parent


def left_by_a_killed_run(parent: Path) -> Path:
    ended = subprocess.run([sys.executable, "-c", KILLED], cwd=parent, check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = parent.iterdir()
    return left.rename(parent / left.name)


def marker(directory: Path, names: str | None = None) -> Path:
    """Write a marker as temporary directories have it."""
    path = directory / ".relnox-temporary-directory"
    path.write_text(
        json.dumps({"what": temporary_directories._MAGIC, "directory": names or directory.name}), encoding="utf-8"
    )
    return path


def private(directory: Path) -> Path:
    directory.mkdir()
    directory.chmod(0o700)
    (directory / "mine.txt").write_text("mine", encoding="utf-8")
    return directory


def a_venv_of_uv(parent: Path) -> Path:
    # uv writes `.lock` into environments, by which leftovers were once recognized.
    directory = parent / "relnox-env"
    subprocess.run(
        [sys.executable, "-m", "uv", "venv", "-q", directory], check=True, env={**os.environ, "UV_OFFLINE": "1"}
    )
    (directory / ".lock").touch()
    (directory / "mine.txt").write_text("mine", encoding="utf-8")
    return directory


def without_a_marker(parent: Path) -> Path:
    return private(parent / NAME)


def with_an_empty_marker(parent: Path) -> Path:
    directory = private(parent / NAME)
    (directory / ".relnox-temporary-directory").touch()
    return directory


def with_another_marker(parent: Path) -> Path:
    directory = private(parent / NAME)
    (directory / ".relnox-temporary-directory").write_text('["relnox"]', encoding="utf-8")
    return directory


def with_the_marker_of_another_directory(parent: Path) -> Path:
    # A copy of a temporary directory, such as one made for inspection.
    directory = private(parent / NAME)
    marker(directory, names="relnox-fedcba9876543210")
    return directory


def with_a_link_for_a_marker(parent: Path) -> Path:
    directory = private(parent / NAME)
    path = marker(directory)
    path.rename(parent.parent / "elsewhere")
    path.symlink_to(parent.parent / "elsewhere")
    return directory


def of_another_name(parent: Path) -> Path:
    directory = private(parent / "relnox-important")
    marker(directory)
    return directory


def open_to_others(parent: Path) -> Path:
    directory = private(parent / NAME)
    marker(directory)
    directory.chmod(0o755)
    return directory


def behind_a_link(parent: Path) -> Path:
    directory = private(parent.parent / NAME)
    marker(directory)
    (parent / NAME).symlink_to(directory)
    return directory


@pytest.mark.parametrize(
    "make",
    [
        a_venv_of_uv,
        without_a_marker,
        with_an_empty_marker,
        with_another_marker,
        with_the_marker_of_another_directory,
        with_a_link_for_a_marker,
        of_another_name,
        open_to_others,
        behind_a_link,
    ],
)
def test_a_directory_that_relnox_did_not_make_stays(make: Callable[[Path], Path], parent: Path) -> None:
    directory = make(parent)
    before = sorted(path.name for path in directory.iterdir())
    with ScratchDirectory() as scratch:
        assert scratch.path.is_dir()
        assert sorted(path.name for path in directory.iterdir()) == before
    assert not temporary_directories.has_leftovers(parent)
    assert (directory / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert [path.name for path in parent.iterdir()] in ([directory.name], [NAME])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user_stays(parent: Path) -> None:
    directory = private(parent / NAME)
    marker(directory)
    os.chown(directory, 65534, 65534)
    with ScratchDirectory() as scratch:
        assert scratch.path.is_dir()
    assert (directory / "mine.txt").exists()


def test_a_build_leaves_an_environment_of_that_name_alone(parent: Path, tmp_path: Path) -> None:
    directory = a_venv_of_uv(parent)
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    ran = run(root, "relnox", "build-all")
    assert ran.code == 0, ran.text
    assert (directory / "mine.txt").exists()
    assert list(parent.iterdir()) == [directory]


def test_what_a_killed_run_left_is_removed_read_only_directories_included(parent: Path) -> None:
    left = left_by_a_killed_run(parent)
    assert (left / "work" / "deep").is_dir()
    assert temporary_directories.has_leftovers(parent)
    with TemporaryDirectory(parent) as directory:
        assert directory.path in parent.iterdir()
        assert len(list(parent.iterdir())) == 1
        assert not temporary_directories.has_leftovers(parent)  # it is locked
    assert list(parent.iterdir()) == []


def test_what_links_in_it_lead_to_stays(parent: Path, tmp_path: Path) -> None:
    outside = private(tmp_path / "outside")
    with TemporaryDirectory(parent) as directory:
        (directory.path / "link").symlink_to(outside)
        (directory.path / "deep").mkdir()
        (directory.path / "deep" / "link").symlink_to(outside)
        (directory.path / "deep").chmod(0o500)
    assert list(parent.iterdir()) == []
    assert (outside / "mine.txt").exists()


@pytest.mark.parametrize("written", [None, b""])
def test_one_that_was_killed_before_its_marker_was_written_is_removed(parent: Path, written: bytes | None) -> None:
    left = parent / f".{NAME}"
    left.mkdir(0o700)
    if written is not None:
        (left / ".relnox-temporary-directory").write_bytes(written)
    with TemporaryDirectory(parent) as directory:
        assert directory.path in parent.iterdir()
        assert len(list(parent.iterdir())) == 1


def test_one_that_was_killed_while_it_was_removed_is_removed(parent: Path) -> None:
    left = left_by_a_killed_run(parent)
    (left / "work").chmod(0o700)
    (left / "work" / "deep").rmdir()
    (left / "work").rmdir()  # the marker is what goes last
    with TemporaryDirectory(parent) as directory:
        assert directory.path in parent.iterdir()
        assert len(list(parent.iterdir())) == 1


def test_many_at_once_do_not_remove_one_another(parent: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from relnox.system.temporary_directories import TemporaryDirectory\n"
        "for _ in range(100):\n"
        "    with TemporaryDirectory(Path.cwd()) as directory:\n"
        "        (directory.path / 'file').write_text('x')\n"
        "        assert (directory.path / 'file').read_text() == 'x'\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", script], cwd=parent) for _ in range(4)]
    assert [each.wait() for each in running] == [0, 0, 0, 0]
    assert list(parent.iterdir()) == []


def test_what_libraries_make_for_a_while_is_made_in_it(parent: Path) -> None:
    with ScratchDirectory() as scratch:
        assert scratch.temporary == Path(tempfile.mkdtemp()).parent
        with ScratchDirectory() as nested:
            assert nested.path.parent == scratch.temporary
        assert Path(tempfile.mkdtemp()).parent == scratch.temporary
    assert list(parent.iterdir()) == []
    assert Path(tempfile.gettempdir()) == parent


# --- programs ------------------------------------------------------------------------------------------------

LASTING = """\
import subprocess, sys
sleeping = "import os, sys, time; print(os.getpid(), flush=True); time.sleep(100)"
from relnox.system import process
def tell(line):
    print(line, flush=True)
process.run([sys.executable, "-c", sleeping], on_line=tell, outlives=sys.argv[1] == "outlives")
"""


@pytest.mark.parametrize("outlives", [False, True])
def test_a_program_ends_with_a_run_that_is_killed_unless_it_must_not_be_halved(*, outlives: bool) -> None:
    from warm import alive, all_end

    words = [sys.executable, "-c", LASTING, "outlives" if outlives else "ends"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        sleeping = int(run.stdout.readline())
        run.kill()
        run.wait()
    if outlives:
        assert alive(sleeping)
        os.kill(sleeping, signal.SIGKILL)
    assert all_end([sleeping])


def test_a_program_that_ended_is_watched_no_longer() -> None:
    for _ in range(3):
        assert process.run([sys.executable, "-c", "print(1)"]).output == "1\n"
    watcher = process_watcher.WATCHER._process
    assert watcher is not None
    assert watcher.poll() is None
