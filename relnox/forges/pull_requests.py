"""Pull requests on a forge."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from relnox.core.records import Record
from relnox.errors import Blocked
from relnox.forges.repository import Repository, poll

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.errors import RelnoxError
    from relnox.forges.api_responses import ApiResponse


class PullRequestState(StrEnum):
    """The state of a pull request."""

    OPEN = "open"
    MERGED = "merged"
    CLOSED_UNMERGED = "closed"


class PullRequest(Record, kw_only=True):
    """A pull request; a merge request on GitLab.

    Attributes:
        url: The URL of its web page.
        head: The short name of the branch to merge.
        base: The short name of the branch to merge into.
        conflicts: Whether it has merge conflicts, or None if the forge has not determined that (yet).
    """

    number: int
    url: str
    title: str
    body: str
    state: PullRequestState
    head: str
    base: str
    conflicts: bool | None


class PullRequests(Repository):
    """The operations on the pull requests of a repository."""

    request_kind: ClassVar[str]
    """The forge's term for a pull request, for messages."""
    requests_path: ClassVar[str]
    fields: ClassVar[Mapping[str, str]] = {}
    """Maps GitHub's names of the fields of a pull request to the forge's names, if they differ."""
    change_method: ClassVar[str] = "PATCH"

    def pull_requests(self, head: str, *, only_open: bool = True) -> tuple[PullRequest, ...]:
        """Return the pull requests of a branch (by its short name) of this repository, newest first.

        Those of forks are left out.
        """
        requests: list[PullRequest] = []
        for response in self._api.pages(self.requests_path, self._requests_query(head, only_open=only_open)):
            failure = f"cannot list {self.request_kind}s of {self.repository}"
            documents = self._list(self._document(response, failure, "pull-requests: read"))
            requests += [self._pull_request(document) for document in documents if self._is_own(document)]
        return tuple(
            request
            for request in requests
            if request.head == head and (not only_open or request.state is PullRequestState.OPEN)
        )

    @abstractmethod
    def _requests_query(self, head: str, *, only_open: bool) -> Mapping[str, str]:
        """Return the query parameters that list the pull requests of a branch, newest first."""

    @abstractmethod
    def _is_own(self, document: Any) -> bool:
        """Return whether the branch of a pull request is in the same repository, not in a fork."""

    @abstractmethod
    def _pull_request(self, document: Any) -> PullRequest:
        """Return the pull request that a response describes."""

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request; wait up to a minute if the forge is still checking for merge conflicts.

        Raises:
            Blocked: There is no pull request with that number, or the token may not read it.
        """

        def read() -> PullRequest:
            response = self._api.get(f"{self.requests_path}/{number}")
            if response.status == HTTPStatus.NOT_FOUND:
                permission = self.permission_fix("pull-requests: read")
                raise Blocked(
                    "pull-request-missing",
                    f"{self.repository} has no pull request {number}, or the token may not read it",
                    fix=permission,
                )
            failure = f"cannot read {self.request_kind} {number}"
            return self._pull_request(self._document(response, failure, "pull-requests: read"))

        def checked() -> PullRequest | None:
            """Return the pull request, or None while the forge is checking it for merge conflicts."""
            request = read()
            is_undecided = request.state is PullRequestState.OPEN and request.conflicts is None
            return None if is_undecided else request

        return poll(checked, f"{self.name} looks for merge conflicts of {self.request_kind} {number}") or read()

    def create_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """Create a pull request; if one is open between the two branches, return it unchanged.

        Args:
            head: The short name of the branch to merge.
            base: The short name of the branch to merge into.
            title: The title.
            body: The description, in Markdown.

        Raises:
            Blocked: A branch does not exist, or the head has no commits that the base lacks.
        """
        failure = f"cannot create a {self.request_kind} from {head} to {base} on {self.repository}"

        def present() -> PullRequest | None:
            """Return the open pull request between the two branches, or None if there is none."""
            return next((request for request in self.pull_requests(head) if request.base == base), None)

        def change() -> PullRequest:
            request = self._request_fields(head=head, base=base, title=title, body=body)
            response = self._api.send("POST", self.requests_path, request)
            if response.is_rejection and (existing := present()) is not None:
                return existing
            if (error := self._request_rejection(response, failure, head, base)) is not None:
                raise error
            return self._pull_request(self._document(response, failure, "pull-requests: write"))

        return self._api.until_confirmed(change, present)

    @abstractmethod
    def _request_rejection(self, response: ApiResponse, failure: str, head: str, base: str) -> RelnoxError | None:
        """Return the error if a pull request was rejected for a known reason, or None.

        Args:
            response: The response to the request that creates it.
            failure: What failed, for the error message.
            head: The short name of the branch to merge.
            base: The short name of the branch to merge into.
        """

    def update_pull_request(self, number: int, *, title: str, body: str) -> PullRequest:
        """Change the title and the description of a pull request.

        Args:
            number: The number of the pull request.
            title: The new title.
            body: The new description.
        """
        changes = self._request_fields(title=title, body=body)
        response = self._api.repeat(self.change_method, f"{self.requests_path}/{number}", changes)
        failure = f"cannot change {self.request_kind} {number}"
        return self._pull_request(self._document(response, failure, "pull-requests: write"))

    def _request_fields(self, **values: str) -> dict[str, str]:
        """Return the fields of a request under the forge's names."""
        return {self.fields.get(name, name): value for name, value in values.items()}

    def _branches_missing_error(self, failure: str, head: str, base: str) -> Blocked:
        """Return the error for a pull request with a branch that does not exist on the forge."""
        return Blocked(
            "branch-changed",
            f"{failure} (one of the branches does not exist)",
            fix=f"git push origin {base} {head}",
        )
