"""Publish runs that are killed: before a known piece of what they send, or at a system call."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from package_index import PackageIndex
from projects import write
from releases import Package, is_whole, public, publish, release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relnox.core.release.manifest import Manifest

__all__ = [
    "ONE_AFTER_THE_OTHER",
    "WORDS",
    "Release",
    "killed_before",
    "publishing",
]

WORDS = ("publish", "--index", "own", "--reporter", "plain")
PACKAGES = [Package("core", wheels=2), Package("demo", ("core",), wheels=2), Package("more")]
CONTENT = "# some bytes, so that an archive is sent in several pieces\n" * 500
LIMIT = 120
ONE_AFTER_THE_OTHER = """\
import concurrent.futures, sys

class Inline(concurrent.futures.Executor):
    def __init__(self, *args, **options):
        pass

    def submit(self, do, /, *args, **options):
        future = concurrent.futures.Future()
        try:
            future.set_result(do(*args, **options))
        except BaseException as error:
            future.set_exception(error)
        return future

concurrent.futures.ThreadPoolExecutor = Inline
from relnox.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Makes all calls in one thread and thus in the same order each time; random kills hit the threads."""
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
sys.exit(main(words))
"""
"""Counts what is sent (http.client's audit event): anything, heads of uploads, or pieces of their bodies."""


@dataclass(frozen=True)
class Release:
    """A release that is built, and the index that it goes to."""

    root: Path
    manifest: Manifest
    index: PackageIndex

    def is_finished(self, how: object) -> None:
        """The same command: the index equals the manifest, no file was sent with other bytes, none twice."""
        built = {file.filename: file.sha256 for file in self.manifest.distributions}
        there = public(self.index, self.manifest)
        assert there.items() <= built.items(), how
        before = len(self.index.uploads)
        ran = publish(self.root, self.index)
        assert ran.code == 0, (how, ran.text)
        assert is_whole(self.index, self.manifest), how
        taken = [request for request in self.index.uploads if request.status == 200]
        assert all(request.sha256 == built[request.filename] for request in taken), how
        assert not there.keys() & {request.filename for request in self.index.uploads[before:]}, how


@contextmanager
def publishing(directory: Path) -> Iterator[Release]:
    """A release and its index; `RELNOX_OWN_TOKEN` is set elsewhere."""
    manifest = release(directory, PACKAGES, content=CONTENT)
    with PackageIndex() as index:
        address = f'upload = "{index.upload_url}"\nsimple = "{index.simple_url}"\nproduction = false\n'
        settings = f'[tool.relnox]\npackages = ["packages/*"]\n[tool.relnox.indexes.own]\n{address}'
        write(directory, {"pyproject.toml": settings})
        yield Release(directory, manifest, index)


def killed_before(root: Path, kind: str, number: int, *words: str) -> None:
    """Run relnox until it is about to send the n-th piece of a kind: `any`, `upload` (its head) or `body`."""
    code, said = _driven(root, kind, number, *words)
    assert code == -signal.SIGKILL, said


def _driven(root: Path, kind: str, number: int, *words: str) -> tuple[int, str]:
    argv = [sys.executable, "-c", DRIVER, kind, str(number), *words]
    ended = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False, timeout=LIMIT)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stderr + ended.stdout
