"""A connection to the embedded index: its time limits, the checks of requests, and the sending of responses."""

from __future__ import annotations

import base64
import binascii
import re
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from relnox.core.text import format_count
from relnox.errors import Blocked
from relnox.indexes.embedded.listener import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from io import BufferedIOBase

    from relnox.indexes.embedded.listener import Listener, ServedIndex

CHUNK = 1 << 18
_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost"})
_STALL_LIMIT = 30.0
_HEAD_LIMIT = 30.0
_ANSWER_LIMIT = 60.0
_MIN_RATE = 1 << 16  # bytes a second, on loopback
_LENGTH = re.compile(r"[0-9]{1,18}")
_MAX_REASON = 500
_PLAIN = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """A response with a plain-text body.

    Attributes:
        text: The body. For errors it is the reason in the status line, too, since clients print one or the other.
    """

    status: int
    text: str
    headers: Mapping[str, str] = {}


class Body:
    """The body of a request, which ends after the number of bytes in `Content-Length`."""

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; return no bytes at the end of the body.

        Raises:
            Blocked: The client closed the connection before the end of the body.
        """
        if not self._left:
            return b""
        chunk = self._stream.read1(min(size, self._left))
        if not chunk:
            raise Blocked(
                "upload-incomplete",
                f"the upload ended {format_count(self._left, 'byte')} early",
                fix="upload the file again",
            )
        self._left -= len(chunk)
        return chunk


class Connection(BaseHTTPRequestHandler):
    """A handler that reads requests and sends responses; subclasses add the `do_` methods.

    Only local tools are served: requests that a web page makes in a browser are refused.
    """

    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _STALL_LIMIT  # seconds without any byte sent or received
    disable_nagle_algorithm = True  # headers and body are two writes

    @property
    def index(self) -> ServedIndex:
        """The embedded index that accepted the connection."""
        return self.server.index

    # --- requests

    def handle_one_request(self) -> None:
        """Read a request and respond to it, within a time limit."""
        self.server.set_time_limit(self.connection, _HEAD_LIMIT, idle=True)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Parse the headers of a request; return False if the request was rejected."""
        if not super().parse_request():
            return False
        self.limit_time(0)
        if self.command != "POST" and ("Content-Length" in self.headers or "Transfer-Encoding" in self.headers):
            self.close_connection = True  # the body is not read, and would be parsed as the next request
        return self._is_from_local_tool()

    def _is_from_local_tool(self) -> bool:
        """Return False and send an error if a request may come from a website.

        A browser could submit a website's form to this index, or resolve the host name of a website to loopback.
        """
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

    def limit_time(self, size: int) -> None:
        """Set the time limit for responding to a request, or for transferring a body, of `size` bytes."""
        self.server.set_time_limit(self.connection, _ANSWER_LIMIT + size / _MIN_RATE)

    def credentials(self) -> tuple[str | None, str | None]:
        """Return the user name and password of a request (RFC 7617), or `(None, None)` if it has none."""
        scheme, _, encoded_login = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None, None
        try:
            user, _, password = base64.b64decode(encoded_login, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return user, password

    def serve_body(self, limit: int, respond: Callable[[Body], Response]) -> None:
        """Read the body of a request, and send the response to it.

        Args:
            limit: The maximum size of the body in bytes.
            respond: The function that reads the body and returns the response.
        """
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "uploads need a Content-Length")
            return
        length = int(lengths[0])
        if length > limit:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is larger than {limit} bytes")
            return
        self.limit_time(length)
        body = Body(self.rfile, length)
        response = respond(body)
        try:
            # Closing a connection with unread bytes resets it, and the client would not get the response.
            while body.read(CHUNK):
                pass
        except Blocked:
            self.close_connection = True
        self.send_text(response)

    # --- responses

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's signature
        """Send an error response, and close the connection."""
        self.close_connection = True  # the request was not read to its end
        status = HTTPStatus(code)
        self.send_text(Response(status, message or status.phrase))

    def send_text(self, response: Response) -> None:
        """Send a plain-text response."""
        headers = {"Content-Type": _PLAIN, **response.headers}
        is_plain_error = response.status >= HTTPStatus.BAD_REQUEST and headers["Content-Type"] == _PLAIN
        reason = _on_one_line(response.text) if is_plain_error else None
        self.send_content(response.status, f"{response.text}\n".encode(), headers, reason)

    def send_content(
        self, status: int, content: bytes, headers: Mapping[str, str], reason: str | None = None
    ) -> None:
        """Send a response with a body."""
        self.send_headers(status, len(content), headers, reason)
        if self.command != "HEAD":
            self.wfile.write(content)

    def send_headers(self, status: int, size: int, headers: Mapping[str, str], reason: str | None = None) -> None:
        """Send the status line and the headers of a response with a body of this size."""
        self.send_response(status, reason)
        for name, value in {**headers, "Content-Length": str(size), "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        """Return the value of the `Server` header."""
        return "relnox"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Do nothing, so that requests are not logged."""


def _on_one_line(text: str) -> str:
    """Return text for the status line: on one line and in ASCII characters only, since it may quote requests."""
    line = " ".join(text.split())[:_MAX_REASON]
    return "".join(char if " " <= char <= "~" else "?" for char in line)
