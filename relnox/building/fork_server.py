"""A server that runs build hooks in forks of one process: `python fork_server.py STATEMENTS MODULE...`.

It is started with the Python of a backend's environment, imports the backend's modules once, and runs the
statements, which fill its caches. Each hook then runs in a forked child, which need not repeat that; children
cannot affect one another.

Requests and replies are lines of JSON. A request has a script with its arguments, the working directory, the
environment variables, and the file for the output. A request with `end` kills the child that runs the request with
that id:

    {"id": 1, "argv": [SCRIPT, HOOK, DIR], "cwd": DIR, "environ": {...}, "output": FILE}
    {"end": 1}

The first reply is {"threads": N}, the number of threads of the server. One reply follows for each request that
runs a script: {"id": 1, "status": STATUS}, where a negative status is a signal. When standard input ends, all
children are killed, with the processes in their groups.

The script must run on older Pythons than relnox itself, and uses only the standard library.
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
from typing import Any, Dict, Iterable

CHUNK = 1 << 16
PR_SET_PDEATHSIG = 1


def main(statements: str, *modules: str) -> None:
    """Import modules and run `statements` (Python code), ignoring errors; then serve requests, and exit.

    Requests are read from standard input until it ends; replies go to standard output.
    """
    requests, replies = os.dup(0), os.dup(1)
    quiet = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # output of a module during its import must not mix with replies
        os.dup2(quiet, descriptor)
    del sys.path[0]  # this file's own directory
    for module in modules:
        # An import may raise any exception; the hook that needs the module raises it again, and reports it.
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    with contextlib.suppress(Exception):  # another version of the backend: its children are slower
        exec(statements, {})  # noqa: S102 - they are relnox's
    gc.collect()
    gc.freeze()
    server = RequestServer(requests, replies)
    server.reply({"threads": count_threads()})
    server.serve()
    os._exit(0)  # skips exit handlers, which are for the children


def count_threads() -> int:
    """Return the number of threads of this process; without a /proc, only those that `threading` knows."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return threading.active_count()


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process (`option`, a `PR_SET_*` number) on Linux; do nothing on other systems."""
    # Some Pythons have no ctypes, and some systems have no prctl.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0)))


class RequestServer:
    """The loop that runs each request in a forked child.

    `requests` and `replies` are the file descriptors that lines of JSON are read from and written to.
    """

    def __init__(self, requests: int, replies: int) -> None:
        self.requests = requests
        self.replies = replies
        self.child_ended, self.wakeup = os.pipe()
        for descriptor in (self.child_ended, self.wakeup):
            os.set_blocking(descriptor, False)
        self.request_ids: Dict[int, int] = {}
        """Maps the process id of each child to the id of its request."""

    def serve(self) -> None:
        """Run requests until standard input ends, then kill all children, with the processes in their groups."""
        signal.set_wakeup_fd(self.wakeup, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        partial_request = b""
        while True:
            readable, _, _ = select.select([self.requests, self.child_ended], [], [])
            if self.child_ended in readable:
                os.read(self.child_ended, CHUNK)
                self.report_ended_children()
            if self.requests in readable:
                chunk = os.read(self.requests, CHUNK)
                if not chunk:
                    kill_process_groups(self.request_ids)
                    return
                *lines, partial_request = (partial_request + chunk).split(b"\n")
                for line in lines:
                    self.handle_request(line)

    def handle_request(self, line: bytes) -> None:
        """Start a child for a request (a line of JSON), or kill the child of the request whose id is its `end`."""
        request = json.loads(line)
        if "end" in request:
            kill_process_groups([pid for pid, number in self.request_ids.items() if number == request["end"]])
        else:
            self.start_child(request)

    def start_child(self, request: Dict[str, Any]) -> None:
        """Fork a child that runs a request, as the leader of its own process group."""
        compile_script(request["argv"][0])  # cached for all children
        pid = os.fork()
        if pid == 0:
            for descriptor in (self.requests, self.replies, self.child_ended, self.wakeup):
                os.close(descriptor)
            run_in_child(request)
        self.request_ids[pid] = request["id"]
        with contextlib.suppress(OSError):  # the child does it as well, since either may be first
            os.setpgid(pid, pid)

    def report_ended_children(self) -> None:
        """Reply with the status of each child that has ended, and kill the processes that it left behind."""
        while self.request_ids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid in self.request_ids:
                kill_process_groups([pid])  # processes that it left behind in its group
                code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                self.reply({"id": self.request_ids.pop(pid), "status": code})

    def reply(self, message: Dict[str, int]) -> None:
        """Write a message to the client as a line of JSON; do nothing if the client has closed the pipe."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.replies, json.dumps(message).encode() + b"\n")


def kill_process_groups(pids: Iterable[int]) -> None:
    """Kill processes and all others in the process groups that they lead."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


@functools.lru_cache(maxsize=None)
def compile_script(path: str) -> types.CodeType:
    """Return the code of a Python script; cached, so that forked children need not compile it again."""
    with open(path, encoding="utf-8") as file:
        return compile(file.read(), path, "exec")


def run_in_child(request: Dict[str, Any]) -> None:
    """Run the script of a request in this forked process, then end the process with its exit status."""
    status = 1
    try:
        with contextlib.suppress(OSError):
            os.setpgid(0, 0)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = run_script(request)
        run_exit_handlers()
    except BaseException:  # noqa: BLE001 - the child ends in any case
        traceback.print_exc()
    finally:
        flush_output()
        os._exit(status)


def run_script(request: Dict[str, Any]) -> int:
    """Run the script of a request in this process as `python SCRIPT` would, and return its exit status.

    Its output goes to the file that the request names.
    """
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    os.environ.clear()
    os.environ.update(request["environ"])
    if request["cwd"] is not None:
        os.chdir(request["cwd"])
    sys.argv = list(request["argv"])
    code = compile_script(sys.argv[0])
    directory = os.path.dirname(sys.argv[0])
    if sys.path[:1] != [directory]:
        sys.path.insert(0, directory)
    program = types.ModuleType("__main__")
    program.__file__ = sys.argv[0]
    sys.modules["__main__"] = program
    try:
        exec(code, program.__dict__)  # noqa: S102 - that is the purpose
    except SystemExit as ending:
        if isinstance(ending.code, int):
            return ending.code & 0xFF
        if ending.code is not None:
            sys.stderr.write("%s\n" % (ending.code,))
            return 1
    except BaseException as error:  # noqa: BLE001 - a script may raise any exception
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def run_exit_handlers() -> None:
    """Wait for threads and run exit handlers, as Python does at exit."""
    threading._shutdown()  # type: ignore[attr-defined] # noqa: SLF001 - the order is Python's
    atexit._run_exitfuncs()  # noqa: SLF001


def flush_output() -> None:
    """Flush standard output and standard error; ignore errors."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a script may have replaced a stream by any object
            stream.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
