"""Run programs: argument lists without a shell, output line by line, and no process left behind."""

from __future__ import annotations

import atexit
import codecs
import contextlib
import io
import os
import select
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from relnox.core.records import Record
from relnox.errors import Failed
from relnox.system.environment_variables import clean_environment, without_upload_credentials
from relnox.system.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_TAIL, _TAIL_WIDTH = 40, 2000
"""Lines of output in a message, and their characters."""
_GRACE = 5.0
_POLL_INTERVAL = 0.5
"""Seconds between two checks whether a program that prints nothing still runs."""
_CHUNK = 1 << 16
_MAX_PIPE = 1 << 20
"""Bytes that a pipe can hold at most."""
_MAX_OUTPUT = 1 << 28
"""Characters of a program's output that are kept."""

_running: set[subprocess.Popen[bytes]] = set()

_WATCHER_SCRIPT = """\
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group " ;;
    -) groups="${groups%% $group *}${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 "-$group"; done
"""
"""Keeps ids of process groups, and kills them when its input is closed, which happens however relnox ends."""

Words: TypeAlias = "Sequence[str | os.PathLike[str]]"
"""A program and its arguments."""


class Completed(Record):
    """A program that ended.

    Attributes:
        argv: What was run.
        returncode: Its exit status; negative for a signal.
        output: What it printed on both streams, or on standard output alone with `stderr=False`.
    """

    argv: tuple[str, ...]
    returncode: int
    output: str

    def check(self, what: str, *, fix: str | None = None) -> Completed:
        """Return self if the program succeeded.

        Raises:
            Failed: It did not; the message has the last lines of its output.
        """
        if self.returncode != 0:
            lines = deque(self.output.splitlines(), _TAIL)
            tail = "\n".join(f"  | {line[:_TAIL_WIDTH]}{'…' * (len(line) > _TAIL_WIDTH)}" for line in lines)
            status = f"signal {-self.returncode}" if self.returncode < 0 else f"status {self.returncode}"
            raise Failed(
                "program-failed",
                f"{what} ended with {status}" + (f":\n{tail}" if tail else ""),
                fix=fix or f"to reproduce: {shlex.join(self.argv)}",
            )
        return self


def run(  # noqa: PLR0913 - the options of a process
    argv: Words,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | bytes | None = None,
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
    on_start: Callable[[int], None] | None = None,
    stderr: bool = True,
    umask: int = -1,
    kill_leftovers: bool = False,
    outlives: bool = False,
    newlines: bool = True,
) -> Completed:
    """Run a program to its end and return what it printed.

    It runs in its own process group: Ctrl-C reaches relnox alone, which decides whether the program may finish. An
    exception while waiting ends the whole group. Secrets in the output are masked.

    Args:
        argv: Program and arguments.
        cwd: Folder to run in.
        env: The whole environment; None for relnox's own without credentials. Upload credentials are always left
            out.
        stdin: The content of its standard input; None for an empty one.
        timeout: Maximum run time in seconds.
        on_line: Called with each line, without its line end, as it is printed.
        on_start: Called with the id of its process group (POSIX) or process as soon as it runs.
        stderr: Whether standard error is part of the output; otherwise it is dropped.
        umask: The umask; -1 for relnox's own.
        kill_leftovers: Whether processes that it started and left running are killed (POSIX).
        outlives: Whether it keeps running if relnox is killed; otherwise it is killed too (POSIX).
        newlines: Whether carriage returns become line ends; not where they may be a part of a file name.

    Raises:
        Failed: The program cannot be started, or timed out.
    """
    words = tuple(os.fspath(word) for word in argv)
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=clean_environment(os.environ, own_indexes=True)
            if env is None
            else without_upload_credentials(env),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr else subprocess.DEVNULL,
            start_new_session=True,
            umask=umask,
        )
    except OSError as error:
        raise Failed(
            "program-not-runnable",
            f"{words[0]} cannot be run: {error.strerror}",
            fix=f"install {words[0]}, or correct its path",
        ) from error
    _running.add(child)
    if not outlives:
        _watcher.add(child.pid)
    output = io.StringIO()
    try:
        with _time_limit(child, timeout) as expired:
            if on_start is not None:
                on_start(child.pid)
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(stdin.encode() if isinstance(stdin, str) else stdin or b"")
            for line in map(masked, _output_lines(child, words, newlines=newlines)):
                output.write(line)
                if on_line is not None:
                    on_line(line.rstrip("\r\n"))
            child.wait()
            if kill_leftovers:
                _kill_group(child)
    except BaseException:  # an interruption too: no child may outlive this call
        _end_group(child)
        raise
    finally:
        _running.discard(child)
        _watcher.remove(child.pid)
    if expired.is_set():
        raise Failed(
            "program-timeout",
            f"{words[0]} did not end within {timeout:g} s",
            fix=f"to reproduce: {shlex.join(words)}",
        )
    return Completed(words, child.returncode, output.getvalue())


@contextlib.contextmanager
def _time_limit(child: subprocess.Popen[bytes], seconds: float | None) -> Iterator[threading.Event]:
    """End a program that still runs after some seconds; yield an event that is set then."""
    expired = threading.Event()

    def end() -> None:
        expired.set()
        _end_group(child)

    if seconds is None:
        yield expired
        return
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


class _Watcher:
    """A process that outlives this one and kills the programs that this one started; started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._groups: set[int] = set()
        self._writing = threading.Lock()

    def add(self, group: int) -> None:
        """Have a process group killed when this process ends (POSIX)."""
        if sys.platform != "win32" and self._send("+", group):
            self._groups.add(group)

    def remove(self, group: int) -> None:
        """Forget a process group: its id may be used again."""
        if group in self._groups:
            self._groups.discard(group)
            self._send("-", group)

    def _send(self, sign: str, group: int) -> bool:
        with self._writing, contextlib.suppress(OSError):
            if self._process is None or self._owner != os.getpid():
                self._start()
            assert self._process is not None  # noqa: S101 - it was started
            assert self._process.stdin is not None  # noqa: S101 - it is a pipe
            self._process.stdin.write(f"{sign} {group}\n".encode())
            return True
        return False

    def _start(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER_SCRIPT],
            cwd="/",
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        atexit.register(self._end, self._process)

    def _end(self, watcher: subprocess.Popen[bytes]) -> None:
        if self._owner == os.getpid() and watcher.stdin is not None:
            watcher.stdin.close()
            watcher.wait()


_watcher = _Watcher()


def _output_lines(child: subprocess.Popen[bytes], words: Sequence[str], *, newlines: bool) -> Iterator[str]:
    """Yield lines of output until the program ends: processes that it left running may keep the pipe open.

    They may also write on: of what is read after the end, only as much as was in the pipe is the program's.

    Raises:
        Failed: There is too much of it.
    """
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    if sys.platform == "win32":
        with io.TextIOWrapper(child.stdout, "utf-8", "replace", None if newlines else "\n") as out:
            yield from out
        return
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=newlines)
    waiting: list[str] = []
    left, total = _MAX_PIPE, 0
    with child.stdout as out:
        while left > 0:
            ended = child.poll() is not None
            if select.select([out], [], [], 0 if ended else _POLL_INTERVAL)[0]:
                chunk = os.read(out.fileno(), _CHUNK)
                left -= len(chunk) if ended else 0
                text = decoder.decode(chunk, final=not chunk)
                total += len(text)
                if total > _MAX_OUTPUT:
                    raise Failed(
                        "program-output-too-long",
                        f"{words[0]} printed more than {_MAX_OUTPUT >> 20} million characters, and was ended",
                        fix=f"let it print less; to reproduce: {shlex.join(words)}",
                    )
                first, *lines = text.split("\n")
                waiting.append(first)
                if lines:
                    yield f"{''.join(waiting)}\n"
                    yield from (f"{line}\n" for line in lines[:-1])
                    waiting = lines[-1:]
                if not chunk:
                    break
            elif ended:
                break
    if rest := "".join(waiting):
        yield rest


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_all() -> None:
    """End every program that any thread waits for."""
    for child in tuple(_running):
        _end_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the processes that an ended program left running in its group."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Terminate a program and its process group, and kill what does not end within the grace period."""
    if sys.platform == "win32":
        child.kill()
        child.wait()
        return
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)
