"""Interrupted parallel builds: no process survives, no incomplete file is left, a rerun finishes."""

from __future__ import annotations

import signal
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from warm import all_end, build_all, package, wait_for, workspace

from relnox.executor.scheduling import default_concurrency

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.usefixtures("surrounded"),
    pytest.mark.heavy,
    pytest.mark.network,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process can leave its family"),
]

STUCK = """\
import os, pathlib, subprocess, sys, time

HERE = pathlib.Path({directory!r})
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(300)"

if not (HERE / "go").exists():
    child = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
    child.stdout.readline()
    (HERE / {name!r}).write_text(f"{{os.getpid()}} {{child.pid}}\\n")
    time.sleep(300)
"""

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -signal.SIGKILL}


def stuck(root: Path, *, own: bool) -> tuple[Path, list[str]]:
    """Packages that are stuck while they are built, as many as are built at once, and one after them.

    With `own`, one of them builds in processes of its own, and is stuck when its sdist is made.
    """

    def hook(name: str) -> str:
        return STUCK.format(directory=str(root), name=f"{name}.pids")

    names = [f"able-{number}" for number in range(default_concurrency())]
    warm = {
        name: package(name) | {"setup.py": f"{hook(name)}\nfrom setuptools import setup\nsetup()\n"}
        for name in names
    }
    workspace(root, warm | {"zeal": package("zeal")})
    if own:
        in_tree(root / names[0], names[0], "1.2", hook=hook(names[0]))
        (root / names[0] / "setup.py").unlink()
    return root, names


def archives(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("dist/*") if path.is_file() and not path.name.startswith("."))


@pytest.mark.parametrize(
    ("number", "own"),
    [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGINT, False), (signal.SIGKILL, False)],
)
def test_rerunning_an_interrupted_build_finishes_it(number: signal.Signals, own: bool, tmp_path: Path) -> None:
    root, names = stuck(tmp_path / "home", own=own)
    with (tmp_path / "printed").open("wb") as out:
        relnox = subprocess.Popen(
            [sys.executable, "-m", "relnox", "build-all"], cwd=root, stdout=out, stderr=subprocess.STDOUT
        )
    pids = [int(each) for name in names for each in wait_for(root / f"{name}.pids").split()]
    relnox.send_signal(number)
    code = relnox.wait(30)
    printed = (tmp_path / "printed").read_text()
    assert code == CODES[number], printed
    assert "Traceback" not in printed
    assert all_end(pids)
    assert archives(root) == []
    if number != signal.SIGKILL:
        assert list(root.glob("dist/.relnox-*")) == []
        assert f"interrupted ({number.name})" in printed

    (root / "go").touch()
    build_all(root, code=0)
    stems = (*(f"{name.replace('-', '_')}-1.2" for name in names), "zeal-1.2")
    made = [f"{stem}{end}" for stem in stems for end in ("-py3-none-any.whl", ".tar.gz")]
    assert archives(root) == sorted(["BUILD_MANIFEST.txt", "manifest.json", *made])
    assert [path.name for path in root.glob("dist/.*")] == []
    for path in root.glob("dist/*.whl"):
        with zipfile.ZipFile(path) as wheel:
            assert wheel.testzip() is None
    for path in root.glob("dist/*.gz"):
        with tarfile.open(path) as sdist:
            assert len(sdist.getnames()) > 2
