"""The embedded index, and its server socket: a thread for each connection, which all end with the index."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from relnox.indexes.embedded.connection import LOOPBACK
from relnox.indexes.embedded.handler import Handler
from relnox.indexes.embedded.store import Store

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from relnox.indexes.embedded.rules import Rules

_CLOSING_LIMIT = 5.0
_CONNECTIONS_LIMIT = 256
"""Concurrent connections, each with a thread: many more than installers and uploads open."""
_POLL_INTERVAL = 0.05
_WATCH_INTERVAL = 0.5


class EmbeddedIndex:
    """A package index on this machine, running inside a `with` statement; its files persist.

    It listens on loopback only, on a free port. Several of them, in one process or many, may share a folder.

    It accepts files that PyPI would not, such as local versions; uploads must be consistent, and files cannot be
    replaced. `rules=Rules()` enforces the rules of PyPI, for a rehearsal.

    Args:
        folder: The folder for its files, created if missing.
        trusted_simple_url: Simple API of the index for projects that this one does not have; without it they are
            not found.
        rules: Additional rules for uploads.
        upload_token: The password of all uploads, since every user of this machine can connect to loopback; None
            for no password.

    Raises:
        Blocked: The folder cannot be created or written to.
    """

    handler: type[Handler] = Handler
    """Answers the requests of a connection; a subclass of the index may have another one."""

    def __init__(
        self,
        folder: Path,
        *,
        trusted_simple_url: str | None = None,
        rules: Rules | None = None,
        upload_token: str | None = None,
    ) -> None:
        self.store = Store(folder)
        self.trusted_simple_url = trusted_simple_url
        self.rules = rules
        self.upload_token = upload_token
        self._listener: Listener | None = None

    @property
    def upload_url(self) -> str:
        """URL of the upload API."""
        return f"{self.origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """URL of the simple API."""
        return f"{self.origin}/simple/"

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        if self._listener is None:
            raise RuntimeError("the embedded index has a URL only inside its with statement")
        return f"http://{LOOPBACK}:{self._listener.server_port}"

    def clear(self) -> None:
        """Delete all files; the index need not be running."""
        self.store.clear()

    def __enter__(self) -> Self:
        self._listener = Listener(self)
        threading.Thread(
            target=self._listener.serve_forever, args=(_POLL_INTERVAL,), name="embedded index", daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None


class Listener(ThreadingHTTPServer):
    """Listens on a free port, and ends connections that take too long."""

    request_queue_size = 128
    allow_reuse_address = False  # on Windows, true would let another program share the port

    def __init__(self, index: EmbeddedIndex) -> None:
        self.index = index
        self._open: dict[socket.socket, float | None] = {}
        self._idle: dict[socket.socket, None] = {}
        self._last_check = 0.0
        self._changed = threading.Condition()
        super().__init__((LOOPBACK, 0), index.handler)

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

    def set_time_limit(self, connection: socket.socket, seconds: float | None, *, idle: bool = False) -> None:
        """Close a connection if its next read or write takes too long.

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

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        """End a connection."""
        super().shutdown_request(request)
        with self._changed:
            self._open = {connection: end for connection, end in self._open.items() if connection is not request}
            self._idle = {connection: None for connection in self._idle if connection is not request}
            self._changed.notify_all()

    def server_close(self) -> None:
        """Stop listening, and end all connections."""
        super().server_close()
        with self._changed:
            for connection in self._open:
                self._end(connection)
            self._changed.wait_for(lambda: not self._open, _CLOSING_LIMIT)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Print unexpected errors; ignore clients that close the connection."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
