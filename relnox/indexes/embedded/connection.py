"""One connection: its requests are recorded, may meet faults, and are answered."""

from __future__ import annotations

import base64
import binascii
import io
import select
import socket
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from relnox.errors import Blocked
from relnox.indexes.embedded.faults import Cut, Stall, Trickle
from relnox.indexes.embedded.journal import Request
from relnox.indexes.embedded.listener import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedIOBase

    from relnox.indexes.embedded.faults import Answer, Fault, Kind
    from relnox.indexes.embedded.listener import Listener, Shared
    from relnox.indexes.embedded.store import Incoming

__all__ = ["CHUNK", "Body", "Connection", "Paced"]

CHUNK = 1 << 18
_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost"})
_STALL_LIMIT = 30.0
_HEAD_LIMIT = 30.0
_ANSWER_LIMIT = 60.0
_MIN_RATE = 1 << 16  # bytes a second, on loopback
_POLL_INTERVAL = 0.05
_MAX_REASON = 500
_PLAIN = "text/plain; charset=utf-8"


class Body:
    """The body of a request, with the length of its `Content-Length`.

    Attributes:
        pace: Called before each read; returns the largest number of bytes to read.
    """

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length
        self.pace: Callable[[], int] = lambda: CHUNK

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; empty at the end.

        Raises:
            Blocked: The client closed the connection before.
        """
        if not self._left:
            return b""
        chunk = self._stream.read1(min(size, self._left, self.pace()))
        if not chunk:
            raise Blocked(
                "upload-incomplete", f"the upload ended {self._left} bytes early", fix="upload the file again"
            )
        self._left -= len(chunk)
        return chunk


class Paced(io.BufferedIOBase):
    """A stream that is written slowly; `pace` waits, and returns the size of the next piece."""

    def __init__(self, stream: BufferedIOBase, pace: Callable[[], int]) -> None:
        self._stream = stream
        self._pace = pace

    def writable(self) -> bool:
        """Return true."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Write all of it in pieces."""
        start = 0
        while start < len(data):
            size = self._pace()
            self._stream.write(data[start : start + size])
            start += size
        return len(data)


class Connection(BaseHTTPRequestHandler):
    """Reads requests and writes responses; a subclass handles the methods."""

    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _STALL_LIMIT  # seconds without any byte sent or received
    disable_nagle_algorithm = True  # headers and body are two writes

    _number: int | None = None
    """The request's number in the journal; None before its headers are parsed."""

    @property
    def shared(self) -> Shared:
        """The state shared by all connections of the index."""
        return self.server.shared

    # --- a request

    def handle_one_request(self) -> None:
        """Serve a request, and record its end."""
        self._number = None
        self.server.limit(self.connection, _HEAD_LIMIT, idle=True)
        stream = self.wfile
        try:
            super().handle_one_request()
        finally:
            self.wfile = stream  # a fault may have replaced it
            self._record_end()

    def parse_request(self) -> bool:
        """Parse the headers of a request, and record it."""
        if not super().parse_request():
            return False
        request = Request(
            began=self.shared.clock(), method=self.command, path=self.path, user=self._credentials()[0]
        )
        self._number = self.shared.journal.begin(request)
        self._allow(0)
        if self.command != "POST" and ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers):
            self.close_connection = True  # the body is not read, and would be parsed as the next request
        return self._is_from_local_tool()

    def _is_from_local_tool(self) -> bool:
        """Reject requests of websites: a browser could send their forms, or resolve their names to loopback."""
        port = self.server.server_port
        own_hosts = {f"{name}:{port}" for name in _LOOPBACK_NAMES}
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            self.send_error(HTTPStatus.BAD_REQUEST, "a request has exactly one Host header")
            return False
        referrers = [urlsplit(page).netloc.lower() for page in self.headers.get_all("Referer", [])]
        foreign = (
            hosts[0].strip().lower() not in own_hosts
            or "Origin" in self.headers
            or not own_hosts.issuperset(referrers)
            or self.headers.get("Sec-Fetch-Site", "none").lower() not in ("none", "same-origin")
        )
        if foreign:
            self.send_error(HTTPStatus.FORBIDDEN, "the embedded index serves tools on this machine, not websites")
        return not foreign

    def _allow(self, size: int) -> None:
        """Set the time limit for a body of so many bytes."""
        self.server.limit(self.connection, _ANSWER_LIMIT + size / _MIN_RATE)

    def _credentials(self) -> tuple[str | None, str | None]:
        """Parse user and password (RFC 7617)."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None, None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return user, password

    def _record(self, **changes: object) -> None:
        if self._number is not None:
            self.shared.journal.update(self._number, **changes)

    def _record_arrival(self, incoming: Incoming) -> None:
        self._record(size=incoming.size, sha256=incoming.digests["sha256"])

    def _record_end(self, **changes: object) -> None:
        self._record(ended=self.shared.clock(), **changes)
        self._number = None

    # --- faults

    def _next_fault(self, kind: Kind, filename: str, project: str) -> Fault | None:
        """Return the fault of the plan for this request, after its delays."""
        age = self.shared.clock() - self.shared.started
        seconds, fault = self.shared.plan.next_fault(kind, filename=filename, project=project, age=age)
        self._record(kind=kind, filename=filename, project=project, fault=fault)
        if seconds or fault is not None:
            self.server.limit(self.connection, None)  # slow on purpose
        self._wait(seconds)
        if isinstance(fault, Trickle):
            self.wfile = Paced(self.wfile, partial(self._pace, fault))
        return fault

    def _wait(self, seconds: float) -> None:
        if seconds and self.shared.closing.wait(seconds):
            raise ConnectionAbortedError

    def _pace(self, trickle: Trickle) -> int:
        size = max(int(trickle.rate), 1)
        self._wait(size / trickle.rate)
        return size

    def _fault_response(self, fault: Answer | Cut | Stall) -> Answer:
        """Return the response of a fault, or end the connection."""
        if isinstance(fault, Cut | Stall):
            self._break(fault)
        return fault

    def _break(self, fault: Cut | Stall) -> NoReturn:
        """End the connection without a response, at once or when the client has closed it."""
        if isinstance(fault, Stall):
            while not (self._is_closed_by_client() or self.shared.closing.wait(_POLL_INTERVAL)):
                pass
        self.server.cut(self.connection)
        raise ConnectionAbortedError

    def _is_closed_by_client(self) -> bool:
        """Return whether the client has closed the connection; false while there is unread data."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _send_answer(self, answer: Answer) -> None:
        headers = dict(answer.headers)
        if answer.retry_after is not None:
            until = self.shared.clock() + answer.retry_after
            headers["Retry-After"] = formatdate(until, usegmt=True) if answer.as_date else str(answer.retry_after)
        self._send_text(answer.status, answer.text, headers)

    # --- responses

    def _redirect(self, status: HTTPStatus, to: str) -> None:
        self._send_text(status, to, {"Location": to})

    def _not_found(self, name: str) -> None:
        self._send_text(HTTPStatus.NOT_FOUND, f"the embedded index does not have {name}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's signature
        """Send an error, and end the connection."""
        self.close_connection = True  # the request was not read to its end
        status = HTTPStatus(code)
        self._send_text(status, message or status.phrase)

    def _send_text(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Send a text as the body and in the status line: clients print one or the other."""
        all_headers = {"Content-Type": _PLAIN, **(headers or {})}
        reason = text if status >= HTTPStatus.BAD_REQUEST and all_headers["Content-Type"] == _PLAIN else None
        self._send(status, f"{text}\n".encode(), all_headers, reason)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], reason: str | None = None) -> None:
        self._send_headers(status, len(body), headers, reason)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_headers(self, status: int, size: int, headers: Mapping[str, str], reason: str | None = None) -> None:
        self._record_end(status=int(status))
        self.send_response(status, _on_one_line(reason) if reason else None)
        for name, value in {**headers, "Content-Length": str(size), "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        """Return the `Server` header."""
        return "relnox"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Print nothing."""


def _on_one_line(text: str) -> str:
    """Convert a text for the status line: it may contain what a client sent."""
    line = " ".join(text.split())[:_MAX_REASON]
    return "".join(char if " " <= char <= "~" else "?" for char in line)
