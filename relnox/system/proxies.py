"""Proxies set by environment variables; this machine is never reached through a proxy."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from relnox.errors import Failed
from relnox.system.addresses import is_loopback
from relnox.system.secrets import Secret

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_passwords: dict[str, tuple[Secret, ...]] = {}
"""Maps the URL of each proxy in use to its password, literal and unquoted, so that output masks both."""


class Proxy(NamedTuple):
    """A proxy that a request goes through.

    Attributes:
        url: The URL of the proxy, including a user name and password if it has them.
        address: The scheme, host and port of the proxy.
        variable: The environment variable that sets the proxy.
    """

    url: str
    address: str
    variable: str

    def __repr__(self) -> str:
        return f"{self.address} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for requests to a URL, or None if no proxy is used.

    The variables are those of requests: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

    Raises:
        Failed: The variable is not set to the URL of a proxy.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        return None
    value = select_proxy(url, get_environ_proxies(url))
    if not value:
        return None
    variable = _variable_of_proxy(parts.scheme, value)
    value = value if "://" in value else f"http://{value}"
    try:
        proxy = urlsplit(value)
        host, port = proxy.hostname, proxy.port
    except ValueError:
        proxy, host, port = None, None, None
    if proxy is None or not host or proxy.scheme not in _SCHEMES or not value.isprintable() or " " in value:
        raise Failed(
            "ca-bundle-missing",
            f"{variable} is not a valid proxy URL (needed for {parts.hostname})",
            fix=f"set {variable} to http://HOST:PORT, or unset it",
        )
    if proxy.password and value not in _passwords:
        _passwords[value] = (Secret(proxy.password), Secret(unquote(proxy.password)))
    return Proxy(value, f"{proxy.scheme}://{host}{f':{port}' if port else ''}", variable)


def _variable_of_proxy(scheme: str, value: str) -> str:
    """Return the name of the variable that sets a proxy, for messages; lowercase names take precedence."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            if os.environ.get(variable) == value:
                return variable
    return "the system's proxy setting"
