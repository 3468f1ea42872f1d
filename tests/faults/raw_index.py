"""A package index on raw sockets: honest by default, and hostile as one `act` tells it.

It shares no code with the embedded index and uses no HTTP library, so that it can send what no library would: half
a head, two lengths, an answer before the request is read. `misbehaviors.py` is the catalog of what it does.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import re
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

__all__ = ["Answer", "Exchange", "RawIndex", "Request", "Rule", "Upload"]

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
HTML_PAGE = "text/html; charset=utf-8"
LIFETIME = 900.0
"""Seconds after which an index stops by itself."""
CONNECTIONS = 128
HEAD_LIMIT = 1 << 16
BODY_LIMIT = 64 << 20
POLL_INTERVAL = 0.02
TLS_HANDSHAKE = 22
SEND_TIMEOUT = 30.0
IDLE_TIMEOUT = 60.0


class Gone(Exception):
    """The client closed the connection, or the index stops."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer before it is written out."""

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def head(self, *, length: bool = True) -> bytes:
        """Status line and headers, with the empty line at their end."""
        lines = [f"HTTP/1.1 {self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers)]
        if length:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def wire(self) -> bytes:
        """The whole answer."""
        return self.head() + self.body

    def with_header(self, name: str, value: str) -> Answer:
        """The same answer with this header, instead of those of that name."""
        others = tuple(header for header in self.headers if header[0].lower() != name.lower())
        return replace(self, headers=(*others, (name, value)))


@dataclass(frozen=True)
class Request:
    """The head of a request.

    Attributes:
        kind: `upload`, `listing`, `file` (GET), `head` or `range` of a file, or `unknown`.
        key: The project of a listing, or the name of a file; empty for an upload, whose form is not read yet.
        elsewhere: Whether it came to the second address, which is not the index's.
    """

    kind: str
    key: str
    method: str
    target: str
    headers: dict[str, str]
    elsewhere: bool = False


@dataclass
class Upload:
    """A form that arrived in full."""

    filename: str
    project: str
    content: bytes
    digest: str
    accepted: bool = False
    """Whether it was stored and answered with 200, as an honest index does."""


@dataclass(frozen=True)
class Rule:
    """When an index misbehaves, and how.

    Attributes:
        act: What it does with such a request.
        on: The kinds of requests.
        times: How many of them, the first ones; None for all.
        each: Whether they are counted for each file or project by itself.
        after: Whether it waits until something has been uploaded.
        html: Whether listings are HTML pages, whatever is asked for.
    """

    act: Callable[[Exchange], None]
    on: tuple[str, ...]
    times: int | None = None
    each: bool = False
    after: bool = False
    html: bool = False


@dataclass
class Exchange:
    """A request, and what is done with it."""

    index: RawIndex
    connection: socket.socket
    request: Request
    pending: bytearray
    connection_number: int
    number: int = 0
    upload: Upload | None = None
    closed: bool = False
    _sent: bool = field(default=False, repr=False)

    def honest(self) -> Answer:
        """What an honest index answers; an upload is stored."""
        if self.request.kind == "upload":
            return self.index.store(self.read_upload())
        return self.index.answer(self.request)

    def read_upload(self) -> Upload:
        """Read the form of an upload."""
        if self.upload is None:
            self.upload = _parse_form(self.request.headers.get("content-type", ""), self.read_body())
            with self.index.lock:
                self.index.uploads.append(self.upload)
        return self.upload

    def read_body(self) -> bytes:
        """Read the body of the request: so many bytes, or chunks."""
        headers = self.request.headers
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" not in headers.get("transfer-encoding", ""):
            return self._take(int(headers.get("content-length", "0")))
        body = b""
        while size := int(self._line().split(b";")[0], 16):
            body += self._take(size)
            self._line()
        while self._line():
            pass
        return body

    def receive(self, limit: int) -> bytes:
        """Read some bytes of the request's body."""
        if not self.pending:
            self._receive()
        piece = bytes(self.pending[:limit])
        del self.pending[:limit]
        return piece

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(data)

    def answer(self, answer: Answer) -> None:
        """Send an answer that is well-formed."""
        self.send(answer.head() if self.request.method == "HEAD" else answer.wire())

    def trickle(self, data: bytes, *, size: int = 1, every: float = 0.05) -> None:
        """Send bytes a few at a time."""
        for begin in range(0, len(data), size):
            self.send(data[begin : begin + size])
            self.wait(every)

    def wait(self, seconds: float) -> None:
        """Do nothing for a while, unless the client goes away."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.index.over.wait(min(left, POLL_INTERVAL)):
                raise Gone
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and len(self.pending) < BODY_LIMIT and not self._peek():
                raise Gone

    def close(self) -> None:
        """Close the connection after what was sent."""
        self.closed = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close the connection with RST."""
        self.closed = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def _peek(self) -> bytes:
        return self.connection.recv(1, socket.MSG_PEEK)

    def _receive(self) -> None:
        data = self.connection.recv(1 << 16)
        if not data:
            raise Gone
        self.pending += data

    def _take(self, size: int) -> bytes:
        if size > BODY_LIMIT:
            raise Gone
        while len(self.pending) < size:
            self._receive()
        data = bytes(self.pending[:size])
        del self.pending[:size]
        return data

    def _line(self) -> bytes:
        while b"\r\n" not in self.pending:
            self._receive()
        line, _, rest = bytes(self.pending).partition(b"\r\n")
        self.pending[:] = rest
        return line


class RawIndex:
    """An index on loopback, for as long as the `with` block lasts, a quarter of an hour at most.

    Args:
        rules: How it misbehaves; the first rule that fits a request decides.

    Attributes:
        files: What it holds: the bytes of each file by name, for each project.
        log: All requests, in the order in which they came.
        uploads: All uploads that arrived in full.
        hits: How many requests were answered by a rule.
        misbehaving: Is set at the first of these.
    """

    def __init__(self, *rules: Rule) -> None:
        self.rules = rules
        self.files: dict[str, dict[str, bytes]] = {}
        self.log: list[Request] = []
        self.uploads: list[Upload] = []
        self.hits = 0
        self.misbehaving = threading.Event()
        self.over = threading.Event()
        self.lock = threading.RLock()
        self._counts: dict[tuple[int, str], int] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._connection_number = 0
        self._listeners = [_listen(), _listen()]
        self.port, self.other_port = (listener.getsockname()[1] for listener in self._listeners)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def other_origin(self) -> str:
        """A second address, which serves the same and is not the index's."""
        return f"http://127.0.0.1:{self.other_port}"

    @property
    def upload_url(self) -> str:
        """Where files are sent."""
        return f"{self.origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """The simple API."""
        return f"{self.origin}/simple/"

    def __enter__(self) -> Self:
        deadline = time.monotonic() + LIFETIME
        for listener in self._listeners:
            self._start(self._accept, listener, deadline)
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for listener in self._listeners:
            listener.close()
        with self.lock:
            connections, threads = list(self._connections), list(self._threads)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(SEND_TIMEOUT)

    def behave(self) -> None:
        """Be honest from now on."""
        self.rules = ()

    def hold(self, project: str, filename: str, content: bytes) -> None:
        """Have a file, without an upload."""
        with self.lock:
            self.files.setdefault(project, {})[filename] = content

    def store(self, upload: Upload) -> Answer:
        """What an honest index does with an upload."""
        digest = hashlib.sha256(upload.content).hexdigest()
        if upload.digest != digest:
            return Answer(400, "Bad Request", body=b"The digest supplied does not match a digest calculated.")
        with self.lock:
            there = self.files.setdefault(upload.project, {}).setdefault(upload.filename, upload.content)
        if there != upload.content:
            return Answer(400, "Bad Request", body=f"File already exists ({upload.filename}).".encode())
        return Answer(200, "OK")

    def answer(self, request: Request) -> Answer:
        """What an honest index answers to a request without a body."""
        if request.kind == "listing":
            wants_html = "json" not in request.headers.get("accept", "") or any(rule.html for rule in self.rules)
            return self.html_page(request.key) if wants_html else self.json_page(request.key)
        content = next((files[request.key] for files in self.files.values() if request.key in files), None)
        if request.kind not in ("file", "head", "range") or content is None:
            return Answer(404, "Not Found", body=b"404 Not Found")
        answer = Answer(200, "OK", (("Content-Type", "application/octet-stream"),), content)
        if request.kind != "range":
            return answer
        first, last = _range(request.headers["range"], len(content))
        answer = answer.with_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        return replace(answer, status=206, reason="Partial Content", body=content[first : last + 1])

    def document(self, project: str) -> dict[str, Any]:
        """The JSON page of a project, which may have no files."""
        with self.lock:
            files = dict(self.files.get(project, {}))
        return {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": ["1.0"] if files else [],
            "files": [
                {
                    "filename": name,
                    "url": f"../../files/{name}",
                    "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                    "size": len(content),
                    "upload-time": "2026-01-01T00:00:00.000000Z",
                    "requires-python": ">=3.8",
                    "yanked": False,
                }
                for name, content in files.items()
            ],
        }

    def json_page(self, project: str) -> Answer:
        """A page of PEP 691; 404 where there are no files."""
        document = self.document(project)
        known = bool(document["files"])
        body = json.dumps(document).encode() if known else b'{"message": "Not Found"}'
        return Answer(200 if known else 404, "OK" if known else "Not Found", (("Content-Type", JSON_PAGE),), body)

    def html_page(self, project: str) -> Answer:
        """A page of PEP 503; 404 where there are no files."""
        files = self.document(project)["files"]
        links = [
            f'<a href="{html.escape(file["url"])}#sha256={file["hashes"]["sha256"]}">{file["filename"]}</a><br/>'
            for file in files
        ]
        text = "<!DOCTYPE html>\n<html><head><title>Links</title></head><body>\n{}\n</body></html>\n"
        status, reason = (200, "OK") if files else (404, "Not Found")
        return Answer(status, reason, (("Content-Type", HTML_PAGE),), text.format("\n".join(links)).encode())

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="raw index", daemon=True)
        with self.lock:
            self._threads = [running for running in self._threads if running.is_alive()]
            self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket, deadline: float) -> None:
        elsewhere = listener is self._listeners[1]
        while not self.over.is_set() and time.monotonic() < deadline:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with self.lock:
                self._connection_number += 1
                number = self._connection_number
                full = len(self._connections) >= CONNECTIONS
                if not full:
                    self._connections.add(connection)
            if full:
                connection.close()
            else:
                self._start(self._converse, connection, elsewhere, number)
        self.over.set()

    def _converse(self, connection: socket.socket, elsewhere: bool, number: int) -> None:
        connection.settimeout(IDLE_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = bytearray()
        try:
            while not self.over.is_set() and (request := _read_head(connection, pending, elsewhere)):
                exchange = Exchange(self, connection, request, pending, number)
                self._handle(exchange)
                if exchange.closed:
                    break
                if request.headers.get("connection", "").lower() == "close":
                    exchange.close()
                    break
            _drain(connection, self.over)
        except (Gone, OSError, ValueError):
            pass
        finally:
            with self.lock:
                self._connections.discard(connection)
            connection.close()

    def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        with self.lock:
            self.log.append(request)
            numbered = (request.kind, request.key)
            exchange.number = self._numbers[numbered] = self._numbers.get(numbered, 0) + 1
        for place, rule in enumerate(self.rules):
            if not request.elsewhere and self._fits(rule, place, exchange):
                with self.lock:
                    self.hits += 1
                self.misbehaving.set()
                rule.act(exchange)
                return
        answer = exchange.honest()
        if exchange.upload is not None:
            exchange.upload.accepted = answer.status == 200
        exchange.answer(answer)

    def _fits(self, rule: Rule, place: int, exchange: Exchange) -> bool:
        request = exchange.request
        if request.kind not in rule.on or (rule.after and not self.uploads):
            return False
        key = request.key
        if rule.each and request.kind == "upload":
            key = exchange.read_upload().filename
        with self.lock:
            counted = (place, key if rule.each else "")
            self._counts[counted] = count = self._counts.get(counted, 0) + 1
        return rule.times is None or count <= rule.times


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
    listener.settimeout(POLL_INTERVAL * 5)
    return listener


def _read_head(connection: socket.socket, pending: bytearray, elsewhere: bool) -> Request | None:
    """The next request on a connection; None where the client closes it."""
    while b"\r\n\r\n" not in pending:
        data = connection.recv(1 << 16)
        if not data or len(pending) > HEAD_LIMIT:
            return None
        pending += data
        if pending[0] == TLS_HANDSHAKE:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis port speaks HTTP.\n")
            return None
    head, _, rest = bytes(pending).partition(b"\r\n\r\n")
    pending[:] = rest
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    place, _, key = unquote(target.partition("?")[0]).strip("/").partition("/")
    if method == "POST":
        return Request("upload", "", method, target, headers, elsewhere)
    kind = {"simple": "listing", "files": "file"}.get(place, "unknown")
    if kind == "file" and method == "HEAD":
        kind = "head"
    elif kind == "file" and "range" in headers:
        kind = "range"
    return Request(kind, key, method, target, headers, elsewhere)


def _drain(connection: socket.socket, over: threading.Event) -> None:
    """Read what the client still sends, for a second: closing before that would reset the connection."""
    connection.settimeout(1.0)
    until = time.monotonic() + 1.0
    while not over.is_set() and time.monotonic() < until and connection.recv(1 << 16):
        pass


def _parse_form(content_type: str, body: bytes) -> Upload:
    """The file of an upload (RFC 7578)."""
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    if boundary is None:
        raise ValueError(content_type)
    fields: dict[str, str] = {}
    filename, content = "", b""
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        value = value.removesuffix(b"\r\n")
        name = re.search(rb'\bname="([^"]*)"', head)
        if (named := re.search(rb'\bfilename="([^"]*)"', head)) is not None:
            filename, content = named[1].decode(), value
        elif name is not None:
            fields.setdefault(name[1].decode(), value.decode())
    project = re.sub(r"[-_.]+", "-", fields["name"]).lower()
    return Upload(filename, project, content, fields.get("sha256_digest", ""))


def _range(stated: str, size: int) -> tuple[int, int]:
    """First and last byte of a range."""
    first, _, last = stated.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last) if last else size - 1, size - 1)


def joined(pieces: Iterable[bytes]) -> bytes:
    """The body of a chunked answer, with its last chunk."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
