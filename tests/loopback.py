"""Distributions made by hand, and clients of an index that are less polite than twine."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import packed
from backends import READING
from releases import made_wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from releases import Index

JSON = "application/vnd.pypi.simple.v1+json"
BOUNDARY = "5f0c0a9d"
END = f"--{BOUNDARY}--\r\n"


def make_wheel(
    directory: Path, name: str, version: str, *, origin: str = "wheel", requires: Sequence[str] = ()
) -> Path:
    """A wheel whose module says where it is from."""
    module = {f"{name.replace('-', '_')}.py": f"origin = {origin!r}\n"}
    return made_wheel(directory, name, module, version=version, requires=requires)


def make_sdist(directory: Path, name: str, version: str) -> Path:
    """A source distribution that brings its own build backend, so that nothing else has to be installed."""
    stem = f"{name.replace('-', '_')}-{version}"
    fields = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.8", "", "")
    project = (
        f'[project]\nname = "{name}"\nversion = "{version}"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    files = {"pyproject.toml": project, "backend.py": READING, f"{name.replace('-', '_')}.py": "origin = 'sdist'"}
    directory.mkdir(parents=True, exist_ok=True)
    return packed.sdist(directory, files, name=f"{stem}.tar.gz", top=stem, metadata="\n".join(fields))


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == JSON
        return json.loads(self.body)


def ask(
    url: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """One request; redirects are not followed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(method, parts.path, body, dict(headers or {}))
        response = connection.getresponse()
        return Answer(response.status, response.reason, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def page(index: Index, project: str) -> Any:
    return ask(f"{index.simple_url}{project}/", headers={"Accept": JSON}).json


def served(index: Index, path: Path, project: str) -> bool:
    """Whether the index lists the file with its hash and gives out its very bytes."""
    (entry,) = [entry for entry in page(index, project)["files"] if entry["filename"] == path.name]
    got = ask(urljoin(f"{index.simple_url}{project}/", entry["url"])).body
    return got == path.read_bytes() and entry["hashes"]["sha256"] == hashlib.sha256(got).hexdigest()


def encode(
    filename: str | None, content: bytes, fields: Sequence[tuple[str, str]], boundary: str = BOUNDARY
) -> bytes:
    """A form, written out to the letter of RFC 7578."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields]
    if filename is not None:
        head = f'Content-Disposition: form-data; name="content"; filename="{filename}"\r\n'
        parts.append(f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + content)
    return b"".join(f"--{boundary}\r\n".encode() + part + b"\r\n" for part in parts) + (
        f"--{boundary}--\r\n".encode()
    )


def form(filename: str, content: bytes, **changed: str) -> bytes:
    """The form of an upload, with fields changed."""
    fields = {":action": "file_upload", "protocol_version": "1", "name": "demo", "version": "1.0", **changed}
    return encode(filename, content, list(fields.items()))


def post(index: Index, body: bytes, **headers: str) -> Answer:
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return ask(index.upload_url, method="POST", body=body, headers={**kind, **headers})


def begin_upload(index_url: str, body: bytes, *, sent: int, path: str = "/legacy/") -> socket.socket:
    """A connection over which only the first bytes of an upload have gone."""
    parts = urlsplit(index_url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)
    connection.sendall(
        (
            f"{'POST' if body else 'GET'} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        ).encode()
        + body[:sent]
    )
    return connection


def eventually(seen: Callable[[], bool], *, within: float = 10.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + within
    while not seen():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
