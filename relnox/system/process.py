"""Run programs without a shell, read their output line by line, and leave no process behind."""

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
from relnox.system.run_scope import current_scope
from relnox.system.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from relnox.system.run_scope import RunScope

_TAIL, _TAIL_WIDTH = 40, 2000
"""The maximum number of output lines in an error message, and the maximum length of each in characters."""
_GRACE = 5.0
_POLL_INTERVAL = 0.5
"""Seconds between checks whether a program that prints nothing is still running."""
_CHUNK = 1 << 16
_MAX_PIPE = 1 << 20
"""The maximum number of bytes that a pipe can hold."""
_MAX_OUTPUT = 1 << 28
"""The maximum length of a program's output in characters; a program that prints more is ended."""

_running: dict[subprocess.Popen[bytes], RunScope] = {}
"""Maps the programs that are running to the runs that started them."""

Arguments: TypeAlias = "Sequence[str | os.PathLike[str]]"
"""A program and its arguments."""


class Completed(Record):
    """A program that ended.

    Attributes:
        returncode: The exit status, or the negative signal number if a signal ended the program.
        output: The text that it printed to standard output and, unless `stderr=False`, to standard error.
    """

    argv: tuple[str, ...]
    returncode: int
    output: str

    def check(self, what: str, *, fix: str | None = None) -> Completed:
        """Raise an error with the last lines of the output if the program failed; otherwise return self.

        Args:
            what: The program or operation, as the first words of the error message.
            fix: The fix of the error; None to suggest running the program again by hand.
        """
        if self.returncode != 0:
            lines = deque(self.output.splitlines(), _TAIL)
            tail = "\n".join(f"  | {line[:_TAIL_WIDTH]}{'…' * (len(line) > _TAIL_WIDTH)}" for line in lines)
            status = f"signal {-self.returncode}" if self.returncode < 0 else f"status {self.returncode}"
            raise Failed(
                "program-failed",
                f"{what} failed with {status}" + (f":\n{tail}" if tail else ""),
                fix=fix or f"reproduce it: {shlex.join(self.argv)}",
            )
        return self


def run(  # noqa: PLR0913 - the options of a process
    argv: Arguments,
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
    """Run a program, wait for it to end, and return its output.

    The program runs in its own process group, so that Ctrl-C reaches only relnox, which decides whether the
    program may finish. An exception while waiting ends the whole group. Secrets in the output are masked.

    Args:
        argv: The program and its arguments.
        cwd: The folder to run in.
        env: The complete environment, or None for that of relnox without credentials. Upload credentials are
            always removed.
        stdin: The content of standard input, or None if it is empty.
        timeout: The maximum run time in seconds.
        on_line: Called with each line of output, without its line end, as it is printed.
        on_start: Called with the ID of the process group (POSIX) or process once the program is running.
        stderr: Whether the output includes standard error; otherwise it is discarded.
        umask: The umask, or -1 for that of relnox.
        kill_leftovers: Whether to kill processes that the program started and left running (POSIX).
        outlives: Whether the program keeps running if relnox is killed; otherwise it is killed too (POSIX).
        newlines: Whether to convert carriage returns to line ends. Pass False if the output has file names, which
            may contain carriage returns, and bytes that are not UTF-8: they are decoded as by `os.fsdecode`.

    Raises:
        Failed: The program cannot be started, timed out, or printed too much.
    """
    words = tuple(os.fspath(word) for word in argv)
    child = start(words, cwd=cwd, env=env, has_input=stdin is not None, stderr=stderr, umask=umask)
    if not outlives:
        _watcher.add(child.pid)
    output = io.StringIO()
    try:
        with _time_limit(child, timeout) as expired:
            if on_start is not None:
                on_start(child.pid)
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(
                        stdin.encode(errors="surrogateescape") if isinstance(stdin, str) else stdin or b""
                    )
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
        _running.pop(child, None)
        _watcher.remove(child.pid)
    if expired.is_set():
        raise Failed(
            "program-timeout",
            f"{words[0]} timed out after {timeout:g} s",
            fix=f"reproduce it: {shlex.join(words)}",
        )
    return Completed(words, child.returncode, output.getvalue())


def start(  # noqa: PLR0913 - the options of a process
    words: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    has_input: bool = False,
    stderr: bool = False,
    umask: int = -1,
) -> subprocess.Popen[bytes]:
    """Start a program in its own process group; see `run`. The caller ends it, with `kill` at the latest."""
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=clean_environment(os.environ, own_indexes=True)
            if env is None
            else without_upload_credentials(env),
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
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
    _running[child] = current_scope()
    return child


@contextlib.contextmanager
def in_background(
    argv: Arguments, *, cwd: Path, env: Mapping[str, str], newlines: bool = True
) -> Iterator[Callable[[], Completed]]:
    """Run a program that changes nothing while the block is executed; see `run` for arguments and errors.

    The block gets a function that waits for the program to end and returns its standard output. A program that is
    still running at the end of the block is killed.
    """
    words = tuple(os.fspath(word) for word in argv)
    child = start(words, cwd=cwd, env=env)

    def result() -> Completed:
        output = "".join(map(masked, _output_lines(child, words, newlines=newlines)))
        return Completed(words, child.wait(), output)

    try:
        yield result
    finally:
        kill(child)


def _output_lines(child: subprocess.Popen[bytes], words: Sequence[str], *, newlines: bool) -> Iterator[str]:
    """Yield the output of a program line by line until the program ends.

    Processes that it left running may keep the pipe open and write to it. After the program has ended, no more
    bytes are read than a pipe can hold, since the rest cannot be output of the program itself.
    """
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    errors = "replace" if newlines else "surrogateescape"
    if sys.platform == "win32":
        with io.TextIOWrapper(child.stdout, "utf-8", errors, None if newlines else "\n") as out:
            yield from out
        return
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(errors), translate=newlines)
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
                        f"{words[0]} printed more than {_MAX_OUTPUT >> 20} million characters, and was killed",
                        fix=f"make it print less; to reproduce: {shlex.join(words)}",
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


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a program that changes nothing, if it is still running, and close its pipes."""
    if child.poll() is None:
        child.kill()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):  # it has input that it did not read
                pipe.close()
    child.wait()
    _running.pop(child, None)


@contextlib.contextmanager
def _time_limit(child: subprocess.Popen[bytes], seconds: float | None) -> Iterator[threading.Event]:
    """End a program that is still running after `seconds`; yield an event that is set if that happens."""
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


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_all() -> None:
    """End all programs that `run` is waiting for, in all threads of the run."""
    for child, scope in tuple(_running.items()):
        if scope is current_scope():
            _end_group(child)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the processes that a program left running in its process group when it ended."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Terminate a program and its process group, then kill what is still running after the grace period."""
    if sys.platform == "win32":
        child.kill()
        child.wait()
        return
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)


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
"""Reads the IDs of process groups, and kills the groups when its input is closed, as when relnox is killed."""


class _Watcher:
    """A helper process that kills the programs started by relnox when relnox ends; it is started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._groups: set[int] = set()
        self._writing = threading.Lock()

    def add(self, group: int) -> None:
        """Kill a process group when this process ends (POSIX)."""
        if sys.platform != "win32" and self._send("+", group):
            self._groups.add(group)

    def remove(self, group: int) -> None:
        """Stop watching a process group that has ended, since its ID may be reused."""
        if group in self._groups:
            self._groups.discard(group)
            self._send("-", group)

    def _send(self, sign: str, group: int) -> bool:
        """Add (`+`) or remove (`-`) a process group; return False if the helper process cannot be reached."""
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
        """Close the input of the helper process, which then kills the remaining groups, and wait for it."""
        if self._owner == os.getpid() and watcher.stdin is not None:
            watcher.stdin.close()
            watcher.wait()


_watcher = _Watcher()
