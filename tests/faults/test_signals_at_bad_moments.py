"""A signal at the worst moments: where Python drops what its handler raises, and between beginning and noting it.

Every run is a real process, and it sends the signal to itself, so that the moment is always the same.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from backends import in_tree
from warm import all_end, build_all, workspace

from relnox.executor.parallel import default_concurrency

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.heavy, pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")]

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
NAMES = ("able", "baker")
STEPS = (*(f"build {name}" for name in NAMES), "manifest")
AT_ONCE = NAMES[: default_concurrency()]
STUCK = """\
import time
here = pathlib.Path({directory!r})
if not (here / "go").exists():
    (here / f"{{NAME}}.pid").write_text(str(os.getpid()))
    time.sleep(90)
"""

DRIVER = """\
import os, pathlib, sys, time
from relnox.cli import main
from relnox import executor
from relnox.executor import parallel

number, at_once, *words = sys.argv[1:]

def send_signal():
    os.kill(os.getpid(), int(number))
    for _ in range(1000):
        pass  # the handler runs here, and nowhere else

def at_work():
    return len(list(pathlib.Path().glob("*.pid"))) == int(at_once)

class Rubbish:
    def __del__(self):
        try:
            send_signal()
        except BaseException:
            print("dropped", file=sys.stderr, flush=True)
            raise

{moment}
sys.exit(main(words))
"""
WHILE_IT_WAITS = """\
wait = parallel.wait

def littering(*given, **named):
    if at_work():
        Rubbish()
    return wait(*given, **named)

parallel.wait = littering
"""
IN_A_STEP_BY_ITSELF = """\
execute_step = executor._execute_step

def littering(step, run):
    if not step.concurrent:
        Rubbish()
    return execute_step(step, run)

executor._execute_step = littering
"""
NOT_NOTED_YET = """\
class Executor(parallel.ThreadPool):
    def submit(self, *given):
        future = super().submit(*given)
        while {begun} and not list(pathlib.Path().glob("*.pid")):
            time.sleep(0.01)
        send_signal()
        return future

parallel.ThreadPool = Executor
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Packages that are stuck while they are built, until there is a file `go`."""
    root = workspace(tmp_path / "home", {name: {} for name in NAMES})
    for name in NAMES:
        in_tree(root / name, name, hook=STUCK.format(directory=str(root)))
    return root


class Interrupted(NamedTuple):
    """How a run ended: its exit code, what it printed, and the status of each of its steps."""

    code: int
    printed: str
    steps: dict[str, str]


def interrupted(
    root: Path, number: signal.Signals, moment: str, names: tuple[str, ...] = AT_ONCE, *more: str
) -> Interrupted:
    """Build some packages, and receive a signal."""
    report = root.parent / "report.json"
    chosen = [word for name in names for word in ("--package", name)]
    words = ("build-all", "--no-cache", "--reporter", "plain", "--report", str(report), *chosen, *more)
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER.format(moment=moment), str(int(number)), str(len(names)), *words],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    document = json.loads(report.read_text(encoding="utf-8"))
    assert document["exit_code"] == ran.returncode
    return Interrupted(ran.returncode, ran.stderr, {step["key"]: step["status"] for step in document["steps"]})


def at_work(root: Path) -> list[int]:
    """The processes in which packages are built."""
    return [int(path.read_text(encoding="ascii")) for path in root.glob("*.pid")]


def archives(root: Path) -> list[str]:
    """What is in the output directory, what is half done among it."""
    return sorted(path.name for path in root.glob("dist/*"))


def finish(root: Path) -> None:
    """The same command, with nothing in its way."""
    (root / "go").touch()
    ran = build_all(root, "--no-cache")
    assert ran.code == 0, ran.text
    assert len(archives(root)) == 2 * len(NAMES) + len(("BUILD_MANIFEST.txt", "manifest.json"))


@pytest.mark.parametrize("number", CODES)
def test_a_signal_that_python_drops_ends_steps_side_by_side(root: Path, number: signal.Signals) -> None:
    # What a finaliser raises is dropped; the handler may run in one.
    ran = interrupted(root, number, WHILE_IT_WAITS)
    assert "dropped" in ran.printed
    assert "Exception ignored" not in ran.printed
    assert ran.code == CODES[number], ran.printed
    assert ran.steps == dict.fromkeys(STEPS, "aborted")
    assert ran.printed.count(f"interrupted ({number.name})") == len(AT_ONCE)
    assert len(at_work(root)) == len(AT_ONCE)
    assert all_end(at_work(root))
    assert archives(root) == []
    finish(root)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_that_python_drops_ends_the_only_step(root: Path, number: signal.Signals) -> None:
    ran = interrupted(root, number, WHILE_IT_WAITS, ("able",))
    assert "dropped" in ran.printed
    assert "Exception ignored" not in ran.printed
    assert ran.code == CODES[number], ran.printed
    assert ran.steps == dict.fromkeys(("build able", "manifest"), "aborted")
    assert all_end(at_work(root))
    assert archives(root) == []
    finish(root)


@pytest.mark.parametrize("number", CODES)
def test_a_signal_that_python_drops_in_a_step_by_itself_is_handled_at_its_end(
    root: Path, number: signal.Signals
) -> None:
    finish(root)
    ran = interrupted(root, number, IN_A_STEP_BY_ITSELF, AT_ONCE, "--clean")
    assert "dropped" in ran.printed
    assert "Exception ignored" not in ran.printed
    assert ran.code == CODES[number], ran.printed
    assert ran.steps == {"clean": "success", **dict.fromkeys(STEPS, "aborted")}  # the removal came to its end
    assert archives(root) == []
    finish(root)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("number", CODES)
def test_a_signal_before_a_step_that_begins_is_noted_counts_it_and_leaves_nothing(
    root: Path, number: signal.Signals, *, begun: bool
) -> None:
    # In between the step is in a thread already, which is not recorded yet.
    ran = interrupted(root, number, NOT_NOTED_YET.format(begun=begun))
    assert ran.code == CODES[number], ran.printed
    assert "Traceback" not in ran.printed
    assert ran.steps == dict.fromkeys(STEPS, "aborted")
    assert len(at_work(root)) <= 1
    assert len(at_work(root)) == 1 or not begun
    assert all_end(at_work(root))
    assert archives(root) == []
    finish(root)
