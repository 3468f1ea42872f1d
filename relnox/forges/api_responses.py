"""Responses of a forge's API, and checks of the values in them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from relnox.core.records import Record
from relnox.errors import Failed
from relnox.system.secrets import mask_secrets

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MAX_QUOTED = 300
_MAX_DEPTH = 4
_MAX_NUMBER = 1 << 63


class InvalidResponse(Failed):
    """The error for an invalid response from the API of a forge."""


class ApiResponse(Record, kw_only=True):
    """A response from the API of a forge that is not a server error.

    Attributes:
        text: The forge's explanation of an error on one line, or an empty string if the request succeeded.
        document: The JSON document of a successful response, or None if there is none.
        next_url: The URL of the next page, or an empty string if this is the last page.
    """

    status: int
    text: str
    document: Any
    next_url: str

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_rejection(self) -> bool:
        """Whether the request was rejected for a reason other than the token."""
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR and not self.may_be_denied

    @property
    def may_be_denied(self) -> bool:
        """Whether the token may be the cause: forges return 404, too, for what a token has no access to."""
        return self.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


def error_message(document: Any) -> str:
    """Return the message of an error response of GitHub or GitLab, as one line without secrets."""
    texts: list[str] = []

    def collect(value: Any, depth: int = 0) -> None:
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list) and depth < _MAX_DEPTH:
            for inner in value[:10]:
                collect(inner, depth + 1)
        elif isinstance(value, dict) and depth < _MAX_DEPTH:
            if not depth:
                value = {name: value.get(name) for name in ("message", "error", "error_description", "errors")}
            elif "message" in value:
                value = {"message": value["message"]}
            else:
                value.pop("documentation_url", None)
            for inner in value.values():
                collect(inner, depth + 1)

    collect(document)
    return mask_secrets(" ".join("; ".join(dict.fromkeys(texts)).split()))[:_MAX_QUOTED]


# --- kinds of values: each function returns the value, or raises a ValueError


def _check_of_type(kind: type[T]) -> Callable[[Any], T]:
    """Return a function that checks that a value has exactly this type."""

    def check(value: Any) -> T:
        if type(value) is not kind:
            raise ValueError
        return value

    return check


def _check_of_pattern(pattern: str) -> Callable[[Any], str]:
    """Return a function that checks that a value is a string that matches a pattern."""

    def check(value: Any) -> str:
        if not re.fullmatch(pattern, text(value)):
            raise ValueError
        return str(value)

    return check


text, flag, entries = _check_of_type(str), _check_of_type(bool), _check_of_type(list)
commit_id, url = _check_of_pattern(r"[0-9a-f]{40}|[0-9a-f]{64}"), _check_of_pattern(r"https?://[!-~]+")


def number(value: Any) -> int:
    """Check that a value is a positive integer of at most 63 bits, and return it.

    Raises:
        ValueError: It is not.
    """
    if not 0 < _check_of_type(int)(value) < _MAX_NUMBER:
        raise ValueError
    return int(value)
