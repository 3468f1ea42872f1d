"""What belongs to one run: several runs can be active in the threads of a program that uses the Python API.

The context of a thread has the scope of its run; threads that a run starts get a copy of the context.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class RunScope:
    """The requests, listeners and credentials of a run; its programs refer to it.

    Attributes:
        requests: Its requests and pauses; `set` ends each of them.
        wait_listeners: The listeners for waits; only the last one is notified.
        read_auth: Maps each origin to the function that adds credentials to requests that read there.
    """

    def __init__(self) -> None:
        self.requests: set[Any] = set()
        self.wait_listeners: list[Any] = []
        self.read_auth: dict[str, Callable[[Any], Any]] = {}


_scope = ContextVar("relnox_run", default=RunScope())  # noqa: B039 - the scope of a program's only run


def current_scope() -> RunScope:
    """Return the scope of the run that this thread works for."""
    return _scope.get()


@contextmanager
def enter_scope(scope: RunScope) -> Iterator[None]:
    """Let this thread, and threads that it starts with `threads`, work for a run until the end of the block."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
