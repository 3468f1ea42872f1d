"""Errors of requests, which name the certificate, proxy or server that failed and describe the low-level cause."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from relnox.errors import Failed, TryLater

if TYPE_CHECKING:
    from relnox.system.network.proxies import Proxy

_TUNNEL_REJECTED = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""Matches the error of http.client if a proxy refuses to connect to a server; the group is the HTTP status."""


class TransientError(TryLater):
    """An error that a retry may solve, perhaps after the seconds that the server asks clients to wait."""

    def __init__(
        self, code: str, message: str, *, retry_after: float | None = None, never_connected: bool = False
    ) -> None:
        fix = "check the URL and the network connection, then rerun the command"
        super().__init__(code, message, fix=fix if never_connected else "rerun the command later")
        self.retry_after = retry_after
        self.never_connected = never_connected


def interrupted() -> Failed:
    """Return the error for a request or pause that a signal interrupted."""
    return Failed("interrupted", "interrupted", fix="rerun the command to resume")


def cause_of(error: BaseException) -> BaseException:
    """Return the innermost cause of an error: requests and urllib3 wrap it in up to four other errors."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return cause_of(inner)
    return error


def describe_error(error: BaseException) -> str:
    """Describe a low-level error in a few words, without any text from a server."""
    if isinstance(error, TimeoutError) and not error.strerror:
        return "timed out"
    text: str | None = getattr(error, "strerror", None)
    if not text:
        return type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def network_errors() -> tuple[type[Exception], ...]:
    """Return the errors that requests and urllib3 raise if a connection fails or a response is not valid HTTP."""
    import requests
    import urllib3

    return (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidHeader,
        urllib3.exceptions.HTTPError,
    )


def connection_error(
    host: str, proxy: Proxy | None, error: Exception, *, never_connected: bool
) -> Failed | TransientError:
    """Return the error to raise for a connection that failed or a response that is not valid HTTP."""
    from ssl import SSLCertVerificationError

    cause = cause_of(error)
    if isinstance(cause, SSLCertVerificationError):
        return Failed(
            "certificate-not-trusted",
            f"the certificate of {host} is not trusted{through_proxy(proxy)} ({cause.verify_message})",
            fix="check the URL; for a private certificate authority, set REQUESTS_CA_BUNDLE=FILE.pem",
        )
    reason = describe_error(cause)
    if proxy is not None and (rejection := _TUNNEL_REJECTED.match(str(cause))):
        if int(rejection[1]) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_login_error(host, proxy)
        reason = f"the proxy responded {rejection[1]}"
    if never_connected or proxy is not None:
        code, message = "server-unreachable", f"cannot connect to {host}{through_proxy(proxy)} ({reason})"
    else:
        code, message = "index-unavailable", f"request to {host} failed ({reason})"
    return TransientError(code, message, never_connected=never_connected)


def proxy_login_error(host: str, proxy: Proxy) -> Failed:
    """Return the error for a proxy that rejects requests without a login."""
    return Failed(
        "ca-bundle-missing",
        f"cannot connect to {host}{through_proxy(proxy)} (407: proxy authentication required)",
        fix=f"set {proxy.variable} to http://USER:PASSWORD@HOST:PORT, or add {host} to NO_PROXY",
    )


def through_proxy(proxy: Proxy | None) -> str:
    """Return words for a message that name the proxy, or an empty string if there is none."""
    return "" if proxy is None else f" through the proxy {proxy.address}, set by {proxy.variable}"
