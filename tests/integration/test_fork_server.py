"""The warm process: its protocol as such, on each Python that backends run on, and the near end of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from warm import alive, all_end, needs_fork, wait_for

from relnox.building import fork_client
from relnox.building.fork_client import ForkServer
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.heavy,
    needs_fork,
]

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


class Server:
    """The program itself, spoken to in lines of JSON."""

    def __init__(self, directory: Path, python: str, *modules: str, statements: str = "") -> None:
        self.directory = directory
        self.script = directory / "script.py"
        self.process = subprocess.Popen(
            [python, fork_client._SERVER_SCRIPT, statements, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.defpath, "PYTHONPATH": str(directory), "PYTHONUTF8": "1"},
            start_new_session=True,
        )
        self.numbers = 0

    def ask(self, *argv: str, **environ: str) -> int:
        """Have the script run with these arguments; returns the number of the request."""
        self.numbers += 1
        self.tell(
            id=self.numbers,
            argv=[str(self.script), *argv],
            cwd=str(self.directory),
            environ={"PATH": os.defpath, **environ},
            output=str(self.directory / f"{self.numbers}.txt"),
        )
        return self.numbers

    def tell(self, **request: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        return dict(json.loads(self.process.stdout.readline()))

    def run(self, *argv: str, **environ: str) -> tuple[int, str]:
        """The status and what was printed."""
        number = self.ask(*argv, **environ)
        answer = self.answer()
        assert answer["id"] == number
        return answer["status"], (self.directory / f"{number}.txt").read_text(encoding="utf-8")

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(LIMIT) == 0


@pytest.fixture(params=pythons(), ids=lambda path: Path(path).resolve().name)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    started: list[Server] = []
    yield started
    for server in started:
        server.process.kill()
        server.process.wait()
        for stream in (server.process.stdin, server.process.stdout):
            assert stream is not None
            stream.close()


def start(servers: list[Server], directory: Path, python: str, script: str, *modules: str) -> Server:
    (directory / "script.py").write_text(script, encoding="utf-8")
    server = Server(directory, python, *modules)
    servers.append(server)
    assert server.answer() == {"threads": 1}
    return server


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


def test_a_fork_behaves_like_a_new_process(python: str, servers: list[Server], tmp_path: Path) -> None:
    server = start(servers, tmp_path, python, CASES, "colorsys", "no_module_of_this_name")
    status, printed = server.run("state", "x", LANG="C")
    assert status == 0
    assert sorted(printed.splitlines(), reverse=True) == [
        "to the other stream",
        "__main__ True True",
        "['state', 'x'] ['LANG', 'PATH'] True 0o22",
        "True True True",
    ]
    for _ in range(2):
        assert server.run("spoil") == (0, "False None False\n")
    status, printed = server.run("late")
    assert (status, sorted(printed.splitlines())) == (0, ["at the end", "from a thread", "from a thread"])
    assert server.run("words") == (1, "some words\n")
    assert server.run("three") == (3, "")
    assert server.run("none") == (0, "")
    status, printed = server.run("fault")
    assert status == 1
    assert printed.startswith("Traceback")
    assert printed.endswith("LookupError: what was looked for\n")
    assert server.run("at_once") == (7, "")
    assert server.run("crash") == (-signal.SIGSEGV, "")
    status, printed = server.run("many")
    assert (status, printed.count("\n")) == (0, 200000)
    server.end_input()


def test_statements_prepare_all_forks(servers: list[Server], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import colorsys\nprint(colorsys.cache)\n", encoding="utf-8")
    statements = "import colorsys\ncolorsys.cache = 'full'\nraise LookupError('another version')"
    server = Server(tmp_path, sys.executable, statements=statements)
    servers.append(server)
    assert server.answer() == {"threads": 1}
    assert [server.run(), server.run()] == [(0, "full\n")] * 2


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
def test_closing_stdin_ends_the_groups_of_hooks(python: str, servers: list[Server], tmp_path: Path) -> None:
    server = start(servers, tmp_path, python, FAMILY)
    for name in ("one", "two"):
        server.ask(str(tmp_path / name))
    assert server.run(str(tmp_path / "three"), "and end")[0] == 0
    working = family(tmp_path / "one") + family(tmp_path / "two")
    assert all(map(alive, working))
    itself, beside, *away = family(tmp_path / "three")
    assert all_end([itself, beside])  # what was left in its group is gone with it
    server.end_input()
    in_groups = [pid for family_of in (working[:4], working[4:]) for pid in family_of[:2]]
    assert all_end(in_groups)
    for pid in (*away, *working):  # those that left their groups go on
        if pid not in in_groups:
            os.kill(pid, signal.SIGKILL)


def test_an_end_request_kills_a_hook_with_its_children(python: str, servers: list[Server], tmp_path: Path) -> None:
    server = start(servers, tmp_path, python, FAMILY)
    first, second = (server.ask(str(tmp_path / name)) for name in ("one", "two"))
    ended, other = family(tmp_path / "one"), family(tmp_path / "two")
    server.tell(end=first)
    assert server.answer() == {"id": first, "status": -signal.SIGKILL}
    assert all_end(ended[:2])
    assert all(map(alive, other))
    server.tell(end=99)  # no such request
    server.tell(end=second)
    assert server.answer() == {"id": second, "status": -signal.SIGKILL}


def test_threads_started_by_an_import_are_counted(tmp_path: Path) -> None:
    # What is forked then would lack them: hooks run in fresh processes instead.
    (tmp_path / "busy.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    (tmp_path / "loud.py").write_text("import os\nprint('loud')\nos.write(1, b'loud')\n")
    for module, whole in (("busy", False), ("loud", True)):
        variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
        server = ForkServer(Path(sys.executable), [module], variables, tmp_path)
        assert server.is_single_threaded() is whole
        server.close()


# --- the near end ----------------------------------------------------------------------------------------


@pytest.fixture
def near(tmp_path: Path) -> Iterator[ForkServer]:
    server = ForkServer(Path(sys.executable), (), dict(os.environ), tmp_path)
    yield server
    server.close()


def script(directory: Path, text: str) -> str:
    (directory / "script.py").write_text(text, encoding="utf-8")
    return str(directory / "script.py")


@pytest.fixture
def sleeping(tmp_path: Path) -> str:
    return script(tmp_path, FAMILY)


def test_a_hook_that_times_out_is_killed_with_its_children(
    sleeping: str, near: ForkServer, tmp_path: Path
) -> None:
    with pytest.raises(Failed, match="timed out after 2 s"):
        near.run_script([sleeping, str(tmp_path / "pids")], cwd=None, env={}, timeout=2, on_line=print)
    assert all_end(family(tmp_path / "pids")[:2])


def test_output_is_reported_while_a_hook_runs(tmp_path: Path) -> None:
    text = "import time\nprint('früh', flush=True)\ntime.sleep(1.2)\nprint('late\\nends without', end='')\n"
    path = script(tmp_path, text)
    server = ForkServer(Path(sys.executable), (), {**os.environ, "PYTHONUTF8": "1"}, tmp_path)
    came: list[tuple[float, str]] = []
    ran = server.run_script(
        [path], cwd=None, env={}, timeout=LIMIT, on_line=lambda line: came.append((time.monotonic(), line))
    )
    server.close()
    assert [line for _, line in came] == ["früh", "late", "ends without"]
    assert came[1][0] - came[0][0] > 0.3
    assert (ran.returncode, ran.output) == (0, "früh\nlate\nends without")
    assert list(tmp_path.glob("*.output")) == []
