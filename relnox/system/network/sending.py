"""Send one request: the checks before it is sent, its limits, and its errors."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from relnox.errors import Failed
from relnox.system.addresses import check_url, host_of, origin_of, require_encryption
from relnox.system.network import deadlines
from relnox.system.network.bodies import DOCUMENT, SLOWEST_AVERAGE, read_body
from relnox.system.network.deadlines import READ_TIMEOUT, retry_after
from relnox.system.network.failures import (
    TransientError,
    connection_error,
    network_errors,
    proxy_login_error,
    through_proxy,
)
from relnox.system.network.proxies import proxy_for
from relnox.system.network.watching import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from _typeshed import SupportsWrite
    from requests import PreparedRequest, Response

    from relnox.system.network.bodies import Limit

    Auth: TypeAlias = Callable[[PreparedRequest], PreparedRequest]
    """A function that adds credentials to a request."""

_CONNECT_TIMEOUT = 10.0
"""The maximum seconds to resolve a host name, and to establish each connection."""
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which a retry may succeed (RFC 9110, RFC 8470 and RFC 6585)."""

_connected_origins: set[str] = set()
"""Origins that have sent a response to this process."""


def send_once(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    auth: Auth | None = None,
    confidential: bool = False,
    read_timeout: float = READ_TIMEOUT,
    into: SupportsWrite[bytes] | None = None,
    limit: Limit = DOCUMENT,
) -> Response:
    """Send a request without retries and without following redirects.

    Args:
        method: The HTTP method, such as `GET` or `POST`.
        url: The URL.
        headers: The request headers.
        body: The request body as bytes, or a file to read it from.
        auth: A function that adds credentials to the request.
        confidential: Whether the body contains a secret. Like credentials, it is sent only over https or to this
            machine.
        read_timeout: The seconds to wait for the response. A request is also ended if it transfers less than
            1 KiB a second on average over this time: a server that sends one byte a second would never exceed the
            timeout of a socket.
        into: The file for the body of a response with status 200; None for `content` of the response.
        limit: The maximum size and duration of the response.

    Raises:
        TransientError: There was no response, or its status is transient.
        Blocked: A secret would be sent unencrypted.
        Failed: The run was interrupted, the response is too large, or the URL, a header, the proxy or a
            certificate is not valid.
    """
    check_url(url)
    if auth is not None or confidential or "authorization" in map(str.lower, headers or ()):
        require_encryption(url)
    from requests.utils import super_len

    from relnox.system.network import connections

    host, proxy, adapter = host_of(url), proxy_for(url), connections.adapter()
    with Watch(host, read_timeout, limit.seconds + super_len(body) / SLOWEST_AVERAGE) as watch:
        request = _prepare_request(
            method, url, {"Accept-Encoding": limit.encoding, **(headers or {})}, body, auth, watch
        )
        try:
            response = adapter.send(
                request,
                stream=True,
                timeout=(min(_CONNECT_TIMEOUT, read_timeout), read_timeout),
                verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
                proxies={} if proxy is None else {"http": proxy.url, "https": proxy.url},
            )
            with response:
                read_body(response, limit, watch, host, into)
                _connected_origins.add(origin_of(url))
        except network_errors() as error:
            watch.check()
            never_connected = not watch.connected and origin_of(url) not in _connected_origins
            raise connection_error(host, proxy, error, never_connected=never_connected) from error
        except OSError as error:
            watch.check()
            if error.errno is not None:  # an error of this machine, such as a full disk
                raise
            raise Failed(  # requests found no file of certificates
                "ca-bundle-missing",
                f"cannot connect to {host}: {error}",
                fix="correct the path in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or unset it",
            ) from error
    if response.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and proxy is not None:
        raise proxy_login_error(host, proxy)
    if response.status_code in _TRANSIENT_STATUSES:
        status = f"{response.status_code} {response.reason or ''}".strip()
        is_rate_limited = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        raise TransientError(
            "rate-limited" if is_rate_limited else "index-unavailable",
            f"{host} returned {status}{' (rate-limited)' if is_rate_limited else ''}{through_proxy(proxy)}",
            retry_after=retry_after(response.headers, deadlines.CLOCK.today()),
        )
    return response


def _prepare_request(  # noqa: PLR0913, PLR0917 - a request
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any,
    auth: Auth | None,
    watch: Watch,
) -> PreparedRequest:
    """Prepare a request without a session, so that requests adds no credentials, cookies or proxies of its own."""
    from requests import PreparedRequest

    from relnox.system.network import connections

    request = PreparedRequest()
    try:
        request.prepare(
            method=method,
            url=url,
            headers={**connections.default_headers(), **headers},
            data=_CountingReader(body, watch.add_bytes) if hasattr(body, "read") else body,
            auth=auth,
        )
        for value in request.headers.values():
            str(value).encode("latin-1")  # as http.client does once it is connected
    except ValueError as error:  # its text may quote a header that holds a secret
        raise Failed(
            "listing-invalid",
            f"cannot send a request to {host_of(url)}: invalid URL or header ({type(error).__name__})",
            fix="correct the URL in the settings, or the token or password",
        ) from None
    return request


class _CountingReader:
    """A request body that reports the number of bytes that are read from it."""

    def __init__(self, body: Any, count: Callable[[int], None]) -> None:
        from requests.utils import super_len

        self._body = body
        self._count = count
        self.len = super_len(body)

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes, and report how many were read."""
        chunk: bytes = self._body.read(size)
        self._count(len(chunk))
        return chunk
