"""Run a program: a list of words, never a shell; its lines as they come; an end in every case."""

from __future__ import annotations

import atexit
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
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from relnox.core.credential_variables import credentials, is_upload_setting_name, upload_credentials
from relnox.core.records import Record
from relnox.errors import Failed
from relnox.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Completed", "Words", "clean_environment", "end_all", "run", "without_upload_credentials"]

_TAIL = 40
_GRACE = 5.0
_GLANCE = 0.5
"""Seconds between two looks at whether a program that prints nothing is still there."""
_CHUNK = 1 << 16
_FOREIGN_PREFIXES = ("PYTHON", "VIRTUAL_ENV", "__PYVENV", "COVERAGE_")
_REDIRECTING_PREFIXES = ("PIP_", "UV_")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KEPT = ("PYTHONDONTWRITEBYTECODE", "PIP_CERT", "UV_CACHE_DIR", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS")
_FOR_INSTALLERS = re.compile(r"(PIP_|UV_(?!PUBLISH_)|GIT_CONFIG_)\w+|NETRC|SSH_AUTH_SOCK", re.ASCII)
"""What an installer logs in to a private index or repository with."""


_running: set[subprocess.Popen[bytes]] = set()

_WATCH = """\
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group " ;;
    -) groups="${groups%% $group *}${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 "-$group"; done
"""
"""Keeps the ids of process groups, and kills them when its input ends: when relnox is gone, however it ended."""

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

    def check(self, what: str, *, fix: str | None = None) -> Completed:
        """Itself, if the program succeeded.

        Raises:
            Failed: It did not; the message holds its last lines.
        """
        if self.returncode != 0:
            tail = "\n".join(f"  | {line}" for line in deque(self.output.splitlines(), _TAIL))
            raise Failed(
                "todo",
                f"{what} ended with {_status(self.returncode)}" + (f":\n{tail}" if tail else ""),
                fix=fix or f"try it by hand: {shlex.join(self.argv)}",
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
    outlives: bool = False,
) -> Completed:
    """Run a program to its end and return what it printed.

    It runs in a process group of its own: Ctrl-C reaches relnox alone, which then decides whether the
    program may finish. Whatever ends the waiting ends the whole group. Secrets that it prints are masked.

    Args:
        argv: Program and arguments; no shell reads them.
        cwd: Folder to run in.
        env: The whole environment; relnox's own without credentials when None. What files are uploaded with is
            left out in any case.
        stdin: What its standard input gives; nothing when None.
        timeout: Seconds it may take.
        on_line: Called with each line, without its end, as it comes.
        on_start: Called with the id of its process group (POSIX) or process, at once.
        stderr: Whether standard error belongs to the output; otherwise it is dropped.
        umask: Which permissions new files do not get; relnox's own for -1.
        leaves_nothing: Whether what it started and left running ends with it (POSIX).
        outlives: Whether it goes on if relnox is killed; otherwise it is killed then, too (POSIX).

    Raises:
        Failed: The program is not there, or took too long.
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
            "todo", f"{words[0]} cannot be run: {error.strerror}", fix=f"is {words[0]} installed?"
        ) from error
    _running.add(child)
    watched = not outlives and _watch("+", child.pid)
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
    except BaseException:  # an interruption too: no child outlives the call that started it
        _end_group(child)
        raise
    finally:
        _running.discard(child)
        _watch("-" if watched else "", child.pid)
        if timer is not None:
            timer.cancel()
    if expired.is_set():
        raise Failed(
            "todo", f"{words[0]} did not end within {timeout:g} s", fix=f"try it by hand: {shlex.join(words)}"
        )
    return Completed(words, child.returncode, "".join(lines))


class _Watcher:
    """A process that outlives this one, to end what this one started; it is started when it is first needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._writing = threading.Lock()

    def tell(self, sign: str, group: int) -> bool:
        """Tell the watcher, which is started if there is none; whether it could be told."""
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
            ["/bin/sh", "-c", _WATCH],
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


def _watch(sign: str, group: int) -> bool:
    """Have a process group watched (`+`), or no longer (`-`); whether it is heard."""
    return sys.platform != "win32" and bool(sign) and _watcher.tell(sign, group)


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
    base: Mapping[str, str],
    *,
    own_indexes: bool = False,
    passed: Collection[str] = (),
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """An environment for programs that must not see a credential.

    Left out are variables that hold credentials (see `core.credential_variables`), and those that make another
    Python import from other folders. Proxies and certificates stay, but no proxy is used for this machine. Output
    is UTF-8.

    Args:
        base: The variables to start from.
        own_indexes: Whether pip and uv read the user's configuration, and log in with what it holds. If not, no
            variable and no file sends them to another index than the one they are told.
        passed: Variables that stay although they look like credentials; those for uploads never do.
        more: Variables to set.
    """
    hidden, never = _credentials(tuple(base.items()))
    dropped = _FOREIGN_PREFIXES + (() if own_indexes else _REDIRECTING_PREFIXES)

    def stays(name: str) -> bool:
        if name in never or is_upload_setting_name(name):
            return False
        if name in _KEPT or name in passed:
            return True
        of_installer = own_indexes and _FOR_INSTALLERS.fullmatch(name) is not None
        return not name.startswith(dropped) and (of_installer or name not in hidden)

    kept = {name: value for name, value in base.items() if stays(name)}
    settled = {} if own_indexes else {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    return kept | settled | _without_proxy_to_loopback(kept) | {"PYTHONUTF8": "1"} | dict(more or {})


def _without_proxy_to_loopback(base: Mapping[str, str]) -> dict[str, str]:
    """`NO_PROXY` in both spellings, for what runs behind a proxy and installs from an index on this machine.

    Where no variable names a proxy nothing is set: a `NO_PROXY` alone would turn off the proxy of the system.
    """
    if not any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in base):
        return {}
    listed = ",".join(filter(None, [base.get("no_proxy"), base.get("NO_PROXY")]))
    hosts = [host for host in map(str.strip, listed.split(",")) if host]
    merged = hosts if "*" in hosts else [*dict.fromkeys([*hosts, *_LOOPBACK])]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(merged))


def without_upload_credentials(base: Mapping[str, str]) -> dict[str, str]:
    """What any program may see: git logs in with what the user gave it, but nobody but relnox uploads."""
    _, never = _credentials(tuple(base.items()))
    return {name: value for name, value in base.items() if name not in never and not is_upload_setting_name(name)}


@lru_cache(maxsize=16)  # git is run many times with the same environment
def _credentials(variables: tuple[tuple[str, str], ...]) -> tuple[frozenset[str], frozenset[str]]:
    environment = dict(variables)
    return credentials(environment), upload_credentials(environment)


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
