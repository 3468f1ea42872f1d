"""What belongs to one run: several runs can be active in the threads of a program that uses the Python API.

The context of a thread has the scope of its run; threads that a run starts get a copy of the context.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from threading import Event, Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_POLL_INTERVAL = 0.05

# Read before threads begin: Python 3.11 shows them a dictionary that another thread is still filling.
sysconfig.get_config_vars()


class RunScope:
    """What the threads of a run share: its waits, listeners, connections and credentials.

    Attributes:
        wait_listeners: The listeners for waits; only the last one is notified.
        read_auth: Maps each origin to the function that adds credentials to requests that read there.
        connected_origins: The origins that have sent a response.
        proxies: The proxies in use, by their URL and the variable that sets it; their passwords stay masked.
        secret_listener: The function that is called with each line of a new secret, or None.
    """

    def __init__(self) -> None:
        self._waits: set[Event] = set()
        self.wait_listeners: list[Any] = []
        self.read_auth: dict[str, Callable[[Any], Any]] = {}
        self.connected_origins: set[str] = set()
        self.proxies: dict[tuple[str, str], Any] = {}
        self.secret_listener: Callable[[str], None] | None = None

    @contextmanager
    def wait_event(self) -> Iterator[Event]:
        """Yield an event to wait for in the `with` block; `interrupt` sets it, so that the wait ends early."""
        woken = Event()
        self._waits.add(woken)
        try:
            yield woken
        finally:
            self._waits.discard(woken)

    def interrupt(self) -> None:
        """End all waits for requests and pauses, in all threads of the run."""
        for woken in tuple(self._waits):
            woken.set()


_scope = ContextVar("relnox_run", default=RunScope())  # noqa: B039 - the scope of a program's only run


def current_scope() -> RunScope:
    """Return the scope of the run that this thread works for, or one for the whole program if there is none."""
    return _scope.get()


@contextmanager
def enter_scope(scope: RunScope) -> Iterator[None]:
    """Let this thread work for a run until the end of the `with` block.

    Threads that it starts meanwhile by `ThreadPool` or `create_thread_with_context` work for the run as well;
    other ones do not.
    """
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


class ThreadPool(ThreadPoolExecutor):
    """A thread pool whose calls have the context (`contextvars`) of the thread that submits them."""

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a call as `Executor.submit` does, with the context of this thread."""
        return super().submit(partial(copy_context().run, call), *args, **kwargs)


def create_thread_with_context(call: Callable[[], None], name: str) -> Thread:
    """Return a daemon thread, not yet started, that calls a function with a copy of this thread's context."""
    return Thread(target=copy_context().run, args=(call,), name=name, daemon=True)


def call_concurrently(
    call: Callable[[S], T], arguments: Iterable[S], *, threads: int = 16, seconds: float | None = None
) -> list[T]:
    """Call a function in threads of the run, and return the results in the order of the arguments.

    All calls end before the error of the first argument with one is raised. If the run is interrupted, or after a
    time limit in seconds (None: no limit), their requests and pauses are interrupted, and no further calls begin.

    Raises:
        TimeoutError: Not all calls ended within the time limit.
    """
    with ThreadPool(threads, thread_name_prefix="call") as pool:
        futures = [pool.submit(call, argument) for argument in arguments]
        try:
            if wait(futures, timeout=seconds).not_done:
                raise TimeoutError  # noqa: TRY301 - the calls are interrupted first
        except BaseException:  # when interrupted too: leaving the pool waits for its requests
            pool.shutdown(wait=False, cancel_futures=True)
            started = [future for future in futures if not future.cancelled()]
            while wait(started, timeout=_POLL_INTERVAL).not_done:
                current_scope().interrupt()
            raise
    return [future.result() for future in futures]
