"""Pull requests and releases through the API of a forge: requests with retries, and errors for responses."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, TypeVar
from urllib.parse import quote, urlencode

from packaging.version import Version

from relnox.core.records import Record
from relnox.errors import Blocked, Failed
from relnox.forges.remotes import RepositoryLocation
from relnox.system import http, retries
from relnox.system.retries import retry_after
from relnox.system.secrets import Secret, mask_secrets

if TYPE_CHECKING:
    from requests import PreparedRequest, Response


T = TypeVar("T")
_SHORT_TIME = 15.0
"""Seconds for what is useful to know, but not required."""
_LIMIT = http.ResponseLimit("answer", 16 << 20, 120.0)
_MAX_QUOTED = 300
_PAGE_SIZE = 100
_SECONDARY_LIMIT_WAIT = 60.0
"""The seconds to wait, as GitHub recommends, if a response about the rate limit does not say how long."""


class RequestRejected(Failed):
    """The error for a request that the forge rejected for a reason other than the token: not 401, 403 or 404."""


def _is_rate_limited(response: Response) -> bool:
    """Return whether a response has status 403 because of the rate limit.

    GitHub uses both 403 and 429 for that; 429 needs no such check.
    """
    return response.status_code == HTTPStatus.FORBIDDEN and (
        "Retry-After" in response.headers
        or response.headers.get("X-RateLimit-Remaining", "").strip() == "0"
        or "rate limit" in response.text[:_MAX_QUOTED].lower()
    )


def _read_explanation(document: Any) -> str:
    """Return the messages in the JSON of an error response, as one line without secrets; empty if it has none."""
    if not isinstance(document, dict):
        return ""
    texts = []
    for name in ("message", "error", "error_description", "errors"):
        value = document.get(name)
        for item in value if isinstance(value, list) else [value]:
            detail = item.get("message") or item if isinstance(item, dict) else item
            if detail:
                texts.append(detail if isinstance(detail, str) else json.dumps(detail))
    return mask_secrets(" ".join("; ".join(dict.fromkeys(texts)).split()))[:_MAX_QUOTED]


class PullRequest(Record, kw_only=True):
    """A pull request; a merge request on GitLab.

    Attributes:
        url: The URL of its web page.
        body: The description, in Markdown; may be empty.
        head: The short name of the branch to merge.
        base: The short name of the branch to merge into.
        is_open: Whether it is neither merged nor closed.
        is_own: Whether its branch is in the same repository, not in a fork.
    """

    number: int
    url: str
    title: str
    body: str
    head: str
    base: str
    is_open: bool
    is_own: bool


class ReleasePage(Record, kw_only=True):
    """A release on a forge.

    Attributes:
        id: Its number; 0 on GitLab, where a tag has one release at most.
        body: The text, in Markdown.
        url: The URL of its web page.
        is_draft: Whether only those who may push see it.
        is_immutable: Whether it takes no more files.
        upload_url: The URL that files are sent to; empty on GitLab.
        links: The names of the files that it links to; empty on GitHub, whose releases contain files.
    """

    id: int = 0
    tag: str
    body: str
    url: str
    is_draft: bool = False
    is_immutable: bool = False
    upload_url: str = ""
    links: tuple[str, ...] = ()


class ReleaseFile(Record, kw_only=True):
    """A file of a release as the forge has it.

    Attributes:
        url: The URL in the API.
        sha256: The hash (hex) that the forge states, or None if it states none.
        is_complete: Whether its upload has ended.
    """

    name: str
    url: str
    sha256: str | None = None
    is_complete: bool = True


class CheckRun(Record, kw_only=True):
    """A result of CI for a commit: a check run or status on GitHub, a pipeline on GitLab.

    Attributes:
        name: The name of the check or status; for a pipeline, its number and the branch or tag.
        state: `failed` includes canceled runs.
        url: The URL of its web page, or empty.
    """

    name: str
    state: Literal["passed", "failed", "pending"]
    url: str


class Environment(Record, kw_only=True):
    """An environment that CI jobs deploy to.

    Attributes:
        has_reviewers: Whether someone must approve its jobs.
        prevents_self_review: Whether those who start jobs cannot approve them; None if the forge does not say.
    """

    has_reviewers: bool
    prevents_self_review: bool | None


class Forge(ABC):
    """A repository on a forge. Methods that send requests retry them for at most about ten minutes.

    They raise `TryLater` if the forge is down, or limits the rate of requests for too long; `Blocked` if the token
    is missing, is not accepted or lacks a permission; and `Failed` if the forge rejects the request, or its
    response is not as documented.

    Args:
        location: The repository, the URL of its API, and the variable that holds the token.
        token: The token, or None to only read, without authentication.
    """

    name: ClassVar[str]
    """The name of the forge, for messages."""
    program: ClassVar[str]
    """The name of the forge's command-line program, for fixes."""
    headers: ClassVar[Mapping[str, str]]
    """The headers of all requests."""
    pull_request_term: ClassVar[str]
    """The forge's term for a pull request, for messages."""
    pull_requests_path: ClassVar[str]
    """The path of the pull requests, below that of the repository."""
    update_method: ClassVar[str]
    """The HTTP method of requests that change a pull request."""
    field_names: ClassVar[Mapping[str, str]]
    """Maps `head`, `base`, `title` and `body` of a pull request to the forge's names, where they differ."""
    has_drafts: ClassVar[bool]
    """Whether releases can be drafts, prereleases and the latest one; else they are public from the beginning."""
    max_body: ClassVar[int]
    """The maximum number of characters in the text of a release."""
    environment_fix: ClassVar[str]
    """The fix for an environment that is not protected; `{name}` stands for its name."""
    pages_path: ClassVar[str]
    """The path of the pages of tags, after the URL of the repository."""

    def __init__(self, location: RepositoryLocation, token: Secret | None) -> None:
        self.location = location
        self._token = token

    @property
    @abstractmethod
    def _repository_path(self) -> str:
        """The path of the repository in the API, to which the paths of requests are appended."""

    @property
    def _token_header(self) -> tuple[str, str]:
        """The name of the header with the token, and the prefix of its value."""
        return "Authorization", "Bearer "

    @abstractmethod
    def _permission_fix(self, permission: str, explanation: str) -> str:
        """Return the fix for a token without a permission, given by its name on GitHub: `pull-requests: write`.

        `explanation` is the message of the forge.
        """

    @abstractmethod
    def _open_pull_requests_query(self, head: str, base: str) -> Mapping[str, str]:
        """Return the query parameters that list the open pull requests between two branches."""

    @abstractmethod
    def _parse_pull_request(self, document: Any) -> PullRequest:
        """Return the pull request that a JSON document describes; any error means that it describes none."""

    # --- what is only read, at once

    @abstractmethod
    def check_runs(self, commit: str) -> tuple[CheckRun, ...]:
        """Return the latest result of each check or pipeline that CI ran for a commit; empty if there is none."""

    @abstractmethod
    def environment(self, name: str) -> Environment | None:
        """Return how an environment is protected, or None if there is none of this name.

        On GitLab, an environment that is missing or not protected raises `Blocked`.
        """

    def _get_quickly(
        self, path: str, failure: str, permission: str, convert: Callable[[Any], T], **query: str
    ) -> T:
        """Send a GET request for 15 seconds at most, retries included; return its document after conversion."""
        document = self.request("GET", path, failure, permission, query=query, seconds=_SHORT_TIME)
        return self._parse(convert, document, failure)

    # --- pull requests

    def find_open_pull_request(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request between two branches of this repository, or None if there is none."""
        failure = f"cannot list {self.pull_request_term}s of {self.location.path}"
        query = self._open_pull_requests_query(head, base)
        documents = self.request("GET", self.pull_requests_path, failure, "pull-requests: read", query=query)
        if not isinstance(documents, list):
            raise self.unexpected_response_error(failure)
        requests = [self._parse(self._parse_pull_request, document, failure) for document in documents]
        planned = (True, True, head, base)
        return next(
            (item for item in requests if (item.is_open, item.is_own, item.head, item.base) == planned), None
        )

    def pull_request(self, number: int) -> PullRequest:
        """Return the pull request with this number; raise `Blocked` if there is none."""
        failure = f"cannot read {self.pull_request_term} {number}"
        path = f"{self.pull_requests_path}/{number}"
        return self._parse(
            self._parse_pull_request, self.request("GET", path, failure, "pull-requests: read"), failure
        )

    def create_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Create a pull request; if one is open between the two branches, return it unchanged.

        The forge refuses a second one, so that a request whose response was lost can be sent again.
        """
        failure = f"cannot create a {self.pull_request_term} from {head} to {base} on {self.location.path}"
        values = self._rename_fields(head=head, base=base, title=title, body=body)
        try:
            document = self.request("POST", self.pull_requests_path, failure, "pull-requests: write", body=values)
        except RequestRejected:
            if (existing := self.find_open_pull_request(head, base)) is not None:
                return existing
            raise
        return self._parse(self._parse_pull_request, document, failure)

    def update_pull_request(self, number: int, *, title: str, body: str) -> PullRequest:
        """Change the title and the description of a pull request, and return it."""
        failure = f"cannot change {self.pull_request_term} {number}"
        path, values = f"{self.pull_requests_path}/{number}", self._rename_fields(title=title, body=body)
        document = self.request(self.update_method, path, failure, "pull-requests: write", body=values)
        return self._parse(self._parse_pull_request, document, failure)

    def _rename_fields(self, **values: str) -> dict[str, str]:
        return {self.field_names.get(name, name): value for name, value in values.items()}

    # --- releases

    def compare_url(self, before: str, after: str) -> str:
        """Return the URL of the page that compares two tags."""
        return f"{self.location.web}{self.pages_path}/compare/{quote(before)}...{quote(after)}"

    def file_url(self, tag: str, path: str) -> str:
        """Return the URL of the page of a file (its path in the repository) at a tag."""
        return f"{self.location.web}{self.pages_path}/blob/{quote(tag)}/{quote(path)}"

    @abstractmethod
    def check_release_permission(self, tag: str, commit: str) -> None:
        """Raise `Blocked` if the token is missing or may not write releases.

        That takes at most one request, which changes nothing. The tag need not exist; the forge must have the
        commit.
        """

    @abstractmethod
    def releases(self, tag: str) -> tuple[ReleasePage, ...]:
        """Return the releases of a tag, drafts included, the oldest first."""

    @abstractmethod
    def create_release(
        self, tag: str, title: str, body: str, *, prerelease: bool, files: Sequence[ReleaseFile] = ()
    ) -> tuple[ReleasePage, ...]:
        """Create a release, as a draft if the forge has drafts; else it is public, and links to `files`.

        Return all releases of the tag, the oldest first: a repeated request or another job may have created one.
        """

    @abstractmethod
    def change_release(self, page: ReleasePage, body: str, files: Sequence[ReleaseFile] = ()) -> None:
        """Change the text of a release; on a forge without drafts, also add the links to `files` that it lacks."""

    @abstractmethod
    def publish_release(self, page: ReleasePage, *, prerelease: bool, latest: bool) -> None:
        """Publish a draft as a prerelease or not, and as the latest release or not; without drafts, do nothing."""

    @abstractmethod
    def latest_release(self) -> str | None:
        """Return the tag of the release marked as latest; None without one, or on a forge without such marks."""

    @abstractmethod
    def files(self, page: ReleasePage | None, package: str, version: str) -> dict[str, ReleaseFile]:
        """Return the files of a release by name; empty if `page` is None, which means that there is no release.

        On GitLab, they are the files of the generic package with this name and version, even before there is a
        release.
        """

    @abstractmethod
    def upload(self, page: ReleasePage | None, package: str, version: str, path: Path) -> None:
        """Upload a file that the release lacks, or has only in part.

        On GitLab, it is uploaded to the generic package with the name `package` and this version, and `page` may
        be None.
        """

    @abstractmethod
    def delete_release(self, page: ReleasePage) -> None:
        """Delete a draft, if it exists; do nothing on a forge without drafts."""

    @abstractmethod
    def delete_file(self, file: ReleaseFile) -> None:
        """Delete a file of a draft, if it exists; do nothing on a forge without drafts."""

    @abstractmethod
    def generated_notes(self, tag: str, previous: str, version: Version) -> str:
        """Return the notes that the forge generates for the changes from tag `previous` to `tag`, in Markdown.

        `version` is the version in `tag`; GitLab needs it, since it does not know the tag format.
        """

    def download_sha256(self, file: ReleaseFile) -> str | None:
        """Download a file without storing it; return its SHA-256 (hex), or None if it is not there."""
        headers = {**self.headers, "Accept": "application/octet-stream"}
        auth = None if self._token is None else self._add_token
        response, sha256, _ = http.download(file.url, None, headers, auth=auth)
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK:
            raise self._response_error(response, "", f"cannot download {file.name}", "contents: read")
        return sha256

    def _parse(self, convert: Callable[[Any], T], document: Any, failure: str) -> T:
        """Return a JSON document after conversion; raise `Failed` if that fails, since it is not as documented."""
        try:
            return convert(document)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self.unexpected_response_error(failure) from error

    # --- requests

    def request(  # noqa: PLR0913 - a request
        self,
        method: str,
        path: str,
        failure: str,
        permission: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        may_be_missing: bool = False,
        seconds: float | None = None,
    ) -> Any:
        """Send a request, which must be safe to repeat, with retries; return the response's JSON, None if empty.

        Args:
            method: The HTTP method; all but GET need a token.
            path: What follows the path of the repository: `/pulls`, or empty.
            failure: The first words of the error message, such as `cannot read pull request 7`.
            permission: The permission that the token needs, as named by GitHub, such as `pull-requests: read`.
            query: The parameters to append to the URL.
            body: The document to send as JSON, if any.
            may_be_missing: Whether to return None for a response with status 404.
            seconds: The time limit, retries included; None for about ten minutes.

        Raises:
            TryLater: The forge is down, or limits the rate of requests for too long.
            Blocked: The token is missing, is not accepted or lacks a permission, or the repository was moved.
            RequestRejected: The forge rejected the request for another reason.
            Failed: The response is not JSON.
        """
        if method != "GET":
            self.require_token()
        address = f"{self.location.api}/{self._repository_path}{path}{f'?{urlencode(query)}' if query else ''}"
        deadline = retries.Deadline() if seconds is None else retries.Deadline(seconds)
        content = None if body is None else json.dumps(body).encode()
        response = retries.retry(lambda: self._send(method, address, content, deadline.read_timeout), deadline)
        if may_be_missing and response.status_code == HTTPStatus.NOT_FOUND:
            return None
        return self._parse_response(response, failure, permission)

    def request_all(self, path: str, failure: str, permission: str, **query: str) -> Iterator[Any]:
        """Request all pages of a list, and yield its items.

        `path`, `failure` and `permission` are as in `request`; `query` has the parameters of the URL.
        """
        number, items = 1, [None] * _PAGE_SIZE
        while len(items) >= _PAGE_SIZE:
            page = {"per_page": str(_PAGE_SIZE), "page": str(number)}
            items = self.request("GET", path, failure, permission, query=query | page)
            if not isinstance(items, list):
                raise self.unexpected_response_error(failure)
            yield from items
            number += 1

    def _parse_response(self, response: Response, failure: str, permission: str) -> Any:
        """Return the JSON document of a response, None if it has no content, or raise the error for its status."""
        if response.status_code == HTTPStatus.NO_CONTENT:
            return None
        is_success = response.ok and not response.is_redirect
        try:
            document = http.parse_json(response)
        except ValueError as error:
            if is_success:
                raise self.unexpected_response_error(failure) from error
            document = None
        if is_success:
            return document
        raise self._response_error(response, _read_explanation(document), failure, permission)

    def require_token(self) -> None:
        """Check that there is a token, which requests that change something need.

        Raises:
            Blocked: There is no token.
        """
        if self._token is None:
            raise self._missing_token_error(f"cannot change {self.location.path} on {self.name}")

    def unexpected_response_error(self, failure: str) -> Failed:
        """Return the error for a response that is not as documented; `failure` is the start of its message."""
        return Failed(
            "forge-rejected",
            f"{failure}: unexpected response from {self.name} ({self.location.api})",
            fix=f"check that {self.location.api} is the API of {self.name}, and that no proxy changes responses; "
            "then rerun the command",
        )

    def _missing_token_error(self, failure: str) -> Blocked:
        variables = self.location.accepted_variables
        variable = variables[min(1, len(variables) - 1)]  # the one that users know from other tools
        host, repository = self.location.host, self.location.path
        return Blocked(
            "forge-token-missing",
            f"{failure}: no token for {host} in {' or '.join(variables)}",
            fix=f"set {variable} to a token for {repository}",
        )

    def _response_error(
        self, response: Response, explanation: str, failure: str, permission: str
    ) -> Failed | Blocked:
        """Return the error for a response that is not successful; `explanation` is its message, or empty."""
        status, repository, variable = response.status_code, self.location.path, self.location.token_variable
        reason = f"{self.name}: {status}{f' {explanation}' if explanation else ''}"
        if response.is_redirect:
            return Blocked(
                "forge-rejected",
                f"{failure}: {repository} was moved ({self.name} redirects to another address)",
                fix="look up the address of the repository there, then: git remote set-url REMOTE URL",
            )
        # Forges return 404, too, for what a token has no access to.
        if status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
            return RequestRejected(
                "forge-rejected",
                f"{failure}: rejected by the forge ({reason})",
                fix=f"fix what {self.name} reports, then rerun the command",
            )
        if not variable:
            return self._missing_token_error(f"{failure} ({reason})")
        if status == HTTPStatus.UNAUTHORIZED:
            return Blocked(
                "forge-token-missing",
                f"{failure}: the token in {variable} is not accepted ({reason})",
                fix=f"set {variable} to a valid token",
            )
        return Blocked(
            "forge-rejected",
            f"{failure}: the token in {variable} lacks a permission, or there is no repository {repository} "
            f"({reason})",
            fix=self._permission_fix(permission, explanation),
        )

    def _send(
        self,
        method: str,
        url: str,
        content: bytes | BinaryIO | None,
        timeout: float,
        content_type: str = "application/json",
    ) -> Response:
        """Send a request with `content` as its body, once; return the response, even if it rejects the request.

        Raises:
            TransientError: The server fails, or limits the rate of requests.
        """
        try:
            response = http.send_once(
                method,
                url,
                headers={**self.headers, **({} if content is None else {"Content-Type": content_type})},
                body=content,
                auth=None if self._token is None else self._add_token,
                read_timeout=timeout,
                limit=_LIMIT,
            )
        except http.ResponseTooLarge as error:
            raise self.unexpected_response_error(f"{method} {url}") from error
        except retries.TransientError as error:
            if error.code == "rate-limited" and error.retry_after is None:
                error.retry_after = _SECONDARY_LIMIT_WAIT
            raise
        # Also those that `send_once` does not count as transient.
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise retries.TransientError("index-unavailable", f"{self.name} returned {response.status_code}")
        if _is_rate_limited(response):
            raise retries.TransientError(
                "rate-limited",
                f"{self.name} limits the rate of requests ({response.status_code})",
                retry_after=retry_after(response.headers, retries.CLOCK.utc_now()) or _SECONDARY_LIMIT_WAIT,
            )
        return response

    def _add_token(self, request: PreparedRequest) -> PreparedRequest:
        name, prefix = self._token_header
        if self._token is not None:
            request.headers[name] = f"{prefix}{self._token.reveal()}"
        return request
