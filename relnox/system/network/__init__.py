"""HTTP requests with deadlines, size limits and retries; redirects to other servers are not followed by default.

`send_once` sends a request without retries. Retries share a `Deadline`, which limits their total time, waits with
exponential back-off and honors `Retry-After`. Proxies and private certificate authorities are set by environment
variables, as in requests; this machine is never reached through a proxy, and `.netrc` is not read here.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin

from relnox.errors import Failed
from relnox.system.addresses import check_url, host_of, origin_of, quote_url
from relnox.system.addresses import is_encrypted as is_encrypted
from relnox.system.addresses import same_origin as same_origin
from relnox.system.network import deadlines as deadlines
from relnox.system.network.bodies import DOCUMENT as DOCUMENT
from relnox.system.network.bodies import FIRST_BYTES as FIRST_BYTES
from relnox.system.network.bodies import LISTING as LISTING
from relnox.system.network.bodies import UPLOAD_RESPONSE as UPLOAD_RESPONSE
from relnox.system.network.bodies import Limit as Limit  # noqa: TC001 - others make limits
from relnox.system.network.bodies import TooLarge as TooLarge
from relnox.system.network.bodies import file_limit as file_limit
from relnox.system.network.bodies import json_document as json_document
from relnox.system.network.bodies import parseable_html as parseable_html
from relnox.system.network.deadlines import Deadline as Deadline
from relnox.system.network.failures import TransientError as TransientError
from relnox.system.network.sending import send_once as send_once
from relnox.system.network.watching import Watch
from relnox.system.network.watching import active_requests as active_requests
from relnox.system.network.watching import cancel_all as cancel_all
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from requests import Response

    from relnox.system.network.bodies import Sink
    from relnox.system.network.sending import Auth

T = TypeVar("T")

_MAX_REDIRECTS = 5

_concurrent_reads = threading.BoundedSemaphore(16)


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
    """Request a document, bypassing caches; retry with back-off after transient errors.

    Redirects are followed only within the same origin, since other servers cannot answer for an index. A redirect
    to another origin is returned as the response, unless `leave_origin` is set.

    Args:
        url: The URL.
        headers: The request headers, without credentials.
        method: `GET` or `HEAD`.
        into: The file that each try writes the body of a successful response to. If None, the body is in the
            `content` of the response.
        deadline: The time limit of all tries, or None for the default one.
        limit: The maximum size and duration of the response.
        leave_origin: Whether to follow redirects to other servers, too, such as those of files to a CDN. They are
            followed without credentials, and only to https URLs and this machine. The caller has to verify the
            content by its hash.

    Raises:
        TransientError: All tries failed.
        Failed: The server redirects in a loop or to a URL that is not allowed, the response is too large, or the
            run was interrupted.
    """
    total_deadline = deadline or Deadline()
    fresh = {**(headers or {}), "Cache-Control": "no-cache"}

    def send(address: str, auth: Auth | None) -> Response:
        with into.open("wb") if into is not None else contextlib.nullcontext() as out:
            timeout = total_deadline.read_timeout
            return send_once(
                method, address, headers=fresh, into=out, read_timeout=timeout, limit=limit, auth=auth
            )

    while True:
        try:
            with _concurrent_reads:
                return _follow_redirects(url, send, leave_origin=leave_origin)
        except TransientError as transient_error:
            total_deadline.back_off(transient_error)


def authenticate_reads(url: str, auth: Auth) -> None:
    """Make `get` add credentials to its requests to the origin of a URL in this run, and to no other origin."""
    current_scope().read_auth[origin_of(url)] = auth


def call_with_timeout(call: Callable[[], T], seconds: float, host: str) -> T:
    """Call a function that makes requests to a host by other means, in a thread that may be abandoned.

    Raises:
        TransientError: The function took too long.
        Failed: The run was interrupted.
    """
    with Watch(host, seconds, seconds) as watch:
        try:
            return watch.wait_for(call, seconds)
        except TimeoutError:
            watch.check()
            raise TransientError("index-unavailable", f"request to {host} failed (timed out)") from None


def _follow_redirects(url: str, send: Callable[[str, Auth | None], Response], *, leave_origin: bool) -> Response:
    """Call `send` with the URL and each redirect target that may be followed; return the last response."""
    first = url
    for _ in range(_MAX_REDIRECTS):
        read_auth = current_scope().read_auth
        may_authenticate = read_auth and same_origin(first, url) and is_encrypted(url)
        response = send(url, read_auth.get(origin_of(url)) if may_authenticate else None)
        if not response.is_redirect:
            return response
        target = _redirect_target(url, response.headers["Location"])
        if not same_origin(url, target):
            if not leave_origin:
                return response
            _check_encryption(url, target)
        url = target
    raise Failed(
        "listing-invalid",
        f"{host_of(url)} redirects in a loop (more than {_MAX_REDIRECTS} redirects)",
        fix="check the URL of the index",
    )


def _redirect_target(url: str, location: str) -> str:
    """Return the absolute URL that a redirect leads to."""
    try:
        target = urljoin(url, location)
        check_url(target)
    except (ValueError, Failed) as error:
        raise Failed(
            "listing-invalid",
            f"{host_of(url)} redirects to {quote_url(location)} (not a valid URL)",
            fix="check the URL of the index, or report it to the index operator",
        ) from error
    return target


def _check_encryption(url: str, target: str) -> None:
    """Check that a redirect does not lead from https to http, nor over http to another machine."""
    is_downgraded = url.startswith("https:") and not target.startswith("https:")
    if is_downgraded or not is_encrypted(target):
        raise Failed(
            "listing-invalid",
            f"{host_of(url)} redirects to {host_of(target)} over http, which is not encrypted",
            fix="report it to the index operator: files are downloaded over https only",
        )
