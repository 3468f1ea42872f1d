"""Checks of URLs: whether they are valid, refer to this machine, and are safe to send credentials to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from relnox.errors import Blocked, Failed

URL_WITH_LOGIN = "contains a user name or a password"

PORTS = {"http": 80, "https": 443}
_MAX_URL = 8192
"""The maximum length of a URL in characters; servers do not accept longer request lines either."""
_MAX_QUOTED = 100


def check_url(url: str) -> None:
    """Raise `Failed` if a URL has a problem (see `url_problem`); the message does not contain its password."""
    if problem := url_problem(url):
        raise Failed(
            "url-invalid",
            f"the URL {quote_url(url)} {problem}",
            fix="correct it in [tool.relnox.indexes]; if it is in a listing, report it to the index operator",
        )


def url_problem(url: str) -> str:
    """Return why a URL is not accepted for requests, such as `is not valid`, or an empty string if it is.

    Only http and https are accepted. `URL_WITH_LOGIN` is returned if a user name or a password is the only
    problem.
    """
    if len(url) > _MAX_URL:
        return f"is longer than {_MAX_URL} characters"
    if any(char <= " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" for char in url):
        return "contains control characters or spaces"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return "is not valid"
    if parts.scheme not in PORTS:
        return "is neither https nor http"
    if not host or port == 0:
        return "has no host"
    return URL_WITH_LOGIN if "@" in parts.netloc else ""


def host_of(url: str) -> str:
    """Return the host of a URL, with its port if it has one, for messages; without a host, the URL in quotes."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or quote_url(url)
    except ValueError:
        return quote_url(url)


def origin_of(url: str) -> str:
    """Return `SCHEME://HOST:PORT` of an http or https URL, also for the default port.

    Raises:
        ValueError: The URL cannot be parsed.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS.get(parts.scheme)}"


def have_same_origin(one: str, other: str) -> bool:
    """Return whether two URLs have the same scheme, host and port (RFC 6454); False if one cannot be parsed."""
    try:
        return origin_of(one) == origin_of(other)
    except ValueError:
        return False


def is_loopback_host(host: str | None) -> bool:
    """Return whether a host name or address stands for this machine, without name resolution; False for None.

    These are `localhost`, names that end with `.localhost`, 127.0.0.0/8 and ::1.
    """
    name = (host or "").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True

    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    ipv4_address = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (ipv4_address or address).is_loopback


def is_encrypted_url(url: str) -> bool:
    """Return whether a URL uses https, or http to this machine, so that requests cannot be intercepted."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and is_loopback_host(parts.hostname))
    except ValueError:
        return False


def require_encryption(url: str) -> None:
    """Raise `Blocked` if credentials must not be sent to a URL: it uses neither https nor http to this machine."""
    if not is_encrypted_url(url):
        raise Blocked(
            "connection-not-encrypted",
            f"credentials cannot be sent to {host_of(url)} (http is not encrypted)",
            fix=f"use https://{host_of(url)}; http is allowed for this machine only (localhost, 127.0.0.1)",
        )


def quote_url(url: str) -> str:
    """Return a URL, maybe an invalid one, for messages: quoted, in ASCII, shortened, without user and password."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    redacted_url = f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
    return ascii(redacted_url[:_MAX_QUOTED]) + ("..." if len(redacted_url) > _MAX_QUOTED else "")
