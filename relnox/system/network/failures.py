"""Errors of requests, and short descriptions of their low-level causes."""

from __future__ import annotations

from relnox.errors import Failed, TryLater

__all__ = ["TransientError", "cause_of", "describe_error", "interrupted", "network_errors"]


class TransientError(TryLater):
    """An error that a retry may solve.

    Args:
        code: Stable name of the kind of problem.
        message: What failed, and why.
        retry_after: Seconds that the server wants clients to wait.
        never_connected: Whether the server never accepted a connection.
    """

    def __init__(
        self, code: str, message: str, *, retry_after: float | None = None, never_connected: bool = False
    ) -> None:
        fix = "check the URL and the network connection, then rerun the command"
        super().__init__(code, message, fix=fix if never_connected else "rerun the command later")
        self.retry_after = retry_after
        self.never_connected = never_connected


def interrupted() -> Failed:
    """Return the error of a request or a pause that a signal ended."""
    return Failed("interrupted", "interrupted", fix="rerun the command to resume")


def cause_of(error: BaseException) -> BaseException:
    """Return the innermost cause: requests and urllib3 wrap it in up to four others."""
    for inner in (getattr(error, "reason", None), *error.args, error.__cause__):
        if isinstance(inner, BaseException):
            return cause_of(inner)
    return error


def describe_error(error: BaseException) -> str:
    """Describe a low-level error in a few words, none of which come from a server."""
    if isinstance(error, TimeoutError) and not error.strerror:
        return "timed out"
    text: str | None = getattr(error, "strerror", None)
    if not text:
        return type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def network_errors() -> tuple[type[Exception], ...]:
    """Return what requests and urllib3 raise where a connection fails, or a response is not HTTP."""
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
