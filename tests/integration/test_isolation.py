"""What shared environments and warm processes build is what `python -m build` builds."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from warm import BACKENDS, EPOCH, build_all, contents, frontend, package, workspace

from relnox.building.build_environments import SHAREABLE_BACKENDS, STATEMENTS_TO_PRELOAD
from relnox.building.environments import Installer, find_interpreter
from relnox.system import process

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("surrounded")]

NATIVE = {"maturin", "scikit_build_core.build", "mesonpy"}
"""Those need more than Python: see test_native_wheels."""


def pair(root: Path, requirement: str) -> Path:
    """Two packages: the version of the first is found by its backend."""
    second = package("second-one", requirement, stated=requirement != "setuptools")
    return workspace(root, {"first-one": package("first-one", requirement), "second-one": second})


def members(archive: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(archive) as sdist:
        return {each.name.partition("/")[2]: each for each in sdist}


def test_all_shareable_backends_are_compared() -> None:
    assert {module for module, _ in BACKENDS.values()} | NATIVE == SHAREABLE_BACKENDS.keys()


@pytest.mark.network
@pytest.mark.parametrize("requirement", [name for name in BACKENDS if BACKENDS[name][0] in STATEMENTS_TO_PRELOAD])
def test_statements_to_preload_work_with_the_newest_backend(requirement: str, tmp_path: Path) -> None:
    installer = Installer(dict(os.environ))
    environment = installer.create_environment(tmp_path / "env", find_interpreter("").path)
    installer.install(environment, [requirement]).check("installing")
    statements = STATEMENTS_TO_PRELOAD[BACKENDS[requirement][0]]
    ran = process.run([environment.python, "-W", "error", "-c", statements])
    assert (ran.returncode, ran.output) == (0, "")


@pytest.mark.network
@pytest.mark.parametrize("requirement", BACKENDS)
def test_builds_equal_those_of_python_build(requirement: str, tmp_path: Path) -> None:
    root = pair(tmp_path / "home", requirement)
    shutil.copytree(root, tmp_path / "copy")  # times included
    build_all(root, "--output", "own", code=0)
    with ThreadPoolExecutor(2) as pool:
        list(
            pool.map(lambda name: frontend(tmp_path / "copy" / name, root / "plain"), ("first-one", "second-one"))
        )
    names = sorted(path.name for path in (root / "plain").iterdir())
    assert names == [
        f"{each}_one-1.2{end}" for each in ("first", "second") for end in ("-py3-none-any.whl", ".tar.gz")
    ]
    for name in names:
        own, plain = (root / directory / name for directory in ("own", "plain"))
        assert contents(own) == contents(plain), name
        if requirement == "setuptools" and name.endswith(".tar.gz"):
            # Not stable by itself: what setuptools generates, and directories, have the time of the build.
            assert members(own)["PKG-INFO"].mtime > EPOCH, "setuptools' sdists are stable now: compare their bytes"
            assert members(own)["LICENSE"].mtime == members(plain)["LICENSE"].mtime == EPOCH
        elif requirement == "pdm-backend" and name.endswith(".tar.gz"):
            # Not stable by itself: gzip's header has the time of the build.
            header = int.from_bytes(own.read_bytes()[4:8], "little")
            assert header > EPOCH, "pdm-backend's sdists are stable now: compare their bytes"
            assert gzip.decompress(own.read_bytes()) == gzip.decompress(plain.read_bytes())
        else:
            assert own.read_bytes() == plain.read_bytes(), name


@pytest.mark.network
def test_the_users_umask_does_not_affect_archives(tmp_path: Path) -> None:
    # setuptools' files would not be readable by others.
    root = pair(tmp_path / "home", "setuptools")
    assert build_all(root, "--output", "usual").code == 0
    before = os.umask(0o077)
    try:
        assert build_all(root, "--output", "private").code == 0
    finally:
        os.umask(before)
    for path in sorted((root / "usual").glob("*_one-*")):
        assert contents(path) == contents(root / "private" / path.name)


@pytest.mark.network
def test_hooks_of_setuptools_run_in_warm_processes(tmp_path: Path) -> None:
    # A fresh process runs pyproject_hooks' script by name; in a warm one the server's stands there.
    log = tmp_path / "log"
    setup = f"import os, sys\nopen({str(log)!r}, 'a').write(f'{{os.getppid()}} {{sys.orig_argv[1]}}\\n')\n"
    files = package("first-one") | {"setup.py": f"{setup}from setuptools import setup\nsetup()\n"}
    root = workspace(tmp_path / "home", {"first-one": files})
    assert build_all(root).code == 0
    lines = log.read_text().splitlines()
    assert len(lines) >= 4  # what the sdist requires, the sdist, the same for the wheel
    warm = hasattr(os, "fork")
    assert {line.endswith("fork_server.py") for line in lines} == {warm}
    assert len({line.split()[0] for line in lines}) == 1
