"""Distributions made by hand, and clients of an index that are less polite than twine."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import tarfile
import time
import zipfile
from dataclasses import dataclass
from email import message_from_string
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from releases import Index

JSON = "application/vnd.pypi.simple.v1+json"
BOUNDARY = "5f0c0a9d"
END = f"--{BOUNDARY}--\r\n"
BACKEND = """
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = "{stem}-py3-none-any.whl"
    with zipfile.ZipFile(f"{{directory}}/{{name}}", "w") as wheel:
        wheel.writestr("{module}.py", "origin = 'sdist'")
        wheel.writestr("{stem}.dist-info/METADATA", {metadata!r})
        wheel.writestr("{stem}.dist-info/WHEEL", {wheel!r})
        wheel.writestr("{stem}.dist-info/RECORD", {record!r})
    return name
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


# --- distributions, by hand


def metadata(
    name: str, version: str, requires: Sequence[str] = (), headers: Sequence[str] = (), stated: str = "2.1"
) -> str:
    """Core metadata, of the stated metadata version and with further headers."""
    lines = [f"Metadata-Version: {stated}", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.8"]
    return "\n".join([*lines, *(f"Requires-Dist: {requirement}" for requirement in requires), *headers, "", ""])


def record(stem: str, module: str) -> str:
    names = [f"{module}.py", *(f"{stem}.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD"))]
    return "".join(f"{name},,\n" for name in names)


def make_wheel(
    directory: Path,
    name: str,
    version: str,
    *,
    origin: str = "wheel",
    requires: Sequence[str] = (),
    headers: Sequence[str] = (),
    stated: str = "2.1",
) -> Path:
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", f"origin = {origin!r}\n")
        archive.writestr(f"{stem}.dist-info/METADATA", metadata(name, version, requires, headers, stated))
        archive.writestr(f"{stem}.dist-info/WHEEL", WHEEL)
        archive.writestr(f"{stem}.dist-info/RECORD", record(stem, module))
    return path


def make_sdist(directory: Path, name: str, version: str) -> Path:
    """A source distribution that brings its own build backend, so that nothing else has to be installed."""
    module = name.replace("-", "_")
    stem = f"{module}-{version}"
    info = metadata(name, version)
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    backend = BACKEND.format(stem=stem, module=module, metadata=info, wheel=WHEEL, record=record(stem, module))
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for member, text in (("PKG-INFO", info), ("pyproject.toml", project), ("backend.py", backend)):
            entry = tarfile.TarInfo(f"{stem}/{member}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path


def declared(
    path: Path,
    changed: Mapping[str, str | None] | None = None,
    *,
    filename: str | None = None,
    content: bytes | None = None,
) -> bytes:
    """The form of a distribution as an honest client fills it in: from the file.

    Then it may be sent under another name, with other content, with fields changed or (None) left out.
    """
    sent = path.read_bytes() if content is None else content
    if path.name.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            text = wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))).decode()
        kind = {"filetype": "bdist_wheel", "pyversion": "py3"}
    else:
        with tarfile.open(path) as sdist:
            member = sdist.extractfile(next(name for name in sdist.getnames() if name.endswith("/PKG-INFO")))
            assert member is not None
            text = member.read().decode()
        kind = {"filetype": "sdist", "pyversion": "source"}
    spelled = {"classifier": "classifiers", "project_url": "project_urls", "license_file": "license_files"}
    headers = [(name.lower().replace("-", "_"), value) for name, value in message_from_string(text).items()]
    fields = [
        *((":action", "file_upload"), ("protocol_version", "1"), *kind.items()),
        ("sha256_digest", hashlib.sha256(sent).hexdigest()),
        *((spelled.get(name, name), value) for name, value in headers),
    ]
    kept = [(name, value) for name, value in fields if name not in (changed or {})]
    added = [(name, value) for name, value in (changed or {}).items() if value is not None]
    return encode(filename or path.name, sent, [*kept, *added])


# --- clients


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


def raw(index: Index, request: bytes) -> bytes:
    """Everything that is answered to a request until the index closes the connection."""
    parts = urlsplit(index.upload_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def eventually(seen: Callable[[], bool], *, within: float = 10.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + within
    while not seen():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


# --- time


class StoppedClock:
    """A clock for an index that stands still until it is moved; seconds since 1970."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now
