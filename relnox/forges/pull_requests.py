"""The pull requests of a repository on a forge."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from relnox.core.records import Record
from relnox.forges.api import Api, Rejected


class PullRequest(Record, kw_only=True):
    """A pull request; a merge request on GitLab.

    Attributes:
        url: The URL of its web page.
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


class Forge(ABC):
    """A repository on a forge. Each method sends requests, with retries, for at most about ten minutes.

    All methods raise `TryLater` if the forge is down, or limits the rate of requests for too long; `Blocked` if
    the token is missing, is not accepted or lacks a permission; and `Failed` if the forge rejects the request, or
    its response is not as documented.
    """

    request_kind: ClassVar[str]
    """The forge's term for a pull request, for messages."""
    requests_path: ClassVar[str]
    change_method: ClassVar[str]
    fields: ClassVar[Mapping[str, str]]
    """Maps `head`, `base`, `title` and `body` to the forge's names of the fields of a pull request."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @abstractmethod
    def _query(self, head: str, base: str) -> Mapping[str, str]:
        """Return the query parameters that list the open pull requests between two branches."""

    @abstractmethod
    def _read(self, document: Any) -> PullRequest:
        """Return the pull request that a response describes; raise any error if it describes none."""

    def check_token(self) -> None:
        """Check that there is a token; its permissions are not checked.

        Raises:
            Blocked: There is no token.
        """
        self._api.require_token()

    def open_pull_request(self, head: str, base: str) -> PullRequest | None:
        """Return the open pull request between two branches of this repository, or None if there is none."""
        failure = f"cannot list {self.request_kind}s of {self._api.location.path}"
        query = self._query(head, base)
        documents = self._api.request("GET", self.requests_path, failure, "pull-requests: read", query=query)
        if not isinstance(documents, list):
            raise self._api.unexpected(failure)
        requests = [self._pull_request(document, failure) for document in documents]
        planned = (True, True, head, base)
        return next(
            (item for item in requests if (item.is_open, item.is_own, item.head, item.base) == planned), None
        )

    def pull_request(self, number: int) -> PullRequest:
        """Return the pull request with this number."""
        failure = f"cannot read {self.request_kind} {number}"
        path = f"{self.requests_path}/{number}"
        return self._pull_request(self._api.request("GET", path, failure, "pull-requests: read"), failure)

    def create_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Create a pull request; if one is open between the two branches, return it unchanged.

        The forge refuses a second one, so that a request whose response was lost can be sent again.
        """
        failure = f"cannot create a {self.request_kind} from {head} to {base} on {self._api.location.path}"
        values = self._fields(head=head, base=base, title=title, body=body)
        try:
            document = self._api.request("POST", self.requests_path, failure, "pull-requests: write", body=values)
        except Rejected:
            if (existing := self.open_pull_request(head, base)) is not None:
                return existing
            raise
        return self._pull_request(document, failure)

    def update_pull_request(self, number: int, *, title: str, body: str) -> PullRequest:
        """Change the title and the description of a pull request."""
        failure = f"cannot change {self.request_kind} {number}"
        path, values = f"{self.requests_path}/{number}", self._fields(title=title, body=body)
        document = self._api.request(self.change_method, path, failure, "pull-requests: write", body=values)
        return self._pull_request(document, failure)

    def _fields(self, **values: str) -> dict[str, str]:
        return {self.fields[name]: value for name, value in values.items()}

    def _pull_request(self, document: Any, failure: str) -> PullRequest:
        try:
            return self._read(document)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise self._api.unexpected(failure) from error
