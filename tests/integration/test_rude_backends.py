"""Build hooks that do whatever they like to their process: the packages built beside them do not notice."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest
from backends import in_tree
from warm import all_end, build_all, contents, needs_fork, package, settled, workspace

if TYPE_CHECKING:
    from pathlib import Path

    from running import RunResult

pytestmark = [pytest.mark.heavy, pytest.mark.network, pytest.mark.usefixtures("surrounded")]

HATCH_HOOK = """\
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class CustomBuildHook(BuildHookInterface):
    def finalize(self, version, build_data, artifact_path):
        exec(RUDE)

RUDE = {rude!r}
"""

QUIET = {
    "prints a lot": "print(('noise ' * 20 + chr(10)) * 20_000)",
    "leaves programs behind": """\
import os, subprocess, sys
SLEEP = [sys.executable, '-c', 'import time; time.sleep(300)']
left = subprocess.Popen(SLEEP).pid
with open(PIDS, 'a') as out:
    out.write(f'{left}\\n')
""",
    "moves": "import os; os.chdir('/'); os.umask(0o777); os.nice(5)",
    "spoils the environment": """\
import os, time
os.environ.clear()
os.environ.update(SOURCE_DATE_EPOCH='1', TZ='Asia/Tokyo', PATH='/nowhere', PYTHONPATH='/nowhere', HOME='/nowhere')
time.tzset()
""",
    "patches modules": """\
import builtins, email.message, os, shutil, sys, tarfile, time, zipfile
time.time = time.gmtime = time.localtime = lambda *_: 1/0
tarfile.open = tarfile.TarFile.add = zipfile.ZipFile.writestr = shutil.copyfile = None
email.message.Message.as_string = None
sys.path[:] = ['/nowhere']
sys.modules.pop('setuptools.dist', None)
builtins.compile = builtins.sorted = None
""",
    "starts threads": """\
import threading, time
from concurrent.futures import ThreadPoolExecutor
threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
threading.Thread(target=time.sleep, args=(0.2,)).start()
ThreadPoolExecutor(2).submit(time.sleep, 0.2)
""",
}

FATAL = {
    "exits": ("os._exit(3)", "exited with status 3"),
    "exits as if all were well": ("os._exit(0)", "exited without a result"),
    "crashes": (f"os.kill(os.getpid(), {signal.SIGSEGV:d})", f"exited with status -{signal.SIGSEGV:d}"),
    "raises": ("raise LookupError('what was looked for')", "exited with status 1"),
    "asks to exit": ("sys.exit('no more')", "exited with status 1"),
}


def rude(backend: str, code: str) -> dict[str, str]:
    """A package whose build does that, last of all."""
    if backend == "hatchling":
        files = package("rude", "hatchling", extra="\n[tool.hatch.build.hooks.custom]\n")
        return files | {"hatch_build.py": HATCH_HOOK.format(rude=code)}
    return package("rude") | {"setup.py": f"from setuptools import setup\n\nsetup()\n{code}\n"}


def three(root: Path, backend: str, middle: dict[str, str]) -> Path:
    return workspace(root, {"able": package("able", backend), "rude": middle, "zeal": package("zeal", backend)})


def build(root: Path, *options: str, code: int = 0) -> tuple[RunResult, dict[str, object]]:
    """The run, and what is in the archives of the packages beside the rude one."""
    ran = build_all(root, *options, code=code)
    beside = sorted([*root.glob("dist/able-*"), *root.glob("dist/zeal-*")])
    return ran, {path.name: contents(path) for path in beside}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """By backend: the archives beside a package that is not rude."""
    found = {}
    with pytest.MonkeyPatch.context() as patch, settled(patch):
        for backend in ("setuptools", "hatchling"):
            root = three(tmp_path_factory.mktemp("clean") / backend, backend, package("rude", backend))
            _, found[backend] = build(root)
            assert len(found[backend]) == 4
    return found


@pytest.mark.parametrize(
    ("backend", "behaviour"),
    [
        *(("setuptools", behaviour) for behaviour in QUIET),
        ("hatchling", "spoils the environment"),
        ("hatchling", "patches modules"),
    ],
)
def test_hooks_do_not_see_each_others_process_state(
    backend: str, behaviour: str, expected: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    code = f"PIDS = {str(pids)!r}\n{QUIET[behaviour]}"
    root = three(tmp_path / "home", backend, rude(backend, code))
    began = time.monotonic()
    _, beside = build(root)
    assert beside == expected[backend]
    assert len(list(root.glob("dist/rude-*"))) == 2
    assert time.monotonic() - began < 60  # relnox does not wait for processes that are left behind
    if behaviour == "leaves programs behind" and sys.platform == "linux":
        left = [int(each) for each in pids.read_text().split()]
        assert len(left) >= 4  # one for each hook
        assert all_end(left)


@pytest.mark.parametrize(
    ("backend", "behaviour"), [*(("setuptools", behaviour) for behaviour in FATAL), ("hatchling", "crashes")]
)
def test_a_crashing_hook_shows_its_last_lines_and_fails_alone(
    backend: str, behaviour: str, expected: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    act, said = FATAL[behaviour]
    code = f"import os, sys\nprint('the last words', flush=True)\n{act}"
    root = three(tmp_path / "home", backend, rude(backend, code))
    ran, beside = build(root, "--continue-on-error", code=2)
    assert beside == expected[backend]
    assert list(root.glob("dist/rude-*")) == []
    assert "rude: building the sdist failed" in ran.err
    assert "| the last words" in ran.err
    assert said in ran.err


@needs_fork
def test_a_warm_process_killed_by_a_hook_is_reported(tmp_path: Path) -> None:
    # What happens when memory runs out: an error for each package that it served, and no hang.
    code = "import os, signal, time\nos.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(60)"
    root = workspace(tmp_path / "home", {"rude": rude("setuptools", code)})
    began = time.monotonic()
    ran, _ = build(root, code=2)
    assert "the process that runs the build backend died" in ran.err
    assert "fix: rerun the command" in ran.err
    assert time.monotonic() - began < 30


def test_a_crashing_hook_in_its_own_process_fails_alone(tmp_path: Path) -> None:
    # A backend that does not share: nothing but its own package.
    for name, hook in (("able", "pass"), ("rude", "print('the last words', flush=True); os._exit(3)")):
        in_tree(tmp_path / name, name, hook=hook)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.relnox]\npackages = ["able", "rude"]\nversions = "independent"\n'
    )
    ran, beside = build(tmp_path, "--continue-on-error", code=2)
    assert "| the last words" in ran.err
    assert len(beside) == 2
