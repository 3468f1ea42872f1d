"""Listen on loopback, with a thread for each connection, and let none of them outlive the index."""

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
    from relnox.indexes.embedded.minting import Mint
    from relnox.indexes.embedded.store import Store
    from relnox.indexes.embedded.upload import UploadHandler

__all__ = ["LOOPBACK", "Listener", "Shared"]

LOOPBACK = "127.0.0.1"
_CLOSING_LIMIT = 5.0
_CONNECTIONS_LIMIT = 256
"""At once, each with a thread: many times what installers and uploads open."""
_WATCH_INTERVAL = 0.5
_AT_ONCE = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)


@dataclass(kw_only=True)
class Shared:
    """What all connections of an index have in common.

    Attributes:
        store: Its files.
        desk: Who takes uploads.
        mint: Who exchanges identity tokens; None where there is no trusted publishing.
        trusted_simple_url: Where projects are that it does not hold.
        plan: How it misbehaves.
        upload_token: The password that uploads need; None: none.
        clock: Tells its time, in seconds since the epoch.
        started: When it was started, by that clock.
        journal: What was asked of it.
        closing: Set as soon as it is being closed: nothing may wait any longer.
    """

    store: Store
    desk: UploadHandler
    mint: Mint | None
    trusted_simple_url: str | None
    plan: Plan
    clock: Callable[[], float]
    started: float
    upload_token: str | None = None
    journal: Journal = field(default_factory=Journal)
    closing: threading.Event = field(default_factory=threading.Event)


class Listener(ThreadingHTTPServer):
    """Listens on a free port, knows its open connections, and ends those that take too long."""

    request_queue_size = 128
    allow_reuse_address = False  # the port is a free one; on Windows this would let another program share it

    def __init__(self, shared: Shared, handler: type[BaseHTTPRequestHandler]) -> None:
        self.shared = shared
        self._open: dict[socket.socket, float | None] = {}
        self._idle: dict[socket.socket, None] = {}
        self._watched = 0.0
        self._cut: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__((LOOPBACK, 0), handler)

    def server_bind(self) -> None:
        """Take the address."""
        # HTTPServer would ask the name service what 127.0.0.1 is called.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; when there are too many, the one that is idle for longest makes room."""
        connection, address = super().get_request()
        with self._changed:
            if len(self._open) >= _CONNECTIONS_LIMIT:
                if not self._idle:
                    connection.close()
                    raise ConnectionAbortedError("too many connections")
                self._end(next(iter(self._idle)))
            self._open[connection] = None
        return connection, address

    def limit(self, connection: socket.socket, seconds: float | None, *, idle: bool = False) -> None:
        """Say how long what comes next on a connection may take.

        Args:
            connection: The connection.
            seconds: After so many it is ended; None: it may take any time.
            idle: Whether it waits for a request.
        """
        with self._changed:
            self._idle.pop(connection, None)
            if connection in self._open:
                self._open[connection] = None if seconds is None else time.monotonic() + seconds
                if idle:
                    self._idle[connection] = None

    def service_actions(self) -> None:
        """End connections whose time is over."""
        now = time.monotonic()
        if now - self._watched < _WATCH_INTERVAL:
            return
        self._watched = now
        with self._changed:
            for connection, end in self._open.items():
                if end is not None and now > end:
                    self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        """Have the thread of a connection find that it is over."""
        self._idle.pop(connection, None)
        with contextlib.suppress(OSError):  # its thread has just closed it
            connection.shutdown(socket.SHUT_RDWR)

    def cut(self, connection: socket.socket) -> None:
        """Have a connection reset, rather than ended in good order, once its handler is through."""
        # With nothing to linger for, closing drops what was not sent and says so (RST).
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
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
            self._open = {each: end for each, end in self._open.items() if each is not request}
            self._idle = {each: None for each in self._idle if each is not request}
            self._cut = {connection for connection in self._cut if connection is not request}
            self._changed.notify_all()

    def server_close(self) -> None:
        """Stop listening, end every wait and every connection."""
        self.shared.closing.set()
        super().server_close()
        with self._changed:
            for connection in self._open:
                self._end(connection)
            self._changed.wait_for(lambda: not self._open, _CLOSING_LIMIT)

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """Print a bug; a client that goes away is none."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
