"""The HTTP endpoints: the upload API, the simple API and downloads.

The page of a project that the store does not have redirects to the trusted index. Files of both are never listed
together, since installers do not protect against projects that two indexes have (dependency confusion).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from relnox.core.text import counted
from relnox.errors import Blocked, RelnoxError
from relnox.indexes.embedded.multipart import read_form
from relnox.indexes.embedded.pages import Format, negotiate, project_list, project_page
from relnox.indexes.embedded.upload import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from io import BufferedIOBase
    from typing import BinaryIO

    from relnox.indexes.embedded.server import EmbeddedIndex, Listener
    from relnox.indexes.embedded.store import StoredFile

__all__ = ["CHUNK", "LOOPBACK", "Body", "Handler", "Response"]

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 18
_LOOPBACK_NAMES = frozenset({LOOPBACK, "localhost"})
_STALL_LIMIT = 30.0
_HEAD_LIMIT = 30.0
_ANSWER_LIMIT = 60.0
_MIN_RATE = 1 << 16  # bytes a second, on loopback
_BODY_LIMIT = 1 << 30
_LENGTH = re.compile(r"[0-9]{1,18}")
_MAX_REASON = 500
_PLAIN = "text/plain; charset=utf-8"


class Response(NamedTuple):
    """A response with a plain-text body.

    Attributes:
        status: HTTP status.
        text: The body; for errors also the reason in the status line, since clients print one or the other.
        headers: Headers besides the usual ones.
    """

    status: int
    text: str
    headers: Mapping[str, str] = {}


class Body:
    """The body of a request, with the length of its `Content-Length`."""

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        """Read at most `size` bytes; empty at the end.

        Raises:
            Blocked: The client closed the connection before.
        """
        if not self._left:
            return b""
        chunk = self._stream.read1(min(size, self._left))
        if not chunk:
            raise Blocked(
                "upload-incomplete",
                f"the upload ended {counted(self._left, 'byte')} early",
                fix="upload the file again",
            )
        self._left -= len(chunk)
        return chunk


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection; a subclass may extend its public methods."""

    server: Listener
    protocol_version = "HTTP/1.1"
    timeout = _STALL_LIMIT  # seconds without any byte sent or received
    disable_nagle_algorithm = True  # headers and body are two writes

    @property
    def index(self) -> EmbeddedIndex:
        """The index of the connection."""
        return self.server.index

    # --- requests

    def handle_one_request(self) -> None:
        """Serve a request."""
        self.server.set_time_limit(self.connection, _HEAD_LIMIT, idle=True)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Parse the headers of a request."""
        if not super().parse_request():
            return False
        self.allow(0)
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

    def allow(self, size: int) -> None:
        """Set the time limit for a body of this size."""
        self.server.set_time_limit(self.connection, _ANSWER_LIMIT + size / _MIN_RATE)

    def credentials(self) -> tuple[str | None, str | None]:
        """Parse user and password (RFC 7617)."""
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None, None
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None, None
        return user, password

    # --- uploads

    def do_POST(self) -> None:
        """Handle an upload."""
        token = self.index.upload_token
        if token is not None and not compare_digest((self.credentials()[1] or "").encode(), token.encode()):
            self.send_error(HTTPStatus.FORBIDDEN, "only the run that started the embedded index may upload to it")
            return
        self.serve_body(_BODY_LIMIT, self._handle_upload)

    def serve_body(self, limit: int, respond: Callable[[Body], Response]) -> None:
        """Read the body of a request, and send the response to it.

        Args:
            limit: The largest size of a body in bytes.
            respond: Reads the body and returns the response.
        """
        lengths = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "uploads need a Content-Length")
            return
        length = int(lengths[0])
        if length > limit:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request is larger than {limit} bytes")
            return
        self.allow(length)
        body = Body(self.rfile, length)
        response = respond(body)
        try:
            # Closing a connection with unread bytes resets it, and the client would not get the response.
            while body.read(CHUNK):
                pass
        except Blocked:
            self.close_connection = True
        self.send_text(response)

    def _handle_upload(self, body: Body) -> Response:
        if self.path != "/legacy/":
            return Response(404, f"uploads go to /legacy/, not to {self.path}")
        boundary = self.headers.get_boundary()
        if self.headers.get_content_type() != "multipart/form-data" or boundary is None:
            return Response(400, "uploads are multipart/form-data with a boundary")
        try:
            return self.receive_upload(body, boundary)
        except RelnoxError as error:
            return Response(400, error.message)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            return Response(507, f"the file cannot be stored: {error.strerror}")

    def receive_upload(self, body: Body, boundary: str) -> Response:
        """Read an upload, and check and store it.

        Raises:
            RelnoxError: It is not accepted; the message is the response.
            OSError: It cannot be stored.
        """
        with self.index.store.receive() as incoming:
            form = read_form(body, boundary, lambda _, pieces: incoming.write_all(pieces))
            return Response(200, Upload(form, incoming, self.index).accept())

    # --- the simple API and downloads

    def do_GET(self) -> None:
        """Serve a page or a file."""
        path = unquote(self.path.partition("?")[0])
        store = self.index.store
        match path.split("/"):
            case ["", "simple", ""]:
                self._send_page(lambda format_: project_list(store.names(), format_))
            case ["", "simple"]:
                self._redirect(HTTPStatus.MOVED_PERMANENTLY, "/simple/")
            case ["", "simple", name] | ["", "simple", name, ""]:
                self._send_project(path, name)
            case ["", "files", filename] if filename.endswith(".whl.metadata"):
                self._send_file(filename, store.open_metadata(filename.removesuffix(".metadata")))
            case ["", "files", filename]:
                self._send_file(filename, store.open_file(filename))
            case _:
                self._send_not_found(path)

    def do_HEAD(self) -> None:
        """Send the headers of a page or a file."""
        self.do_GET()

    def files(self, project: str) -> Sequence[StoredFile] | None:
        """Return the files to list for a project; None if the index does not have the project.

        Args:
            project: Normalized name (PEP 503).
        """
        return self.index.store.files(project) or None

    def project_page(self, project: str, files: Sequence[StoredFile], format_: Format) -> str:
        """Render the page of a project."""
        return project_page(project, files, format_)

    def _send_project(self, path: str, name: str) -> None:
        try:
            project = canonicalize_name(name, validate=True)
        except ValueError:
            self._send_not_found(path)
            return
        if path != f"/simple/{project}/":
            self._redirect(HTTPStatus.MOVED_PERMANENTLY, f"/simple/{project}/")
        elif (files := self.files(project)) is not None:
            self._send_page(lambda format_: self.project_page(project, files, format_))
        elif self.index.trusted_simple_url is not None:
            self._redirect(HTTPStatus.FOUND, f"{self.index.trusted_simple_url.rstrip('/')}/{project}/")
        else:
            self._send_not_found(path)

    # --- responses

    def _send_page(self, render: Callable[[Format], str]) -> None:
        """Send a page in the format that the client prefers."""
        format_ = negotiate(self.headers.get("Accept"))
        charset = "" if format_ is Format.JSON else "; charset=utf-8"
        headers = {"Content-Type": f"{format_}{charset}", "Vary": "Accept"}
        self.send_content(HTTPStatus.OK, render(format_).encode(), headers)

    def _send_file(self, filename: str, content: BinaryIO | None) -> None:
        if content is None:
            self._send_not_found(filename)
            return
        with content:
            size = os.fstat(content.fileno()).st_size
            self.allow(size)
            self._send_headers(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, CHUNK)

    def _redirect(self, status: HTTPStatus, to: str) -> None:
        self.send_text(Response(status, to, {"Location": to}))

    def _send_not_found(self, name: str) -> None:
        self.send_text(Response(HTTPStatus.NOT_FOUND, f"the embedded index does not have {name}"))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's signature
        """Send an error, and end the connection."""
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
        self._send_headers(status, len(content), headers, reason)
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_headers(self, status: int, size: int, headers: Mapping[str, str], reason: str | None = None) -> None:
        self.send_response(status, reason)
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
    """Join lines and escape characters for the status line, since the text may quote the request."""
    line = " ".join(text.split())[:_MAX_REASON]
    return "".join(char if " " <= char <= "~" else "?" for char in line)
