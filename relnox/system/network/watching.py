"""Active requests: one thread ends those that take too long, and a signal ends all of them.

A request is ended by shutting down a duplicate of its socket: the connection may have handed over its own socket
already (`Connection: close`), may be in a TLS handshake, or may still be connecting.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from relnox.system.network.failures import TransientError, interrupted
from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

T = TypeVar("T")

MIN_RATE = 1024
"""The minimum average rate of a request over its read timeout, in bytes per second."""
_POLL_INTERVAL = 0.1

_active: set[Watch] = set()
"""The active requests of all runs."""
_request_added = threading.Event()
_starting = threading.Lock()
_threads: list[threading.Thread] = []
"""The thread that watches all requests; empty before the first request."""
_this_thread = threading.local()


class Watch:
    """A context manager that ends the request in its block if it takes too long, or if the run is interrupted.

    Args:
        host: The server, for messages.
        read_timeout: The seconds over which the request has to transfer 1 KiB a second on average: a server that
            sends one byte a second would never exceed the timeout of a socket.
        seconds: The maximum seconds from name resolution to the last byte.
    """

    def __init__(self, host: str, read_timeout: float, seconds: float) -> None:
        self.connected = False
        self._host = host
        self._lock = threading.Lock()
        self._finished = False
        self._end_reason: str | None = None
        self._socket: socket.socket | None = None
        self._waiting: threading.Event | None = None
        self._bytes = self._bytes_before = 0
        self._read_timeout = read_timeout
        now = time.monotonic()
        self._seconds = seconds
        self._deadline = now + seconds
        self._next_check = now + read_timeout

    def __enter__(self) -> Self:
        _active.add(self)
        current_scope().requests.add(self)
        _this_thread.watch = self
        _request_added.set()
        if not _threads or not _threads[-1].is_alive():  # after a fork there is none
            _start_watcher()
        return self

    def __exit__(self, *_: object) -> None:
        _this_thread.watch = None
        with self._lock:
            self._finished = True
            self._close_socket()
        current_scope().requests.discard(self)
        _active.discard(self)

    @property
    def interrupted(self) -> bool:
        """Whether the run was interrupted."""
        return self._end_reason == "interrupted"

    def set(self) -> None:
        """End the request because the run was interrupted; `cancel_all` calls `set` of requests and events."""
        self._end("interrupted")

    def check(self) -> None:
        """Raise an error if this watch has aborted the request.

        Raises:
            TransientError: The request exceeded its time limit, or too few bytes arrived.
            Failed: The run was interrupted.
        """
        if self._end_reason is None and time.monotonic() > self._deadline:
            self._end(self._too_long)
        if self.interrupted:
            raise interrupted()
        if self._end_reason is not None:
            raise TransientError("index-unavailable", f"request to {self._host} failed ({self._end_reason})")

    def add_bytes(self, size: int) -> None:
        """Count bytes that were sent or received."""
        self._bytes += size

    def finish_within(self, seconds: float) -> None:
        """End the request after at most `seconds` from now, even if its deadline is later."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def use_socket(self, request_socket: Any) -> None:
        """Set the socket to shut down if the request is ended; it may not be connected yet."""
        with self._lock:
            self._close_socket()
            self._socket = socket.fromfd(request_socket.fileno(), request_socket.family, request_socket.type)
        if self._end_reason is not None:  # ended while there was no socket
            self._shut_down()

    def wait_for(self, call: Callable[[], T], seconds: float) -> T:
        """Call a function that cannot be interrupted, such as name resolution, in a thread that may be abandoned.

        Raises:
            TimeoutError: The function took too long, or the request was ended.
        """
        done_event = threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                errors.append(error)
            done_event.set()

        with self._lock:
            self._waiting = done_event
        if self._end_reason is None:
            threading.Thread(target=work, name="request", daemon=True).start()
            done_event.wait(min(seconds, max(0.0, self._deadline - time.monotonic())))
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError
        return results[0]

    def check_progress(self, now: float) -> None:
        """End the request if it takes too long or is too slow at the monotonic time `now`."""
        if now > self._deadline:
            self._end(self._too_long)
        elif now > self._next_check:
            if self._bytes - self._bytes_before < self._read_timeout * MIN_RATE:
                self._end("too slow")
            self._bytes_before, self._next_check = self._bytes, now + self._read_timeout

    @property
    def _too_long(self) -> str:
        return f"too slow: not done after {self._seconds:.0f} s"

    def _end(self, reason: str) -> None:
        """End the request; the first reason is kept, except that an interruption replaces it."""
        if self._end_reason is None or reason == "interrupted":
            self._end_reason = reason
        self._shut_down()

    def _shut_down(self) -> None:
        """Shut down the socket and wake `wait_for`, unless the request has finished."""
        with self._lock:
            if self._finished:
                return
            if self._waiting is not None:
                self._waiting.set()
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _close_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def watch_of_this_thread() -> Watch | None:
    """Return the watch of the request that this thread is making, or None if there is none."""
    return getattr(_this_thread, "watch", None)


@contextlib.contextmanager
def interruptible_pause(woken: threading.Event) -> Iterator[None]:
    """Let `cancel_all` set an event, which ends a pause, while the block runs."""
    pauses = current_scope().requests
    pauses.add(woken)
    try:
        yield
    finally:
        pauses.discard(woken)


def cancel_all() -> None:
    """End all active requests and pauses, in all threads of the run."""
    for request_or_pause in tuple(current_scope().requests):
        request_or_pause.set()


def active_requests() -> int:
    """Return the number of active requests in all threads, not counting pauses."""
    return len(_active)


def _start_watcher() -> None:
    """Start the thread that watches all requests, unless it is running."""
    with _starting:
        if not _threads or not _threads[-1].is_alive():
            _threads[:] = [threading.Thread(target=_watch_requests, name="requests", daemon=True)]
            _threads[0].start()


def _watch_requests() -> None:
    """Check the progress of all active requests every tenth of a second, forever."""
    while True:
        _request_added.wait()
        _request_added.clear()
        while requests := tuple(_active):
            time.sleep(_POLL_INTERVAL)
            now = time.monotonic()
            for request in requests:
                request.check_progress(now)
