"""Index servers of other people, each in an environment of its own, on loopback while they are needed."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, NamedTuple

from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["PASSWORD", "USER", "Devpi", "PrivateIndex", "devpi", "installed", "pypiserver"]

USER, PASSWORD = "team", "a-password-of-the-team"
LIMIT = 120
"""Seconds that an installation or a start may take."""


class PrivateIndex(NamedTuple):
    """Where an index is: `USER` may upload with `PASSWORD`, and everybody may read."""

    upload: str
    simple: str


def installed(directory: Path, *requirements: str) -> Path:
    """The programs of an environment that is made for them from the machine's package index."""
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, directory], check=True, timeout=LIMIT)
    programs = directory / ("Scripts" if os.name == "nt" else "bin")
    words = [uv, "pip", "install", "--quiet", "--python", str(programs / "python"), *requirements]
    subprocess.run(words, check=True, timeout=LIMIT)
    return programs


@contextlib.contextmanager
def pypiserver(programs: Path, directory: Path) -> Iterator[PrivateIndex]:
    """pypiserver with nothing in it; who asks for what it lacks is sent to another index, as usual."""
    (directory / "files").mkdir(parents=True)
    hashed = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    (directory / "htpasswd").write_text(f"{USER}:{{SHA}}{hashed}\n", encoding="ascii")
    port = _free_port()
    words = [
        "run",
        f"--port={port}",
        "--host=127.0.0.1",
        f"--passwords={directory / 'htpasswd'}",
        "--server=wsgiref",
    ]
    words += ["--fallback-url=http://127.0.0.1:9/simple/", str(directory / "files")]
    with _running([str(programs / "pypi-server"), *words], directory, port):
        yield PrivateIndex(f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/simple/")


@contextlib.contextmanager
def devpi(programs: Path, directory: Path) -> Iterator[Devpi]:
    """devpi-server with a user and no index."""
    directory.mkdir(parents=True)
    place = [f"--serverdir={directory / 'server'}"]
    words = [str(programs / "devpi-init"), *place, "--no-root-pypi", f"--root-passwd={PASSWORD}"]
    subprocess.run(words, check=True, timeout=LIMIT, capture_output=True)
    port = _free_port()
    words = [str(programs / "devpi-server"), *place, "--host=127.0.0.1", f"--port={port}", "--offline-mode"]
    with _running(words, directory, port):
        yield Devpi(f"http://127.0.0.1:{port}")


class Devpi:
    """A devpi-server, which has as many indexes as one wants."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._made = 0
        self._put(USER, "root", {"password": PASSWORD})

    def index(self, *, volatile: bool) -> PrivateIndex:
        """A new index with nothing in it; in a volatile one a file may be replaced by another of its name."""
        self._made += 1
        path = f"{USER}/index-{self._made}"
        self._put(path, USER, {"volatile": volatile, "bases": []})
        return PrivateIndex(f"{self._url}/{path}/", f"{self._url}/{path}/+simple/")

    def _put(self, path: str, user: str, document: dict[str, Any]) -> None:
        login = self._ask("POST", "+login", {"user": user, "password": PASSWORD}, {})
        signed = base64.b64encode(f"{user}:{login['result']['password']}".encode()).decode()
        self._ask("PUT", path, document, {"X-Devpi-Auth": signed})

    def _ask(self, method: str, path: str, document: dict[str, Any], headers: dict[str, str]) -> Any:
        request = urllib.request.Request(
            f"{self._url}/{path}",
            json.dumps(document).encode(),
            {"Content-Type": "application/json", "Accept": "application/json", **headers},
            method=method,
        )
        with _direct().open(request, timeout=LIMIT) as answer:
            return json.load(answer)


@contextlib.contextmanager
def _running(words: Sequence[str], directory: Path, port: int) -> Iterator[None]:
    """A server, from its first answer on; what it prints is in a file of its directory."""
    with (directory / "printed").open("wb") as out, subprocess.Popen(words, stdout=out, stderr=out) as server:
        try:
            deadline = time.monotonic() + LIMIT
            while not _answers(port):
                assert server.poll() is None, (directory / "printed").read_text(encoding="utf-8")
                assert time.monotonic() < deadline, (directory / "printed").read_text(encoding="utf-8")
                time.sleep(0.05)
            yield
        finally:
            server.kill()


def _answers(port: int) -> bool:
    try:
        with _direct().open(f"http://127.0.0.1:{port}/", timeout=LIMIT):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _direct() -> urllib.request.OpenerDirector:
    """Asks without a proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
