"""Upload credentials that other processes of the same user can read from this process and its parents.

On Linux, the environment variables that a process was started with stay readable in `/proc/PID/environ`, even if
the process changes its environment later. Its memory and arguments are readable, too. Code that is run by a build
or an installation could read credentials there that were removed from its own environment.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from relnox.core.credential_variables import (
    describe_credentials_in_arguments,
    find_credentials,
    find_upload_credentials,
)
from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROC = Path("/proc")
_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4
_ENV_START, _ENV_END = 47, 48
"""Indexes of the fields `env_start` and `env_end` in the result of `_process_fields`."""

_protection_lock = threading.Lock()
_protected_by: list[bool] = []
"""For each run that protects the memory: whether it was readable when the run began, as it is before the first."""


class Exposure(Record):
    """Upload credentials that can be read from outside a process.

    Attributes:
        process: The name and ID of the process.
        names: The names of the variables, or descriptions of the arguments, that hold credentials.
        where: Where the credentials can be read: `environment` or `command line`.
    """

    process: str
    names: tuple[str, ...]
    where: str


@contextlib.contextmanager
def hide_environment_credentials() -> Iterator[None]:
    """Hide the credentials in this process's environment from other processes while the block runs (Linux).

    If there are any, its memory is protected, too: hooks of git, for example, run in steps that need not know it.
    """
    _overwrite_credentials_in_proc()
    with protected_memory() if find_credentials(os.environ) else contextlib.nullcontext():
        yield


def _overwrite_credentials_in_proc() -> None:
    """Overwrite credentials in the environment block that this process was started with (Linux).

    Only the copy that is visible in `/proc` is overwritten: `os.environ`, and programs started with it, still have
    the credentials. If overwriting fails, `find_exposed_credentials` reports the credentials.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError, ImportError):
        block = (_PROC / "self" / "environ").read_bytes()
        credential_names = find_credentials(_parse_variables(block))
        if not credential_names:
            return
        import ctypes

        start, end = (int(_process_fields("self")[field]) for field in (_ENV_START, _ENV_END))
        if ctypes.string_at(start, end - start) != block:
            return  # a sandbox that emulates /proc reports other addresses
        for name in credential_names & os.environ.keys():
            os.environ[name] = os.environ[name]  # moves it, so that `getenv` of C code does not read the block
        offset = 0
        for entry in block.split(b"\0"):
            key, separator, value = entry.partition(b"=")
            if separator and os.fsdecode(key) in credential_names:
                ctypes.memset(start + offset + len(key) + 1, 0, len(value))
            offset += len(entry) + 1


@contextlib.contextmanager
def protected_memory() -> Iterator[None]:
    """Deny other processes of the user access to the memory, environment and open files of this process (Linux).

    Child processes are not protected, and root is not denied. Of several runs in threads, the last one that ends
    restores the access.
    """
    with _protection_lock:
        _protected_by.append(_prctl(_PR_GET_DUMPABLE, 0) == 1)
        if _protected_by == [True]:
            _prctl(_PR_SET_DUMPABLE, 0)
    try:
        yield
    finally:
        with _protection_lock:
            was_dumpable = _protected_by.pop()
            if was_dumpable and not _protected_by:
                _prctl(_PR_SET_DUMPABLE, 1)


def find_exposed_credentials() -> Iterator[Exposure]:
    """Yield the upload credentials in the environment and arguments of this process and its parents (Linux)."""
    own = dict(os.environ)
    secrets = [own[name] for name in find_upload_credentials(own)]
    pid = str(os.getpid()) if sys.platform == "linux" else "0"
    while pid != "0":
        try:
            name = (_PROC / pid / "comm").read_text(encoding="utf-8", errors="replace").strip()
            parent = _process_fields(pid)[1]
        except OSError:  # ended, or hidden from this user
            return
        process = f"{name} (process {pid})"
        with contextlib.suppress(OSError):
            variables = _parse_variables((_PROC / pid / "environ").read_bytes())
            if names := find_upload_credentials(variables):
                yield Exposure(process, tuple(sorted(names)), "environment")
        with contextlib.suppress(OSError):
            arguments = (_PROC / pid / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if names_in_arguments := describe_credentials_in_arguments(arguments, secrets):
                yield Exposure(process, names_in_arguments, "command line")
        pid = parent


def _parse_variables(block: bytes) -> dict[str, str]:
    """Parse an environment block into names and values; if a name is repeated, keep a value that is not empty."""
    entries = [os.fsdecode(entry).partition("=") for entry in block.split(b"\0")]
    return dict(sorted((name, value) for name, separator, value in entries if separator))


def _process_fields(pid: str) -> list[str]:
    """Return the fields of `/proc/PID/stat` after the program name, which may itself contain spaces."""
    return (_PROC / pid / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()


def _prctl(option: int, value: int) -> int:
    """Call prctl(2) and return its result, or -1 if it fails."""
    if sys.platform != "linux":
        return -1
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        return int(ctypes.CDLL(None).prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))
    return -1
