"""Runs that are stopped, or find no room, right before the n-th thing of a kind that they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 120
NO_ROOM = 0
"""In the place of a signal: the call fails, since the disk is full."""
DRIVER = """\
import errno, os, sys, threading

kind, at, number, *words = sys.argv[1:]
FILES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink"}

def kinds(event, arguments):
    if event in FILES or event == "subprocess.Popen":
        return ("any", "change")
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        is_inside = str(arguments[0]).startswith(os.getcwd() + os.sep)
        return ("any", "change", "file") if is_inside else ("any", "change")
    if event != "http.client.send":
        return ()
    piece = arguments[1]
    is_head = isinstance(piece, bytes) and piece.startswith((b"GET ", b"HEAD ", b"POST "))
    return ("any",) if is_head and not piece.startswith(b"POST ") else ("any", "upload" if is_head else "body")

lock, seen = threading.RLock(), 0

def hook(event, arguments):
    global seen
    with lock:
        if kind not in kinds(event, arguments):
            return
        seen += 1
        if seen == int(at):
            if int(number):
                os.kill(os.getpid(), int(number))
            else:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(arguments[0]))

sys.addaudithook(hook)
from relnox.__main__ import main
sys.argv[1:] = words
code = main()
print("stops:", seen)
sys.exit(code)
"""
"""Count what relnox itself does, by Python's audit events, and stop before one.

Kinds: `change` of a file or a program that is started, `file` of the checkout that is opened to be written,
`upload` (its head), `body` (a piece of it), `any` of them or another request.
"""


class Running(NamedTuple):
    """A program at work. It prints into a file: a pipe would hold its reader until the git it leaves has ended."""

    process: subprocess.Popen[bytes]
    printed: Path

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it printed; never a traceback."""
        code = self.process.wait(LIMIT)
        output = self.printed.read_text(encoding="utf-8")
        assert "Traceback" not in output, output
        return code, output


def start(root: Path, *words: str, **variables: str) -> Running:
    """Python with these words, going on."""
    printed = root.parent / f"{root.name}.printed"
    with printed.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=root,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Running(process, printed)


def stopped(
    root: Path, words: tuple[str, ...], at: int, number: int = signal.SIGKILL, *, kind: str = "change"
) -> tuple[int, str]:
    """Run relnox until right before the n-th thing of a kind: how it ended, and what it printed.

    Args:
        root: Where.
        words: The command.
        at: The n-th.
        number: The signal that relnox gets there, or `NO_ROOM`.
        kind: Of what `DRIVER` counts.
    """
    return start(root, "-c", DRIVER, kind, str(at), str(int(number)), *words).ended()


def count_stops(root: Path, words: tuple[str, ...], *, kind: str = "change", code: int = 0) -> int:
    """Run relnox to its end, and count the places where it could be stopped."""
    ended, output = stopped(root, words, 0, kind=kind)
    assert ended == code, output
    return int(output.rpartition("stops:")[2])
