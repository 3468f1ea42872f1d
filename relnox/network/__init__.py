"""One way to ask a server: deadlines and size limits always, retries for what passes, no leaving the origin.

One try is `once`. Whoever tries again owns a `Deadline`: it knows how long the whole may take, makes the pauses
grow and listens to what the server asks for. Proxies and private certificate authorities come from the
environment, as for requests; this machine is never reached through a proxy, and `.netrc` is not read here.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from relnox.core import waits
from relnox.core.events import Waiting
from relnox.errors import Failed
from relnox.network.addresses import (
    check_url,
    host_of,
    is_encrypted,
    is_loopback,
    origin,
    quoted,
    require_encryption,
    same_origin,
)
from relnox.network.bodies import (
    DOCUMENT,
    LISTING,
    PEEK,
    SLOWEST_AVERAGE,
    UPLOAD_ANSWER,
    Limit,
    TooLarge,
    file_limit,
    html_text,
    json_document,
    read_body,
)
from relnox.network.failures import TransientError, cause_of, in_words, interrupted, network_errors
from relnox.network.proxies import proxy_for
from relnox.network.watching import Watch, end_all, pause_under_way, requests_under_way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter

    from relnox.network.bodies import Sink, Writable
    from relnox.network.proxies import Proxy

__all__ = [
    "DOCUMENT",
    "LISTING",
    "PEEK",
    "UPLOAD_ANSWER",
    "Clock",
    "Deadline",
    "Limit",
    "TooLarge",
    "TransientError",
    "end_all",
    "file_limit",
    "get",
    "html_text",
    "is_encrypted",
    "is_loopback",
    "json_document",
    "leave_behind",
    "log_in",
    "once",
    "requests_under_way",
    "require_encryption",
    "same_origin",
]

T = TypeVar("T")

_CONNECT_LIMIT = 10.0
"""Seconds for finding a server's name, and again for each connection."""
_READ_LIMIT = 60.0
"""Seconds that a server may be silent."""
_USUAL_PATIENCE = 600.0
"""Seconds for all tries of one request."""
_STRANGER = 5.0
"""Seconds for a server that never answered: it may not exist, while one that did will come back."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_MOMENT = 0.01
_WORTH_TELLING = 5.0
_MOST_REDIRECTS = 5
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of RFC 9110, RFC 8470 and RFC 6585 that another try may end."""
_HALF_A_DAY = 12 * 3600.0
_EPOCH_LIKE = 1e9
"""A `RateLimit-Reset` beyond this is a point in time, below it a number of seconds: servers send both."""
_FAR = 1e9
"""Seconds, which are 31 years: nobody waits that long, whatever is asked for, and the calendar holds it."""
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""How http.client says that a proxy does not connect to a server."""

_reading = threading.BoundedSemaphore(16)
"""How many documents are asked for at once, however many threads wait for one."""
_answered: set[str] = set()
"""Origins that have answered in this process."""
_logins: dict[str, Callable[[PreparedRequest], PreparedRequest]] = {}
"""What signs requests that only read, by the origin that they go to."""


class Clock:
    """What time it is, and how it is waited; a test gives another one to `CLOCK`."""

    def now(self) -> float:
        """Seconds that only ever grow."""
        return time.monotonic()

    def today(self) -> datetime:
        """The date and time, with its zone."""
        return datetime.now(UTC)

    def pause(self, seconds: float, woken: threading.Event) -> None:
        """Wait, at most until somebody sets the event."""
        woken.wait(seconds)


CLOCK = Clock()


class Deadline:
    """How long one thing may be tried, all tries and pauses together.

    Args:
        seconds: The whole.
    """

    def __init__(self, seconds: float = _USUAL_PATIENCE) -> None:
        self._begin = CLOCK.now()
        self._seconds = seconds
        self._waited = 0.0
        self._growing = _FIRST_PAUSE

    def outlast(self, transient_error: TransientError) -> None:
        """Wait before the next try: exponential back-off with full jitter, and no less than the server asks for.

        Raises:
            TransientError: There is no time left for another try.
        """
        if transient_error.stranger:
            self._seconds = min(self._seconds, _STRANGER)
        spent, left = CLOCK.now() - self._begin, self.left()
        asked = transient_error.asked or 0.0
        if asked > left or not left:
            tried = f", for {waits.span(spent)}" if spent >= 1 else ""
            until = f"; it asks to be left alone until {_clock_time(asked)}" if asked else ""
            raise TransientError(
                "todo", f"{transient_error.message}{tried}{until}", stranger=transient_error.stranger
            ) from transient_error
        jitter = random.uniform(0, self._growing)  # noqa: S311 - no secret
        self._growing = min(self._growing * 2, _LONGEST_PAUSE)
        # The last try is at the very end of the time there is.
        self.wait(min(asked + jitter, left), transient_error.message)

    @property
    def quiet(self) -> float:
        """Seconds that one answer may take: no longer than the whole may, and a few in any case."""
        return min(max(self._seconds, _STRANGER), _READ_LIMIT)

    def left(self) -> float:
        """Seconds until the end; 0 where it is not worth another try."""
        left = self._begin + self._seconds - CLOCK.now()
        return left if left >= _MOMENT else 0.0

    def wait(self, seconds: float, why: str) -> None:
        """Do nothing for a while; pauses that a person would notice are told, one by one or together.

        Raises:
            Failed: The run was interrupted.
        """
        self._waited += seconds
        if self._waited >= _WORTH_TELLING:
            again, ends = (CLOCK.today() + timedelta(seconds=each) for each in (seconds, self.left()))
            waits.tell(Waiting(why, again, ends), CLOCK.now())
        woken = threading.Event()
        with pause_under_way(woken):
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
    """Ask for a document, again and with growing pauses while the server has a passing trouble.

    A redirect is followed inside the same origin only: what another server says is not this index's answer.
    One to elsewhere is returned as it is, unless the origin may be left.

    Args:
        url: What to ask for.
        headers: Request headers, without credentials.
        method: `GET` or `HEAD`.
        into: A file that each try writes the body of a good answer to; without it the body is in the answer.
        deadline: How long to try.
        limit: How large the answer may be and how long it may take.
        leave_origin: Whether redirects are followed to other servers, as those of files are (to a CDN): without
            credentials, and only where https, or this machine, is left for https or this machine. What comes
            proves nothing but by its hash.

    Raises:
        TransientError: The server did not answer, or not well, for too long.
        Failed: It redirects in a circle or to where it may not, its answer is too large, or the run was
            interrupted.
    """
    deadline = deadline or Deadline()
    while True:
        try:
            with _reading:
                return _followed(
                    method, url, headers or {}, into, deadline.quiet, limit=limit, leave_origin=leave_origin
                )
        except TransientError as transient_error:
            deadline.outlast(transient_error)


def once(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    auth: Callable[[PreparedRequest], PreparedRequest] | None = None,
    confidential: bool = False,
    quiet: float = _READ_LIMIT,
    into: Writable | None = None,
    limit: Limit = DOCUMENT,
) -> Response:
    """Ask a server once; redirects are not followed.

    Args:
        method: GET, HEAD, POST and so on.
        url: Whom to ask, and for what.
        headers: Request headers.
        body: What is sent: bytes, or something to read them from.
        auth: Signs the request.
        confidential: Whether the body holds a secret. Like what is signed it goes encrypted, or to this machine.
        quiet: Seconds that the server may take for its answer. Whatever moves less than 1 KiB a second over this
            time is ended, too: a server that sends a byte a second never meets a time-out.
        into: Takes the body of a good answer as it comes.
        limit: How large the answer may be, and how long all of it may take.

    Raises:
        TransientError: There was no answer, or one that another try may better.
        Blocked: A secret would go unencrypted.
        Failed: The run was interrupted, the answer is too large, or the server cannot be asked at all, as things
            are set up.
    """
    check_url(url)
    if auth is not None or confidential or "authorization" in map(str.lower, headers or ()):
        require_encryption(url)
    host, proxy, adapter = host_of(url), proxy_for(url), _adapter()
    with Watch(host, quiet, limit.seconds + _size(body) / SLOWEST_AVERAGE) as watch:
        request = _prepared(method, url, {"Accept-Encoding": limit.encoding, **(headers or {})}, body, auth, watch)
        try:
            response = adapter.send(
                request,
                stream=True,
                timeout=(min(_CONNECT_LIMIT, quiet), quiet),
                verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
                proxies={} if proxy is None else {"http": proxy.url, "https": proxy.url},
            )
            with response:
                read_body(response, limit, watch, host, into)
                _answered.add(origin(url))
        except network_errors() as error:
            watch.check()
            stranger = not watch.connected and origin(url) not in _answered
            raise _not_answered(host, proxy, error, stranger=stranger) from error
        except OSError as error:
            watch.check()
            if error.errno is not None:  # it is the machine's
                raise
            raise Failed(  # a file of certificates is not there
                "todo",
                f"{host} cannot be asked: {error}",
                fix="correct the path in REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, or unset it",
            ) from error
    if response.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and proxy is not None:
        raise _login_required(host, proxy)
    if response.status_code in _PASSING:
        said = f"{response.status_code} {response.reason or ''}".strip()
        enough = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        what = "takes no more for now" if enough else "does not answer as it should"
        raise TransientError("todo", f"{host} {what}{_through(proxy)} ({said})", asked=_asked(response.headers))
    return response


def log_in(url: str, auth: Callable[[PreparedRequest], PreparedRequest]) -> None:
    """Have `get` sign what it asks of the origin of a URL, and of no other."""
    _logins[origin(url)] = auth


def leave_behind(call: Callable[[], T], seconds: float, what: str) -> T:
    """Call what asks a server in its own way, until it is through, or the run is to end.

    Args:
        call: It runs in a thread, which is left behind where it takes too long.
        seconds: How long it may take.
        what: Who is asked, for messages.

    Raises:
        TransientError: It took too long.
        Failed: The run was interrupted.
    """
    with Watch(what, seconds, seconds) as watch:
        try:
            return watch.wait_for(call, seconds)
        except TimeoutError:
            watch.check()
            raise TransientError("todo", f"{what} does not answer as it should (timed out)") from None


def _adapter() -> HTTPAdapter:
    from relnox.network import connections

    return connections.adapter()


def _prepared(  # noqa: PLR0913, PLR0917 - a request
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: Any,
    auth: Callable[[PreparedRequest], PreparedRequest] | None,
    watch: Watch,
) -> PreparedRequest:
    """A request as it is sent; without a session, so that requests adds no login, cookie or proxy of its own."""
    from requests import PreparedRequest

    from relnox.network import connections

    request = PreparedRequest()
    try:
        request.prepare(
            method=method,
            url=url,
            headers={**connections.headers_of_all(), **headers},
            data=_Counted(body, watch.moved) if hasattr(body, "read") else body,
            auth=auth,
        )
        for value in request.headers.values():
            str(value).encode("latin-1")  # as http.client does, when it has connected
    except ValueError as error:  # in words that quote no header
        raise Failed(
            "todo",
            f"{host_of(url)} cannot be asked: the URL or a header cannot be sent ({type(error).__name__})",
            fix="correct the URL in the settings, or the token or password",
        ) from None
    return request


def _size(body: Any) -> int:
    """Bytes of what is sent; 0 where that is not known."""
    if isinstance(body, (bytes, bytearray)):
        return len(body)
    if body is None:
        return 0
    from requests.utils import super_len

    return super_len(body) or 0


def _followed(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    headers: Mapping[str, str],
    into: Sink | None,
    quiet: float,
    *,
    limit: Limit,
    leave_origin: bool,
) -> Response:
    first = url
    for _ in range(_MOST_REDIRECTS):
        auth = _logins.get(origin(url)) if _logins and same_origin(first, url) and is_encrypted(url) else None
        with into.open("wb") if into is not None else contextlib.nullcontext() as out:
            response = once(method, url, headers=headers, into=out, quiet=quiet, limit=limit, auth=auth)
        if not response.is_redirect:
            return response
        target = _target(url, response.headers["Location"])
        if not same_origin(url, target):
            if not leave_origin:
                return response
            _check_encryption(url, target)
        url = target
    raise Failed("todo", f"{host_of(url)} redirects in a circle", fix="is the index's address right?")


def _target(url: str, location: str) -> str:
    """Where a redirect leads."""
    try:
        target = urljoin(url, location)
        check_url(target)
    except (ValueError, Failed) as error:
        raise Failed(
            "todo",
            f"{host_of(url)} redirects to {quoted(location)}, which cannot be requested (not a valid URL)",
            fix="check the URL of the index, or report it to the index",
        ) from error
    return target


def _check_encryption(url: str, target: str) -> None:
    """Check that a redirect that leaves the origin goes encrypted, or stays on this machine."""
    lowered = url.startswith("https:") and not target.startswith("https:")
    if lowered or not is_encrypted(target):
        raise Failed(
            "todo",
            f"{host_of(url)} redirects to {host_of(target)} over http, which is not encrypted",
            fix="report it to the index: files are fetched over https only",
        )


def _not_answered(host: str, proxy: Proxy | None, error: Exception, *, stranger: bool) -> Failed | TransientError:
    """The error for a connection that failed, or an answer that is not HTTP."""
    from ssl import SSLCertVerificationError

    cause = cause_of(error)
    if isinstance(cause, SSLCertVerificationError):
        return Failed(
            "todo",
            f"{host} has a certificate that nobody vouches for here{_through(proxy)} ({cause.verify_message})",
            fix="is the address right? a private authority is named by REQUESTS_CA_BUNDLE=FILE.pem",
        )
    words = in_words(cause)
    if proxy is not None and (refused := _TUNNEL_REFUSED.match(str(cause))):
        if int(refused[1]) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return _login_required(host, proxy)
        words = f"it answers {refused[1]}"
    if proxy is not None:
        return TransientError("todo", f"{host} cannot be reached{_through(proxy)} ({words})", stranger=stranger)
    return TransientError("todo", f"{host} does not answer as it should ({words})", stranger=stranger)


def _login_required(host: str, proxy: Proxy) -> Failed:
    return Failed(
        "todo",
        f"{host} cannot be reached{_through(proxy)} (407: it requires a login)",
        fix=f"set {proxy.variable} to http://USER:PASSWORD@HOST:PORT, or add {host} to NO_PROXY",
    )


def _through(proxy: Proxy | None) -> str:
    return "" if proxy is None else f" through the proxy {proxy.shown}, which {proxy.variable} names"


def _asked(headers: Mapping[str, str]) -> float | None:
    """How long a server wants to be left alone, in seconds.

    `Retry-After` (RFC 9110: seconds or a date) goes first, then the rate limit's headers: `RateLimit` with its
    `t=` and `RateLimit-Reset` of the drafts at the IETF, and `X-RateLimit-Reset` of those before them.
    """
    if (after := headers.get("Retry-After", "").strip()) and (seconds := _seconds(after)) is not None:
        return seconds
    if limit := re.search(r";\s*t=(\d+)", headers.get("RateLimit", "")):
        return min(float(limit[1]), _FAR)
    for name in ("RateLimit-Reset", "X-RateLimit-Reset"):
        if (seconds := _seconds(headers.get(name, "").strip())) is not None:
            return seconds
    return None


def _seconds(text: str) -> float | None:
    """Seconds from now: a number of them, a point in time as one, or as a date; None for anything else."""
    now = CLOCK.today()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        number = float(text)
        return max(0.0, number - now.timestamp()) if number > _EPOCH_LIKE else number
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, or one that no calendar has
        return None


def _clock_time(seconds: float) -> str:
    """What time it is then; with the date where somebody might think of another day."""
    then = CLOCK.today() + timedelta(seconds=min(seconds, _FAR))
    return then.strftime("%H:%M:%S UTC" if seconds <= _HALF_A_DAY else "%Y-%m-%d %H:%M:%S UTC")


class _Counted:
    """A body that tells how far it was read."""

    def __init__(self, body: Any, moved: Callable[[int], None]) -> None:
        from requests.utils import super_len

        self._body = body
        self._moved = moved
        self.len = super_len(body)

    def read(self, size: int = -1) -> bytes:
        """Some of it."""
        chunk: bytes = self._body.read(size)
        self._moved(len(chunk))
        return chunk
