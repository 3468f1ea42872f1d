"""Addresses: which are valid, which are this machine, and which may be sent a credential."""

from __future__ import annotations

from urllib.parse import urlsplit

from relnox.errors import Blocked, Failed

__all__ = [
    "check_url",
    "host_of",
    "is_encrypted",
    "is_loopback",
    "origin",
    "quoted",
    "require_encryption",
    "same_origin",
]

_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 8192
"""Characters; servers take no longer request lines either."""
_SHOWN = 100


def check_url(url: str) -> None:
    """Check that a URL can be requested.

    Raises:
        Failed: It cannot; the message says why and shows no password.
    """
    problem = _problem(url)
    if problem:
        raise Failed(
            "todo",
            f"{quoted(url)} cannot be requested: the URL {problem}",
            fix="correct it in the settings; if the index lists it or redirects to it, report it to the index",
        )


def host_of(url: str) -> str:
    """Host and port of a URL, for messages; the URL itself if it is not valid."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or quoted(url)
    except ValueError:
        return quoted(url)


def origin(url: str) -> str:
    """Scheme, host and port of a URL (RFC 6454).

    Raises:
        ValueError: The URL is not valid.
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS.get(parts.scheme)}"


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port (RFC 6454)."""
    try:
        return origin(one) == origin(other)
    except ValueError:
        return False


def is_loopback(host: str | None) -> bool:
    """Whether a host is this machine (RFC 6761, RFC 1122, RFC 4291), so that nobody else reads what is sent."""
    name = (host or "").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    import ipaddress

    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_encrypted(url: str) -> bool:
    """Whether nobody on the way can read what is sent to a URL: https, or http to this machine."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    except ValueError:
        return False


def require_encryption(url: str) -> None:
    """Check that a credential may be sent to a URL.

    Raises:
        Blocked: Others on the way could read it.
    """
    if not is_encrypted(url):
        raise Blocked(
            "todo",
            f"no credential is sent to {host_of(url)} (http is not encrypted)",
            fix=f"write https://{host_of(url)} instead; http is for this machine only (localhost, 127.0.0.1)",
        )


def _problem(url: str) -> str:
    """What is wrong with a URL; empty if nothing is."""
    if len(url) > _LONGEST_URL:
        return f"is longer than {_LONGEST_URL} characters"
    if any(each <= " " or "\x7f" <= each <= "\x9f" or "\ud800" <= each <= "\udfff" for each in url):
        return "has control characters or spaces"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        return "is not valid"
    if parts.scheme not in _PORTS:
        return "is neither https nor http"
    if "@" in parts.netloc:
        return "holds a user name or a password"
    return "" if host and port != 0 else "names no host"


def quoted(url: str) -> str:
    """A URL that is not valid, without what may be a password, in ASCII."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    shown = f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
    return ascii(shown[:_SHOWN]) + ("..." if len(shown) > _SHOWN else "")
