"""How requests fail: the errors, and low-level causes in a few words."""

from __future__ import annotations

from relnox.errors import Failed, TryLater

__all__ = ["TransientError", "cause_of", "in_words", "interrupted", "network_errors"]


class TransientError(TryLater):
    """Another try may end it.

    Args:
        code: As for every error.
        message: What happened.
        asked: Seconds that the server wants to be left alone for.
        stranger: Whether no connection came about.
    """

    def __init__(self, code: str, message: str, *, asked: float | None = None, stranger: bool = False) -> None:
        there = "is the address right, and can this machine reach it? then " if stranger else "nothing was lost; "
        super().__init__(code, message, fix=f"{there}type the same command again later")
        self.asked = asked
        self.stranger = stranger


def interrupted() -> Failed:
    """The error of a request or a pause that a signal ended."""
    return Failed("todo", "interrupted", fix="type the same command again: it goes on where this one stopped")


def cause_of(error: BaseException) -> BaseException:
    """The innermost cause: requests and urllib3 wrap it in up to four others."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return cause_of(inner)
    return error


def in_words(error: BaseException) -> str:
    """A low-level error in a few words, none of which a server chose."""
    if isinstance(error, TimeoutError) and not error.strerror:
        return "timed out"
    return getattr(error, "strerror", None) or type(error).__name__


def network_errors() -> tuple[type[Exception], ...]:
    """What requests and urllib3 raise where a connection fails, or an answer is not HTTP."""
    import requests
    import urllib3

    return (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ContentDecodingError,
        requests.exceptions.InvalidHeader,
        urllib3.exceptions.HTTPError,
    )
