"""Connections for requests and urllib3 that can be interrupted at any time and limit the size of headers."""

from __future__ import annotations

import http.client
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from relnox.system.network.watching import watch_of_this_thread

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

    from relnox.system.network.watching import Watch

_POOL_SIZE = 32
"""The maximum number of servers with open connections, and of open connections to each of them."""
_MAX_HEADERS = 1 << 18
"""The maximum size in bytes of the status line and headers, including those of informational responses."""


@cache
def adapter() -> HTTPAdapter:
    """Return the adapter that all threads share; it keeps connections open, but not cookies or credentials."""
    from requests.adapters import HTTPAdapter

    class WatchedAdapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            pool.ConnectionCls = _watched_connection_class(pool.ConnectionCls)
            return pool

    return WatchedAdapter(pool_connections=_POOL_SIZE, pool_maxsize=_POOL_SIZE)


@cache
def default_headers() -> dict[str, str]:
    """Return the headers that are sent with every request."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        agent = f"relnox/{version('relnox')}"
    except PackageNotFoundError:
        agent = "relnox"
    return {"User-Agent": agent, "Accept": "*/*", "Connection": "keep-alive"}


class _StrictResponse(http.client.HTTPResponse):
    """A response that skips informational ones (RFC 9110, section 15.2) and rejects truncated or large headers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp: Any = _StrictHeaderReader(self.fp)

    def begin(self) -> None:
        super().begin()
        if isinstance(self.fp, _StrictHeaderReader):
            self.fp = self.fp.stream

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc] # no public way in
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.BadStatusLine("101, which was not requested")
            if status >= http.HTTPStatus.OK:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc] # no public way in
        if size < 0:
            raise http.client.IncompleteRead(b"")
        return size


class _StrictHeaderReader:
    """A stream that raises an error if status lines and headers are truncated or too large."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._left = _MAX_HEADERS

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.stream.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("headers")
        if not line.endswith(b"\n") and len(line) != limit:
            raise http.client.RemoteDisconnected("truncated headers")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@cache
def _watched_connection_class(connection: Any) -> Any:
    """Return a subclass of a urllib3 connection class that passes its socket to the `Watch` of its thread."""
    import urllib3.connection

    if hasattr(connection, "is_watched"):
        return connection

    class Connection(connection):  # type: ignore[misc] # HTTP or HTTPS
        is_watched = True
        response_class = _StrictResponse

        def _new_conn(self) -> socket.socket:
            if connection._new_conn is urllib3.connection.HTTPConnection._new_conn:  # noqa: SLF001
                return _connected_socket(self)
            new_socket: socket.socket = super()._new_conn()  # over SOCKS
            if (watch := watch_of_this_thread()) is not None:
                watch.use_socket(new_socket)
            return new_socket

        def putrequest(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            if (watch := watch_of_this_thread()) is not None:
                watch.connected = True
                watch.use_socket(self.sock)
            super().putrequest(*args, **kwargs)

    return Connection


def _connected_socket(connection: Any) -> socket.socket:
    """Return a socket that is connected to the first address of a host that accepts the connection."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    host: str = connection._dns_host.strip("[]")  # noqa: SLF001 - `host` lacks the dot at the end
    watch = watch_of_this_thread()
    assert watch is not None  # noqa: S101 - `send_once` makes one
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in _resolve_host(host, connection, watch):
        watch.check()
        try:
            new_socket = socket.socket(family, kind, protocol)
        except OSError as error:  # an address family that this machine does not support
            last = error
            continue
        try:
            _connect_socket(new_socket, address, connection, watch)
        except OSError as error:
            last = error
        else:
            return new_socket
    if isinstance(last, TimeoutError) and not last.strerror:
        raise ConnectTimeoutError(connection, f"connection to {host} timed out") from last
    raise NewConnectionError(connection, f"cannot connect to {host}") from last


def _resolve_host(host: str, connection: Any, watch: Watch) -> list[Any]:
    """Resolve a host name within the connection timeout; return the result of `socket.getaddrinfo`."""
    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

    def resolve() -> list[Any]:
        return socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)

    try:
        return resolve() if _is_address(host) else watch.wait_for(resolve, connection.timeout)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"resolving {host} timed out") from error
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error


def _connect_socket(new_socket: socket.socket, address: Any, connection: Any, watch: Watch) -> None:
    """Connect a socket so that the watch can interrupt it; close the socket if that fails."""
    try:
        for option in connection.socket_options or ():
            new_socket.setsockopt(*option)
        new_socket.settimeout(connection.timeout)
        watch.use_socket(new_socket)
        new_socket.connect(address)
    except BaseException:  # also when interrupted
        new_socket.close()
        raise


def _is_address(host: str) -> bool:
    """Return whether a host is an IP address, which need not be resolved."""
    import ipaddress

    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
