"""Runs build hooks in forks of one warm process: `python fork_server.py SCRIPT MODULE...`.

Started in the environment of a backend, it imports the backend's modules once. Each hook then runs in a child of
its own, which begins where a fresh process would be after its imports: nothing that one hook does to its process
is seen by the next.

Requests and answers are lines of JSON. A request names what to run, where, with which variables, and the file for
what it prints, or what to end:

    {"id": 1, "argv": [SCRIPT, HOOK, FOLDER], "cwd": FOLDER, "environ": {...}, "output": FILE}
    {"end": 1}

The first answer is {"threads": N}; then one for each request: {"id": 1, "status": STATUS}, negative for a signal.
When standard input ends, so do all children, and what they left behind in groups of its own.

Runs on Pythons older than relnox's own, with the standard library alone.
"""

import atexit
import contextlib
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
from typing import Any, Dict, Iterable, Iterator

UMASK = 0o022
CHUNK = 1 << 16
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(script: str, *modules: str) -> None:
    requests, answers = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # what a module prints while it is imported is no answer
        os.dup2(quiet, descriptor)
    sys.path[0] = os.path.dirname(script)
    with open(script, encoding="utf-8") as file:
        code = compile(file.read(), script, "exec")
    for module in modules:
        # What cannot be imported here is told by the hook that needs it, as ever.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()
    answer(answers, {"threads": count_threads()})
    serve(requests, answers, code)


def count_threads() -> int:
    """A fork takes one thread along; the others would be missing in the child."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def prctl(option: int, value: int) -> None:
    """Linux keeps a family together; elsewhere process groups have to do."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))


def serve(requests: int, answers: int, code: types.CodeType) -> None:
    woken, wake = os.pipe()
    for descriptor in (woken, wake):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: Dict[int, int] = {}
    waiting = b""
    while True:
        readable, _, _ = select.select([requests, woken], [], [])
        if woken in readable:
            os.read(woken, CHUNK)
            reap(children, answers)
        if requests in readable:
            chunk = os.read(requests, CHUNK)
            if not chunk:
                end_family(children)
                return
            *lines, waiting = (waiting + chunk).split(b"\n")
            for line in lines:
                request = json.loads(line)
                if "end" in request:
                    end([pid for pid, number in children.items() if number == request["end"]])
                    continue
                pid = os.fork()
                if pid == 0:
                    for descriptor in (requests, answers, woken, wake):
                        os.close(descriptor)
                    run(request, code)
                children[pid] = request["id"]
                with contextlib.suppress(OSError):  # the child does it as well: whoever comes first
                    os.setpgid(pid, pid)


def reap(children: Dict[int, int], answers: int) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            break
        if pid in children:
            end([pid])  # what it left behind in its group
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            answer(answers, {"id": children.pop(pid), "status": code})


def end(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def end_family(children: Iterable[int]) -> None:
    """End all children, and those that this process became the parent of when their own ended."""
    end(children)
    with contextlib.suppress(ChildProcessError):  # there is none any more
        while True:
            for pid in adopted():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def adopted() -> Iterator[int]:
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % name, "rb") as file:
                parent = file.read().rpartition(b")")[2].split()[1]
            if int(parent) == os.getpid():
                yield int(name)


def answer(descriptor: int, told: Dict[str, int]) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, json.dumps(told).encode() + b"\n")


def run(request: Dict[str, Any], code: types.CodeType) -> None:
    """In the child: become the process that was asked for, and never come back."""
    status = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
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
        program = types.ModuleType("__main__")
        program.__file__ = sys.argv[0]
        sys.modules["__main__"] = program
        gc.unfreeze()
        status = executed(code, program)
    except BaseException:  # noqa: BLE001 - whatever it is, this process ends here
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def executed(code: types.CodeType, program: types.ModuleType) -> int:
    """Run a program as Python itself would, what it left to be done at its end included; returns its status."""
    status = 0
    try:
        exec(code, program.__dict__)  # noqa: S102 - it is a program
    except SystemExit as ending:
        if isinstance(ending.code, int):
            status = ending.code
        elif ending.code is not None:
            sys.stderr.write("%s\n" % (ending.code,))
            status = 1
    except BaseException:  # noqa: BLE001 - a program may end by any
        print_last()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - what Python calls at its end
    atexit._run_exitfuncs()  # noqa: SLF001 - and then this
    return status & 0xFF


def print_last() -> None:
    kind, error, trace = sys.exc_info()
    if kind is not None and error is not None:
        sys.excepthook(kind, error, trace)


if __name__ == "__main__":
    main(*sys.argv[1:])
