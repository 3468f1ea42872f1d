"""The server socket on loopback, with a thread for each connection, which all end with the index."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from relnox.indexes.embedded.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler

    from relnox.indexes.embedded.faults import Plan
    from relnox.indexes.embedded.minting import TokenIssuer
    from relnox.indexes.embedded.store import Store
    from relnox.indexes.embedded.upload import UploadHandler

__all__ = ["LOOPBACK", "Listener", "Shared"]

LOOPBACK = "127.0.0.1"
_CLOSING_LIMIT = 5.0
_CONNECTIONS_LIMIT = 256
"""Concurrent connections, each with a thread: many more than installers and uploads open."""
_WATCH_INTERVAL = 0.5
_NO_LINGER = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)


@dataclass(kw_only=True)
class Shared:
    """The state shared by all connections of an index.

    Attributes:
        store: Its files.
        uploads: Handles uploads.
        token_issuer: Exchanges identity tokens; None without trusted publishing.
        trusted_simple_url: The index for projects that it does not have.
        plan: The faults to inject.
        upload_token: The password for uploads; None for no password.
        clock: Returns its time in seconds since the epoch.
        started: When it was started, by that clock.
        journal: A record of requests.
        closing: Set when it is closed, to end waits.
    """

    store: Store
    uploads: UploadHandler
    token_issuer: TokenIssuer | None
    trusted_simple_url: str | None
    plan: Plan
    clock: Callable[[], float]
    started: float
    upload_token: str | None = None
    journal: Journal = field(default_factory=Journal)
    closing: threading.Event = field(default_factory=threading.Event)


class Listener(ThreadingHTTPServer):
    """Listens on a free port, and ends connections that take too long."""

    request_queue_size = 128
    allow_reuse_address = False  # on Windows, true would let another program share the port

    def __init__(self, shared: Shared, handler: type[BaseHTTPRequestHandler]) -> None:
        self.shared = shared
        self._open: dict[socket.socket, float | None] = {}
        self._idle: dict[socket.socket, None] = {}
        self._last_check = 0.0
        self._cut: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((LOOPBACK, 0), handler)

    def server_bind(self) -> None:
        """Bind without resolving the host name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; if there are too many, end the one that is idle for longest."""
        connection, address = super().get_request()
        with self._changed:
            if len(self._open) >= _CONNECTIONS_LIMIT:
                if not self._idle:
                    connection.close()
                    raise ConnectionAbortedError("too many connections")
                self._end(next(iter(self._idle)))
            self._open[connection] = None
            self._idle[connection] = None  # until its thread reads a request
        return connection, address

    def limit(self, connection: socket.socket, seconds: float | None, *, idle: bool = False) -> None:
        """Set the time limit for what comes next on a connection.

        Args:
            connection: The connection.
            seconds: The limit; None for no limit.
            idle: Whether it waits for a request.
        """
        with self._changed:
            self._idle.pop(connection, None)
            if connection in self._open:
                self._open[connection] = None if seconds is None else time.monotonic() + seconds
                if idle:
                    self._idle[connection] = None

    def service_actions(self) -> None:
        """End connections that exceed their time limit."""
        now = time.monotonic()
        if now - self._last_check < _WATCH_INTERVAL:
            return
        self._last_check = now
        with self._changed:
            for connection, end in self._open.items():
                if end is not None and now > end:
                    self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        """Shut a connection down, so that its thread ends."""
        self._idle.pop(connection, None)
        with contextlib.suppress(OSError):  # its thread has just closed it
            connection.shutdown(socket.SHUT_RDWR)

    def cut(self, connection: socket.socket) -> None:
        """Have a connection reset when its handler ends."""
        # Closing without lingering drops unsent data, and sends a RST.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        with self._changed:
            self._cut.add(connection)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """End a connection."""
        with self._changed:
            cut = request in self._cut
        if cut:
            self.close_request(request)
        else:
            super().shutdown_request(request)
        with self._changed:
            self._open = {connection: end for connection, end in self._open.items() if connection is not request}
            self._idle = {connection: None for connection in self._idle if connection is not request}
            self._cut = {connection for connection in self._cut if connection is not request}
            self._changed.notify_all()

    def server_close(self) -> None:
        """Stop listening, and end all waits and connections."""
        self.shared.closing.set()
        super().server_close()
        with self._changed:
            for connection in self._open:
                self._end(connection)
            self._changed.wait_for(lambda: not self._open, _CLOSING_LIMIT)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Print unexpected errors; ignore clients that close the connection."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
