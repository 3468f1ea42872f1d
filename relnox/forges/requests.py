"""Requests to the API of a forge, with retries, rate limits and pagination."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urljoin

from relnox.errors import Blocked
from relnox.forges.api_responses import ApiResponse, InvalidResponse, error_message
from relnox.system import network
from relnox.system.network import deadlines
from relnox.system.network.deadlines import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from requests import PreparedRequest, Response

    from relnox.forges.remotes import Location
    from relnox.system.secrets import Secret

T = TypeVar("T")

_LIMIT = network.Limit("answer", 16 << 20, 120.0)
_MAX_PAGES = 50
_MAX_REDIRECTS = 5
_MAX_QUOTED = 300
_SECONDARY_LIMIT_WAIT = 60.0
"""The seconds to wait, as GitHub recommends, if a response about the rate limit does not say how long."""
_SERVER_ERRORS = frozenset(range(500, 600))
_REPEATED = (HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT)
"""Redirect statuses after which a request with a body is sent again unchanged (RFC 9110)."""


class Api:
    """The API of a forge for one repository.

    Args:
        name: The name of the forge, for messages.
        location: The location of the repository.
        token: The token, or None to only read, without authentication.
        token_header: The name of the header with the token and the prefix of its value, such as
            `("Authorization", "Bearer ")`.
        headers: The headers of all requests.
        root: The path of the repository in the API; the paths of requests are appended to it.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what the two forges differ in
        self,
        name: str,
        location: Location,
        token: Secret | None,
        token_header: tuple[str, str],
        headers: Mapping[str, str],
        root: str,
    ) -> None:
        self.name = name
        self.location = location
        self._token = token
        self._token_header = token_header
        self._headers = headers
        self._root = f"{location.api}/{root}"

    # --- requests that read

    def get(self, path: str, query: Mapping[str, str] | None = None) -> ApiResponse:
        """Request a document, with retries; the caller has to check the status.

        Raises:
            TransientError: The forge is down, or limits the rate of requests.
            InvalidResponse: The response is not JSON.
        """
        return self._with_retries("GET", self._url_of_path(path, query), None)

    def pages(self, path: str, query: Mapping[str, str]) -> Iterator[ApiResponse]:
        """Yield the pages of a listing, each requested with retries; the caller has to check the status.

        Raises:
            TransientError: The forge is down, or limits the rate of requests.
            InvalidResponse: A page is not JSON, or there are too many pages.
        """
        next_url = self._url_of_path(path, query)
        for _ in range(_MAX_PAGES):
            response = self._with_retries("GET", next_url, None)
            yield response
            if not response.next_url:
                return
            if not network.same_origin(next_url, response.next_url):
                raise self.invalid("a next page on another server")
            next_url = response.next_url
        raise self.invalid(f"a listing of more than {_MAX_PAGES} pages")

    # --- requests that change something

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> ApiResponse:
        """Send a request that changes something, without retries; the caller has to check the status.

        Raises:
            TransientError: The request failed, and may have had an effect unless the code is `rate-limited`.
            InvalidResponse: The request probably had an effect, but the response is not JSON.
            Blocked: There is no token.
        """
        self.require_token()
        return self._send_once(method, self._url_of_path(path), body)

    def repeat(self, method: str, path: str, body: Mapping[str, Any]) -> ApiResponse:
        """Send an idempotent request that changes something, with retries; the caller has to check the status."""
        self.require_token()
        return self._with_retries(method, self._url_of_path(path), body)

    def until_confirmed(self, change: Callable[[], T], read: Callable[[], T | None]) -> T:
        """Change something on the forge, with retries; before each one, check whether the change was made.

        Args:
            change: Sends the request and returns the result of the change.
            read: Returns the result if the change was made, or None if it was not.

        Raises:
            TransientError: The forge is down, or limits the rate of requests.
            InvalidResponse: The response is not valid, and the change was not made.
        """
        deadline = network.Deadline()
        while True:
            try:
                return change()
            except network.TransientError as error:
                deadline.back_off(error)
                if error.code == "rate-limited":  # it had no effect
                    continue
            except InvalidResponse:
                if (result := read()) is not None:
                    return result
                raise
            if (result := read()) is not None:
                return result

    # --- errors

    def invalid(self, what: str) -> InvalidResponse:
        """Return the error for an invalid response.

        Args:
            what: What the forge returned, for the message.
        """
        forge, api = self.name, self.location.api
        return InvalidResponse(
            "forge-rejected",
            f"{forge} returned {what} ({api})",
            fix="check the URL of the API and the proxy, and the status page of the forge; then rerun the command",
        )

    def token_missing(self, message: str) -> Blocked:
        """Return the error for a missing token.

        Args:
            message: The first words of the error message: what needs a token.
        """
        variables = self.location.accepted_variables
        variable = variables[min(1, len(variables) - 1)]  # the one that users know from other tools
        host, repository = self.location.host, self.location.path
        return Blocked(
            "forge-token-missing",
            f"{message}: no token for {host} in {' or '.join(variables)}",
            fix=f"set {variable} to a token for {repository}",
        )

    def require_token(self) -> None:
        """Check that there is a token, which requests that change something need.

        Raises:
            Blocked: There is no token.
        """
        if self._token is None:
            raise self.token_missing(f"cannot change {self.location.path} on {self.name}")

    # --- sending

    def _url_of_path(self, path: str, query: Mapping[str, str] | None = None) -> str:
        return f"{self._root}{path}{f'?{urlencode(query)}' if query else ''}"

    def _with_retries(self, method: str, address: str, body: Mapping[str, Any] | None) -> ApiResponse:
        deadline = network.Deadline()
        while True:
            try:
                return self._send_once(method, address, body, deadline)
            except network.TransientError as error:
                deadline.back_off(error)

    def _send_once(
        self, method: str, address: str, body: Mapping[str, Any] | None, deadline: network.Deadline | None = None
    ) -> ApiResponse:
        """Send a request without retries; follow redirects on the same server, as of renamed repositories."""
        first = address
        timeout = (deadline or network.Deadline()).read_timeout
        for _ in range(_MAX_REDIRECTS):
            response = self._receive_response(method, address, body, timeout)
            location = response.headers.get("Location", "")
            if not response.is_redirect or not (method == "GET" or response.status_code in _REPEATED):
                return self._parse_response(response)
            try:
                address = urljoin(address, location)
            except ValueError:
                address = ""
            if not network.same_origin(first, address):
                break
        forge, repository = self.name, self.location.path
        raise Blocked(
            "forge-rejected",
            f"{forge} redirects requests for {repository} to another server, or endlessly",
            fix="look up the address of the repository there, then: git remote set-url REMOTE URL",
        )

    def _receive_response(
        self, method: str, address: str, body: Mapping[str, Any] | None, timeout: float
    ) -> Response:
        """Send a request once; raise the error if the server fails or limits the rate of requests."""
        content = {} if body is None else {"Content-Type": "application/json"}
        try:
            response = network.send_once(
                method,
                address,
                headers={**self._headers, **content},
                body=None if body is None else json.dumps(body).encode(),
                auth=None if self._token is None else self._add_token,
                read_timeout=timeout,
                limit=_LIMIT,
            )
        except network.TooLarge as error:
            raise self.invalid(f"a response of more than {_LIMIT.size >> 20} MiB") from error
        except network.TransientError as error:
            if error.code == "rate-limited" and error.retry_after is None:
                error.retry_after = _SECONDARY_LIMIT_WAIT
            raise
        if response.status_code in _SERVER_ERRORS:  # those that `send_once` does not count as transient
            raise network.TransientError("index-unavailable", f"{self.name} returned {response.status_code}")
        if _is_rate_limited(response):
            raise network.TransientError(
                "rate-limited",
                f"{self.name} limits the rate of requests ({response.status_code})",
                retry_after=retry_after(response.headers, deadlines.CLOCK.today()) or _SECONDARY_LIMIT_WAIT,
            )
        return response

    def _parse_response(self, response: Response) -> ApiResponse:
        """Parse a response.

        Raises:
            InvalidResponse: The response is successful, but is not JSON.
        """
        success = response.ok and not response.is_redirect
        if success and response.status_code == HTTPStatus.NO_CONTENT:
            document = None
        else:
            try:
                document = network.json_document(response)
            except ValueError as error:
                if success:
                    kind = response.headers.get("Content-Type", "").partition(";")[0][:40]
                    raise self.invalid(f"a response that is not JSON ({kind or 'no type'})") from error
                document = None
        next_url = response.links.get("next", {}).get("url", "")
        return ApiResponse(
            status=response.status_code,
            text="" if success else error_message(document),
            document=document if success else None,
            next_url=next_url if success else "",
        )

    def _add_token(self, request: PreparedRequest) -> PreparedRequest:
        name, prefix = self._token_header
        if self._token is not None:
            request.headers[name] = f"{prefix}{self._token.reveal()}"
        return request


def _is_rate_limited(response: Response) -> bool:
    """Return whether a response with status 403 is about the rate limit, for which GitHub uses 403 and 429."""
    return response.status_code == HTTPStatus.FORBIDDEN and (
        "Retry-After" in response.headers
        or response.headers.get("X-RateLimit-Remaining", "").strip() == "0"
        or "rate limit" in response.text[:_MAX_QUOTED].lower()
    )
