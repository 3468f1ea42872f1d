"""The server of the embedded index, which handles each connection in a thread until the index is stopped."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from socketserver import BaseRequestHandler

    from relnox.indexes.embedded.rules import Rules
    from relnox.indexes.embedded.store import Store

LOOPBACK = "127.0.0.1"
_CLOSING_LIMIT = 5.0
_CONNECTIONS_LIMIT = 256
"""The maximum number of concurrent connections, which is far more than installers and uploads need."""
_WATCH_INTERVAL = 0.5


class ServedIndex:
    """The parts of an index that requests are answered from.

    Attributes:
        store: The files of the index.
        trusted_simple_url: The URL of the simple API to redirect to for projects that the index does not have;
            None for no redirects.
        rules: Additional rules for uploads, or None if there are none.
        upload_token: The password that uploads need; None for no password.
    """

    def __init__(
        self, store: Store, trusted_simple_url: str | None, rules: Rules | None, upload_token: str | None
    ) -> None:
        self.store = store
        self.trusted_simple_url = trusted_simple_url
        self.rules = rules
        self.upload_token = upload_token


class Listener(ThreadingHTTPServer):
    """A server that listens on a free port of loopback, and ends connections that exceed their time limits."""

    request_queue_size = 128
    allow_reuse_address = False  # on Windows, true would let another program share the port

    def __init__(self, index: ServedIndex, handler: type[BaseRequestHandler]) -> None:
        self.index = index
        self._open: dict[socket.socket, float | None] = {}
        self._idle: dict[socket.socket, None] = {}
        self._last_check = 0.0
        self._changed = threading.Condition()
        super().__init__((LOOPBACK, 0), handler)

    def server_bind(self) -> None:
        """Bind the socket without resolving the host name, which `HTTPServer` would do."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; if there are too many, end the one that has been idle for the longest time."""
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

    def set_time_limit(self, connection: socket.socket, seconds: float | None, *, idle: bool = False) -> None:
        """Set the time after which a connection is ended, unless another limit is set before.

        Args:
            connection: The connection.
            seconds: The limit in seconds from now, or None for no limit.
            idle: Whether the connection is waiting for a request, so that it may be ended to accept another one.
        """
        with self._changed:
            self._idle.pop(connection, None)
            if connection in self._open:
                self._open[connection] = None if seconds is None else time.monotonic() + seconds
                if idle:
                    self._idle[connection] = None

    def service_actions(self) -> None:
        """End the connections that exceed their time limits; called regularly by `serve_forever`."""
        now = time.monotonic()
        if now - self._last_check < _WATCH_INTERVAL:
            return
        self._last_check = now
        with self._changed:
            for connection, end in self._open.items():
                if end is not None and now > end:
                    self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        """Shut down a connection, so that its thread ends."""
        self._idle.pop(connection, None)
        with contextlib.suppress(OSError):  # its thread has just closed it
            connection.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """Close a connection, and forget its time limit."""
        super().shutdown_request(request)
        with self._changed:
            self._open = {connection: end for connection, end in self._open.items() if connection is not request}
            self._idle = {connection: None for connection in self._idle if connection is not request}
            self._changed.notify_all()

    def server_close(self) -> None:
        """Stop listening, end all connections, and wait a few seconds for them to be closed."""
        super().server_close()
        with self._changed:
            for connection in self._open:
                self._end(connection)
            self._changed.wait_for(lambda: not self._open, _CLOSING_LIMIT)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Print an unexpected error, unless the client closed the connection or timed out."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
