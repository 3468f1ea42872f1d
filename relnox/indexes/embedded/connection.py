"""One connection: its requests are written down, meet what the plan has for them, and are answered."""

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
_SLOWEST = 1 << 16  # bytes a second, on loopback
_POLL = 0.05
_REASON_SHOWN = 500
_PLAIN = "text/plain; charset=utf-8"


class Body:
    """What a request carries: exactly as many bytes as it announced.

    Attributes:
        pace: Called before a piece is read; says how many bytes it may have at most.
    """

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length
        self.pace: Callable[[], int] = lambda: CHUNK

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end.

        Raises:
            Blocked: The client stopped sending before.
        """
        if not self._left:
            return b""
        chunk = self._stream.read1(min(size, self._left, self.pace()))
        if not chunk:
            raise Blocked("todo", f"the upload stopped {self._left} bytes before its end", fix="send it again")
        self._left -= len(chunk)
        return chunk


class Paced(io.BufferedIOBase):
    """A stream that is written to in small pieces; `pace` waits, and says how small."""

    def __init__(self, stream: BufferedIOBase, pace: Callable[[], int]) -> None:
        self._stream = stream
        self._pace = pace

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        """Write all of it, at the pace."""
        at = 0
        while at < len(data):
            size = self._pace()
            self._stream.write(data[at : at + size])
            at += size
        return len(data)


class Connection(BaseHTTPRequestHandler):
    """Reads requests and writes answers; what is asked is for a subclass."""

    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _STALL_LIMIT  # seconds for which a client may send or take nothing
    disable_nagle_algorithm = True  # head and body are two writes

    _number: int | None = None
    """The request's number in the journal; None while it has no head that could be read."""

    @property
    def shared(self) -> Shared:
        """What all connections of the index have in common."""
        return self.server.shared

    # --- a request

    def handle_one_request(self) -> None:
        """Serve a request, and write down when it was over."""
        self._number = None
        self.server.limit(self.connection, _HEAD_LIMIT, idle=True)
        stream = self.wfile
        try:
            super().handle_one_request()
        finally:
            self.wfile = stream  # it may have been slowed down
            self._note_end()

    def parse_request(self) -> bool:
        """Read a request's head, and write it down."""
        if not super().parse_request():
            return False
        request = Request(
            began=self.shared.clock(), method=self.command, path=self.path, user=self._credentials()[0]
        )
        self._number = self.shared.journal.begin(request)
        self._allow(0)
        if self.command != "POST" and ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers):
            self.close_connection = True  # a body that nobody reads would be taken for the next request
        return self._is_from_a_local_tool()

    def _is_from_a_local_tool(self) -> bool:
        """Refuse websites: a browser on this machine would carry their forms here, or their names to loopback."""
        port = self.server.server_port
        own = {f"{name}:{port}" for name in _LOOPBACK_NAMES}
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            self.send_error(HTTPStatus.BAD_REQUEST, "a request has exactly one Host header")
            return False
        senders = [urlsplit(page).netloc.lower() for page in self.headers.get_all("Referer", [])]
        foreign = (
            hosts[0].strip().lower() not in own
            or "Origin" in self.headers
            or not own.issuperset(senders)
            or self.headers.get("Sec-Fetch-Site", "none").lower() not in ("none", "same-origin")
        )
        if foreign:
            self.send_error(HTTPStatus.FORBIDDEN, "the embedded index serves tools on this machine, not websites")
        return not foreign

    def _allow(self, size: int) -> None:
        """Give a request, or the answer to it, the time that so many bytes may take."""
        self.server.limit(self.connection, _ANSWER_LIMIT + size / _SLOWEST)

    def _credentials(self) -> tuple[str | None, str | None]:
        """User and password as they were sent (RFC 7617)."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None, None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return user, password

    def _note(self, **known: object) -> None:
        if self._number is not None:
            self.shared.journal.note(self._number, **known)

    def _note_arrived(self, incoming: Incoming) -> None:
        self._note(size=incoming.size, sha256=incoming.digests["sha256"])

    def _note_end(self, **known: object) -> None:
        self._note(ended=self.shared.clock(), **known)
        self._number = None

    # --- what it may meet

    def _meet(self, kind: Kind, filename: str, project: str) -> Fault | None:
        """What the plan has for this request; the waits are over when this returns."""
        age = self.shared.clock() - self.shared.started
        seconds, fault = self.shared.plan.meet(kind, filename=filename, project=project, age=age)
        self._note(kind=kind, filename=filename, project=project, fault=fault)
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

    def _instead(self, fault: Answer | Cut | Stall) -> Answer:
        """What is answered instead of the usual, if anything is."""
        if isinstance(fault, Cut | Stall):
            self._break(fault)
        return fault

    def _break(self, fault: Cut | Stall) -> NoReturn:
        """End the connection without an answer, at once or when nobody waits for one any more."""
        if isinstance(fault, Stall):
            while not (self._is_left() or self.shared.closing.wait(_POLL)):
                pass
        self.server.cut(self.connection)
        raise ConnectionAbortedError

    def _is_left(self) -> bool:
        """Whether the client has gone away; not known while there is something of it unread."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _give(self, answer: Answer) -> None:
        headers = dict(answer.headers)
        if answer.retry_after is not None:
            moment = self.shared.clock() + answer.retry_after
            headers["Retry-After"] = formatdate(moment, usegmt=True) if answer.as_date else str(answer.retry_after)
        self._say(answer.status, answer.text, headers)

    # --- what is answered

    def _redirect(self, status: HTTPStatus, to: str) -> None:
        self._say(status, to, {"Location": to})

    def _not_found(self, what: str) -> None:
        self._say(HTTPStatus.NOT_FOUND, f"the embedded index does not have {what}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's signature
        """Answer a request that cannot be served, and end the connection."""
        self.close_connection = True  # what the client has sent was not read to its end
        status = HTTPStatus(code)
        self._say(status, message or status.phrase)

    def _say(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer in words: for those who print the body, and in the status line for those who print that."""
        sent = {"Content-Type": _PLAIN, **(headers or {})}
        reason = text if status >= HTTPStatus.BAD_REQUEST and sent["Content-Type"] == _PLAIN else None
        self._send(status, f"{text}\n".encode(), sent, reason)

    def _send(self, status: int, body: bytes, headers: Mapping[str, str], reason: str | None = None) -> None:
        self._head(status, len(body), headers, reason)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, size: int, headers: Mapping[str, str], reason: str | None = None) -> None:
        self._note_end(status=int(status))
        self.send_response(status, _on_one_line(reason) if reason else None)
        for name, value in {**headers, "Content-Length": str(size), "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        """What is said in the `Server` header."""
        return "relnox"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Keep quiet: standard error belongs to the release that runs around this index."""


def _on_one_line(text: str) -> str:
    """A text that cannot break out of a status line: what a client sent may be in it."""
    line = " ".join(text.split())[:_REASON_SHOWN]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)
