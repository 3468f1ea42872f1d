"""A record of requests and responses, for tests."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from relnox.core.records import Record, replace

if TYPE_CHECKING:
    from controlled_index.faults import Fault, Kind

__all__ = ["Journal", "Request"]


class Request(Record, kw_only=True):
    """A request.

    Attributes:
        began: When its headers had arrived, by the index's clock.
        method: HTTP method.
        path: Path and query, as they were sent.
        kind: The kind of request.
        filename: Name of the file that is uploaded or requested; empty if there is none.
        project: Normalized name of the project; empty if there is none.
        user: The user name of its credentials; None without credentials. Passwords are not stored.
        size: Bytes of an upload's file that arrived.
        sha256: Hex digest of those bytes; None for all other requests.
        fault: The fault that was injected; None without one.
        status: Status of the response; None without one.
        ended: When the response began, or the connection ended without one; None while it is active.
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
    """Requests in the order in which their headers arrived."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def begin(self, request: Request) -> int:
        """Record a request, and return its number."""
        with self._lock:
            self._requests.append(request)
            return len(self._requests) - 1

    def update(self, number: int, **changes: Any) -> None:
        """Change fields of a request."""
        with self._lock:
            self._requests[number] = replace(self._requests[number], **changes)

    def requests(self) -> tuple[Request, ...]:
        """Return all requests so far."""
        with self._lock:
            return tuple(self._requests)
