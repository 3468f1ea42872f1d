"""A forge on loopback over a bare git repository, with failures that tests switch on for single requests.

Branches, tags and commits that are created through the API are real: git reads them. What the forge knows besides
(pull requests, runs) is in lists that tests may change.
"""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fake_forge.repository import Repository

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["DROP", "Fault", "ForgeServer", "Reply", "Request", "forge_server"]


@dataclass
class Request:
    """A request as it came in.

    Attributes:
        method: GET, POST and so on.
        path: Path below the repository, decoded.
        query: The query.
        body: The JSON document; None without one.
        headers: Its headers.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Reply:
    """An answer: a JSON document, or bytes that are sent as they are."""

    status: int
    document: Any = None
    headers: dict[str, str] = field(default_factory=dict)


DROP = Reply(0)
"""The connection is closed without an answer."""


@dataclass
class Fault:
    """A failure of the next requests of one kind.

    Attributes:
        request: A regular expression for the beginning of method and path.
        reply: What is answered instead.
        stored: Whether the request has its effect all the same.
        times: How many requests fail.
        change: Changes the answer instead of replacing it.
        delay: Seconds until the answer.
    """

    request: str
    reply: Reply | None = None
    stored: bool = False
    times: int = 1
    change: Callable[[Reply], Reply] | None = None
    delay: float = 0.0


class ForgeServer:
    """What all fake forges have in common; a subclass answers requests.

    Args:
        bare: The bare repository.
        path: Path of the repository on the forge.
        token: The only token that is accepted.
    """

    root = ""
    """Path of a repository in the API, with `{path}`."""

    def __init__(self, bare: Path, path: str = "acme/demo", token: str = "token-of-a-fake-forge") -> None:
        self.repository = Repository(bare)
        self.path = path
        self.token = token
        self.url = ""
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.violations: list[str] = []
        """Requests and answers that are not what the published description of the API says."""
        self._over = threading.Event()
        self._lock = threading.RLock()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a CI job on this forge."""
        raise NotImplementedError

    @property
    def remote(self) -> str:
        """The URL of the git remote."""
        raise NotImplementedError

    def answer(self, request: Request) -> Reply:
        """Carry out a request."""
        raise NotImplementedError

    def is_authorized(self, request: Request) -> bool | None:
        """Whether the token is the right one; None without a token."""
        raise NotImplementedError

    def check(self, request: Request, reply: Reply) -> None:
        """Compare a request and its answer with the description of the API."""

    def prefix(self) -> str:
        """The encoded path of the repository in the API."""
        raise NotImplementedError

    def fail(self, request: str, reply: Reply | None = None, **options: Any) -> None:
        """Have the next request of a kind fail."""
        self.faults.append(Fault(request, reply, **options))

    def names(self, *methods: str) -> list[str]:
        """Method and path of all requests, or of those with these methods."""
        return [request.name for request in self.requests if not methods or request.method in methods]

    def handle(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            fault = next((fault for fault in self.faults if re.match(fault.request, request.name)), None)
            if fault is not None:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
            if fault is not None and fault.reply is not None and not fault.stored:
                reply = fault.reply
            else:
                reply = self.answer(request)
                self.check(request, reply)
                if fault is not None and fault.reply is not None:
                    reply = fault.reply
                if fault is not None and fault.change is not None:
                    reply = fault.change(reply)
        if fault is not None and fault.delay:
            self._over.wait(fault.delay)
        return reply

    @contextmanager
    def running(self) -> Iterator[None]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def _handle(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parts = urlsplit(self.path)
                prefix = forge.prefix()
                if not parts.path.startswith(prefix):
                    reply = Reply(404, {"message": "Not Found"})
                else:
                    reply = forge.handle(
                        Request(
                            method=self.command,
                            path=unquote(parts.path.removeprefix(prefix)),
                            query=dict(parse_qsl(parts.query)),
                            body=json.loads(content) if content else None,
                            headers=dict(self.headers.items()),
                        )
                    )
                if reply is DROP:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                body = b""
                if reply.status != 204:
                    document = reply.document
                    body = document if isinstance(document, bytes) else json.dumps(document).encode()
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do_HEAD = _handle  # noqa: N815

        return Handler


@contextmanager
def forge_server(forge: ForgeServer) -> Iterator[None]:
    """Run a fake forge for the block, and fail if it was not talked to as its API is described."""
    with forge.running():
        yield
    assert not forge.violations, forge.violations
