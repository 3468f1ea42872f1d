"""Runs build hooks in forks of one warm process: `python fork_server.py MODULE...`.

Started in the environment of a backend, it imports the backend's modules once. Hooks then run in children of its
own, which begin where a fresh process would be after its imports: nothing that one child does to its process is
seen by another.

Requests and answers are lines of JSON. A request names what to run, where, with which variables, and the file for
what it prints. If its child `stays` when it went well, one later request can name it and run in the same child,
which may stay again. Another kind of request names what to end:

    {"id": 1, "argv": [SCRIPT, HOOK, FOLDER], "cwd": FOLDER, "environ": {...}, "output": FILE, "stays": true}
    {"id": 2, "argv": [SCRIPT, HOOK, FOLDER], "cwd": FOLDER, "environ": {...}, "output": FILE, "after": 1}
    {"end": 2}

The first answer is {"threads": N}; then one for each request: {"id": 1, "status": STATUS}, negative for a signal.
When standard input ends, so do all children, and what they left behind in groups of its own.

Runs on Pythons older than relnox's own, with the standard library alone.
"""

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import traceback
import types
from typing import Any, Dict, Iterable, Iterator, Optional, Tuple

UMASK = 0o022
CHUNK = 1 << 16
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(*modules: str) -> None:
    requests, answers = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # what a module prints while it is imported is no answer
        os.dup2(quiet, descriptor)
    del sys.path[0]  # this file's own folder
    for module in modules:
        # An import may raise anything; the hook that needs the module fails of it again, and says so.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()
    family = Children(requests, answers)
    family.answer({"threads": count_threads()})
    family.serve()
    os._exit(0)  # there is nothing to take down in order


def count_threads() -> int:
    """A fork takes one thread along; the others would be missing in the child."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def prctl(option: int, value: int) -> None:
    """Linux keeps a family together; elsewhere process groups have to do."""
    with contextlib.suppress(
        ImportError, OSError, AttributeError
    ):  # Pythons without ctypes, systems without prctl
        import ctypes

        libc().prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))


@functools.lru_cache(maxsize=None)
def libc() -> Any:
    import ctypes

    return ctypes.CDLL(None)


class Children:
    """The children of this process: those at work, and those that stay for one more request."""

    def __init__(self, requests: int, answers: int) -> None:
        self.requests = requests
        self.answers = answers
        self.woken, self.wake = os.pipe()
        self.told, self.tell = os.pipe()
        for descriptor in (self.woken, self.wake):
            os.set_blocking(descriptor, False)
        self.at: Dict[int, int] = {}
        """By process id: the request that a child is at, or was at last."""
        self.staying: Dict[int, Tuple[int, int]] = {}
        """By that request: the child's process id, and where it waits to hear of the next one."""

    def serve(self) -> None:
        signal.set_wakeup_fd(self.wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        waiting = well = b""
        while True:
            readable, _, _ = select.select([self.requests, self.told, self.woken], [], [])
            if self.told in readable:
                *numbers, well = (well + os.read(self.told, CHUNK)).split(b"\n")
                for number in numbers:
                    self.answer({"id": int(number), "status": 0})
            if self.woken in readable:
                os.read(self.woken, CHUNK)
                self.reap()
            if self.requests in readable:
                chunk = os.read(self.requests, CHUNK)
                if not chunk:
                    self.end_all()
                    return
                *lines, waiting = (waiting + chunk).split(b"\n")
                for line in lines:
                    self.hear(line)

    def hear(self, line: bytes) -> None:
        request = json.loads(line)
        if "end" in request:
            end([pid for pid, number in self.at.items() if number == request["end"]])
        elif "after" in request:
            self.go_on(request, line)
        else:
            self.fork(request)

    def fork(self, request: Dict[str, Any]) -> None:
        compiled(request["argv"][0])  # once, and not in every child
        heard, more = os.pipe() if request.get("stays") else (None, None)
        pid = os.fork()
        if pid == 0:
            others = (each for _, each in self.staying.values())
            for descriptor in (self.requests, self.answers, self.woken, self.wake, self.told, more, *others):
                if descriptor is not None:
                    os.close(descriptor)
            run(request, self.tell, heard)
        self.at[pid] = request["id"]
        if heard is not None and more is not None:
            os.close(heard)
            self.staying[request["id"]] = pid, more
        with contextlib.suppress(OSError):  # the child does it as well: whoever comes first
            os.setpgid(pid, pid)

    def go_on(self, request: Dict[str, Any], line: bytes) -> None:
        pid, more = self.staying.pop(request["after"], (0, -1))
        if pid == 0:
            self.answer({"id": request["id"], "status": -signal.SIGKILL})
            return
        self.at[pid] = request["id"]
        with contextlib.suppress(BrokenPipeError):  # it has just ended, and is reaped next
            os.write(more, line + b"\n")
        if request.get("stays"):
            self.staying[request["id"]] = pid, more
        else:
            os.close(more)

    def reap(self) -> None:
        while self.at:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in self.at:
                end([pid])  # what it left behind in its group
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                number = self.at.pop(pid)
                if number in self.staying:
                    os.close(self.staying.pop(number)[1])
                self.answer({"id": number, "status": code})

    def answer(self, told: Dict[str, int]) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(self.answers, json.dumps(told).encode() + b"\n")

    def end_all(self) -> None:
        """End all children, and those that this process became the parent of when their own ended."""
        end(self.at)
        with contextlib.suppress(ChildProcessError):  # there is none any more
            while True:
                for pid in adopted():
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                os.waitpid(-1, 0)


def end(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def adopted() -> Iterator[int]:
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % name, "rb") as file:
                parent = file.read().rpartition(b")")[2].split()[1]
            if int(parent) == os.getpid():
                yield int(name)


@functools.lru_cache(maxsize=None)
def compiled(script: str) -> types.CodeType:
    with open(script, encoding="utf-8") as file:
        return compile(file.read(), script, "exec")


def run(request: Dict[str, Any], tell: int, heard: Optional[int]) -> None:
    """In the child: become the process that was asked for, then the next ones if it stays, and never come back."""
    status = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = executed(request)
        with open(os.devnull if heard is None else heard, "rb") as more:
            while request.get("stays") and status == 0:
                flush()
                os.write(tell, b"%d\n" % request["id"])
                line = more.readline()
                if not line:
                    break
                request = json.loads(line)
                status = executed(request)
        at_the_end()
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        traceback.print_exc()
    finally:
        flush()
        os._exit(status)


def executed(request: Dict[str, Any]) -> int:
    """Run a program as Python itself would; returns its status."""
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.umask(UMASK)
    os.environ.clear()
    os.environ.update(request["environ"])
    if request["cwd"] is not None:
        os.chdir(request["cwd"])
    sys.argv = list(request["argv"])
    code = compiled(sys.argv[0])
    folder = os.path.dirname(sys.argv[0])
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    program = types.ModuleType("__main__")
    program.__file__ = sys.argv[0]
    sys.modules["__main__"] = program
    try:
        exec(code, program.__dict__)  # noqa: S102 - it is a program
    except SystemExit as ending:
        if isinstance(ending.code, int):
            return ending.code & 0xFF
        if ending.code is not None:
            sys.stderr.write("%s\n" % (ending.code,))
            return 1
    except BaseException:  # noqa: BLE001 - a program may end by any
        print_last()
        return 1
    return 0


def at_the_end() -> None:
    """Do what a program left to be done when its process ends, as Python itself would."""
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - what Python calls first
    atexit._run_exitfuncs()  # noqa: SLF001 - and then this


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a program may have put any object in a stream's place
            stream.flush()


def print_last() -> None:
    kind, error, trace = sys.exc_info()
    if kind is not None and error is not None:
        sys.excepthook(kind, error, trace)


if __name__ == "__main__":
    main(*sys.argv[1:])
