"""Speak HTTP on loopback: uploads in, the simple API and files out.

A project that the store does not hold is the trusted index's affair, and its page redirects there. A project
that it does hold comes from here alone: files of both are never listed together, since no installer protects
against a name that two indexes have.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from relnox.errors import Refused, RelnoxError
from relnox.indexes.embedded import upload
from relnox.indexes.embedded.pages import Format, negotiate, project_list, project_page
from relnox.indexes.embedded.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedIOBase
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

__all__ = ["EmbeddedIndex"]

_LOOPBACK = "127.0.0.1"
_LOOPBACK_NAMES = frozenset({_LOOPBACK, "localhost"})
_BODY_LIMIT = 1 << 30
_STALL_LIMIT = 30.0
_CLOSING_LIMIT = 5.0
_POLL = 0.05
_REASON_SHOWN = 500
_CHUNK = 1 << 18
_LENGTH = re.compile(r"[0-9]{1,18}")
_PLAIN = "text/plain; charset=utf-8"


class EmbeddedIndex:
    """An index on this machine, for as long as the `with` statement lasts; what it stores stays.

    It listens on loopback alone, on a free port, takes any credentials and needs none. Several of them, in
    one process or many, may share a folder.

    Args:
        folder: Where files are kept; made when it is not there.
        trusted_simple_url: Simple API of the index that has the projects this one does not hold; without it
            they are not found.

    Raises:
        Refused: The folder can be neither made nor written to.
    """

    def __init__(self, folder: Path, *, trusted_simple_url: str | None = None) -> None:
        self._store = Store(folder)
        self._trusted = trusted_simple_url
        self._server: _Server | None = None

    @property
    def upload_url(self) -> str:
        """Where files are sent."""
        return f"{self._origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """What installers are given as their index."""
        return f"{self._origin}/simple/"

    @property
    def _origin(self) -> str:
        if self._server is None:
            raise RuntimeError("the embedded index has an address only inside its with statement")
        return f"http://{_LOOPBACK}:{self._server.server_port}"

    def clear(self) -> None:
        """Forget every file, whether the index is running or not."""
        self._store.clear()

    def __enter__(self) -> Self:
        self._server = _Server(self._store, self._trusted)
        threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="embedded index", daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Server(ThreadingHTTPServer):
    """Listens, and knows its open connections so that none outlives it."""

    request_queue_size = 128
    allow_reuse_address = False  # the port is a free one; on Windows this would let another program share it

    def __init__(self, store: Store, trusted_simple_url: str | None) -> None:
        self.store = store
        self.trusted_simple_url = trusted_simple_url
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((_LOOPBACK, 0), _Handler)

    def server_bind(self) -> None:
        # HTTPServer would ask the name service what 127.0.0.1 is called.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        with self._changed:
            self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open = {connection for connection in self._open if connection is not request}
            self._changed.notify_all()

    def server_close(self) -> None:
        super().server_close()
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):  # its thread has just closed it
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, _CLOSING_LIMIT)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        # A client that goes away is no news; anything else is a bug, and socketserver prints it.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Body:
    """What a request carries: exactly as many bytes as it announced."""

    def __init__(self, stream: BufferedIOBase, length: int) -> None:
        self._stream = stream
        self._left = length

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end.

        Raises:
            Refused: The client stopped sending before.
        """
        chunk = self._stream.read1(min(size, self._left))
        if not chunk and self._left:
            raise Refused(f"the upload stopped {self._left} bytes before its end", hint="send it again")
        self._left -= len(chunk)
        return chunk


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _STALL_LIMIT  # seconds for which a client may send or take nothing
    disable_nagle_algorithm = True  # head and body are two writes

    def parse_request(self) -> bool:
        return super().parse_request() and self._comes_from_this_machine()

    def _comes_from_this_machine(self) -> bool:
        """Refuse a website: a browser on this machine would carry its form here, or its name to loopback."""
        host = self.headers.get("Host", _LOOPBACK).partition(":")[0]
        if "Origin" not in self.headers and host.lower() in _LOOPBACK_NAMES:
            return True
        self.send_error(HTTPStatus.FORBIDDEN, "the embedded index serves tools on this machine, not websites")
        return False

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        match path.split("/"):
            case ["", "simple", ""]:
                self._list_projects()
            case ["", "simple"]:
                self._redirect(HTTPStatus.MOVED_PERMANENTLY, "/simple/")
            case ["", "simple", name] | ["", "simple", name, ""]:
                self._list_files(path, name)
            case ["", "files", filename] if filename.endswith(".whl.metadata"):
                wheel = filename.removesuffix(".metadata")
                self._send_file(filename, self.server.store.open_metadata(wheel))
            case ["", "files", filename]:
                self._send_file(filename, self.server.store.open_file(filename))
            case _:
                self._not_found(path)

    do_HEAD = do_GET  # noqa: N815 - http.server looks for this name

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not _LENGTH.fullmatch(length):
            self.send_error(HTTPStatus.LENGTH_REQUIRED, "an upload tells its Content-Length")
            return
        if int(length) > _BODY_LIMIT:
            limit = f"{_BODY_LIMIT >> 30} GiB"
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an upload is no larger than {limit}")
            return
        body = _Body(self.rfile, int(length))
        status, said = self._take(body)
        try:
            # Closing a connection with bytes unread resets it, and the client would never see the answer.
            while body.read(_CHUNK):
                pass
        except Refused:
            self.close_connection = True
        self._say(status, said)

    def _take(self, body: _Body) -> tuple[HTTPStatus, str]:
        """Store an upload; what to answer."""
        boundary = self.headers.get_boundary()
        if self.path != "/legacy/":
            return HTTPStatus.NOT_FOUND, f"nothing is uploaded to {self.path}, only to /legacy/"
        if self.headers.get_content_type() != "multipart/form-data" or boundary is None:
            return HTTPStatus.BAD_REQUEST, "an upload is a multipart/form-data form with a boundary"
        try:
            return HTTPStatus.OK, upload.take(body, boundary, self.server.store)
        except RelnoxError as refusal:
            return HTTPStatus.BAD_REQUEST, refusal.message
        except (ConnectionError, TimeoutError):
            raise
        except OSError as error:
            return HTTPStatus.INSUFFICIENT_STORAGE, f"the file cannot be stored: {error.strerror}"

    def _list_projects(self) -> None:
        if format_ := self._wanted_format():
            self._page(project_list(self.server.store.projects(), format_), format_)

    def _list_files(self, path: str, name: str) -> None:
        try:
            project = canonicalize_name(name, validate=True)
        except ValueError:
            self._not_found(path)
            return
        if path != f"/simple/{project}/":
            self._redirect(HTTPStatus.MOVED_PERMANENTLY, f"/simple/{project}/")
        elif files := self.server.store.files(project):
            if format_ := self._wanted_format():
                self._page(project_page(project, files, format_), format_)
        elif self.server.trusted_simple_url is not None:
            trusted = self.server.trusted_simple_url.rstrip("/")
            self._redirect(HTTPStatus.FOUND, f"{trusted}/{project}/")
        else:
            self._not_found(path)

    def _wanted_format(self) -> Format | None:
        """The format to answer in; None when the client takes none of them and has been told so."""
        format_ = negotiate(self.headers.get("Accept"))
        if format_ is None:
            self._say(HTTPStatus.NOT_ACCEPTABLE, f"pages come as {', '.join(Format)}")
        return format_

    def _page(self, text: str, format_: Format) -> None:
        charset = "" if format_ is Format.JSON else "; charset=utf-8"
        headers = {"Content-Type": f"{format_}{charset}", "Vary": "Accept"}
        self._send(HTTPStatus.OK, text.encode(), headers)

    def _send_file(self, filename: str, content: BinaryIO | None) -> None:
        if content is None:
            self._not_found(filename)
            return
        with content:
            size = os.fstat(content.fileno()).st_size
            self._head(HTTPStatus.OK, size, {"Content-Type": "application/octet-stream"})
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, _CHUNK)

    def _redirect(self, status: HTTPStatus, to: str) -> None:
        self._say(status, to, {"Location": to})

    def _not_found(self, what: str) -> None:
        self._say(HTTPStatus.NOT_FOUND, f"the embedded index does not have {what}")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002 - http.server's signature
        self.close_connection = True  # what the client has sent was not read to its end
        status = HTTPStatus(code)
        self._say(status, message or status.phrase)

    def _say(self, status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer in words: for those who print the body, and in the status line for those who print that."""
        reason = text if status >= HTTPStatus.BAD_REQUEST else None
        self._send(status, f"{text}\n".encode(), {"Content-Type": _PLAIN, **(headers or {})}, reason)

    def _send(
        self, status: HTTPStatus, body: bytes, headers: Mapping[str, str], reason: str | None = None
    ) -> None:
        self._head(status, len(body), headers, reason)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: HTTPStatus, size: int, headers: Mapping[str, str], reason: str | None = None) -> None:
        self.send_response(status, _on_one_line(reason) if reason else None)
        for name, value in {**headers, "Content-Length": str(size), "Cache-Control": "no-cache"}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def version_string(self) -> str:
        return "relnox"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Keep quiet: standard error belongs to the release that runs around this index."""


def _on_one_line(text: str) -> str:
    """A text that cannot break out of a status line: what a client sent may be in it."""
    line = " ".join(text.split())[:_REASON_SHOWN]
    return "".join(letter if " " <= letter <= "~" else "?" for letter in line)
