"""HTTP requests with deadlines, size limits and retries, which stay on the origin they were sent to.

`send_once` makes one try. Retries share a `Deadline`, which limits their total time, waits with exponential
back-off and honors `Retry-After`. Proxies and private certificate authorities come from the environment, as in
requests; this machine is never reached through a proxy, and `.netrc` is not read here.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from relnox.core.planning.events import Waiting
from relnox.errors import Failed
from relnox.system import waits
from relnox.system.network.addresses import (
    check_url,
    host_of,
    is_encrypted,
    is_loopback,
    origin_of,
    quote_url,
    require_encryption,
    same_origin,
)
from relnox.system.network.bodies import (
    DOCUMENT,
    LISTING,
    PEEK,
    SLOWEST_AVERAGE,
    UPLOAD_RESPONSE,
    Limit,
    TooLarge,
    file_limit,
    html_text,
    json_document,
    read_body,
)
from relnox.system.network.connection_errors import connection_error, proxy_login_required, through_proxy
from relnox.system.network.failures import TransientError, cause_of, describe_error, interrupted, network_errors
from relnox.system.network.proxies import Proxy, proxy_for
from relnox.system.network.rate_limits import MAX_RETRY_AFTER, retry_after
from relnox.system.network.watching import Watch, active_requests, cancel_all, interruptible_pause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter

    from relnox.system.network.bodies import Sink, Writable

__all__ = [
    "DOCUMENT",
    "LISTING",
    "PEEK",
    "UPLOAD_RESPONSE",
    "Clock",
    "Deadline",
    "Limit",
    "Proxy",
    "TooLarge",
    "TransientError",
    "active_requests",
    "authenticate_reads",
    "call_with_timeout",
    "cancel_all",
    "cause_of",
    "describe_error",
    "file_limit",
    "get",
    "html_text",
    "is_encrypted",
    "is_loopback",
    "json_document",
    "require_encryption",
    "same_origin",
    "send_once",
]

T = TypeVar("T")

_CONNECT_TIMEOUT = 10.0
"""Seconds for resolving a host name, and again for each connection."""
_READ_TIMEOUT = 60.0
"""Seconds between two bytes of a response."""
_RETRY_TIME = 600.0
"""Seconds for all tries of one request."""
_UNCONNECTED_RETRY_TIME = 5.0
"""Seconds for a server that never accepted a connection: its URL may be wrong."""
_MIN_BACKOFF = 0.5
_MAX_BACKOFF = 60.0
_MIN_WAIT = 0.01
_REPORTED_WAIT = 5.0
"""Seconds of waiting from which on it is reported."""
_MAX_REDIRECTS = 5
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""From RFC 9110, RFC 8470 and RFC 6585."""
_HALF_A_DAY = 12 * 3600.0

_concurrent_reads = threading.BoundedSemaphore(16)
_connected_origins: set[str] = set()
"""Origins that have sent a response to this process."""
_read_auth: dict[str, Callable[[PreparedRequest], PreparedRequest]] = {}
"""Authentication of requests by `get`, by origin."""


class Clock:
    """The time, and how to wait; tests replace `CLOCK`."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def today(self) -> datetime:
        """Return the date and time in UTC."""
        return datetime.now(UTC)

    def pause(self, seconds: float, woken: threading.Event) -> None:
        """Wait so long, or until the event is set."""
        woken.wait(seconds)


CLOCK = Clock()


class Deadline:
    """The time limit of one operation, retries and pauses included.

    Args:
        seconds: Total time.
    """

    def __init__(self, seconds: float = _RETRY_TIME) -> None:
        self._start = CLOCK.now()
        self._seconds = seconds
        self._waited = 0.0
        self._backoff = _MIN_BACKOFF

    def back_off(self, error: TransientError) -> None:
        """Wait before the next try: exponential back-off with full jitter, and at least `Retry-After`.

        Raises:
            TransientError: There is no time left for another try.
        """
        if error.never_connected:
            self._seconds = min(self._seconds, _UNCONNECTED_RETRY_TIME)
        elapsed, left = CLOCK.now() - self._start, self.left()
        minimum = error.retry_after or 0.0
        if minimum > left or not left:
            gave_up = f"; gave up after {waits.format_duration(elapsed)}" if elapsed >= 1 else ""
            until = f"; retry after {_clock_time(minimum)}" if minimum else ""
            raise TransientError(
                error.code, f"{error.message}{gave_up}{until}", never_connected=error.never_connected
            ) from error
        jitter = random.uniform(0, self._backoff)  # noqa: S311 - no secret
        self._backoff = min(self._backoff * 2, _MAX_BACKOFF)
        # The last try is at the very end of the time there is.
        self.wait(min(minimum + jitter, left), error.message)

    @property
    def read_timeout(self) -> float:
        """Seconds to wait for one response: at most the total, at least a few."""
        return min(max(self._seconds, _UNCONNECTED_RETRY_TIME), _READ_TIMEOUT)

    def left(self) -> float:
        """Return the seconds until the end; 0 where they are too few for another try."""
        left = self._start + self._seconds - CLOCK.now()
        return left if left >= _MIN_WAIT else 0.0

    def wait(self, seconds: float, why: str) -> None:
        """Pause, and report it once the pauses add up to a few seconds.

        Raises:
            Failed: The run was interrupted.
        """
        self._waited += seconds
        if self._waited >= _REPORTED_WAIT:
            now = CLOCK.today()
            again, ends = now + timedelta(seconds=seconds), now + timedelta(seconds=self.left())
            waits.notify(Waiting(why, again, ends), CLOCK.now())
        woken = threading.Event()
        with interruptible_pause(woken):
            CLOCK.pause(seconds, woken)
        if woken.is_set():
            raise interrupted()


def get(  # noqa: PLR0913 - a request
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    into: Sink | None = None,
    deadline: Deadline | None = None,
    limit: Limit = DOCUMENT,
    leave_origin: bool = False,
) -> Response:
    """Request a document; retry with back-off after transient errors.

    Redirects are followed within the origin only: another server cannot speak for this index. A redirect to
    another origin is returned as the response, unless `leave_origin` is set.

    Args:
        url: URL.
        headers: Request headers, without credentials.
        method: `GET` or `HEAD`.
        into: A file that each try writes the body of a successful response to; without it `content` has the body.
        deadline: How long to try.
        limit: Largest size and longest duration of the response.
        leave_origin: Whether redirects are followed to other servers, as those of files are (to a CDN): without
            credentials, and only to https or this machine. The content has to be verified by its hash.

    Raises:
        TransientError: All tries failed.
        Failed: It redirects in a loop or to a URL that is not allowed, the response is too large, or the run was
            interrupted.
    """
    deadline = deadline or Deadline()
    while True:
        try:
            with _concurrent_reads:
                return _follow_redirects(
                    method, url, headers or {}, into, deadline.read_timeout, limit=limit, leave_origin=leave_origin
                )
        except TransientError as transient_error:
            deadline.back_off(transient_error)


def send_once(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    auth: Callable[[PreparedRequest], PreparedRequest] | None = None,
    confidential: bool = False,
    read_timeout: float = _READ_TIMEOUT,
    into: Writable | None = None,
    limit: Limit = DOCUMENT,
) -> Response:
    """Send a request without retries; redirects are not followed.

    Args:
        method: GET, HEAD, POST and so on.
        url: URL.
        headers: Request headers.
        body: Bytes, or a file to read them from.
        auth: Adds credentials to the request.
        confidential: Whether the body holds a secret, which like credentials goes to https or this machine only.
        read_timeout: Seconds to wait for the response. A request that moves less than 1 KiB a second over this
            time is ended, too: a server that sends a byte a second never meets the timeout of a socket.
        into: A file that the body of a successful response is written to.
        limit: Largest size of the response, and its longest duration.

    Raises:
        TransientError: There was no response, or one with a transient status.
        Blocked: A secret would be sent unencrypted.
        Failed: The run was interrupted, the response is too large, or the URL, a header, the proxy or a
            certificate is not valid.
    """
    check_url(url)
    if auth is not None or confidential or "authorization" in map(str.lower, headers or ()):
        require_encryption(url)
    host, proxy, adapter = host_of(url), proxy_for(url), _adapter()
    with Watch(host, read_timeout, limit.seconds + _body_size(body) / SLOWEST_AVERAGE) as watch:
        request = _prepare(method, url, {"Accept-Encoding": limit.encoding, **(headers or {})}, body, auth, watch)
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
        raise proxy_login_required(host, proxy)
    if response.status_code in _TRANSIENT_STATUSES:
        status = f"{response.status_code} {response.reason or ''}".strip()
        limited = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        raise TransientError(
            "rate-limited" if limited else "server-error",
            f"{host} returned {status}{' (rate-limited)' if limited else ''}{through_proxy(proxy)}",
            retry_after=retry_after(response.headers, CLOCK.today()),
        )
    return response


def authenticate_reads(url: str, auth: Callable[[PreparedRequest], PreparedRequest]) -> None:
    """Have `get` add credentials to its requests to the origin of a URL, and to no other."""
    _read_auth[origin_of(url)] = auth


def call_with_timeout(call: Callable[[], T], seconds: float, host: str) -> T:
    """Call a function that makes requests by other means, until the timeout or the end of the run.

    Args:
        call: The function. It runs in a thread, which is abandoned when it takes too long.
        seconds: Timeout.
        host: The server, for messages.

    Raises:
        TransientError: It took too long.
        Failed: The run was interrupted.
    """
    with Watch(host, seconds, seconds) as watch:
        try:
            return watch.wait_for(call, seconds)
        except TimeoutError:
            watch.check()
            raise TransientError("request-failed", f"request to {host} failed (timed out)") from None


def _adapter() -> HTTPAdapter:
    from relnox.system.network import connections

    return connections.adapter()


def _prepare(  # noqa: PLR0913, PLR0917 - a request
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any,
    auth: Callable[[PreparedRequest], PreparedRequest] | None,
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
            "request-invalid",
            f"cannot send a request to {host_of(url)}: invalid URL or header ({type(error).__name__})",
            fix="correct the URL in the settings, or the token or password",
        ) from None
    return request


def _body_size(body: Any) -> int:
    """Return the size of a request body; 0 where it is unknown."""
    if isinstance(body, (bytes, bytearray)):
        return len(body)
    if body is None:
        return 0
    from requests.utils import super_len

    return super_len(body) or 0


def _follow_redirects(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    headers: Mapping[str, str],
    into: Sink | None,
    read_timeout: float,
    *,
    limit: Limit,
    leave_origin: bool,
) -> Response:
    first = url
    for _ in range(_MAX_REDIRECTS):
        auth = (
            _read_auth.get(origin_of(url))
            if _read_auth and same_origin(first, url) and is_encrypted(url)
            else None
        )
        with into.open("wb") if into is not None else contextlib.nullcontext() as out:
            response = send_once(
                method, url, headers=headers, into=out, read_timeout=read_timeout, limit=limit, auth=auth
            )
        if not response.is_redirect:
            return response
        target = _redirect_target(url, response.headers["Location"])
        if not same_origin(url, target):
            if not leave_origin:
                return response
            _check_encryption(url, target)
        url = target
    raise Failed(
        "too-many-redirects",
        f"{host_of(url)} redirects in a loop (more than {_MAX_REDIRECTS} redirects)",
        fix="check the URL of the index",
    )


def _redirect_target(url: str, location: str) -> str:
    try:
        target = urljoin(url, location)
        check_url(target)
    except (ValueError, Failed) as error:
        raise Failed(
            "redirect-invalid",
            f"{host_of(url)} redirects to {quote_url(location)} (not a valid URL)",
            fix="check the URL of the index, or report it to the index",
        ) from error
    return target


def _check_encryption(url: str, target: str) -> None:
    """Check that a redirect to another origin is encrypted, or stays on this machine."""
    downgraded = url.startswith("https:") and not target.startswith("https:")
    if downgraded or not is_encrypted(target):
        raise Failed(
            "redirect-not-encrypted",
            f"{host_of(url)} redirects to {host_of(target)} over http, which is not encrypted",
            fix="report it to the index: files are downloaded over https only",
        )


def _clock_time(seconds: float) -> str:
    """Format the time a number of seconds from now, with the date if it is more than half a day away."""
    then = CLOCK.today() + timedelta(seconds=min(seconds, MAX_RETRY_AFTER))
    return then.strftime("%H:%M:%S UTC" if seconds <= _HALF_A_DAY else "%Y-%m-%d %H:%M:%S UTC")


class _CountingReader:
    """A request body that reports how many bytes were read."""

    def __init__(self, body: Any, count: Callable[[int], None]) -> None:
        from requests.utils import super_len

        self._body = body
        self._count = count
        self.len = super_len(body)

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        chunk: bytes = self._body.read(size)
        self._count(len(chunk))
        return chunk
