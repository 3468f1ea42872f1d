"""Run a program: a list of words, never a shell; its lines as they come; an end in every case."""

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
from typing import TYPE_CHECKING, TypeAlias

from relnox.core.records import Record
from relnox.core.secrets import masked
from relnox.errors import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Completed", "Words", "clean_environment", "end_all", "run"]

_TAIL = 40
_GRACE = 5.0
_GLANCE = 0.5
"""Seconds between two looks at whether a program that prints nothing is still there."""
_CHUNK = 1 << 16
_SECRET_WORDS = ("TOKEN", "PASSWORD", "PASSWD", "SECRET", "PRIVATE_KEY", "CREDENTIAL")
_SECRET_PREFIXES = (
    "TWINE_",
    "UV_PUBLISH_",
    "ACTIONS_ID_TOKEN_",
    "PDM_PUBLISH_",
    "HATCH_INDEX_",
    "POETRY_PYPI_",
    "POETRY_HTTP_BASIC_",
)
_OF_INDEXES = re.compile(
    r"RELNOX_\w+_TOKEN|(TEST_|MATURIN_)?PYPI_TOKEN|(FLIT|MATURIN)_PASSWORD|\w+_ID_TOKEN", re.ASCII
)
"""Variables that hold a token for an index, or an identity that one is given for (GitLab)."""
_FOREIGN_PREFIXES = ("PYTHON", "VIRTUAL_ENV", "__PYVENV", "COVERAGE_")
_REDIRECTING_PREFIXES = ("PIP_", "UV_")
_KEPT = ("PYTHONDONTWRITEBYTECODE", "PIP_CERT", "UV_CACHE_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS")


_running: set[subprocess.Popen[bytes]] = set()

Words: TypeAlias = "Sequence[str | os.PathLike[str]]"
"""A program and its arguments."""


class Completed(Record):
    """A program that ended.

    Attributes:
        argv: What was run.
        returncode: Its exit status; negative for a signal.
        output: What it printed on both streams, or on standard output alone when they were parted.
    """

    argv: tuple[str, ...]
    returncode: int
    output: str

    def check(self, what: str, *, hint: str | None = None) -> Completed:
        """Itself, if the program succeeded.

        Raises:
            Failed: It did not; the message holds its last lines.
        """
        if self.returncode != 0:
            tail = "\n".join(f"  | {line}" for line in deque(self.output.splitlines(), _TAIL))
            raise Failed(
                f"{what} ended with {_status(self.returncode)}" + (f":\n{tail}" if tail else ""),
                hint=hint or f"try it by hand: {shlex.join(self.argv)}",
            )
        return self


def run(  # noqa: PLR0913 - what a process can be given
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
    leaves_nothing: bool = False,
) -> Completed:
    """Run a program to its end and return what it printed.

    It runs in a process group of its own: Ctrl-C reaches relnox alone, which then decides whether the
    program may finish. Whatever ends the waiting ends the whole group. Secrets that it prints are masked.

    Args:
        argv: Program and arguments; no shell reads them.
        cwd: Folder to run in.
        env: The whole environment; relnox's own when None. Credentials of indexes are left out in any case.
        stdin: What its standard input gives; nothing when None.
        timeout: Seconds it may take.
        on_line: Called with each line, without its end, as it comes.
        on_start: Called with the id of its process group (POSIX) or process, at once.
        stderr: Whether standard error belongs to the output; otherwise it is dropped.
        umask: Which permissions new files do not get; relnox's own for -1.
        leaves_nothing: Whether what it started and left running ends with it (POSIX).

    Raises:
        Failed: The program is not there, or took too long.
    """
    words = tuple(os.fspath(word) for word in argv)
    try:
        child = subprocess.Popen(
            words,
            cwd=cwd,
            env=_without_index_credentials(os.environ if env is None else env),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr else subprocess.DEVNULL,
            start_new_session=True,
            umask=umask,
        )
    except OSError as error:
        raise Failed(f"{words[0]} cannot be run: {error.strerror}", hint=f"is {words[0]} installed?") from error
    _running.add(child)
    expired = threading.Event()

    def end() -> None:
        expired.set()
        _end_group(child)

    timer = threading.Timer(timeout, end) if timeout is not None else None
    lines: list[str] = []
    try:
        if timer is not None:
            timer.daemon = True
            timer.start()
        (on_start or _ignore)(child.pid)
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError), child.stdin:
                child.stdin.write(stdin.encode() if isinstance(stdin, str) else stdin or b"")
        for line in map(masked, _printed(child)):
            lines.append(line)
            (on_line or _ignore)(line.rstrip("\r\n"))
        child.wait()
        if leaves_nothing:
            _kill_group(child)
    except BaseException:
        _end_group(child)
        raise
    finally:
        _running.discard(child)
        if timer is not None:
            timer.cancel()
    if expired.is_set():
        raise Failed(f"{words[0]} did not end within {timeout:g} s", hint=f"try it by hand: {shlex.join(words)}")
    return Completed(words, child.returncode, "".join(lines))


def _printed(child: subprocess.Popen[bytes]) -> Iterator[str]:
    """The lines that a program prints, until it is gone: what it left running may hold its output open."""
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    if sys.platform == "win32":
        with io.TextIOWrapper(child.stdout, encoding="utf-8", errors="replace") as out:
            yield from out
        return
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
    waiting = ""
    with child.stdout as out:
        while True:
            ended = child.poll() is not None
            if select.select([out], [], [], 0 if ended else _GLANCE)[0]:
                chunk = os.read(out.fileno(), _CHUNK)
                *lines, waiting = (waiting + decoder.decode(chunk, final=not chunk)).split("\n")
                yield from (f"{line}\n" for line in lines)
                if not chunk:
                    break
            elif ended:
                break
    if waiting:
        yield waiting


def end_all() -> None:
    """End every program that is being waited for, in whatever thread."""
    for child in tuple(_running):
        _end_group(child)


def clean_environment(
    base: Mapping[str, str], *, own_indexes: bool = False, more: Mapping[str, str] | None = None
) -> dict[str, str]:
    """An environment for programs that must not see a credential.

    Left out are variables that name secrets, and those that make another Python import from other folders.
    Proxies and certificates stay. Output is UTF-8.

    Args:
        base: The variables to start from.
        own_indexes: Whether pip and uv read the user's configuration. If not, no variable and no file sends
            them to another index than the one they are told.
        more: Variables to set.
    """
    dropped = _SECRET_PREFIXES + _FOREIGN_PREFIXES + (() if own_indexes else _REDIRECTING_PREFIXES)
    kept = {
        name: value
        for name, value in base.items()
        if name in _KEPT or not (name.startswith(dropped) or any(word in name.upper() for word in _SECRET_WORDS))
    }
    settled = {} if own_indexes else {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    return kept | settled | {"PYTHONUTF8": "1"} | dict(more or {})


def _without_index_credentials(base: Mapping[str, str]) -> dict[str, str]:
    """What any program may see: git logs in with what the user gave it, but nobody but relnox uploads."""
    return {
        name: value
        for name, value in base.items()
        if not (name.startswith(_SECRET_PREFIXES) or _OF_INDEXES.fullmatch(name))
    }


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """End what a program that is gone left running in its group."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


def _end_group(child: subprocess.Popen[bytes]) -> None:
    """End a program and what it started: asked first, then not asked.

    What the program started has as long as the program itself: its group is killed when it is gone.
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


def _ignore(_: object) -> None:
    """Nobody asked to be called."""


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"status {returncode}"
