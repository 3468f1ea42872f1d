"""A package index on loopback: honest by default, and hostile as its rules say.

It shares no code with the embedded index and uses no HTTP library, so that it can send what no library would: half
a head, two lengths, an answer before the request is read. `acts.py` has what it does instead of answering,
`accounts.py` who may upload.

    with PackageIndex(rules=[Rule(answers(500, "Internal Server Error"), tries=range(1, 3))]) as index:
        ...                                         # the first two uploads fail
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import json
import re
import select
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from accounts import AUDIENCE, Accounts, Denied, TokenIssuer, provenance

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from accounts import Identity, Publisher

__all__ = [
    "ANY",
    "EVERYTHING",
    "FILE",
    "HTML_PAGE",
    "JSON_PAGE",
    "LISTING",
    "UPLOAD",
    "Answer",
    "Exchange",
    "Gone",
    "PackageIndex",
    "Request",
    "Rule",
    "as_json",
    "error",
    "scripted",
    "serving",
]

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
HTML_PAGE = "text/html; charset=utf-8"
UPLOAD, LISTING, FILE = ("upload",), ("listing",), ("file", "head", "range")
ANY = UPLOAD + LISTING + FILE
EVERYTHING = (*ANY, "provenance", "audience", "mint", "unknown")
NAME_RESERVED = "This filename was previously used by a file that has since been deleted. Use a different version."
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
    reason: str = "OK"
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


def error(status: int, text: str) -> Answer:
    """An answer whose reason and body are the same text: clients print one or the other."""
    line = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    return Answer(status, line, (("Content-Type", "text/plain; charset=utf-8"),), f"{text}\n".encode())


@dataclass
class Request:
    """A request, as far as it was read.

    Attributes:
        kind: `upload`, `listing`, `file` (GET), `head` or `range` of a file, `provenance`, `audience`, `mint` or
            `unknown`.
        filename: The file that is asked for, or that a form brings once it was read; else empty.
        project: Normalized name of the project.
        elsewhere: Whether it came to the second address, which is not the index's.
        began: When its head had arrived, by the index's clock.
        fields: The form of an upload that was read.
        content: The file of an upload that was read.
        accepted: Whether an upload was stored and answered with 200, as an honest index does.
        status: Status of a well-formed answer.
        ended: When that began.
    """

    kind: str
    method: str
    target: str
    headers: dict[str, str]
    filename: str = ""
    project: str = ""
    elsewhere: bool = False
    began: float = 0.0
    fields: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    accepted: bool = False
    status: int | None = None
    ended: float | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the file of an upload."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def login(self) -> tuple[str, str]:
        """User name and password; empty without."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        user, _, password = (
            base64.b64decode(encoded).decode().partition(":") if scheme == "Basic" else ("", "", "")
        )
        return user, password


@dataclass(frozen=True)
class Rule:
    """When an index misbehaves, and how; the first rule that fits a request decides.

    Attributes:
        act: What it does with such a request; what it returns says whether the next rule decides.
        on: The kinds of requests.
        filename: Pattern of the name of the uploaded or requested file.
        project: Pattern of the name of the project.
        tries: Numbers of such requests, from 1; None for all.
        each: Whether they are counted for each file or project by itself.
        after: Whether it waits until something has been uploaded.
        html: Whether listings are HTML pages, whatever is asked for.
        since: Seconds after the start of the index, by its clock, from which on it holds.
        until: Seconds until which it holds.
    """

    act: Callable[[Exchange], bool | None]
    on: tuple[str, ...] = UPLOAD
    filename: str = "*"
    project: str = "*"
    tries: Container[int] | None = None
    each: bool = False
    after: bool = False
    html: bool = False
    since: float = 0.0
    until: float = float("inf")


@dataclass
class Exchange:
    """A request, and what is done with it."""

    index: PackageIndex
    connection: socket.socket
    request: Request
    pending: bytearray
    connection_number: int
    number: int = 0
    closed: bool = False

    def honest(self) -> Answer:
        """What an honest index answers; an upload is stored."""
        if self.request.kind == "upload":
            return self.index.store(self.read_upload())
        if self.request.kind == "mint":
            return self.index.mint(self.read_body())
        return self.index.answer(self.request)

    def read_upload(self) -> Request:
        """Read the form of an upload."""
        if not self.request.fields:
            _read_form(self.request, self.read_body())
        return self.request

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
        self.request.status, self.request.ended = answer.status, self.index.clock()
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
            if readable and len(self.pending) < BODY_LIMIT and not self.connection.recv(1, socket.MSG_PEEK):
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


class PackageIndex:
    """A package index inside a `with` statement, whose files are in memory.

    Args:
        rules: How it misbehaves.
        accounts: The accounts that may upload; by default everybody may.
        publishers: The trusted publishers; none by default.
        clock: Seconds since 1970, for uploads, rules and the log.
        tls: A certificate and its key; by default it speaks http.

    Attributes:
        files: What it holds: the bytes of each file by name, for each project.
        log: All requests, in the order in which they came.
        hits: How many requests were answered by a rule.
        misbehaving: Is set at the first of these.
        times: When files were uploaded, by name.
        yanked: Why files are yanked, by name (PEP 592).
        provenance: Provenance of files, by name (PEP 740).
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        *,
        accounts: Accounts | None = None,
        publishers: Sequence[Publisher] = (),
        clock: Callable[[], float] = time.time,
        tls: Path | None = None,
    ) -> None:
        self.rules = tuple(rules)
        self.clock = clock
        self.started = clock()
        self.accounts = Accounts() if publishers else accounts
        self.issuer = TokenIssuer(publishers, self.accounts) if self.accounts and publishers else None
        self.files: dict[str, dict[str, bytes]] = {}
        self.times: dict[str, str] = {}
        self.yanked: dict[str, str] = {}
        self.provenance: dict[str, bytes] = {}
        self.log: list[Request] = []
        self.hits = 0
        self.misbehaving = threading.Event()
        self.over = threading.Event()
        self.lock = threading.RLock()
        self._owners: dict[str, str | None] = {}
        self._statuses: dict[str, dict[str, str]] = {}
        self._requires_python: dict[str, str] = {}
        self._reserved: set[str] = set()
        self._counts: dict[tuple[int, str], int] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._connection_number = 0
        self._tls = None if tls is None else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if self._tls is not None and tls is not None:
            self._tls.load_cert_chain(tls)
        self._listeners = [_listen(), _listen()]
        self.port, self.other_port = (listener.getsockname()[1] for listener in self._listeners)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http{'' if self._tls is None else 's'}://127.0.0.1:{self.port}"

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

    @property
    def uploads(self) -> tuple[Request, ...]:
        """All uploads that arrived in full."""
        with self.lock:
            return tuple(request for request in self.log if request.fields)

    @property
    def asked(self) -> list[str]:
        """The paths of all requests."""
        with self.lock:
            return [request.target for request in self.log]

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of all files by name."""
        return {
            name: hashlib.sha256(content).hexdigest()
            for files in self.files.values()
            for name, content in files.items()
        }

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

    # --- what a test does with it

    def misbehave(self, *rules: Rule) -> None:
        """Replace the rules; without arguments, be honest from now on."""
        self.rules = rules
        self._counts.clear()

    def add(self, *paths: Path, owner: str | None = None) -> None:
        """List and serve files, as if a user had uploaded them."""
        for path in paths:
            project = _project_of(path.name)
            self.hold(project, path.name, path.read_bytes())
            self._owners.setdefault(project, owner)

    def hold(self, project: str, filename: str, content: bytes) -> None:
        """Have a file, without an upload."""
        with self.lock:
            self.files.setdefault(project, {})[filename] = content
            self.times.setdefault(filename, f"{datetime.fromtimestamp(self.clock(), UTC):%Y-%m-%dT%H:%M:%S.%fZ}")

    def delete(self, filename: str) -> None:
        """Delete a file, and reserve its name."""
        with self.lock:
            self._reserved.add(filename)
            self.files[_project_of(filename)].pop(filename)

    def yank(self, filename: str, reason: str = "") -> None:
        """Mark a file as yanked."""
        self.yanked[filename] = reason

    def create_project(self, name: str) -> None:
        """Have a project without files."""
        self._owners.setdefault(name, None)

    def set_status(
        self, project: str, status: Literal["active", "archived", "quarantined", "deprecated"], reason: str = ""
    ) -> None:
        """Set the status of a project (PEP 792): neither archived nor quarantined ones take files."""
        self._statuses[project] = {"status": status} | ({"reason": reason} if reason else {})

    # --- what an honest index does

    def store(self, upload: Request) -> Answer:
        """Check an upload, and store its file."""
        with self.lock:
            try:
                sender = None if self.accounts is None else self.accounts.identify(*upload.login)
                self._authorize(sender, upload)
                document = provenance(upload, sender, has_accounts=self.accounts is not None)
            except Denied as denied:
                return error(denied.status, str(denied))
            if upload.fields.get("sha256_digest", "") not in ("", upload.sha256):
                return error(400, "The digest supplied does not match a digest calculated from the uploaded file.")
            content = self.files.get(upload.project, {}).get(upload.filename)
            if content is None and upload.filename in self._reserved:
                return error(400, NAME_RESERVED)
            if content not in (None, upload.content):
                digest = hashlib.blake2b(content or b"", digest_size=32).hexdigest()
                return error(400, f"File already exists ({upload.filename!r}, with blake2_256 hash {digest!r}).")
            if content is None:
                self.hold(upload.project, upload.filename, upload.content)
                self._requires_python[upload.filename] = upload.fields.get("requires_python", "")
                self._owners.setdefault(upload.project, None if sender is None else sender.user)
                if document is not None:
                    self.provenance[upload.filename] = document
        return Answer(200)

    def _authorize(self, sender: Identity | None, upload: Request) -> None:
        name, status = upload.fields["name"], self._statuses.get(upload.project, {}).get("status")
        if sender is not None:
            exists = bool(self.files.get(upload.project)) or upload.project in self._owners
            sender.authorize(name, upload.project, self._owners.get(upload.project), exists=exists)
        if status in ("archived", "quarantined"):
            raise Denied(403, f"Uploads to project {name!r} are not allowed: it is {status}.")

    def mint(self, body: bytes) -> Answer:
        """Exchange the identity token of a CI job for an upload token."""
        if self.issuer is None:
            return error(404, "Not Found")
        status, document = self.issuer.exchange(json.loads(body))
        return as_json(document, status, "OK" if status == 200 else "Unprocessable Content")

    def answer(self, request: Request) -> Answer:
        """What it answers to a request without a body."""
        if request.kind == "listing":
            wants_html = "json" not in request.headers.get("accept", "") or any(rule.html for rule in self.rules)
            return self.html_page(request.project) if wants_html else self.json_page(request.project)
        if request.kind == "provenance" and request.filename in self.provenance:
            kind = "application/vnd.pypi.integrity.v1+json"
            return Answer(200, "OK", (("Content-Type", kind),), self.provenance[request.filename])
        if request.kind == "audience" and self.issuer is not None:
            return as_json({"audience": AUDIENCE})
        name = request.filename
        content = next((files[name] for files in self.files.values() if name in files), None)
        if request.kind not in FILE or content is None:
            return error(404, "Not Found")
        answer = Answer(200, "OK", (("Content-Type", "application/octet-stream"),), content)
        if request.kind != "range":
            return answer
        first, last = _range(request.headers["range"], len(content))
        answer = answer.with_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        return replace(answer, status=206, reason="Partial Content", body=content[first : last + 1])

    def document(self, project: str) -> dict[str, Any]:
        """The JSON page of a project, which may have no files."""
        status = self._statuses.get(project, {"status": "active"})
        with self.lock:
            files = {} if status["status"] == "quarantined" else dict(self.files.get(project, {}))
        return {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": sorted({_version_of(name) for name in files}),
            "project-status": status,
            "files": [self._entry(project, name, content) for name, content in files.items()],
        }

    def _entry(self, project: str, name: str, content: bytes) -> dict[str, Any]:
        entry = {
            "filename": name,
            "url": f"../../files/{name}",
            "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
            "size": len(content),
            "upload-time": self.times[name],
            "yanked": (self.yanked[name] or True) if name in self.yanked else False,
        }
        if requires_python := self._requires_python.get(name):
            entry["requires-python"] = requires_python
        if name in self.provenance:
            entry["provenance"] = f"{self.origin}/integrity/{project}/{_version_of(name)}/{name}/provenance"
        return entry

    def json_page(self, project: str) -> Answer:
        """A page of PEP 691; 404 where there is no such project."""
        document = self.document(project)
        if document["files"] or project in self._owners or project in self._statuses:
            return as_json(document, content_type=JSON_PAGE)
        return as_json({"message": "Not Found"}, 404, "Not Found", JSON_PAGE)

    def html_page(self, project: str) -> Answer:
        """A page of PEP 503; 404 where there are no files."""
        files = self.document(project)["files"]
        links = [
            f'<a href="{html.escape(file["url"])}#sha256={file["hashes"]["sha256"]}"'
            f"{' data-yanked' if file['yanked'] else ''}>{file['filename']}</a><br/>"
            for file in files
        ]
        text = "<!DOCTYPE html>\n<html><head><title>Links</title></head><body>\n{}\n</body></html>\n"
        status, reason = (200, "OK") if files else (404, "Not Found")
        return Answer(status, reason, (("Content-Type", HTML_PAGE),), text.format("\n".join(links)).encode())

    # --- connections

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="package index", daemon=True)
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
        accepted = connection
        connection.settimeout(IDLE_TIMEOUT)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pending = bytearray()
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while not self.over.is_set() and (request := _read_head(connection, pending)):
                request.began, request.elsewhere = self.clock(), elsewhere
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
                self._connections.discard(accepted)
            connection.close()

    def _handle(self, exchange: Exchange) -> None:
        request = exchange.request
        with self.lock:
            self.log.append(request)
            numbered = (request.kind, request.filename or request.project)
            exchange.number = self._numbers[numbered] = self._numbers.get(numbered, 0) + 1
        for place, rule in enumerate(self.rules):
            if not request.elsewhere and self._fits(rule, place, exchange):
                with self.lock:
                    self.hits += 1
                self.misbehaving.set()
                if not rule.act(exchange):
                    return
        answer = exchange.honest()
        request.accepted = request.kind == "upload" and answer.status == 200
        exchange.answer(answer)

    def _fits(self, rule: Rule, place: int, exchange: Exchange) -> bool:
        request = exchange.request
        if request.kind not in rule.on or (rule.after and not self.uploads):
            return False
        if not rule.since <= self.clock() - self.started < rule.until:
            return False
        if request.kind == "upload" and (rule.each or (rule.filename, rule.project) != ("*", "*")):
            exchange.read_upload()
        if not (fnmatchcase(request.filename, rule.filename) and fnmatchcase(request.project, rule.project)):
            return False
        with self.lock:
            counted = (place, f"{request.kind} {request.filename or request.project}" if rule.each else "")
            self._counts[counted] = count = self._counts.get(counted, 0) + 1
        return rule.tries is None or count in rule.tries


def scripted(answer: Callable[[str, str], tuple[int, Mapping[str, str], bytes]]) -> PackageIndex:
    """An index that answers each method and target with what a function returns: status, headers and body."""

    def act(exchange: Exchange) -> None:
        exchange.read_body()
        status, headers, body = answer(exchange.request.method, exchange.request.target)
        exchange.answer(Answer(status, "", tuple(headers.items()), body))

    return PackageIndex([Rule(act, EVERYTHING)])


def serving(*paths: Path) -> PackageIndex:
    """An index that has these files."""
    index = PackageIndex()
    index.add(*paths)
    return index


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
    listener.settimeout(POLL_INTERVAL * 5)
    return listener


def _read_head(connection: socket.socket, pending: bytearray) -> Request | None:
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
    request = Request("unknown", method, target, headers)
    match unquote(target.partition("?")[0]).strip("/").split("/"):
        case ["_", "oidc", "mint-token"]:
            request.kind = "mint"
        case ["_", "oidc", "audience"]:
            request.kind = "audience"
        case _ if method == "POST":
            request.kind = "upload"
        case ["simple", project]:
            request.kind, request.project = "listing", project
        case ["files", filename]:
            request.kind = "head" if method == "HEAD" else "range" if "range" in headers else "file"
            request.filename, request.project = filename, _project_of(filename)
        case ["integrity", project, _, filename, "provenance"]:
            request.kind, request.filename, request.project = "provenance", filename, project
        case _:
            pass
    return request


def _drain(connection: socket.socket, over: threading.Event) -> None:
    """Read what the client still sends, for a second: closing before that would reset the connection."""
    connection.settimeout(1.0)
    until = time.monotonic() + 1.0
    while not over.is_set() and time.monotonic() < until and connection.recv(1 << 16):
        pass


def _read_form(upload: Request, body: bytes) -> None:
    """Read the form of an upload (RFC 7578)."""
    boundary = re.search(r'boundary="?([^";]+)', upload.headers.get("content-type", ""))
    if boundary is None:
        raise ValueError("no boundary")
    fields: dict[str, str] = {}
    filename = ""
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        value = value.removesuffix(b"\r\n")
        name = re.search(rb'\bname="([^"]*)"', head)
        if (named := re.search(rb'\bfilename="([^"]*)"', head)) is not None:
            filename, upload.content = named[1].decode(), value
        elif name is not None:
            fields.setdefault(name[1].decode(), value.decode())
    upload.filename, upload.project = filename, re.sub(r"[-_.]+", "-", fields["name"]).lower()
    upload.fields = fields  # the last, as it says that all was read


def _range(stated: str, size: int) -> tuple[int, int]:
    """First and last byte of a range."""
    first, _, last = stated.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last) if last else size - 1, size - 1)


def as_json(
    document: object, status: int = 200, reason: str = "OK", content_type: str = "application/json"
) -> Answer:
    """An answer with a JSON document."""
    return Answer(status, reason, (("Content-Type", content_type),), json.dumps(document).encode())


def _project_of(filename: str) -> str:
    """The normalized project in the name of a file."""
    return re.sub(r"[-_.]+", "-", filename.partition("-")[0]).lower()


def _version_of(filename: str) -> str:
    """The version in the name of a file; empty if it has none."""
    return filename.removesuffix(".tar.gz").partition("-")[2].partition("-")[0]
