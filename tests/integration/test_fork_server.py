"""The warm process: programs in its forks behave as in new processes, on each Python that backends run on."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from warm import alive, all_end, needs_fork, wait_for

from relnox.building.fork_client import ForkServer
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., ForkServer]

pytestmark = [pytest.mark.heavy, needs_fork]

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process can leave its family")
LIMIT = 60.0


def pythons() -> list[str]:
    """The running Python, and those of pyenv's that backends may run on."""
    found = {".".join(map(str, sys.version_info[:2])): sys.executable}
    for path in Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python"):
        named = re.fullmatch(r"3\.(8|9|1[0-4])\.\d+", path.parents[1].name)
        if named:
            found.setdefault(f"3.{named[1]}", str(path))
    return [found[version] for version in sorted(found, key=lambda text: int(text[2:]))]


each_python = pytest.mark.parametrize("python", pythons(), ids=lambda path: Path(path).resolve().name)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts warm processes that are closed after the test."""
    servers: list[ForkServer] = []

    def start(*modules: str, python: str = sys.executable, statements: str = "", **more: str) -> ForkServer:
        variables = {"PATH": os.defpath, "PYTHONPATH": str(tmp_path), "PYTHONUTF8": "1", **more}
        servers.append(ForkServer(Path(python), modules, variables, tmp_path, statements=statements))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def script(directory: Path, text: str) -> str:
    (directory / "script.py").write_text(text, encoding="utf-8")
    return str(directory / "script.py")


def run(server: ForkServer, *argv: str, timeout: float = LIMIT, **environ: str) -> tuple[int, str]:
    """The status and the output of a program."""
    env = {"PATH": os.defpath, **environ}
    ran = server.run_script(argv, cwd=Path(argv[0]).parent, env=env, timeout=timeout, on_line=lambda _: None)
    return ran.returncode, ran.output


CASES = """\
import atexit, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

def state():
    print(__name__, __file__ == sys.argv[0], sys.path[0] == os.path.dirname(sys.argv[0]))
    print(sys.argv[1:], sorted(os.environ), os.getcwd() == os.path.dirname(sys.argv[0]), oct(os.umask(0)))
    print("colorsys" in sys.modules, sys.stdin.read() == "", sys.modules["__main__"].CASES is CASES)
    sys.stderr.write("to the other stream\\n")

def spoil():
    import colorsys
    print(hasattr(colorsys, "spoilt"), os.environ.get("SPOILT"), "nowhere" in sys.path)
    colorsys.spoilt = os.environ["SPOILT"] = "yes"
    sys.path.append("nowhere")
    os.chdir("/")
    os.umask(0o777)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

def late():
    def work():
        time.sleep(0.2)
        print("from a thread")
    threading.Thread(target=work).start()
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    pool = ThreadPoolExecutor(2)  # never shut down: Python does it
    pool.submit(work)
    atexit.register(print, "at the end")

def words(): sys.exit("some words")
def three(): sys.exit(3)
def none(): sys.exit()
def fault(): raise LookupError("what was looked for")
def at_once(): os._exit(7)
def crash(): os.kill(os.getpid(), signal.SIGSEGV)
def many():
    for number in range(200000): print("line", number)

CASES = {f.__name__: f for f in (state, spoil, late, words, three, none, fault, at_once, crash, many)}
CASES[sys.argv[1]]()
"""


@each_python
def test_a_fork_behaves_like_a_new_process(python: str, start: Start, tmp_path: Path) -> None:
    server, path = start("colorsys", "no_module_of_this_name", python=python), script(tmp_path, CASES)
    status, printed = run(server, path, "state", "x", LANG="C")
    assert status == 0
    assert sorted(printed.splitlines(), reverse=True) == [
        "to the other stream",
        "__main__ True True",
        "['state', 'x'] ['LANG', 'PATH'] True 0o22",
        "True True True",
    ]
    for _ in range(2):
        assert run(server, path, "spoil") == (0, "False None False\n")
    status, printed = run(server, path, "late")
    assert (status, sorted(printed.splitlines())) == (0, ["at the end", "from a thread", "from a thread"])
    assert run(server, path, "words") == (1, "some words\n")
    assert run(server, path, "three") == (3, "")
    assert run(server, path, "none") == (0, "")
    status, printed = run(server, path, "fault")
    assert status == 1
    assert printed.startswith("Traceback")
    assert printed.endswith("LookupError: what was looked for\n")
    assert run(server, path, "at_once") == (7, "")
    assert run(server, path, "crash") == (-signal.SIGSEGV, "")
    status, printed = run(server, path, "many")
    assert (status, printed.count("\n")) == (0, 200000)


def test_statements_prepare_all_forks(start: Start, tmp_path: Path) -> None:
    path = script(tmp_path, "import colorsys\nprint(colorsys.cache)\n")
    server = start(statements="import colorsys\ncolorsys.cache = 'full'\nraise LookupError('another version')")
    assert [run(server, path), run(server, path)] == [(0, "full\n")] * 2


FAMILY = """\
import os, subprocess, sys, time
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
SLEEP = [sys.executable, "-c", STUBBORN]
pids = [os.getpid(), subprocess.Popen(SLEEP).pid, subprocess.Popen(SLEEP, start_new_session=True).pid]
read, write = os.pipe()
if os.fork() == 0:  # a daemon, by the book
    os.setsid()
    daemon = os.fork()
    if daemon == 0:
        time.sleep(60)
    os.write(write, str(daemon).encode())
    os._exit(0)
pids.append(int(os.read(read, 20)))
with open(sys.argv[1], "w") as out:
    out.write(" ".join(map(str, pids)) + "\\n")
if len(sys.argv) == 2:
    time.sleep(60)
"""


def family(path: Path) -> list[int]:
    pids = [int(each) for each in wait_for(path).split()]
    assert len(pids) == 4
    return pids


@LINUX
@each_python
def test_a_program_ends_with_its_children(python: str, start: Start, tmp_path: Path) -> None:
    server, path = start(python=python), script(tmp_path, FAMILY)
    with pytest.raises(Failed, match="timed out after 2 s"):
        run(server, path, str(tmp_path / "one"), timeout=2)
    run(server, path, str(tmp_path / "two"), "and end")
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(run, server, path, str(tmp_path / "three"))
        families = [family(tmp_path / name) for name in ("one", "two", "three")]
        assert all_end([*families[0][:2], *families[1][:2]])
        assert all(map(alive, families[2]))
        server.close()
        with pytest.raises(Failed, match=r"died \(killed or crashed\)"):
            working.result()
    assert all_end(families[2][:2])
    for pid in (pid for pids in families for pid in pids[2:]):  # those that left their groups go on
        os.kill(pid, signal.SIGKILL)


def test_threads_started_by_an_import_are_counted(start: Start, tmp_path: Path) -> None:
    # What is forked then would lack them: hooks run in fresh processes instead.
    (tmp_path / "busy.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    (tmp_path / "loud.py").write_text("import os\nprint('loud')\nos.write(1, b'loud')\n")
    assert not start("busy").wait_until_single_threaded()
    assert start("loud").wait_until_single_threaded()


def test_output_is_reported_while_a_program_runs(start: Start, tmp_path: Path) -> None:
    text = "import time\nprint('früh', flush=True)\ntime.sleep(1.2)\nprint('late\\nends without', end='')\n"
    came: list[tuple[float, str]] = []
    ran = start().run_script(
        [script(tmp_path, text)],
        cwd=None,
        env={},
        timeout=LIMIT,
        on_line=lambda line: came.append((time.monotonic(), line)),
    )
    assert [line for _, line in came] == ["früh", "late", "ends without"]
    assert came[1][0] - came[0][0] > 0.3
    assert (ran.returncode, ran.output) == (0, "früh\nlate\nends without")
    assert list(tmp_path.glob("*.output")) == []
