"""Connections: as requests and urllib3 make them, but each step can be ended and each head is bounded."""

from __future__ import annotations

import http.client
import socket
from functools import cache
from typing import TYPE_CHECKING, Any

from relnox.network.watching import watch_of_this_thread

if TYPE_CHECKING:
    from requests.adapters import HTTPAdapter

    from relnox.network.watching import Watch

__all__ = ["adapter", "headers_of_all"]

_KEPT = 32
"""Connections to each of as many servers that are kept open."""
_LARGEST_HEAD = 1 << 18
"""Bytes of the head of an answer, with the informational ones before it."""


@cache
def adapter() -> HTTPAdapter:
    """What all threads send with: it keeps connections open, and neither cookies nor logins."""
    from requests.adapters import HTTPAdapter

    class Watched(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            pool.ConnectionCls = _watched(pool.ConnectionCls)
            return pool

    return Watched(pool_connections=_KEPT, pool_maxsize=_KEPT)


@cache
def headers_of_all() -> dict[str, str]:
    """Headers that every request has."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        agent = f"relnox/{version('relnox')}"
    except PackageNotFoundError:
        agent = "relnox"
    return {"User-Agent": agent, "Accept": "*/*", "Connection": "keep-alive"}


class _Head(http.client.HTTPResponse):
    """An answer whose head is bounded and whole, and which is final (RFC 9110, section 15.2)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fp: Any = _HeadReader(self.fp)

    def begin(self) -> None:
        super().begin()
        if isinstance(self.fp, _HeadReader):
            self.fp = self.fp.stream

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc] # no public way in
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.BadStatusLine("101, which was not asked for")
            if status >= http.HTTPStatus.OK:
                return version, status, reason
            http.client.parse_headers(self.fp)

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc] # no public way in
        if size < 0:
            raise http.client.IncompleteRead(b"")
        return size


class _HeadReader:
    """Reads the lines of a head."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._left = _LARGEST_HEAD

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self.stream.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise http.client.LineTooLong("head")
        if not line.endswith(b"\n") and len(line) != limit:
            raise http.client.RemoteDisconnected("cut off in its head")
        return line

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@cache
def _watched(connection: Any) -> Any:
    """A class of connections of urllib3 that tell the watch of their thread what they do."""
    import urllib3.connection

    if hasattr(connection, "is_watched"):
        return connection

    class Connection(connection):  # type: ignore[misc] # HTTP or HTTPS, as it comes
        is_watched = True
        response_class = _Head

        def _new_conn(self) -> socket.socket:
            if connection._new_conn is urllib3.connection.HTTPConnection._new_conn:  # noqa: SLF001
                return _connected(self)
            taken: socket.socket = super()._new_conn()  # over SOCKS
            if (watch := watch_of_this_thread()) is not None:
                watch.using(taken)
            return taken

        def putrequest(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            if (watch := watch_of_this_thread()) is not None:
                watch.connected = True
                watch.using(self.sock)
            super().putrequest(*args, **kwargs)

    return Connection


def _connected(connection: Any) -> socket.socket:
    """A socket that is connected to the first address of a host that answers."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    host: str = connection._dns_host.strip("[]")  # noqa: SLF001 - `host` lacks the dot at the end
    watch = watch_of_this_thread()
    assert watch is not None  # noqa: S101 - `once` has one
    last: OSError = OSError("no address")
    for family, kind, protocol, _, address in _addresses(host, connection, watch):
        watch.check()
        try:
            taken = socket.socket(family, kind, protocol)
        except OSError as error:  # of a family that this machine does not have
            last = error
            continue
        try:
            _connect(taken, address, connection, watch)
        except OSError as error:
            last = error
        else:
            return taken
    if isinstance(last, TimeoutError) and not last.strerror:
        raise ConnectTimeoutError(connection, f"{host} does not answer") from last
    raise NewConnectionError(connection, f"{host} cannot be connected to") from last


def _addresses(host: str, connection: Any, watch: Watch) -> list[Any]:
    from urllib3.exceptions import ConnectTimeoutError, NameResolutionError

    def look_up() -> list[Any]:
        return socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM)

    try:
        return look_up() if _is_address(host) else watch.wait_for(look_up, connection.timeout)
    except TimeoutError as error:
        raise ConnectTimeoutError(connection, f"{host} was not found in time") from error
    except socket.gaierror as error:
        raise NameResolutionError(host, connection, error) from error


def _connect(taken: socket.socket, address: Any, connection: Any, watch: Watch) -> None:
    try:
        for option in connection.socket_options or ():
            taken.setsockopt(*option)
        taken.settimeout(connection.timeout)
        watch.using(taken)
        taken.connect(address)
    except BaseException:  # an interruption too closes what was opened
        taken.close()
        raise


def _is_address(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
