"""HTTP requests with deadlines, size limits and retries; redirects to other servers are not followed by default.

Each request runs in a thread that is abandoned when its time is over or the run is interrupted: no socket timeout
ends name resolution, or a response that comes one byte a second. Proxies and private certificate authorities are
set by environment variables, as in requests; this machine is never reached through a proxy, and `.netrc` is not
read here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import nullcontext
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies, select_proxy, super_len
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from relnox.core import fixes
from relnox.core.text import format_count
from relnox.errors import Failed
from relnox.system import retries
from relnox.system.addresses import (
    check_url,
    have_same_origin,
    host_of,
    is_encrypted_url,
    is_loopback_host,
    origin_of,
    quote_url,
    require_encryption,
)
from relnox.system.retries import READ_TIMEOUT, Deadline, TransientError, retry_after
from relnox.system.run_scope import create_thread_with_context, current_scope
from relnox.system.secrets import Secret

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    Auth: TypeAlias = Callable[[PreparedRequest], PreparedRequest]
    """A function that adds credentials to a request."""

T = TypeVar("T")

_KIB, _MIB = 1 << 10, 1 << 20
_CHUNK = 64 * _KIB
_CONNECT_TIMEOUT = 10.0
"""The maximum seconds to establish a connection."""
_MIN_TIME = 5.0
"""The minimum seconds for a document, also right before the deadline."""
_SLOWEST_AVERAGE = 8 * _KIB
"""The minimum average rate of file transfers in bytes per second."""
_MAX_VALUES = 1_000_000
"""The maximum number of values in a JSON document, which take about a hundred bytes of memory each."""
_MAX_REDIRECTS = 5
_CONNECTIONS = 32
"""The maximum number of servers with open connections, and of open connections to each of them."""
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which a retry may succeed (RFC 9110, RFC 8470 and RFC 6585)."""
_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_TUNNEL_REJECTED = re.compile(r"Tunnel connection failed: (\d{3})\b")
"""Matches the error of http.client if a proxy refuses to connect to a server; the group is the HTTP status."""
_NETWORK_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.HTTPError,
)
"""What requests and urllib3 raise if a connection fails or a response is not valid HTTP."""

_adapter = HTTPAdapter(pool_connections=_CONNECTIONS, pool_maxsize=_CONNECTIONS)
"""Keeps connections open, for all threads, but not cookies or credentials."""
_concurrent_reads = threading.BoundedSemaphore(16)


class ResponseLimit(NamedTuple):
    """The size and time limits of one kind of response.

    Attributes:
        kind: The name of the response in messages.
        size: The maximum size in bytes, after decompression.
        seconds: The maximum seconds from name resolution to the last byte; the time to send the request body is
            added.
        truncate: Whether to cut off a response that is too large; otherwise it is an error.
        encoding: The value of `Accept-Encoding`. Files are requested uncompressed, since their hashes are those
            of the stored bytes.
    """

    kind: str
    size: int
    seconds: float
    truncate: bool = False
    encoding: str = "gzip"


LISTING = ResponseLimit("project listing", 32 * _MIB, 120.0)
DOCUMENT = ResponseLimit("response", 4 * _MIB, 120.0)
UPLOAD_RESPONSE = ResponseLimit("response", 64 * _KIB, 330.0, truncate=True)
_MAX_ERROR_PAGE = 64 * _KIB


class ResponseTooLarge(Failed):
    """The error for a response that exceeds its size limit."""


def file_limit(size: int | None = None) -> ResponseLimit:
    """Return the limits for downloading a file of `size` bytes; for None, an unknown size, 4 GiB in an hour."""
    if size is None:
        return ResponseLimit("file", 4096 * _MIB, 3600.0, encoding="identity")
    return ResponseLimit("file", size, 60.0 + size / _SLOWEST_AVERAGE, encoding="identity")


# --- requests


class DownloadResponse(NamedTuple):
    """The response to a download, and the SHA-256 in hex and the size in bytes of its body.

    If the status is not 200, both are those of an empty file, and the file that was written is empty.
    """

    response: Response
    sha256: str
    size: int


def get(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    deadline: Deadline | None = None,
    limit: ResponseLimit = DOCUMENT,
) -> Response:
    """Request a document, bypassing caches; retry with back-off after transient errors.

    Redirects are followed only within the same origin, since other servers cannot answer for an index. A redirect
    to another origin is returned as the response, as is a lasting error such as status 404. `deadline`, by default
    ten minutes, is for all tries together, `limit` for each response.

    Raises:
        TransientError: All tries failed.
        Failed: The URL or a redirect is invalid, the response is too large, or the run was interrupted.
    """
    total = deadline or Deadline()

    def send(address: str, auth: Auth | None) -> Response:
        seconds = min(limit.seconds, max(total.seconds_left(), _MIN_TIME))
        own_limit, timeout = limit._replace(seconds=seconds), total.read_timeout
        return send_once("GET", address, headers=headers, auth=auth, read_timeout=timeout, limit=own_limit)

    return retries.retry(lambda: _follow_redirects(url, send, leave_origin=False), total)


def download(  # noqa: PLR0913 - a request
    url: str,
    to: Path | None,
    headers: Mapping[str, str] | None = None,
    *,
    auth: Auth | None = None,
    deadline: Deadline | None = None,
    limit: ResponseLimit | None = None,
) -> DownloadResponse:
    """Request a file, and write it to a path (None: only compute its hash and size); retry as `get` does.

    Redirects to other servers, such as a CDN, are followed without credentials, to https URLs and this machine.
    `auth` adds credentials to requests to the origin of the URL. A response with another status than 200, such as
    404, is returned as well: the caller has to check the status and the hash. Errors and `deadline` are as in
    `get`; by default, `limit` is 4 GiB in an hour.
    """
    total, body = deadline or Deadline(), _FileBody(None)
    own_limit, timeout = limit or file_limit(), total.read_timeout

    def send(address: str, read_auth: Auth | None) -> Response:
        nonlocal body
        own_auth = auth if have_same_origin(url, address) else None
        with to.open("wb") if to is not None else nullcontext() as out:
            body = _FileBody(out)  # a new one, since an abandoned try may go on writing
            return send_once(
                "GET",
                address,
                headers=headers,
                auth=own_auth or read_auth,
                read_timeout=timeout,
                limit=own_limit,
                into=body,
            )

    response = retries.retry(lambda: _follow_redirects(url, send, leave_origin=True), total)
    return DownloadResponse(response, body.hash.hexdigest(), body.size)


class _FileBody:
    """The body of a downloaded file, which is hashed and, unless `out` is None, written to a file."""

    def __init__(self, out: BinaryIO | None) -> None:
        self.hash = hashlib.sha256()
        self.size = 0
        self._out = out

    def write(self, chunk: bytes) -> None:
        """Add a part of the body to the hash and the size, and write it to the file, if any."""
        self.hash.update(chunk)
        self.size += len(chunk)
        if self._out is not None:
            self._out.write(chunk)


def authenticate_reads(url: str, auth: Auth) -> None:
    """Make `get` and `download` add credentials to encrypted requests of this run to the origin of a URL.

    `auth` is the function that adds them to a request.
    """
    current_scope().read_auth[origin_of(url)] = auth


def send_once(  # noqa: PLR0913 - a request
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    auth: Auth | None = None,
    confidential: bool = False,
    read_timeout: float = READ_TIMEOUT,
    limit: ResponseLimit = DOCUMENT,
    into: _FileBody | None = None,
) -> Response:
    """Send a request without retries and without following redirects.

    The body is bytes or a file; if it is `confidential`, it is only sent encrypted, as credentials are. `auth`
    adds credentials to the request. The body of a response with status 200 is written into `into`, if given; any
    other body becomes `content` of the response.

    Raises:
        TransientError: There was no response, or its status is transient.
        Blocked: A secret would be sent unencrypted.
        Failed: The run was interrupted, or the request, the response or the proxy is not valid.
    """
    check_url(url)
    if auth is not None or confidential or "authorization" in map(str.lower, headers or ()):
        require_encryption(url)
    host, proxy = host_of(url), _proxy_for(url)
    request = _prepare_request(method, url, {"Accept-Encoding": limit.encoding, **(headers or {})}, body, auth)
    abandoned = threading.Event()

    def exchange() -> Response:
        response = _adapter.send(
            request,
            stream=True,
            timeout=(min(_CONNECT_TIMEOUT, read_timeout), read_timeout),
            verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True,
            proxies={} if proxy is None else dict.fromkeys(("http", "https"), proxy.url.reveal()),
        )
        with response:
            _read_body(response, limit, host, into, abandoned)
        return response

    try:
        response = call_with_timeout(exchange, limit.seconds + super_len(body) / _SLOWEST_AVERAGE, host)
    except _NETWORK_ERRORS as error:
        raise _connection_error(url, proxy, error) from error
    except OSError as error:
        if error.errno is not None:  # an error of this machine, such as a full disk
            raise
        variable = "REQUESTS_CA_BUNDLE" if "REQUESTS_CA_BUNDLE" in os.environ else "CURL_CA_BUNDLE"
        code, fix = "ca-bundle-missing", f"correct the path in {variable}; or run: unset {variable}"
        if isinstance(error, requests.exceptions.InvalidSchema):  # requests found no PySocks
            code = "proxy-invalid"
            fix = f"{fixes.install_command('requests[socks]')}, or use a proxy with an http URL"
        message = f"cannot connect to {host}{_describe_proxy(proxy)}: {error}"
        raise Failed(code, message, fix=fix) from error
    finally:
        abandoned.set()
    current_scope().connected_origins.add(origin_of(url))
    _check_status(response, host, proxy)
    return response


def call_with_timeout(call: Callable[[], T], seconds: float, host: str) -> T:
    """Return the result of a function, which is called in a thread that is abandoned after a number of seconds.

    An error of the function is raised here. `host` names the server in the error if it took too long.

    Raises:
        TransientError: The function took too long.
        Failed: The run was interrupted.
    """
    outcome: Future[T] = Future()
    with current_scope().wait_event() as woken:

        def work() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                outcome.set_exception(error)
            woken.set()

        create_thread_with_context(work, "request").start()
        in_time = woken.wait(seconds)
    if outcome.done():
        return outcome.result()
    if in_time:
        raise retries.interruption_error()
    raise TransientError(
        "index-unavailable", f"request to {host} failed (too slow: not done after {seconds:.0f} s)"
    )


def _prepare_request(
    method: str, url: str, headers: Mapping[str, str], body: Any, auth: Auth | None
) -> PreparedRequest:
    """Return a request with default headers, which `headers` override, and with credentials only by `auth`.

    Cookies, `.netrc` and proxies of a session are not used.

    Raises:
        Failed: The URL or a header is not valid.
    """
    request = requests.PreparedRequest()
    default = {
        "User-Agent": _user_agent(),
        "Accept": "*/*",
        "Connection": "keep-alive",
        "Cache-Control": "no-cache",
    }
    try:
        request.prepare(method=method, url=url, headers={**default, **headers}, data=body, auth=auth)
        for value in request.headers.values():
            str(value).encode("latin-1")  # as http.client does once it is connected
    except ValueError as error:  # its text may quote a header that holds a secret
        is_header = isinstance(error, requests.exceptions.InvalidHeader | UnicodeEncodeError)
        why, fix = "the URL is not valid", "correct the URL in [tool.relnox.indexes]"
        if is_header:
            why = "the token or password has a line break, or characters outside Latin-1"
            fix = "set the token or password again, in one line and without quotes"
        raise Failed("url-invalid", f"cannot send a request to {host_of(url)} ({why})", fix) from None
    return request


@cache
def _user_agent() -> str:
    """Return the value of `User-Agent` for all requests: `relnox/VERSION`."""
    return f"relnox/{version('relnox')}"


# --- responses


def _read_body(
    response: Response, limit: ResponseLimit, host: str, into: _FileBody | None, abandoned: threading.Event
) -> None:
    """Read the body of a response into `response.content` or, with status 200 and `into`, into that.

    Raise `ResponseTooLarge`, which names `host`, if it exceeds the limit; the page of an error or a redirect is
    cut off instead. Reading ends without an error once the event `abandoned` is set.
    """
    is_file = into is not None and response.status_code == HTTPStatus.OK
    content = bytearray()
    write = into.write if into is not None and is_file else content.extend
    size, truncate = limit.size, limit.truncate
    if not response.ok or response.is_redirect:
        size, truncate = _MAX_ERROR_PAGE, True
    elif into is not None and not is_file:  # held in memory, unlike the file
        size, truncate = min(size, DOCUMENT.size), True
    try:
        while chunk := response.raw.read1(_CHUNK, decode_content=limit.encoding != "identity"):
            if abandoned.is_set():
                return
            if len(chunk) > size and not truncate:
                is_whole = limit.size >= _MIB and limit.size % _MIB == 0
                maximum = f"{limit.size >> 20} MiB" if is_whole else format_count(limit.size, "byte")
                raise ResponseTooLarge(
                    "listing-invalid",
                    f"the {limit.kind} of {host} is larger than {maximum}",
                    fix="check the URL of the index, or report it to the index",
                )
            write(chunk[:size])
            size -= len(chunk)
            if size <= 0 and truncate:
                break
    except _NETWORK_ERRORS:
        if response.ok:  # otherwise the status counts, even if the body is broken
            raise
    response._content = bytes(content)  # noqa: SLF001 - where requests stores it
    response.encoding = "utf-8"


def _check_status(response: Response, host: str, proxy: Proxy | None) -> None:
    """Raise an error for some statuses of a response; other ones, such as 404, are for the caller to check.

    Raises:
        TransientError: A retry may change the status, such as 503.
        Failed: The proxy requires a login.
    """
    status = response.status_code
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and proxy is not None:
        raise _proxy_login_error(host, proxy)
    if status < HTTPStatus.OK:
        raise TransientError("index-unavailable", f"request to {host} failed (unexpected status {status})")
    if status in _TRANSIENT_STATUSES:
        text = f"{status} {response.reason or ''}".strip()
        is_rate_limited = status == HTTPStatus.TOO_MANY_REQUESTS
        raise TransientError(
            "rate-limited" if is_rate_limited else "index-unavailable",
            f"{host} returned {text}{' (rate-limited)' if is_rate_limited else ''}{_describe_proxy(proxy)}",
            retry_after=retry_after(response.headers, retries.CLOCK.utc_now()),
        )


def parse_json(response: Response) -> Any:
    """Parse the JSON document in a response.

    A key that an object has twice is not valid, since programs differ in which of its values they read.

    Raises:
        ValueError: It is not valid, has more than a million values, or is nested too deeply.
    """
    content = response.content
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise ValueError("too many values")
    try:
        return json.loads(content, object_pairs_hook=_object_with_unique_keys)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object_with_unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs of a JSON object as a dictionary; raise `ValueError` if a key occurs twice."""
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("duplicate key")
    return document


# --- redirects


def _follow_redirects(url: str, send: Callable[[str, Auth | None], Response], *, leave_origin: bool) -> Response:
    """Call `send` with the URL and then with each redirect target; return the last response.

    The second argument of `send` is the function that adds credentials for that URL (see `authenticate_reads`), or
    None. A redirect to another origin is followed only with `leave_origin`; otherwise, it is returned.

    Raises:
        Failed: A target is not valid or not encrypted, or there are more than five redirects.
    """
    first, read_auth = url, current_scope().read_auth
    for _ in range(_MAX_REDIRECTS):
        may_authenticate = read_auth and have_same_origin(first, url) and is_encrypted_url(url)
        with _concurrent_reads:
            response = send(url, read_auth.get(origin_of(url)) if may_authenticate else None)
        if not response.is_redirect:
            return response
        location = response.headers["Location"]
        try:
            target = urljoin(url, location)
            check_url(target)
        except (ValueError, Failed) as error:
            raise Failed(
                "redirect-refused",
                f"{host_of(url)} redirects to {quote_url(location)} (not a valid URL)",
                fix="correct the URL in [tool.relnox.indexes], or report it to the index operator",
            ) from error
        if not have_same_origin(url, target):
            if not leave_origin:
                return response
            if not is_encrypted_url(target) or (url.startswith("https:") and not target.startswith("https:")):
                raise Failed(
                    "redirect-refused",
                    f"{host_of(url)} redirects to {host_of(target)} over http, which is not encrypted",
                    fix="report it to the index operator: files are downloaded over https only",
                )
        url = target
    raise Failed(
        "redirect-refused",
        f"{host_of(url)} redirects in a loop (more than {_MAX_REDIRECTS} redirects)",
        fix="correct the URL in [tool.relnox.indexes], or report it to the index operator",
    )


# --- proxies


class Proxy(NamedTuple):
    """A proxy that a request goes through.

    Attributes:
        url: The URL of the proxy, including a user name and password if it has them.
        passwords: Its password, as in the URL and unquoted, so that output masks both; empty without one.
        address: The scheme, host and port of the proxy.
        variable: The environment variable, or the setting of the system, that sets the proxy.
    """

    url: Secret
    passwords: tuple[Secret, ...]
    address: str
    variable: str


def _proxy_for(url: str) -> Proxy | None:
    """Return the proxy for requests to a URL, by environment variables as in requests; None if there is none.

    This machine is reached without one. The run keeps the object, so that its password stays masked.

    Raises:
        Failed: The URL of the proxy is not valid.
    """
    parts = urlsplit(url)
    proxies: dict[tuple[str, str], Proxy] = current_scope().proxies
    value = None if is_loopback_host(parts.hostname) else select_proxy(url, get_environ_proxies(url))
    if not value:
        return None
    names = (f"{parts.scheme}_proxy", f"{parts.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    variable = next((name for name in names if os.environ.get(name) == value), "the system's proxy setting")
    value = value if "://" in value else f"http://{value}"
    if (value, variable) in proxies:
        return proxies[value, variable]
    try:
        proxy = urlsplit(value)
        host, port = proxy.hostname, proxy.port
    except ValueError:
        proxy, host, port = None, None, None
    if proxy is None or not host or proxy.scheme not in _PROXY_SCHEMES or not value.isprintable() or " " in value:
        raise Failed(
            "proxy-invalid",
            f"{variable} is not a valid proxy URL (needed for {parts.hostname})",
            fix=f"set {variable} to http://HOST:PORT; or run: unset {variable}",
        )
    passwords = tuple(map(Secret, {proxy.password, unquote(proxy.password)})) if proxy.password else ()
    address = f"{proxy.scheme}://{host}{f':{port}' if port else ''}"
    proxies[value, variable] = Proxy(Secret(value), passwords, address, variable)
    return proxies[value, variable]


# --- errors, which name the certificate, proxy or server that failed, without any text from a server


def _connection_error(url: str, proxy: Proxy | None, error: Exception) -> Failed | TransientError:
    """Return the error to raise for a connection that failed or a response that is not valid HTTP.

    It is `Failed` if a retry does not help: the certificate is not trusted, the server does not use TLS, or the
    proxy requires a login. `proxy` is None if the request used none.
    """
    host, causes = host_of(url), _error_chain(error)
    cause = causes[-1]
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Failed(
            "certificate-not-trusted",
            f"the certificate of {host} is not trusted{_describe_proxy(proxy)} ({cause.verify_message})",
            fix="correct the URL; for a private certificate authority, set REQUESTS_CA_BUNDLE=FILE.pem",
        )
    if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
        return Failed(
            "server-unreachable",
            f"cannot connect to {host}{_describe_proxy(proxy)} (the server does not use TLS at this port)",
            fix="correct the host or the port in the URL, such as that in [tool.relnox.indexes]",
        )
    reason = _describe_error(cause)
    if proxy is not None and (rejection := _TUNNEL_REJECTED.match(str(cause))):
        if int(rejection[1]) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return _proxy_login_error(host, proxy)
        reason = f"the proxy responded {rejection[1]}"
    not_connected = any(isinstance(part, (NewConnectionError, ConnectTimeoutError)) for part in causes)
    never_connected = not_connected and origin_of(url) not in current_scope().connected_origins
    if never_connected or proxy is not None:
        code, message = "server-unreachable", f"cannot connect to {host}{_describe_proxy(proxy)} ({reason})"
    else:
        code, message = "index-unavailable", f"request to {host} failed ({reason})"
    return TransientError(code, message, never_connected=never_connected)


def _error_chain(error: BaseException) -> list[BaseException]:
    """Return an error and the errors that it wraps, from the outermost to the innermost."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return [error, *_error_chain(inner)]
    return [error]


def _describe_error(error: BaseException) -> str:
    """Describe a low-level error in a few words, such as `connection refused`, without any text from a server."""
    if isinstance(error, (TimeoutError, ConnectTimeoutError)) and not getattr(error, "strerror", None):
        return "timed out"
    text: str | None = getattr(error, "strerror", None)
    if not text:
        return type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _proxy_login_error(host: str, proxy: Proxy) -> Failed:
    """Return the error for a proxy that requires a login for requests to `host`."""
    return Failed(
        "proxy-invalid",
        f"cannot connect to {host}{_describe_proxy(proxy)} (407: proxy authentication required)",
        fix=f"set {proxy.variable} to http://USER:PASSWORD@HOST:PORT, or add {host} to NO_PROXY",
    )


def _describe_proxy(proxy: Proxy | None) -> str:
    """Return ` through the proxy ADDRESS, set by VARIABLE`, to end a message; empty without a proxy."""
    return "" if proxy is None else f" through the proxy {proxy.address}, set by {proxy.variable}"
