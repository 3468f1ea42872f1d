"""One way to ask a server: time-outs always, patience with passing trouble, no leaving the origin.

One try is `once`. Whoever tries again owns a `Patience`: it knows how long the whole may take, makes the pauses
grow and listens to what the server asks for. Proxies and private certificate authorities are honoured as
requests does it, from the environment.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from relnox.core import waits
from relnox.core.events import Waiting
from relnox.errors import Failed, TryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO, Self

    from requests import PreparedRequest, Response, Session
    from requests.adapters import HTTPAdapter

__all__ = ["Clock", "PassingTrouble", "Patience", "end_all", "get", "once", "requests_under_way", "same_origin"]

_CONNECT_LIMIT = 10.0
_READ_LIMIT = 60.0
_USUAL_PATIENCE = 600.0
_STRANGER = 5.0
"""Seconds for a server that never answered: it may not exist, while one that did will come back."""
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_MOMENT = 0.01
_WORTH_TELLING = 5.0
_SLOWEST = 1024
"""Bytes a second that a request has to move."""
_MOST_REDIRECTS = 5
_CONNECTIONS = 32
_CHUNK = 1 << 13
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of RFC 9110, RFC 8470 and RFC 6585 that another try may end."""
_HALF_A_DAY = 12 * 3600.0
_OF_ADDRESSES = frozenset({"ipaddress", "urllib.parse"})
"""Modules that read addresses."""
_EPOCH_LIKE = 1e9
"""A `RateLimit-Reset` beyond this is a point in time, below it a number of seconds: servers send both."""
_FAR = 1e9
"""Seconds, which are 31 years: nobody waits that long, whatever is asked for, and the calendar holds it."""

_reading = threading.BoundedSemaphore(16)
"""How many documents are asked for at once, however many threads wait for one."""
_answered: set[str] = set()
"""Scheme, host and port of servers that have answered in this process."""
_under_way: set[_Watch | threading.Event] = set()
"""Requests and pauses that go on, in whatever thread."""


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


class PassingTrouble(TryLater):
    """Another try may end it.

    Args:
        message: What happened.
        asked: Seconds that the server wants to be left alone for.
        stranger: Whether no connection came about.
    """

    def __init__(self, message: str, *, asked: float | None = None, stranger: bool = False) -> None:
        there = "is the address right, and can this machine reach it? then " if stranger else "nothing was lost; "
        super().__init__(message, hint=f"{there}type the same command again later")
        self.asked = asked
        self.stranger = stranger


class Patience:
    """How long one thing may be tried, all tries and pauses together.

    Args:
        seconds: The whole.
    """

    def __init__(self, seconds: float = _USUAL_PATIENCE) -> None:
        self._begin = CLOCK.now()
        self._seconds = seconds
        self._waited = 0.0
        self._growing = _FIRST_PAUSE

    def outlast(self, trouble: PassingTrouble) -> None:
        """Wait before the next try: exponential back-off with full jitter, and no less than the server asks for.

        Raises:
            PassingTrouble: There is no time left for another try.
        """
        if trouble.stranger:
            self._seconds = min(self._seconds, _STRANGER)
        spent, left = CLOCK.now() - self._begin, self.left()
        asked = trouble.asked or 0.0
        if asked > left or not left:
            tried = f", for {waits.span(spent)}" if spent >= 1 else ""
            until = f"; it asks to be left alone until {_clock_time(asked)}" if asked else ""
            raise PassingTrouble(f"{trouble.message}{tried}{until}", stranger=trouble.stranger) from trouble
        jitter = random.uniform(0, self._growing)  # noqa: S311 - no secret
        self._growing = min(self._growing * 2, _LONGEST_PAUSE)
        # The last try is at the very end of the time there is.
        self.wait(min(asked + jitter, left), trouble.message)

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
        _under_way.add(woken)
        try:
            CLOCK.pause(seconds, woken)
        finally:
            _under_way.discard(woken)
        if woken.is_set():
            raise _interrupted()


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    into: Path | None = None,
    patience: Patience | None = None,
) -> Response:
    """Ask for a document, again and with growing pauses while the server has a passing trouble.

    A redirect is followed inside the same origin only: what another server says is not this index's answer.
    One to elsewhere is returned as it is.

    Args:
        url: What to ask for.
        headers: Request headers.
        method: `GET` or `HEAD`.
        into: A file that each try writes the body of a good answer to; without it the body is in the answer.
        patience: How long to try.

    Raises:
        PassingTrouble: The server did not answer, or not well, for too long.
        Failed: It redirects in a circle, or the run was interrupted.
    """
    patience = patience or Patience()
    while True:
        try:
            with _reading:
                return _followed(method, url, headers or {}, into, patience.quiet)
        except PassingTrouble as trouble:
            patience.outlast(trouble)


def once(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    auth: Callable[[PreparedRequest], PreparedRequest] | None = None,
    quiet: float = _READ_LIMIT,
    into: BinaryIO | None = None,
) -> Response:
    """Ask a server once; redirects are not followed.

    Args:
        method: GET, HEAD, POST and so on.
        url: Whom to ask, and for what.
        headers: Request headers.
        body: What is sent: bytes, or something to read them from.
        auth: Signs the request.
        quiet: Seconds that the server may take for its answer. Whatever moves less than 1 KiB a second over this
            time is ended, too: a server that sends a byte a second never meets a time-out.
        into: Takes the body of a good answer as it comes.

    Raises:
        PassingTrouble: There was no answer, or one that another try may better.
        Failed: The run was interrupted, or the server cannot be asked at all, as things are set up.
    """
    host = _host(url)
    with _Watch(quiet) as watch:
        try:
            response = _session().request(
                method,
                url,
                headers=dict(headers or {}),
                data=watch.counting(body) if hasattr(body, "read") else body,
                auth=auth,
                stream=True,
                allow_redirects=False,
                timeout=(min(_CONNECT_LIMIT, quiet), quiet),
            )
            with response:
                _read(response, watch, into)
        except ValueError as error:
            watch.conclude(host)
            if not _is_of_an_address(error):
                raise
            raise _not_to_be_asked(host, error) from error
        except _network_errors() as error:
            watch.conclude(host)
            from ssl import SSLCertVerificationError

            cause = _cause(error)
            if isinstance(cause, SSLCertVerificationError):
                raise Failed(
                    f"{host} has a certificate that nobody vouches for here ({cause.verify_message})",
                    hint="is the address right? a private authority is named by REQUESTS_CA_BUNDLE=FILE.pem",
                ) from error
            stranger = not watch.connected and _origin(url) not in _answered
            what = f"{host} does not answer as it should ({_in_words(cause)})"
            raise PassingTrouble(what, stranger=stranger) from error
        except OSError as error:
            if error.errno is not None:  # it is the machine's
                raise
            raise _not_to_be_asked(host, error) from error  # a file of certificates is not there
        watch.conclude(host)  # an answer that was cut off in its head looks like a whole one
    _answered.add(_origin(url))
    if response.status_code in _PASSING:
        said = f"{response.status_code} {response.reason or ''}".strip()
        enough = response.status_code == HTTPStatus.TOO_MANY_REQUESTS
        what = "takes no more for now" if enough else "does not answer as it should"
        raise PassingTrouble(f"{host} {what} ({said})", asked=_asked(response.headers))
    return response


def end_all() -> None:
    """End every request and every pause that goes on, in whatever thread."""
    for each in tuple(_under_way):
        each.set()


def requests_under_way() -> int:
    """How many requests go on, in all threads; pauses are none."""
    return sum(isinstance(each, _Watch) for each in tuple(_under_way))


def same_origin(one: str, other: str) -> bool:
    """Whether two addresses are of one scheme, host and port (RFC 6454)."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.scheme}://{parts.hostname}:{port}"


def _host(url: str) -> str:
    """Host and port of an address, for people; the whole of what is no address."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url


def _followed(method: str, url: str, headers: Mapping[str, str], into: Path | None, quiet: float) -> Response:
    for _ in range(_MOST_REDIRECTS):
        with into.open("wb") if into is not None else contextlib.nullcontext() as out:
            response = once(method, url, headers=headers, into=out, quiet=quiet)
        if not response.is_redirect:
            return response
        try:
            target = urljoin(url, response.headers["Location"])
            if not same_origin(url, target):
                return response
        except ValueError:  # it is no address
            return response
        url = target
    raise Failed(f"{url} redirects in a circle", hint="is the index's address right?")


def _read(response: Response, watch: _Watch, into: BinaryIO | None) -> None:
    """Take the whole body while the watch looks on; `response.content` has it unless a good one went elsewhere."""
    kept = []
    for chunk in response.iter_content(_CHUNK):
        watch.moved(len(chunk))
        if into is not None and response.status_code == HTTPStatus.OK:
            into.write(chunk)
        else:
            kept.append(chunk)
    response._content = b"".join(kept)  # noqa: SLF001 - what `content` would have read itself


def _asked(headers: Mapping[str, str]) -> float | None:
    """How long a server wants to be left alone, in seconds.

    `Retry-After` (RFC 9110: seconds or a date) goes first, then the rate limit's headers: `RateLimit` with its
    `t=` and `RateLimit-Reset` of the drafts at the IETF, and `X-RateLimit-Reset` of those before them.
    """
    if (after := headers.get("Retry-After", "").strip()) and (seconds := _seconds(after)) is not None:
        return seconds
    if limit := re.search(r";\s*t=(\d+)", headers.get("RateLimit", "")):
        return float(limit[1])
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
    except ValueError:
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def _clock_time(seconds: float) -> str:
    """What time it is then; with the date where somebody might think of another day."""
    then = CLOCK.today() + timedelta(seconds=min(seconds, _FAR))
    return then.strftime("%H:%M:%S UTC" if seconds <= _HALF_A_DAY else "%Y-%m-%d %H:%M:%S UTC")


def _not_to_be_asked(host: str, error: Exception) -> Failed:
    return Failed(
        f"{host} cannot be asked: {error}",
        hint="correct what is named: the index's address or one that it lists, a proxy, a file of certificates",
    )


def _interrupted() -> Failed:
    return Failed("interrupted", hint="type the same command again: it goes on where this one stopped")


def _cause(error: BaseException) -> BaseException:
    """The innermost cause: requests and urllib3 wrap it in up to four others."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return _cause(inner)
    return error


def _in_words(error: BaseException) -> str:
    if isinstance(error, TimeoutError) and not error.strerror:
        return "timed out"
    return getattr(error, "strerror", None) or type(error).__name__


class _Watch:
    """Looks on while a request goes on, and ends it when it comes on too slowly."""

    _now = threading.local()

    def __init__(self, quiet: float) -> None:
        self.connected = False
        self._interrupted = False
        self._too_slow = False
        self._quiet = quiet
        self._moved = 0
        self._over = threading.Event()
        self._connection: Any = None

    def __enter__(self) -> Self:
        _under_way.add(self)
        self._now.watch = self
        threading.Thread(target=self._look_on, name="watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._now.watch = None
        _under_way.discard(self)

    def set(self) -> None:
        """End the request: somebody wants the run to end."""
        self._interrupted = True
        self._cut()

    def conclude(self, host: str) -> None:
        """Raise the reason for which the request was ended from here, if it was."""
        if self._interrupted:
            raise _interrupted()
        if self._too_slow:
            raise PassingTrouble(f"{host} does not answer as it should (too slow)")

    def moved(self, size: int) -> None:
        """So many bytes went one way or the other."""
        self._moved += size

    def counting(self, body: Any) -> Any:
        """A body whose bytes are counted as they are sent."""
        return _Counted(body, self.moved)

    @classmethod
    def of_this_thread(cls) -> _Watch | None:
        """The watch of the request that this thread makes."""
        return getattr(cls._now, "watch", None)

    def using(self, connection: Any) -> None:
        """The connection that the request goes over."""
        self.connected = True
        self._connection = connection

    def _look_on(self) -> None:
        before = 0
        while not self._over.wait(self._quiet):
            if self._moved - before < self._quiet * _SLOWEST:
                self._too_slow = True
                self._cut()
            before = self._moved

    def _cut(self) -> None:
        import socket

        taken = getattr(self._connection, "sock", None)
        if isinstance(taken, socket.socket):
            with contextlib.suppress(OSError):
                # Not that of an SSLSocket, which would take TLS away from under who reads.
                socket.socket.shutdown(taken, socket.SHUT_RDWR)


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


@cache
def _session() -> Session:
    """The one session of all threads: its connections are kept open, and none of it keeps a cookie."""
    import requests
    from requests.cookies import cookiejar_from_dict

    session = requests.Session()
    session.cookies = cookiejar_from_dict({})
    session.cookies.set_policy(_no_cookies())
    with contextlib.suppress(ModuleNotFoundError):
        from importlib.metadata import version

        session.headers["User-Agent"] = f"relnox/{version('relnox')}"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _adapter())
    return session


def _no_cookies() -> Any:
    from http.cookiejar import DefaultCookiePolicy

    return DefaultCookiePolicy(allowed_domains=[])


def _adapter() -> HTTPAdapter:
    """What requests sends with: each connection tells the watch of its thread that it is used."""
    from requests.adapters import HTTPAdapter

    class Watched(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
            pool = super().get_connection_with_tls_context(*args, **kwargs)
            pool.ConnectionCls = _telling(pool.ConnectionCls)
            return pool

    return Watched(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)


@cache
def _telling(connection: Any) -> Any:
    if hasattr(connection, "tells_its_watch"):
        return connection

    class Telling(connection):  # type: ignore[misc] # HTTP or HTTPS, as it comes
        tells_its_watch = True

        def putrequest(self, *args: Any, **kwargs: Any) -> None:
            if self.sock is None:
                self.connect()
            if (watch := _Watch.of_this_thread()) is not None:
                watch.using(self)
            super().putrequest(*args, **kwargs)

    return Telling


def _is_of_an_address(error: ValueError) -> bool:
    """Whether it is about the address that is asked, or one that it redirects to: some come as they are."""
    import requests
    import urllib3

    raised = error.__traceback__
    while raised is not None and raised.tb_next is not None:
        raised = raised.tb_next
    where = raised.tb_frame.f_globals.get("__name__") if raised is not None else None
    return isinstance(error, (requests.RequestException, urllib3.exceptions.HTTPError)) or where in _OF_ADDRESSES


def _network_errors() -> tuple[type[Exception], ...]:
    import requests
    import urllib3

    return (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        urllib3.exceptions.HTTPError,
    )
