"""Environments that are cached between runs: reused, created again when in doubt, never an incomplete one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from warm import all_end, build_all, needs_fork, package, settled, workspace

from relnox.building import environment_cache
from relnox.building.environment_cache import EnvironmentCache
from relnox.building.environment_pool import BuildEnvironmentPool
from relnox.building.environments import Installer, VirtualEnvironment, find_installer
from relnox.building.interpreters import find_interpreter
from relnox.system.process import Completed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.heavy

DAY = 24 * 3600.0


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture(autouse=True)
def surrounded(monkeypatch: pytest.MonkeyPatch, kept: Path) -> Iterator[None]:
    with settled(monkeypatch, kept):
        yield


def found(kept: Path) -> dict[str, tuple[int, int]]:
    """Every file of every environment that is kept: which one it is, and of what time."""
    files = (path for path in kept.glob("relnox/environments/*/**/*") if "__pycache__" not in path.parts)
    return {
        str(path.relative_to(kept)): (path.lstat().st_ino, path.lstat().st_mtime_ns)
        for path in files
        if path.is_symlink() or path.is_file()
    }


def environments(kept: Path) -> list[Path]:
    return sorted(path for path in kept.glob("relnox/environments/*") if path.is_dir())


def home(root: Path, **files: str) -> Path:
    return workspace(root, {"able": package("able") | files})


# --- runs --------------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_a_second_run_installs_nothing(installer: str, kept: Path, tmp_path: Path) -> None:
    root = home(tmp_path / "home")
    assert build_all(root, "--installer", installer).code == 0
    before = found(kept)
    assert any("setuptools/build_meta.py" in name for name in before)
    again = build_all(home(tmp_path / "other"), "--installer", installer)
    assert again.code == 0, again.text
    assert found(kept) == before


@pytest.mark.network
def test_a_modified_environment_is_created_again(kept: Path, tmp_path: Path) -> None:
    root = home(tmp_path / "home")
    assert build_all(root).code == 0
    (first,) = environments(kept)
    (backend,) = first.glob("env/lib/*/site-packages/setuptools/build_meta.py")
    backend.unlink()  # it may be one file with the installer's own cache
    backend.write_text("raise SystemExit('changed')\n")
    ran = build_all(root)
    assert ran.code == 0, ran.text
    (second,) = set(environments(kept)) - {first}
    before = found(kept)
    assert build_all(root).code == 0
    assert found(kept) == before
    assert "changed" not in next(second.glob("env/lib/*/site-packages/setuptools/build_meta.py")).read_text()


@pytest.mark.network
def test_concurrent_runs_do_not_share_incomplete_environments(kept: Path, tmp_path: Path) -> None:
    roots = [home(tmp_path / name) for name in ("one", "two", "three")]
    command = [sys.executable, "-m", "relnox", "build-all"]
    running = [
        subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for root in roots
    ]
    for process in running:
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
    before = found(kept)
    assert build_all(roots[0]).code == 0
    assert found(kept) == before


@pytest.mark.network
def test_builds_work_if_nothing_can_be_cached(kept: Path, tmp_path: Path) -> None:
    kept.write_text("not a directory")
    ran = build_all(home(tmp_path / "home"))
    assert ran.code == 0, ran.text


@pytest.mark.network
def test_requirements_by_url_are_not_cached(kept: Path, tmp_path: Path) -> None:
    # Today's file of that name is not tomorrow's.
    wheel = tmp_path / "helper-1.0-py3-none-any.whl"
    root = home(
        tmp_path / "home", **{"setup.py": "import helper, setuptools\nhelper.mark()\nsetuptools.setup()\n"}
    )
    project = root / "able" / "pyproject.toml"
    text = project.read_text(encoding="utf-8")
    linked = f'requires = ["setuptools", "helper @ {wheel.as_uri()}"]'
    project.write_text(text.replace('requires = ["setuptools"]', linked), encoding="utf-8")
    for said in ("one", "two"):
        marker = tmp_path / said
        info = "helper-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("helper.py", f"def mark():\n    open({str(marker)!r}, 'w').close()\n")
            archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: helper\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in archive.namelist()))
        ran = build_all(root)
        assert ran.code == 0, ran.text
        assert marker.exists()


@pytest.mark.network
def test_unrelated_uv_settings_are_ignored(kept: Path, tmp_path: Path) -> None:
    root = home(tmp_path / "home")
    with (root / "pyproject.toml").open("a") as out:
        out.write('\n[tool.uv.pip]\ngenerate-hashes = true\noutput-file = "requirements.txt"\n')
    ran = build_all(root, "--installer", "uv")
    assert ran.code == 0, ran.text
    assert not (root / "requirements.txt").exists()


@needs_fork
def test_no_warm_process_outlives_a_closed_pool(tmp_path: Path) -> None:
    # A signal may come while a step is between two programs: what it starts next must not go on.
    installer = find_installer("auto")
    pool = BuildEnvironmentPool(
        installer=installer, python=find_interpreter("").path, directory=lambda _: tmp_path, cache=None
    )
    environment = VirtualEnvironment(tmp_path, Path(sys.executable))

    pool.close()
    pool.get_backend_server(environment, "uv_build", dict(os.environ))
    assert len(pool._running) == 1
    assert all_end([each._process.pid for each in pool._running])


@needs_fork
@pytest.mark.parametrize("today", ["uv_build==1", "uv_build==2"])
def test_the_last_environment_is_started_while_the_index_is_queried(
    today: str, kept: Path, tmp_path: Path
) -> None:
    store, python = EnvironmentCache(kept), Path(sys.executable)

    def make(directory: Path) -> VirtualEnvironment:
        directory.mkdir()
        (directory / "python").symlink_to(python)
        return VirtualEnvironment(directory, directory / "python")

    last = store.get_or_create(["uv_build==1"], python, "own", make)
    store.record_resolution(["uv_build"], ["uv_build==1"], python, "own")

    class Asked(Installer):
        name = "own"

        def resolve(self, *_: object, **__: object) -> tuple[str, ...]:
            assert [each for each, _ in pool._servers._futures] == [last.directory]
            return (today,)

        def create(self, directory: Path, *_: object, **__: object) -> VirtualEnvironment:
            return make(directory)

        def install(self, *_: object, **__: object) -> Completed:
            return Completed((), 0, "")

    pool = BuildEnvironmentPool(installer=Asked(None), python=python, directory=lambda _: tmp_path, cache=store)
    with contextlib.closing(pool):
        ready = pool.prepare_environment(["uv_build"], "uv_build", dict(os.environ))
        assert (ready == last) == (today == "uv_build==1")
        assert store.last_environment(["uv_build"], python, "own") == ready
        assert {each for each, _ in pool._servers._futures} == {last.directory, ready.directory}


# --- the cache by itself -----------------------------------------------------------------------------------


class Making:
    """Makes environments of a given size, and counts them."""

    def __init__(self, size: int = 100) -> None:
        self.size = size
        self.made: list[Path] = []

    def __call__(self, directory: Path) -> VirtualEnvironment:
        (directory / "bin").mkdir(parents=True)
        (directory / "bin/python").write_text("#!/bin/sh\n")
        (directory / "content").write_bytes(b"x" * self.size)
        self.made.append(directory)
        return VirtualEnvironment(directory, directory / "bin/python")


@pytest.fixture
def making() -> Making:
    return Making()


def get(store: EnvironmentCache, making: Making, *pins: str, python: str = sys.executable) -> VirtualEnvironment:
    return store.get_or_create(pins, Path(python), "uv", making)


def test_the_last_resolution_of_requirements_is_remembered(making: Making, kept: Path) -> None:
    store, python = EnvironmentCache(kept), Path(sys.executable)
    assert store.last_environment(["a"], python, "uv") is None
    for pin in ("a==1", "a==2"):
        made = get(store, making, pin)
        store.record_resolution(["a"], [pin], python, "uv")
        assert store.last_environment(["a"], python, "uv") == made
    made = get(store, making, "a==2")
    assert store.last_environment(["a"], python, "pip") is None
    assert store.last_environment(["a", "b"], python, "uv") is None
    change(made.directory)
    assert store.last_environment(["a"], python, "uv") is None


def test_a_remembered_resolution_is_removed_with_its_environment(making: Making, kept: Path) -> None:
    store, python = EnvironmentCache(kept, max_bytes=1), Path(sys.executable)
    get(store, making, "a==1")
    store.record_resolution(["a"], ["a==1"], python, "uv")
    get(store, making, "b==1")
    assert store.last_environment(["a"], python, "uv") is None
    assert list(kept.glob("*.lead")) == []


def change(environment: Path) -> None:
    (environment / "content").write_bytes(b"y" * 101)


def touch(environment: Path) -> None:
    os.utime(environment / "content", (1, 1))


def add(environment: Path) -> None:
    (environment / "evil.pth").write_text("import evil")


def remove(environment: Path) -> None:
    (environment / "content").unlink()


def link(environment: Path) -> None:
    (environment / "other").symlink_to("content")


def replace_python(environment: Path) -> None:
    (environment / "bin/python").unlink()
    (environment / "bin/python").symlink_to("/nowhere")


@pytest.mark.parametrize("spoil", [change, touch, add, remove, link, replace_python])
def test_damaged_environments_are_created_again(spoil: Callable[[Path], None], kept: Path, making: Making) -> None:
    store = EnvironmentCache(kept)
    first = get(store, making, "a==1")
    assert get(store, making, "a==1") == first
    (first.directory / "__pycache__").mkdir()  # comes and goes
    (first.directory / "__pycache__/a.pyc").write_bytes(b"")
    assert get(store, making, "a==1") == first
    spoil(first.directory)
    second = get(store, making, "a==1")
    assert second.directory != first.directory
    assert get(store, making, "a==1") == second
    assert making.made == [first.directory, second.directory]


def test_an_environment_without_its_interpreter_is_created_again(kept: Path, tmp_path: Path) -> None:
    base = tmp_path / "python3"
    making = Making()

    def make(directory: Path) -> VirtualEnvironment:
        base.touch()
        environment = making(directory)
        environment.python.unlink()
        environment.python.symlink_to(base)
        return environment

    for _ in range(2):
        EnvironmentCache(kept).get_or_create(["a==1"], Path(sys.executable), "uv", make)
        base.unlink()
    assert len(making.made) == 2


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"directory": 3}', '{"directory": "nowhere", "python": "x"}']
)
def test_an_invalid_entry_is_ignored(text: str, kept: Path, making: Making) -> None:
    store = EnvironmentCache(kept)
    get(store, making, "a==1")
    (entry,) = kept.glob("*.json")
    entry.write_text(text)
    get(store, making, "a==1")
    assert len(making.made) == 2


def test_another_interpreter_is_another_environment(kept: Path, making: Making, tmp_path: Path) -> None:
    store = EnvironmentCache(kept)
    python = tmp_path / "python3"
    python.write_text("one")
    linked = tmp_path / "linked"
    linked.symlink_to(python)
    first = get(store, making, "a==1", python=str(python))
    assert get(store, making, "a==1", python=str(linked)) == first  # the same one, by another name
    os.utime(python, (1, 1))  # upgraded in its place
    assert get(store, making, "a==1", python=str(python)) != first
    assert store.get_or_create(["a==1"], python, "pip", making) != first
    assert get(store, making, "a==2", python=str(python)) != first
    assert len(making.made) == 4


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX has it")
def test_an_incomplete_environment_of_a_killed_run_is_not_used(kept: Path, making: Making) -> None:
    program = f"""\
import os, pathlib, signal
from relnox.building.environment_cache import EnvironmentCache

def make(directory):
    (directory / "bin").mkdir(parents=True)
    (directory / "bin/python").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)

EnvironmentCache(pathlib.Path({str(kept)!r})).get_or_create(["a==1"], pathlib.Path({sys.executable!r}), "uv", make)
"""
    killed = subprocess.run([sys.executable, "-c", program], check=False)
    assert killed.returncode == -signal.SIGKILL
    (half,) = kept.iterdir()
    made = get(EnvironmentCache(kept), making, "a==1")
    assert made.directory.parent != half
    assert making.made == [made.directory]
    assert half.exists()  # another run could be at it
    long_ago = time.time() - 2 * DAY
    os.utime(half, (long_ago, long_ago))
    get(EnvironmentCache(kept), making, "a==2")
    assert not half.exists()


def test_a_failed_creation_leaves_no_files(kept: Path) -> None:
    def make(directory: Path) -> VirtualEnvironment:
        directory.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        EnvironmentCache(kept).get_or_create(["a==1"], Path(sys.executable), "uv", make)
    assert list(kept.iterdir()) == []


def test_the_least_recently_used_is_removed_first_and_none_in_use(kept: Path) -> None:
    making = Making(1000)
    store = EnvironmentCache(kept, max_bytes=2500)  # two of them
    made = {}
    for days, name in ((4, "a"), (3, "b")):
        made[name] = get(store, making, name).directory.parent
        age(kept, made[name], days)
    get(store, making, "a")  # used again: b is the older one now
    made["c"] = get(store, making, "c").directory.parent
    assert {path.name for path in kept.iterdir() if path.is_dir()} == {made["a"].name, made["c"].name}
    get(store, making, "a")
    assert len(making.made) == 3
    # All were used today: one is forgotten, but a run that uses it now can continue.
    get(store, making, "d")
    assert len(list(kept.glob("*.json"))) == 2
    assert (made["c"] / "env/content").exists()
    # What is larger than all that may be kept is kept while it is the newest.
    assert get(EnvironmentCache(kept, max_bytes=1), making, "e").python.exists()
    assert len(list(kept.glob("*.json"))) == 1
    assert (made["a"] / "env/content").exists()  # made days ago, used now


def age(kept: Path, directory: Path, days: float) -> None:
    """Let an environment, with its entry, have been used so many days ago."""
    at = time.time() - days * DAY
    for path in (directory, *(each for each in kept.glob("*.json") if directory.name in each.read_text())):
        os.utime(path, (at, at))


def test_an_environment_removed_by_a_concurrent_run_is_created_again(
    kept: Path, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EnvironmentCache(kept)
    first = get(store, making, "a==1")
    read = environment_cache._read_json

    def removing(entry: Path) -> dict[str, object]:
        marker = read(entry)
        entry.unlink()
        return marker

    monkeypatch.setattr(environment_cache, "_read_json", removing)
    monkeypatch.setattr(store, "_limit_size", lambda _: None)
    assert get(store, making, "a==1") != first
