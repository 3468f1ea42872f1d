"""Who may read and write what relnox makes, whatever the umask; what others can write is not used."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from projects import repository, write
from running import run

from relnox.building.environment_cache import EnvironmentCache
from relnox.building.environments import VirtualEnvironment
from relnox.errors import Blocked
from relnox.indexes.embedded import EmbeddedIndex
from relnox.system.files import make_output_directory, make_private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="permissions as POSIX has them")

UMASKS = [0o000, 0o002, 0o022, 0o077]
PYTHON = Path(sys.executable)


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def make(directory: Path) -> VirtualEnvironment:
    """Stands for an installer: its files are as open as the umask lets them be."""
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").symlink_to(sys.executable)
    (directory / "lib" / "__pycache__").mkdir(parents=True)
    for name in ("lib/module.py", "lib/__pycache__/module.pyc"):
        os.close(os.open(directory / name, os.O_WRONLY | os.O_CREAT, 0o666))
    return VirtualEnvironment(directory, directory / "bin" / "python")


def never(directory: Path) -> VirtualEnvironment:
    pytest.fail(f"{directory} is created again")


def below(directory: Path) -> list[Path]:
    return [directory, *(path for path in directory.rglob("*") if not path.is_symlink())]


def test_kept_environments_are_private(umask: int, tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "kept" / "relnox" / "environments")
    made = cache.get_or_create(["a==1"], PYTHON, "uv", make)
    cache.record_resolution(["a"], ["a==1"], PYTHON, "uv")
    for parent in (tmp_path / "kept", tmp_path / "kept" / "relnox", cache.directory, made.directory.parent):
        assert mode(parent) == 0o700, parent
    assert not [path for path in below(cache.directory) if mode(path) & 0o022]
    assert cache.get_or_create(["a==1"], PYTHON, "uv", never) == made
    assert cache.last_environment(["a"], PYTHON, "uv") == made
    assert cache.problem is None


@pytest.mark.parametrize("name", ["", "env", "env/lib", "env/lib/module.py", "env/lib/__pycache__/module.pyc"])
def test_an_environment_that_others_can_write_is_not_used(name: str, tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "kept")
    made = cache.get_or_create(["a==1"], PYTHON, "uv", make)
    opened = made.directory.parent / name
    opened.chmod(mode(opened) | 0o002)
    again = cache.get_or_create(["a==1"], PYTHON, "uv", make)
    assert again.directory != made.directory
    assert cache.problem == f"{opened} is writable by other users (the environment is created again)"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["", "env/lib/module.py"])
def test_an_environment_of_another_user_is_not_used(name: str, tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "kept")
    made = cache.get_or_create(["a==1"], PYTHON, "uv", make)
    os.chown(made.directory.parent / name, 65534, 65534)
    assert cache.get_or_create(["a==1"], PYTHON, "uv", make).directory != made.directory
    assert "belongs to another user" in (cache.problem or "")


def test_an_environment_behind_a_link_is_not_used(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "kept")
    made = cache.get_or_create(["a==1"], PYTHON, "uv", make)
    directory = made.directory.parent
    directory.rename(tmp_path / "elsewhere")
    directory.symlink_to(tmp_path / "elsewhere")
    assert cache.get_or_create(["a==1"], PYTHON, "uv", make).directory != made.directory
    assert "is a symbolic link" in (cache.problem or "")


@pytest.mark.parametrize("where", ["directory", "parent"])
def test_nothing_is_kept_where_others_can_put_something_in_its_place(where: str, tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "home" / "kept")
    cache.get_or_create(["a==1"], PYTHON, "uv", make)
    opened = cache.directory if where == "directory" else cache.directory.parent
    opened.chmod(0o777)
    with pytest.raises(PermissionError):
        cache.get_or_create(["a==1"], PYTHON, "uv", never)
    assert str(opened) in (cache.problem or "")
    assert "is writable by other users" in (cache.problem or "")
    assert cache.last_environment(["a"], PYTHON, "uv") is None
    with pytest.raises(Blocked, match="is writable by other users"):
        cache.clear()


def test_nothing_is_kept_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "kept").symlink_to(tmp_path / "elsewhere")
    cache = EnvironmentCache(tmp_path / "kept")
    with pytest.raises(PermissionError):
        cache.get_or_create(["a==1"], PYTHON, "uv", never)
    assert "is a symbolic link" in (cache.problem or "")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_entry_leads_nowhere_but_into_the_cache(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "kept")
    made = cache.get_or_create(["a==1"], PYTHON, "uv", make)
    made.directory.parent.rename(tmp_path / "elsewhere")
    (entry,) = cache.directory.glob("*.json")
    entry.write_text(entry.read_text(encoding="utf-8").replace(made.directory.parent.name, "../elsewhere"))
    assert cache.get_or_create(["a==1"], PYTHON, "uv", make).directory.is_relative_to(cache.directory)


def test_clearing_removes_nothing_but_environments(tmp_path: Path) -> None:
    cache = EnvironmentCache(tmp_path / "kept")
    cache.get_or_create(["a==1"], PYTHON, "uv", make)
    write(cache.directory, {"notes.json": "mine", "mine/notes.txt": "mine"})
    cache.clear()
    assert sorted(path.name for path in cache.directory.iterdir()) == ["mine", "notes.json"]
    assert cache.list_paths() == []


def test_what_a_build_makes_cannot_be_written_by_others(umask: int, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    for _ in range(2):  # over the manifest of the first
        ran = run(root, "relnox", "build-all")
        assert ran.code == 0, ran.text
    dist = root / "dist"
    assert not [path for path in below(dist) if mode(path) & 0o022]
    archives = [path for path in dist.iterdir() if path.suffix in {".whl", ".gz"}]
    assert {mode(path) for path in archives} == {0o644}
    assert mode(dist / "manifest.json") == 0o644 & ~umask
    assert mode(root / ".git" / "relnox") == 0o700
    assert not [path for path in below(root / ".git" / "relnox") if mode(path) & 0o077]


def test_what_is_collected_cannot_be_written_by_others(umask: int, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    assert run(root, "relnox", "build-all", "--output", "jobs/one").code == 0
    for path in (root / "jobs" / "one").iterdir():
        path.chmod(0o666)
    write(root, {".gitignore": "/dist/\n/jobs/\n"})
    ran = run(root, "relnox", "collect", "--from", "jobs")
    assert ran.code == 0, ran.text
    assert len(below(root / "dist")) == 5
    assert not [path for path in below(root / "dist") if mode(path) & 0o022]


def test_what_the_embedded_index_keeps_is_private(umask: int, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    assert run(root, "relnox", "build-all").code == 0
    ran = run(root, "relnox", "publish-test", "--index", "embedded", "--no-verify")
    assert ran.code == 0, ran.text
    assert mode(root / ".git" / "relnox") == 0o700
    assert mode(root / ".git" / "relnox" / "index") == 0o700


def test_an_index_is_not_cleared_where_there_was_something_else(tmp_path: Path) -> None:
    write(tmp_path, {"mine.txt": "mine", "files/mine.txt": "mine"})
    index = EmbeddedIndex(tmp_path)
    with pytest.raises(Blocked, match="it contains files that the index did not create"):
        index.clear()
    assert (tmp_path / "files" / "mine.txt").exists()


@pytest.mark.parametrize("kind", ["link", "file", "open"])
def test_a_private_directory_that_is_not_ours_is_refused(kind: str, tmp_path: Path) -> None:
    root = repository(in_tree(write(tmp_path / "home", {"x": ""})))
    directory, elsewhere = root / ".git" / "relnox", tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        directory.symlink_to(elsewhere)
    elif kind == "file":
        directory.touch()
    else:
        directory.mkdir()
        directory.chmod(0o777)
    ran = run(root, "relnox", "build-all")
    assert ran.code == 1, ran.text
    assert f"error: {directory} cannot be used" in ran.err
    assert list(elsewhere.iterdir()) == []


def test_a_private_directory_that_others_can_only_read_is_closed(tmp_path: Path) -> None:
    directory = tmp_path / "private"
    directory.mkdir()
    directory.chmod(0o755)
    make_private_directory(directory)
    assert mode(directory) == 0o700


def test_threads_create_the_same_directory_and_its_parents(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        for number in range(200):
            directories = [tmp_path / str(number) / "dist" / "1"] * 4
            start = Barrier(len(directories))

            def create(directory: Path, start: Barrier = start) -> None:
                start.wait(timeout=60)
                make_output_directory(directory)

            list(threads.map(create, directories))  # raises the errors of the threads
            assert directories[0].is_dir()


@pytest.mark.parametrize("create", [make_output_directory, make_private_directory])
def test_a_parent_of_a_directory_is_a_link_that_leads_nowhere(
    create: Callable[[Path], None], tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "missing")
    with pytest.raises(NotADirectoryError, match=r"link'$"):
        create(link / "sub")


def test_clean_removes_archives_of_the_project_alone(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    root = repository(in_tree(tmp_path / "home"))
    mine = ["other-1.0.tar.gz", "other-1.0-py3-none-any.whl", ".relnox-notes", "backup.whl"]
    write(root / "dist", dict.fromkeys(mine, "mine") | {"home-0.9.tar.gz": "old", "home-0.8.tar.gz/x": "mine"})
    ran = run(root, "relnox", "build-all", "--clean")
    assert ran.code == 0, ran.text
    found = {path.name for path in (root / "dist").iterdir()}
    assert found >= {*mine, "home-0.8.tar.gz", "home-1.0.tar.gz"}
    assert "home-0.9.tar.gz" not in found
    assert "dist has files that are not archives of this project" in ran.err
    assert run(root, "relnox", "build-all").code == 0
    manifest = root / "dist" / "manifest.json"
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("home-1.0.tar.gz", "other-1.0.tar.gz"))
    assert run(root, "relnox", "build-all", "--clean").code == 0
    assert not (root / "dist" / "other-1.0.tar.gz").exists()  # a package that was renamed since


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a file system in which no directory can be created")
def test_a_directory_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/proc/relnox"):
        make_output_directory(Path("/proc/relnox/dist"))
