"""Errors of connections: which certificate, proxy or server failed."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from relnox.errors import Failed
from relnox.system.network.failures import TransientError, cause_of, describe_error

if TYPE_CHECKING:
    from relnox.system.network.proxies import Proxy

__all__ = ["connection_error", "proxy_login_required", "through_proxy"]

_TUNNEL_REJECTED = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""The error of http.client when a proxy does not connect to a server."""


def connection_error(
    host: str, proxy: Proxy | None, error: Exception, *, never_connected: bool
) -> Failed | TransientError:
    """Return the error for a connection that failed, or a response that is not HTTP."""
    from ssl import SSLCertVerificationError

    cause = cause_of(error)
    if isinstance(cause, SSLCertVerificationError):
        return Failed(
            "certificate-not-trusted",
            f"the certificate of {host} is not trusted{through_proxy(proxy)} ({cause.verify_message})",
            fix="check the URL; for a private certificate authority, set REQUESTS_CA_BUNDLE=FILE.pem",
        )
    reason = describe_error(cause)
    if proxy is not None and (rejected := _TUNNEL_REJECTED.match(str(cause))):
        if int(rejected[1]) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return proxy_login_required(host, proxy)
        reason = f"the proxy responded {rejected[1]}"
    if never_connected or proxy is not None:
        code, message = "server-unreachable", f"cannot connect to {host}{through_proxy(proxy)} ({reason})"
    else:
        code, message = "request-failed", f"request to {host} failed ({reason})"
    return TransientError(code, message, never_connected=never_connected)


def proxy_login_required(host: str, proxy: Proxy) -> Failed:
    """Return the error for a proxy that rejects requests without a login."""
    return Failed(
        "proxy-login-required",
        f"cannot connect to {host}{through_proxy(proxy)} (407: login required)",
        fix=f"set {proxy.variable} to http://USER:PASSWORD@HOST:PORT, or add {host} to NO_PROXY",
    )


def through_proxy(proxy: Proxy | None) -> str:
    """Describe the proxy for a message; empty without one."""
    return "" if proxy is None else f" through the proxy {proxy.address}, set by {proxy.variable}"
