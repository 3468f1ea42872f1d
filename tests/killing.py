"""A run that is killed at a known place of what it sends: before its n-th piece goes out, in whatever thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["killed_before", "pieces"]

DRIVER = """\
import os, signal, sys, threading

kind, at, *words = sys.argv[1:]
seen = {"any": 0, "upload": 0, "body": 0}
lock = threading.Lock()

def hook(event, arguments):
    if event != "http.client.send":
        return
    with lock:
        piece = arguments[1]
        head = isinstance(piece, bytes) and piece.startswith((b"GET ", b"HEAD ", b"POST "))
        seen["any"] += 1
        seen["upload"] += head and piece.startswith(b"POST ")
        seen["body"] += not head
        if seen[kind] == int(at):
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
from relnox.cli import main
code = main(words)
print("pieces:", seen[kind])
sys.exit(code)
"""
"""Counts what is sent (http.client's audit event): anything, heads of uploads, or pieces of their bodies."""


def killed_before(root: Path, kind: str, number: int, *words: str) -> None:
    """Run relnox until it is about to send the n-th piece of a kind: `any`, `upload` (its head) or `body`."""
    code, said = _run(root, kind, number, *words)
    assert code == -signal.SIGKILL, said


def pieces(root: Path, *words: str) -> int:
    """How many pieces an undisturbed run sends."""
    code, said = _run(root, "any", 0, *words)
    assert code == 0, said
    return int(said.rpartition("pieces:")[2])


def _run(root: Path, kind: str, number: int, *words: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", DRIVER, kind, str(number), *words],
        cwd=root,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stderr + ended.stdout
