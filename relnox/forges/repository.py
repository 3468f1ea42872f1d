"""The base class of a repository on a forge: it checks responses, and translates errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from relnox.errors import Blocked, Failed
from relnox.forges import api_responses
from relnox.system import network

if TYPE_CHECKING:
    from collections.abc import Callable

    from relnox.forges.api_responses import ApiResponse
    from relnox.forges.requests import Api

T = TypeVar("T")

_POLLING_TIME = 60.0
"""The maximum seconds to wait for a forge's check for merge conflicts."""
_POLL_INTERVAL = 2.0


class Repository(ABC):
    """The base class of the operations on refs and pull requests."""

    name: ClassVar[str]
    """The name of the forge, for messages, such as `GitHub`."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def repository(self) -> str:
        """The path of the repository on the forge, such as `owner/name`."""
        return self._api.location.path

    def check_token(self) -> None:
        """Check that there is a token; its permissions are not checked.

        Raises:
            Blocked: There is no token.
        """
        self._api.require_token()

    def _document(self, response: ApiResponse, failure: str, permission: str, *, more: str = "") -> Any:
        """Return the JSON document of a successful response, or raise the error of another one.

        Args:
            response: The response.
            failure: The first words of the error message, such as `cannot create tag v1.0`.
            permission: The permission that the token needs, as named by GitHub, such as `contents: read`.
            more: Another reason why the token may not be allowed to do this, added to the error message.

        Raises:
            RelnoxError: The response is not successful.
        """
        if response.is_success:
            return response.document
        forge, repository, variable = self.name, self.repository, self._api.location.token_variable
        reason = _reason_of_failure(forge, response)
        permission = self.permission_fix(permission)
        if not response.may_be_denied:
            raise Failed(
                "forge-rejected",
                f"{failure}: rejected by the forge ({reason})",
                fix=f"fix what {forge} reports, then rerun the command",
            )
        if not variable:
            raise self._api.token_missing(f"{failure} ({reason})")
        if response.status == HTTPStatus.UNAUTHORIZED:
            raise Blocked(
                "forge-token-missing",
                f"{failure}: the token in {variable} is not accepted ({reason})",
                fix=f"set {variable} to a valid token",
            )
        raise Blocked(
            "forge-rejected",
            f"{failure}: the token in {variable} lacks a permission, or there is no repository {repository} "
            f"({reason}){more}",
            fix=permission,
        )

    @abstractmethod
    def permission_fix(self, permission: str) -> str:
        """Return the fix for a missing permission of the token.

        Args:
            permission: The permission, as named by GitHub, such as `contents: read`.
        """

    def _field(self, document: Any, path: str, kind: Callable[[Any], T]) -> T:
        """Return a value inside a JSON document.

        Args:
            document: The document.
            path: The names that lead to the value, separated by dots.
            kind: The function that checks and returns the value; see `api_responses`.

        Raises:
            InvalidResponse: The value is missing or invalid.
        """
        value = document
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        try:
            return kind(value)
        except (ValueError, OverflowError) as error:
            raise self._api.invalid(f"a response without a valid {path}") from error

    def _optional_text(self, document: Any, path: str) -> str:
        """Return a string inside a JSON document, or an empty string if the value is null or missing."""
        return self._field(document, path, lambda value: "" if value is None else api_responses.text(value))

    def _list(self, document: Any) -> list[Any]:
        """Check that a document is a list, and return it."""
        if not isinstance(document, list):
            raise self._api.invalid("a listing that is not a list")
        return document

    def _commit_missing_error(self, failure: str, commit: str) -> Blocked:
        return Blocked(
            "branch-behind",
            f"{failure} (the forge does not have commit {commit[:7]})",
            fix="git push, then rerun the command",
        )


def _reason_of_failure(forge: str, response: ApiResponse) -> str:
    return f"{forge}: {response.status}{f' {response.text}' if response.text else ''}"


def poll(read: Callable[[], T | None], why: str) -> T | None:
    """Call a function every two seconds until it returns a result; return None after a minute.

    Args:
        read: The function, which returns None as long as there is no result.
        why: The reason for waiting, as a message.
    """
    deadline = network.Deadline(_POLLING_TIME)
    while True:
        result = read()
        if result is not None or not deadline.left():
            return result
        deadline.wait(min(_POLL_INTERVAL, deadline.left()), why)
