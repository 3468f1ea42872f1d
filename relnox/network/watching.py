"""Requests that are under way: one thread ends those that take too long, and a signal ends all of them.

A request is ended by shutting its connection down, over a duplicate of the socket: the connection may have given
its own away already (`Connection: close`), may be in a TLS handshake, or may still be connecting.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from relnox.network.failures import TransientError, interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

__all__ = ["SLOWEST", "Watch", "end_all", "pause_under_way", "requests_under_way", "watch_of_this_thread"]

T = TypeVar("T")

SLOWEST = 1024
"""Bytes a second that a request has to move, over each span of its read timeout."""
_TICK = 0.1
"""Seconds between two looks at the requests that are under way."""

_under_way: set[Watch | threading.Event] = set()
"""Requests and pauses of all threads."""
_some = threading.Event()
"""Set while there are requests."""
_starting = threading.Lock()
_threads: list[threading.Thread] = []
"""The one thread that looks on, once there was a request."""
_this_thread = threading.local()


class Watch:
    """Looks on while a request goes on, and ends it when it takes too long or the run is to end.

    Args:
        host: Whom the request goes to, for messages.
        quiet: Seconds over which it has to move 1 KiB each second on average: a server that sends a byte a second
            never meets the timeout of a socket.
        seconds: The whole, from the first look-up of the name to the last byte.
    """

    def __init__(self, host: str, quiet: float, seconds: float) -> None:
        self.connected = False
        self._host = host
        self._lock = threading.Lock()
        self._over = False
        self._ended: str | None = None
        self._socket: socket.socket | None = None
        self._waiting: threading.Event | None = None
        self._moved = self._moved_before = 0
        self._quiet = quiet
        now = time.monotonic()
        self._seconds = seconds
        self._deadline = now + seconds
        self._next_look = now + quiet

    def __enter__(self) -> Self:
        _under_way.add(self)
        _this_thread.watch = self
        _some.set()
        if not _threads or not _threads[-1].is_alive():  # after a fork there is none
            _start()
        return self

    def __exit__(self, *_: object) -> None:
        _this_thread.watch = None
        with self._lock:
            self._over = True
            self._forget_socket()
        _under_way.discard(self)

    @property
    def interrupted(self) -> bool:
        """Whether the run is to end."""
        return self._ended == "interrupted"

    def set(self) -> None:
        """End the request: the run is to end."""
        self._end("interrupted")

    def check(self) -> None:
        """Raise the reason for which the request was ended, if it was.

        Raises:
            TransientError: It took too long.
            Failed: The run is to end.
        """
        if self._ended is None and time.monotonic() > self._deadline:
            self._end(self._too_long)
        if self._ended == "interrupted":
            raise interrupted()
        if self._ended is not None:
            raise TransientError("todo", f"{self._host} does not answer as it should ({self._ended})")

    def moved(self, size: int) -> None:
        """Count bytes that went one way or the other."""
        self._moved += size

    def finish_within(self, seconds: float) -> None:
        """Shorten the deadline to so many seconds from now."""
        self._deadline = min(self._deadline, time.monotonic() + seconds)

    def using(self, taken: Any) -> None:
        """The socket that the request goes over, before it is connected or from now on."""
        with self._lock:
            self._forget_socket()
            self._socket = socket.fromfd(taken.fileno(), taken.family, taken.type)
        if self._ended is not None:  # while there was none
            self._shut_down()

    def wait_for(self, call: Callable[[], T], seconds: float) -> T:
        """Call what cannot be interrupted, such as a look-up of a name, in a thread that may be left behind.

        Raises:
            TimeoutError: It took too long, or the request was ended.
        """
        done = threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                errors.append(error)
            done.set()

        with self._lock:
            self._waiting = done
        if self._ended is None:
            threading.Thread(target=work, name="look-up", daemon=True).start()
            done.wait(min(seconds, max(0.0, self._deadline - time.monotonic())))
        if errors:
            raise errors[0]
        if not results:
            raise TimeoutError
        return results[0]

    def look(self, now: float) -> None:
        """End the request if it takes too long."""
        if now > self._deadline:
            self._end(self._too_long)
        elif now > self._next_look:
            if self._moved - self._moved_before < self._quiet * SLOWEST:
                self._end("too slow")
            self._moved_before, self._next_look = self._moved, now + self._quiet

    @property
    def _too_long(self) -> str:
        return f"too slow: not done after {self._seconds:.0f} s"

    def _end(self, why: str) -> None:
        self._ended = self._ended or why
        if why == "interrupted":
            self._ended = why
        self._shut_down()

    def _shut_down(self) -> None:
        with self._lock:
            if self._over:
                return
            if self._waiting is not None:
                self._waiting.set()
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def _forget_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def watch_of_this_thread() -> Watch | None:
    """The watch of the request that this thread makes."""
    return getattr(_this_thread, "watch", None)


@contextlib.contextmanager
def pause_under_way(woken: threading.Event) -> Iterator[None]:
    """Have a pause ended with the requests, by setting its event."""
    _under_way.add(woken)
    try:
        yield
    finally:
        _under_way.discard(woken)


def end_all() -> None:
    """End every request and every pause that goes on, in whatever thread."""
    for each in tuple(_under_way):
        each.set()


def requests_under_way() -> int:
    """How many requests go on, in all threads; pauses are none."""
    return sum(isinstance(each, Watch) for each in tuple(_under_way))


def _start() -> None:
    with _starting:
        if not _threads or not _threads[-1].is_alive():
            _threads[:] = [threading.Thread(target=_look_on, name="requests", daemon=True)]
            _threads[0].start()


def _look_on() -> None:
    while True:
        _some.wait()
        _some.clear()
        while requests := [each for each in tuple(_under_way) if isinstance(each, Watch)]:
            time.sleep(_TICK)
            now = time.monotonic()
            for each in requests:
                each.look(now)
