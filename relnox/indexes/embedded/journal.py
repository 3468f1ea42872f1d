"""What was asked of the index and what it answered, for tests to count."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from relnox.core.records import Record, replace

if TYPE_CHECKING:
    from relnox.indexes.embedded.faults import Fault, Kind

__all__ = ["Journal", "Request"]


class Request(Record, kw_only=True):
    """A request.

    Attributes:
        began: When its head had arrived, by the index's clock.
        method: HTTP method.
        path: Path and query, as they were sent.
        kind: What it is about.
        filename: The file it names or brings; empty when there is none.
        project: The normalised project it is about; empty when there is none.
        user: The user name of its credentials; None without credentials. Passwords are not kept.
        size: Bytes of an upload's file that arrived.
        sha256: Hex digest of those bytes; None for all other requests.
        fault: What it met; None when it was served as usual.
        status: What was answered; None when nothing was.
        ended: When the answer began, or the connection ended without one; None while it is under way.
    """

    began: float
    method: str
    path: str
    kind: Kind = "other"
    filename: str = ""
    project: str = ""
    user: str | None = None
    size: int = 0
    sha256: str | None = None
    fault: Fault | None = None
    status: int | None = None
    ended: float | None = None


class Journal:
    """Requests in the order in which their heads arrived."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def begin(self, request: Request) -> int:
        """Write a request down; returns its number."""
        with self._lock:
            self._requests.append(request)
            return len(self._requests) - 1

    def note(self, number: int, **known: Any) -> None:
        """Add what has become known of a request."""
        with self._lock:
            self._requests[number] = replace(self._requests[number], **known)

    def requests(self) -> tuple[Request, ...]:
        """All of them, as far as they have come."""
        with self._lock:
            return tuple(self._requests)
