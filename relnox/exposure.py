"""What other processes of the same user can read of this one and of those that started it.

On Linux the variables that a process was started with stay readable in `/proc/PID/environ`, whatever it does to
its environment later, and so are its memory and its arguments. Code that a build or an installation runs could
look there for what its own environment lacks.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.credential_variables import credentials, in_arguments, upload_credentials

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Exposure", "exposures", "hide_environment", "unreadable_memory"]

_PROC = Path("/proc")
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_ENV_START, _ENV_END = 47, 48
"""Fields of `/proc/PID/stat`, counted from behind the name of the program."""


class Exposure(NamedTuple):
    """Upload credentials that can be read from outside a process.

    Attributes:
        process: The program and its process id.
        names: The variables that hold them, or the arguments, in words.
        where: Environment or command line.
    """

    process: str
    names: tuple[str, ...]
    where: str


def hide_environment() -> None:
    """Overwrite the credentials among the variables that this process was started with (Linux).

    Only the copy that the system shows to others is overwritten: `os.environ`, and programs that are started with
    it, have them as before. Where it cannot be done, `exposures` tells so.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError, ImportError):
        block = (_PROC / "self" / "environ").read_bytes()
        hidden = credentials(_variables(block))
        if not hidden:
            return
        import ctypes

        start, end = (int(_stat("self")[field]) for field in (_ENV_START, _ENV_END))
        if ctypes.string_at(start, end - start) != block:
            return  # another program's idea of where its variables are
        for name in hidden & os.environ.keys():
            os.environ[name] = os.environ[name]  # a copy elsewhere, for C code: what it reads next is overwritten
        offset = 0
        for entry in block.split(b"\0"):
            key, separator, value = entry.partition(b"=")
            if separator and os.fsdecode(key) in hidden:
                ctypes.memset(start + offset + len(key) + 1, 0, len(value))
            offset += len(entry) + 1


@contextlib.contextmanager
def unreadable_memory() -> Iterator[None]:
    """Keep others of the same user out of this process's memory, variables and open files meanwhile (Linux).

    Processes that it starts are not protected; root is not kept out.
    """
    before = _prctl(_PR_GET_DUMPABLE, 0)
    if before == 1:
        _prctl(_PR_SET_DUMPABLE, 0)
    try:
        yield
    finally:
        if before == 1:
            _prctl(_PR_SET_DUMPABLE, 1)


def exposures() -> tuple[Exposure, ...]:
    """Upload credentials that can be read of this process and of those that started it (Linux), nearest first."""
    return tuple(_exposures()) if sys.platform == "linux" else ()


def _exposures() -> Iterator[Exposure]:
    own = dict(os.environ)
    secrets = [own[name] for name in upload_credentials(own)]
    pid = str(os.getpid())
    while pid != "0":
        try:
            name = (_PROC / pid / "comm").read_text(encoding="utf-8", errors="replace").strip()
            parent = _stat(pid)[1]
        except OSError:  # gone, or hidden from this user
            return
        process = f"{name} (process {pid})"
        with contextlib.suppress(OSError):
            variables = _variables((_PROC / pid / "environ").read_bytes())
            if names := upload_credentials(variables):
                yield Exposure(process, tuple(sorted(names)), "environment")
        with contextlib.suppress(OSError):
            arguments = (_PROC / pid / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if held := in_arguments(arguments, secrets):
                yield Exposure(process, held, "command line")
        pid = parent


def _variables(block: bytes) -> dict[str, str]:
    """Variables as the system shows them; of those that are there twice, one that is not empty."""
    entries = [os.fsdecode(entry).partition("=") for entry in block.split(b"\0")]
    return dict(sorted((name, value) for name, separator, value in entries if separator))


def _stat(pid: str) -> list[str]:
    """The fields of `/proc/PID/stat` from the state on: the name before it may hold anything."""
    return (_PROC / pid / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _prctl(option: int, value: int) -> int:
    """Call prctl(2); -1 where there is none."""
    if sys.platform != "linux":
        return -1
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        return int(ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))
    return -1
