"""The client of `fork_server`, which runs programs in forks of one process instead of new processes."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

from relnox.core import fixes
from relnox.errors import Failed
from relnox.system.process import CompletedProgram

_SERVER_SCRIPT = Path(__file__).with_name("fork_server.py")
_START_TIMEOUT = 120.0
_UMASK = 0o022
_POLL_INTERVAL = 0.5
"""The time in seconds between two reads of a running program's output."""


def can_fork_safely() -> bool:
    """Return whether processes can be forked safely; False on Windows, and on macOS, where libraries may crash."""
    return hasattr(os, "fork") and sys.platform != "darwin"


class ForkServer:
    """A process that imports modules once, and then runs each script in a fork of itself.

    The constructor starts it without waiting. Errors of modules and statements are ignored.

    Args:
        modules: The full names of the modules to import.
        variables: The complete environment of the process.
        directory: Gets a temporary file with the output of each running script.
        statements: Python code to run once after the imports, such as code that fills caches; may be empty.
    """

    def __init__(
        self,
        python: Path,
        modules: Sequence[str],
        variables: Mapping[str, str],
        directory: Path,
        *,
        statements: str = "",
    ) -> None:
        self._directory = directory
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[int]] = {}
        self._writing = threading.Lock()
        self._ready: Future[int] = Future()
        self._process = subprocess.Popen(
            [python, _SERVER_SCRIPT, statements, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(variables),
            start_new_session=True,
            umask=_UMASK,  # of hooks, and of the bytecode that Python writes
        )
        threading.Thread(target=self._read_replies, daemon=True).start()

    def wait_until_single_threaded(self) -> bool:
        """Wait for the imports of modules; return whether the process has one thread, so that forks are safe.

        False if it died, or the imports take more than two minutes.
        """
        with contextlib.suppress(FutureTimeout):
            return self._ready.result(_START_TIMEOUT) == 1
        return False

    def request_shutdown(self) -> None:
        """Make the process and all its forks end soon, without waiting for that."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def close(self) -> None:
        """Stop the process and all its forks, and wait until it has ended."""
        self.request_shutdown()
        try:
            self._process.wait(_POLL_INTERVAL * 4)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def run_script(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None,
        env: Mapping[str, str],
        timeout: float,
        on_line: Callable[[str], None],
    ) -> CompletedProgram:
        """Run a Python script (`argv` is its path and arguments) in a fork; return its result, even if it failed.

        `cwd` (None: that of the server) and `env`, the complete environment, are the script's; `on_line` gets each
        line of output.

        Raises:
            Failed: The script took longer than `timeout` seconds and was killed, or the server has died.
        """
        number = next(self._numbers)
        output = self._directory / f"{number}.output"
        status = self._waiting[number] = Future()
        self._send(
            id=number,
            argv=list(argv),
            cwd=None if cwd is None else str(cwd),
            environ=dict(env),
            output=str(output),
        )
        output_file = _OutputFile(output, on_line)
        try:
            returncode = self._wait_for_status(number, status, timeout, output_file)
        finally:
            output_file.report_new_lines(to_the_end=True)
            output.unlink(missing_ok=True)
        return CompletedProgram(tuple(argv), returncode, output_file.text)

    def _wait_for_status(
        self, request_id: int, status: Future[int], timeout: float, output_file: _OutputFile
    ) -> int:
        """Report output until a script ends; return its status, or kill it at the timeout and raise `Failed`."""
        for _ in range(max(1, int(timeout / _POLL_INTERVAL))):
            with contextlib.suppress(FutureTimeout):
                return status.result(_POLL_INTERVAL)
            output_file.report_new_lines()
        self._send(end=request_id)
        with contextlib.suppress(FutureTimeout):
            status.exception(_POLL_INTERVAL * 4)
        raise Failed(
            "build-failed",
            f"the build hook timed out after {timeout:g} s",
            fix=f"find the cause in the output of the build: {fixes.task_command('build-all', '--verbose')}",
        )

    def _send(self, **request: object) -> None:
        """Send a request, in the format described in `fork_server`; raise `Failed` if the process has died."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        line = json.dumps(request).encode() + b"\n"
        try:
            with self._writing:
                self._process.stdin.write(line)
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise _server_died_error() from error

    def _read_replies(self) -> None:
        """Pass each reply to the thread that waits for it; when the process ends, fail the other requests."""
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        with self._process.stdout as replies:
            for line in replies:
                reply = json.loads(line)
                if "threads" in reply:
                    self._ready.set_result(reply["threads"])
                elif (status := self._waiting.pop(reply["id"], None)) is not None:
                    status.set_result(reply["status"])
        if not self._ready.done():
            self._ready.set_result(0)
        while self._waiting:
            with contextlib.suppress(KeyError):
                self._waiting.popitem()[1].set_exception(_server_died_error())


class _OutputFile:
    """The output file of a running program, whose lines are passed to a callback as they are written."""

    def __init__(self, path: Path, on_line: Callable[[str], None]) -> None:
        self._path = path
        self._on_line = on_line
        self._reported = 0
        self._content = b""

    @property
    def text(self) -> str:
        """The output that has been read so far."""
        return self._content.decode(errors="replace")

    def report_new_lines(self, *, to_the_end: bool = False) -> None:
        """Pass new lines to the callback; with `to_the_end`, also an incomplete last line."""
        with contextlib.suppress(FileNotFoundError):
            self._content = self._path.read_bytes()
        until = len(self._content) if to_the_end else self._content.rfind(b"\n") + 1
        for line in self._content[self._reported : until].decode(errors="replace").splitlines():
            self._on_line(line)
        self._reported = max(self._reported, until)


def _server_died_error() -> Failed:
    """Return the error for a fork server that was killed or crashed."""
    return Failed(
        "build-failed",
        "the process that runs the build backend died (killed or crashed)",
        fix=f"rerun the command; to see its whole output: {fixes.task_command('build-all', '--verbose')}",
    )
