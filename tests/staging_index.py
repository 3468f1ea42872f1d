"""A small index that speaks the Upload 2.0 API of PEP 694 (its draft of July 2026), held against that text.

It keeps all in memory, shows what is published by the simple API, and can be told to fail, or to misbehave by the
rules of the embedded index (`relnox.indexes.embedded.faults`).
"""

from __future__ import annotations

import hashlib
import json
import re
import select
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from relnox.indexes.embedded import faults
from relnox.indexes.embedded.faults import Cut, Foreign, Plan, Stale, Stall, Trickle, Truncate

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence
    from io import BufferedIOBase

    from relnox.indexes.embedded.faults import Fault, Kind, Rule

__all__ = ["Answer", "Session", "StagingIndex", "Upload"]

JSON = "application/vnd.pypi.upload.v2+json"
PROBLEM = "application/problem+json"
SIMPLE = "application/vnd.pypi.simple.v1+json"

Answer = tuple[int, dict[str, Any] | bytes | None, dict[str, str]]


@dataclass
class Upload:
    """A file upload session."""

    filename: str
    size: int
    sha256: str
    content: bytes = b""
    status: str = "pending"
    notices: list[str] = field(default_factory=list)
    attestations: bytes = b""
    careless: bool = False


@dataclass
class Session:
    """A publishing session."""

    name: str
    version: str
    status: str = "open"
    uploads: dict[str, Upload] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


class StagingIndex:
    """The index, for as long as the `with` statement lasts.

    Args:
        faults: How it misbehaves; what a rule says of uploads holds for one kind of requests of this protocol.
        at: Which kind that is.
        clock: Tells its time, in seconds; waits are real.

    Attributes:
        deferred: Whether files and sessions are looked into for a while (202) or at once (201).
        unwanted: A file that is refused when it is complete.
        attested: Whether it takes attestations (PEP 740).
        fails: For a kind of request (`open`, `create`, `bytes`, `complete`, `publish`), which of them are answered
            with 503, counted from 1.
        loses: Likewise, which do what they should and are answered with 503 all the same.
        log: The kinds of the requests so far.
        public: What is published: content by file name by project.
        provenance: What is served of attestations, by file name.
        sessions: All sessions, open or not.
    """

    def __init__(
        self, faults: Sequence[Rule] = (), *, at: str = "bytes", clock: Callable[[], float] = time.time
    ) -> None:
        self._at = at
        self._clock = clock
        self._started = clock()
        self._published: dict[str, float] = {}
        self.over = threading.Event()
        self.misbehave(*faults)
        self.deferred = False
        self.unwanted = ""
        self.attested = False
        self.fails: dict[str, Container[int]] = {}
        self.loses: dict[str, Container[int]] = {}
        self.log: list[str] = []
        self.public: dict[str, dict[str, bytes]] = {}
        self.provenance: dict[str, bytes] = {}
        self.sessions: list[Session] = []
        self._asked = Counter[str]()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def upload_url(self) -> str:
        """The root endpoint."""
        return f"{self.url}/2.0"

    @property
    def simple_url(self) -> str:
        """What is read."""
        return f"{self.url}/simple/"

    def misbehave(self, *faults: Rule) -> None:
        """Replace its faults; without any it behaves again."""
        self._plan = Plan(faults)

    def meet(self, method: str, path: str) -> Fault | None:
        """What a request meets."""
        kind, filename, project = self._about(method, path)
        seconds, fault = self._plan.meet(
            kind, filename=filename, project=project, age=self._clock() - self._started
        )
        self.over.wait(seconds)
        if isinstance(fault, Foreign):
            with self._lock:
                self.public.setdefault(project, {}).setdefault(filename, fault.content)
        return fault

    def _about(self, method: str, path: str) -> tuple[Kind, str, str]:
        """What a request is about, in the words of the rules: kind, file name, project."""
        if listing := re.fullmatch("/simple/(.+)/", path):
            return "listing", "", listing[1]
        if file := re.fullmatch("/files/(.+)/(.+)", path):
            return "file", file[2], file[1]
        for kind, pattern, _ in self._routes:
            if kind == self._at and (found := re.fullmatch(pattern, f"{method} {path.removeprefix('/2.0')}")):
                number, filename, *_ = *found.groups(), "", ""
                return "upload", filename, self.sessions[int(number)].name if number else ""
        return "other", "", ""

    def given(self, answer: faults.Answer) -> Answer:
        """A fault's answer, as the others are."""
        headers = {"Content-Type": "text/plain", **dict(answer.headers)}
        if answer.retry_after is not None:
            moment = self._clock() + answer.retry_after
            headers["Retry-After"] = formatdate(moment, usegmt=True) if answer.as_date else str(answer.retry_after)
        return answer.status, answer.text.encode(), headers

    def __enter__(self) -> Self:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, method: str, path: str, headers: Any, body: bytes, fault: Fault | None) -> Answer:
        """What is answered to a request; one at a time."""
        with self._lock:
            return self._answer(method, path, headers, body, fault)

    def _answer(self, method: str, path: str, headers: Any, body: bytes, fault: Fault | None) -> Answer:
        if listing := re.fullmatch("/simple/(.+)/", path):
            return self._listing(listing[1], fault)
        if file := re.fullmatch("/files/(.+)/(.+)", path):
            return 200, self.public[file[1]][file[2]], {}
        if served := re.fullmatch("/provenance/(.+)", path):
            return 200, self.provenance[served[1]], {}
        if not headers.get("Authorization", "").startswith("Basic "):
            return self._problem(401, "who are you?")
        for kind, pattern, act in self._routes:
            if not (found := re.fullmatch(pattern, f"{method} {path.removeprefix('/2.0')}")):
                continue
            if method == "POST" and kind not in {"bytes", "attest"} and headers["Content-Type"] != JSON:
                return self._problem(415, f"requests are {JSON}")
            self.log.append(kind)
            self._asked[kind] += 1
            if self._asked[kind] in self.fails.get(kind, ()):
                return self._problem(503, "out of order")
            answer = act(*found.groups(), body)
            if isinstance(fault, Truncate) and kind == "bytes":
                upload = self.sessions[int(found[1])].uploads[found[2]]
                upload.content, upload.careless = body[: fault.size], True
            return self._problem(503, "out of order") if self._asked[kind] in self.loses.get(kind, ()) else answer
        return self._problem(404, "there is no such thing")

    @property
    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        session, file = "/session/([0-9]+)", "/session/([0-9]+)/file/([^/]+)"
        return [
            ("open", "POST /?", lambda body: self._open(json.loads(body))),
            ("status", f"GET {session}", lambda number, _: self._session(int(number), 200)),
            ("create", f"POST {session}/upload", lambda number, body: self._create(int(number), json.loads(body))),
            ("publish", f"POST {session}/publish", lambda number, _: self._publish(int(number))),
            ("bytes", f"POST {file}/bytes", lambda number, name, body: self._bytes(int(number), name, body)),
            ("attest", f"POST {file}/attest", lambda number, name, body: self._attest(int(number), name, body)),
            ("complete", f"POST {file}/complete", lambda number, name, _: self._complete(int(number), name)),
            ("file status", f"GET {file}", lambda number, name, _: self._file(int(number), name, 200)),
            ("delete", f"DELETE {file}", lambda number, name, _: self._delete(int(number), name)),
        ]

    def _open(self, request: dict[str, Any]) -> Answer:
        assert request["meta"] == {"api-version": "2.0"}
        for number, session in enumerate(self.sessions):
            same = (session.name, session.version) == (request["name"], request["version"])
            if same and session.status in ("open", "processing", "error"):
                _, document, _ = self._problem(409, "there is a session")
                return 409, document, {"Location": f"{self.upload_url}/session/{number}", "Content-Type": PROBLEM}
        self.sessions.append(Session(request["name"], request["version"]))
        return self._session(len(self.sessions) - 1, 201)

    def _session(self, number: int, status: int) -> Answer:
        session, url = self.sessions[number], f"{self.upload_url}/session/{number}"
        document = {
            "meta": {"api-version": "2.0"},
            "links": {"session": url, "upload": f"{url}/upload", "publish": f"{url}/publish"},
            "mechanisms": ["http-post-bytes"],
            "expires-at": "2030-08-01T12:00:00Z",
            "status": session.status,
            "files": {
                name: {"status": upload.status, "link": f"{url}/file/{name}"}
                for name, upload in session.uploads.items()
            },
            "notices": session.notices,
        }
        if session.status == "processing":
            self._make_public(session)
        return status, document, {"Content-Type": JSON, "Location": url}

    def _create(self, number: int, request: dict[str, Any]) -> Answer:
        session, name = self.sessions[number], request["filename"]
        if request["mechanism"] != "http-post-bytes":
            return self._problem(422, "there is no such mechanism")
        if name in self.public.get(session.name, {}):
            return self._problem(409, f"{name} already exists")
        if name in session.uploads:
            return self._problem(409, f"{name} is in the session: delete it first")
        session.uploads[name] = Upload(name, request["size"], request["hashes"]["sha256"])
        return self._file(number, name, 202)

    def _file(self, number: int, name: str, status: int) -> Answer:
        upload, url = self.sessions[number].uploads[name], f"{self.upload_url}/session/{number}/file/{name}"
        document = {
            "meta": {"api-version": "2.0"},
            "links": {"file-upload-session": url, "complete": f"{url}/complete"},
            "status": upload.status,
            "expires-at": "2030-08-01T13:00:00Z",
            "mechanism": {
                "identifier": "http-post-bytes",
                "file_url": f"{url}/bytes",
                **({"attestations_url": f"{url}/attest"} if self.attested else {}),
            },
            "notices": upload.notices,
        }
        if upload.status == "processing":
            self._look_into(upload)
        return status, document, {"Content-Type": JSON, "Location": url, "Retry-After": "1"}

    def _bytes(self, number: int, name: str, body: bytes) -> Answer:
        self.sessions[number].uploads[name].content = body
        return 204, None, {}

    def _attest(self, number: int, name: str, body: bytes) -> Answer:
        self.sessions[number].uploads[name].attestations = body
        return 204, None, {}

    def _complete(self, number: int, name: str) -> Answer:
        upload = self.sessions[number].uploads[name]
        if self.deferred:
            upload.status = "processing"
            return self._file(number, name, 202)
        self._look_into(upload)
        if upload.status == "error":
            return self._problem(400, upload.notices[0])
        return self._file(number, name, 201)

    def _look_into(self, upload: Upload) -> None:
        whole = len(upload.content) == upload.size and hashlib.sha256(upload.content).hexdigest() == upload.sha256
        good = (whole or upload.careless) and upload.filename != self.unwanted
        upload.status = "completed" if good else "error"
        if not good:
            upload.notices.append(f"{upload.filename} is not wanted" if whole else "the hash is another")

    def _delete(self, number: int, name: str) -> Answer:
        del self.sessions[number].uploads[name]
        return 204, None, {}

    def _publish(self, number: int) -> Answer:
        session = self.sessions[number]
        if any(upload.status != "completed" for upload in session.uploads.values()):
            return self._problem(409, "not all files are complete")
        if taken := sorted(session.uploads.keys() & self.public.get(session.name, {}).keys()):
            return self._problem(409, f"{', '.join(taken)} already exists")
        session.status = "processing"
        if not self.deferred:
            self._make_public(session)
        return self._session(number, 202 if self.deferred else 201)

    def _make_public(self, session: Session) -> None:
        session.status = "published"
        files = {name: upload.content for name, upload in session.uploads.items()}
        self.public.setdefault(session.name, {}).update(files)
        self._published.update(dict.fromkeys(files, self._clock()))
        for upload in session.uploads.values():
            if upload.attestations:
                bundle = {"publisher": {"kind": "own"}, "attestations": json.loads(upload.attestations)}
                document = {"version": 1, "attestation_bundles": [bundle]}
                self.provenance[upload.filename] = json.dumps(document).encode()

    def _listing(self, project: str, fault: Fault | None) -> Answer:
        if project not in self.public:
            return 404, None, {}
        files = [
            {
                "filename": name,
                "url": f"{self.url}/files/{project}/{name}",
                "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                **({"provenance": f"{self.url}/provenance/{name}"} if name in self.provenance else {}),
            }
            for name, content in self.public[project].items()
            if not (
                isinstance(fault, Stale)
                and self._plan.hides(fault, name, self._clock() - self._published.get(name, 0.0))
            )
        ]
        document = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
        return 200, document, {"Content-Type": SIMPLE}

    def _problem(self, status: int, title: str) -> Answer:
        problem = {"type": "about:blank", "status": status, "title": title, "meta": {"api-version": "2.0"}}
        return status, problem, {"Content-Type": PROBLEM}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, index: StagingIndex) -> None:
        self.index = index
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes

    def do_GET(self) -> None:
        index = self.server.index
        fault = index.meet(self.command, self.path)
        body = self._body(fault)
        answer: Answer = 0, None, {}
        if not isinstance(fault, faults.Answer | Cut | Stall) or fault.stored:
            answer = index.answer(self.command, self.path, self.headers, body, fault)
        match fault:
            case Cut() | Stall():
                self._break(fault)
            case faults.Answer():
                self._send(index.given(fault), self.wfile)
            case Trickle(rate):
                self._send(answer, _Paced(self.wfile, rate, index.over))
            case _:
                self._send(answer, self.wfile)

    do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815 - http.server looks for them

    def _body(self, fault: Fault | None) -> bytes:
        size = int(self.headers.get("Content-Length") or 0)
        if isinstance(fault, Cut | Stall) and fault.after is not None:
            size = min(size, fault.after)
        return self.rfile.read(size)

    def _break(self, fault: Cut | Stall) -> None:
        """Reset the connection, at once or when the client has gone."""
        while isinstance(fault, Stall) and not (self._is_left() or self.server.index.over.wait(0.02)):
            pass
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())

    def _is_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _send(self, answer: Answer, out: Any) -> None:
        status, document, headers = answer
        content = json.dumps(document).encode() if isinstance(document, dict) else document or b""
        usual, self.wfile = self.wfile, out
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile = usual

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class _Paced:
    """A stream that is written to slowly.

    Args:
        stream: Where it goes.
        rate: Bytes a second, of real time.
        over: Nobody waits any longer once it is set.
    """

    def __init__(self, stream: BufferedIOBase, rate: float, over: threading.Event) -> None:
        self._stream, self._rate, self._over = stream, rate, over
        self.closed = False

    def write(self, data: bytes) -> None:
        for byte in data:
            self._over.wait(1 / self._rate)
            self._stream.write(bytes([byte]))

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()
