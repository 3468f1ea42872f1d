"""Run programs without a shell or credentials, read their output line by line, and leave no process behind."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from relnox.core.credential_variables import (
    find_credential_variables,
    find_upload_credential_variables,
    is_upload_setting_name,
)
from relnox.core.records import Record
from relnox.errors import Failed
from relnox.system.run_scope import RunScope, current_scope
from relnox.system.secrets import mask_secrets

_TAIL, _TAIL_WIDTH = 40, 2000
"""The maximum number of output lines in an error message, and the maximum length of each in characters."""
_GRACE = 5.0
_POLL_INTERVAL = 0.5
"""Seconds between checks whether a program that prints nothing is still running."""
_CHUNK = 1 << 16
_MAX_PIPE = 1 << 20
"""The maximum number of bytes that a pipe can hold."""

_FOREIGN_PREFIXES = ("PYTHON", "VIRTUAL_ENV", "__PYVENV", "COVERAGE_")
_REDIRECTING_PREFIXES = ("PIP_", "UV_")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PASSED_VARIABLES = (
    "PYTHONDONTWRITEBYTECODE",
    "PIP_CERT",
    "UV_CACHE_DIR",
    "UV_OFFLINE",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
)
_INSTALLER_VARIABLES = r"(?a)(PIP_|UV_(?!PUBLISH_)|GIT_CONFIG_)\w+|NETRC|SSH_AUTH_SOCK"
"""Matches variables that an installer needs to log in to a private index or repository."""

_running: dict[subprocess.Popen[bytes], RunScope] = {}
"""Maps the programs that are running to the runs that started them."""

Arguments: TypeAlias = "Sequence[str | os.PathLike[str]]"
"""A program and its arguments."""


class CompletedProgram(Record):
    """A program that ended.

    Attributes:
        returncode: The exit status, or the negative signal number if a signal ended the program.
        output: The text that it printed to standard output and, unless `stderr=False`, to standard error.
    """

    argv: tuple[str, ...]
    returncode: int
    output: str

    def check(self, what: str, *, fix: str | None = None) -> CompletedProgram:
        """Raise `Failed` with the last lines of the output if the program failed; otherwise return self.

        `what` names the program or operation in the message. The default fix is to run the program by hand.
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
    stderr: bool = True,
    umask: int = -1,
    kill_leftovers: bool = False,
    newlines: bool = True,
) -> CompletedProgram:
    """Run a program, wait for it to end, and return its exit status and its output, with secrets masked.

    The program runs in its own process group, so that Ctrl-C reaches only relnox, which decides whether the
    program may finish. An exception while waiting ends the whole group.

    Args:
        argv: The program and its arguments.
        cwd: The directory to run in; None for the current one.
        env: The complete environment, from which upload credentials are removed; None for that of relnox without
            any credentials.
        stdin: The content of standard input; None for none.
        timeout: The maximum run time in seconds; None for no limit.
        on_line: Called with each line of output, without its line end, as it is printed.
        stderr: Whether the output includes standard error; otherwise it is discarded.
        umask: The umask, or -1 for that of relnox.
        kill_leftovers: Whether to kill processes that the program started and left running (POSIX).
        newlines: Whether to convert carriage returns to line ends. Pass False if the output has file names: they
            may contain carriage returns and bytes that are not UTF-8, which are decoded as by `os.fsdecode`.

    Raises:
        Failed: The program cannot be started, or timed out; its exit status is not checked.
    """
    words = tuple(os.fspath(word) for word in argv)
    child = _start(words, cwd=cwd, env=env, has_input=stdin is not None, stderr=stderr, umask=umask)
    output = io.StringIO()
    try:
        with _time_limit(child, timeout) as timeout_event:
            if child.stdin is not None:
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(
                        stdin.encode(errors="surrogateescape") if isinstance(stdin, str) else stdin or b""
                    )
            for line in map(mask_secrets, _output_lines(child, newlines=newlines)):
                output.write(line)
                if on_line is not None:
                    on_line(line.rstrip("\r\n"))
            child.wait()
            if kill_leftovers:
                _kill_leftovers(child)
    except BaseException:  # an interruption too: no child may outlive this call
        _end_group(child)
        raise
    finally:
        _running.pop(child, None)
    if timeout_event.is_set():
        raise Failed(
            "program-failed",
            f"{words[0]} timed out after {timeout:g} s",
            fix=f"find out why it takes so long: {shlex.join(words)}",
        )
    return CompletedProgram(words, child.returncode, output.getvalue())


def _start(  # noqa: PLR0913 - the options of a process
    words: Sequence[str],
    *,
    cwd: Path | None,
    env: Mapping[str, str] | None,
    has_input: bool,
    stderr: bool,
    umask: int,
) -> subprocess.Popen[bytes]:
    """Start a program with the options of `run`; with `has_input`, its standard input is a pipe, otherwise empty.

    Raises:
        Failed: The program cannot be started.
    """
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
            "program-failed",
            f"{words[0]} cannot be run: {error.strerror}",
            fix=f"install {words[0]}, or add its directory to PATH",
        ) from error
    _running[child] = current_scope()
    return child


def _output_lines(child: subprocess.Popen[bytes], *, newlines: bool) -> Iterator[str]:
    """Yield the output of a program line by line, with line ends, until it ends; `newlines` is that of `run`.

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
    bytes_left = _MAX_PIPE
    with child.stdout as out:
        while bytes_left > 0:
            has_ended = child.poll() is not None
            if select.select([out], [], [], 0 if has_ended else _POLL_INTERVAL)[0]:
                chunk = os.read(out.fileno(), _CHUNK)
                bytes_left -= len(chunk) if has_ended else 0
                first, *lines = decoder.decode(chunk, final=not chunk).split("\n")
                waiting.append(first)
                if lines:
                    yield f"{''.join(waiting)}\n"
                    yield from (f"{line}\n" for line in lines[:-1])
                    waiting = lines[-1:]
                if not chunk:
                    break
            elif has_ended:
                break
    if rest := "".join(waiting):
        yield rest


@contextlib.contextmanager
def _time_limit(child: subprocess.Popen[bytes], seconds: float | None) -> Iterator[threading.Event]:
    """End a program that is still running in the `with` block after `seconds` (None: no limit).

    The event that is yielded is set if this happens.
    """
    timeout_event = threading.Event()

    def end() -> None:
        timeout_event.set()
        _end_group(child)

    if seconds is None:
        yield timeout_event
        return
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield timeout_event
    finally:
        timer.cancel()


def count_processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def end_programs() -> None:
    """End all programs that threads of the current run have started with `run` and are waiting for."""
    for child, scope in tuple(_running.items()):
        if scope is current_scope():
            _end_group(child)


def _kill_leftovers(child: subprocess.Popen[bytes]) -> None:
    """Kill the processes that a program left running in its process group when it ended; do nothing on Windows."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """Terminate a program and its process group, then kill what is still running after five seconds.

    On Windows, only the program is killed, immediately.
    """
    if sys.platform == "win32":
        child.kill()
        child.wait()
        return
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_GRACE)


# --- environment variables


def clean_environment(
    base: Mapping[str, str],
    *,
    own_indexes: bool = False,
    passed: Collection[str] = (),
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment variables for a program that must not see credentials.

    Variables that hold credentials (see `core.credential_variables`), and those that change where Python imports
    modules from, are removed. Variables for proxies and certificates are kept, but no proxy is used for loopback
    addresses. Python programs read and write UTF-8.

    Args:
        base: The variables to start from.
        own_indexes: Whether pip and uv use the user's configuration, and its credentials for indexes; otherwise
            they use only the indexes on their command line.
        passed: Names of variables to keep although they look like credentials; upload credentials are never kept.
        more: Variables to add or replace.
    """
    hidden_names, never = find_credential_variables(base), find_upload_credential_variables(base)
    dropped_prefixes = _FOREIGN_PREFIXES + (() if own_indexes else _REDIRECTING_PREFIXES)

    def is_passed(name: str) -> bool:
        if name in never or is_upload_setting_name(name):
            return False
        if name in _PASSED_VARIABLES or name in passed:
            return True
        of_installer = own_indexes and re.fullmatch(_INSTALLER_VARIABLES, name) is not None
        return not name.startswith(dropped_prefixes) and (of_installer or name not in hidden_names)

    variables = {name: value for name, value in base.items() if is_passed(name)}
    if not own_indexes:
        variables |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    return {**variables, **_no_proxy_for_loopback(variables), "PYTHONUTF8": "1", **(more or {})}


def path_variable(variables: Mapping[str, str]) -> str:
    """Return the value of `PATH`, with the directory of the programs that are installed with relnox first."""
    return os.pathsep.join([str(Path(sys.executable).parent), variables.get("PATH", os.defpath)])


def _no_proxy_for_loopback(base: Mapping[str, str]) -> dict[str, str]:
    """Return `no_proxy` and `NO_PROXY` with loopback addresses added; empty if `base` sets no proxy."""
    # Without variables for proxies there are none: `NO_PROXY` alone would disable the system's proxy settings.
    if not any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in base):
        return {}
    excluded_hosts = ",".join(filter(None, [base.get("no_proxy"), base.get("NO_PROXY")]))
    hosts = [host for host in map(str.strip, excluded_hosts.split(",")) if host]
    merged_hosts = hosts if "*" in hosts else [*dict.fromkeys([*hosts, *_LOOPBACK])]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(merged_hosts))


def without_upload_credentials(base: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without upload credentials and settings of upload tools; other secrets are kept."""
    never = find_upload_credential_variables(base)
    return {name: value for name, value in base.items() if name not in never and not is_upload_setting_name(name)}
