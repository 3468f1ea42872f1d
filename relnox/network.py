"""One way to ask a server: time-outs always, patience with passing trouble, no leaving the origin.

Proxies and private certificate authorities are honoured as requests does it, from the environment.
"""

from __future__ import annotations

import contextlib
import random
import time
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from relnox.errors import Failed, TryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import Response, Session

__all__ = ["get", "same_origin"]

_CONNECT_LIMIT = 10.0
_READ_LIMIT = 60.0
_TRIES = 5
_LONGEST_PAUSE = 60.0
_MOST_REDIRECTS = 5
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses of RFC 9110 and RFC 6585 that another try may end."""


def get(url: str, headers: Mapping[str, str] | None = None, *, stream: bool = False) -> Response:
    """Ask for a document, again and with growing pauses while the server has a passing trouble.

    A redirect is followed inside the same origin only: what another server says is not this index's answer.
    One to elsewhere is returned as it is.

    Args:
        url: What to ask for.
        headers: Request headers.
        stream: Whether the body is read later, by the caller.

    Raises:
        TryLater: The server did not answer, or not well, after all tries.
    """
    trouble = "no answer"
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(random.uniform(0, min(2.0**attempt / 4, _LONGEST_PAUSE)))  # noqa: S311 - no secret
        try:
            response = _follow(url, dict(headers or {}), stream=stream)
        except _network_errors() as error:
            trouble = type(error).__name__
            continue
        if response.status_code not in _PASSING:
            return response
        trouble = f"{response.status_code} {response.reason}"
        pause = response.headers.get("Retry-After", "")
        response.close()
        if pause.isdecimal():
            time.sleep(min(float(pause), _LONGEST_PAUSE))
    raise TryLater(
        f"{urlsplit(url).netloc} does not answer as it should ({trouble})",
        hint="nothing was lost; type the same command again later",
    )


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are of one scheme, host and port (RFC 6454)."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.hostname, first.port) == (second.scheme, second.hostname, second.port)


def _follow(url: str, headers: dict[str, str], *, stream: bool) -> Response:
    for _ in range(_MOST_REDIRECTS):
        response = _session().get(
            url,
            headers=headers,
            stream=stream,
            allow_redirects=False,
            timeout=(_CONNECT_LIMIT, _READ_LIMIT),
        )
        if not response.is_redirect:
            return response
        target = urljoin(url, response.headers["Location"])
        if not same_origin(url, target):
            return response
        response.close()
        url = target
    raise Failed(f"{url} redirects in a circle", hint="is the index's address right?")


@cache
def _session() -> Session:
    import requests

    session = requests.Session()
    with contextlib.suppress(ModuleNotFoundError):
        from importlib.metadata import version

        session.headers["User-Agent"] = f"relnox/{version('relnox')}"
    return session


def _network_errors() -> tuple[type[Exception], ...]:
    import requests

    errors: Any = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    return tuple(errors)
