"""Retries with exponential back-off, pauses that servers ask for, notifications about waits, and the clock."""

from __future__ import annotations

import math
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from relnox.core.planning.events import Waiting
from relnox.errors import Failed, TryLater
from relnox.system.run_scope import current_scope

T = TypeVar("T")

READ_TIMEOUT = 60.0
"""The maximum seconds to wait for the next bytes of a response."""
_RETRY_TIME = 600.0
"""The maximum total seconds for all tries of a request."""
_UNCONNECTED_RETRY_TIME = 5.0
"""The maximum total seconds if the server never accepted a connection, since its URL may be wrong."""
_MIN_BACKOFF = 0.5
_MAX_BACKOFF = 60.0
_MIN_WAIT = 0.01
_REPORTED_WAIT = 5.0
"""Waits are reported once an operation has waited for this many seconds in total."""
_REPORT_INTERVAL = 120.0
"""Seconds between reports of waits with one reason: CI providers end jobs that print nothing for ten minutes."""
_MIN_MINUTES = 600.0
_HALF_A_DAY = 12 * 3600.0
_MIN_TIMESTAMP = 1e9
"""A larger value of `RateLimit-Reset` is a Unix time, a smaller one a number of seconds: servers send both."""
_MAX_RETRY_AFTER = 1e9
"""The maximum wait in seconds (31 years), small enough to be added to the current time by `datetime`."""


class TransientError(TryLater):
    """An error that a retry may solve.

    Attributes:
        retry_after: The seconds that the server asks clients to wait, or None.
        never_connected: Whether the server never accepted a connection, so that its URL may be wrong.
        gave_up: Whether the retries have ended, and the message says so if they took a second or longer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        fix: str = "",
        *,
        retry_after: float | None = None,
        never_connected: bool = False,
        **fields: Any,
    ) -> None:
        check_url = "check the URL and the network connection, then rerun the command"
        super().__init__(
            code, message, fix or (check_url if never_connected else "rerun the command later"), **fields
        )
        self.retry_after = retry_after
        self.never_connected = never_connected
        self.gave_up = False


class Clock:
    """The clock that deadlines and pauses use; tests replace `CLOCK`."""

    def monotonic(self) -> float:
        """Return seconds as `time.monotonic` does."""
        return time.monotonic()

    def utc_now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def pause(self, seconds: float, woken: threading.Event) -> None:
        """Wait for a number of seconds, or until the event is set."""
        woken.wait(seconds)


CLOCK = Clock()


def retry(call: Callable[[], T], deadline: Deadline, on: type[TryLater] = TransientError) -> T:
    """Call a function, again after each error of the class `on`, and return its result.

    At the deadline, the last error is raised. Other errors are raised immediately.
    """
    while True:
        try:
            return call()
        except on as error:
            deadline.back_off(error)


class Deadline:
    """The time limit of one operation, with its retries and pauses: `seconds` (default: 600) from its creation."""

    def __init__(self, seconds: float = _RETRY_TIME) -> None:
        self._start = CLOCK.monotonic()
        self._seconds = seconds
        self._waited = 0.0
        self._backoff = _MIN_BACKOFF

    def back_off(self, error: TryLater) -> None:
        """Wait before the next attempt, or raise the error if no time is left, or less than its `retry_after`.

        The wait is the error's `retry_after`, if any, plus a random time, whose maximum doubles each time. If the
        server never accepted a connection, the limit becomes five seconds. A raised error names the total time.

        Raises:
            Failed: The run was interrupted.
        """
        minimum = 0.0
        if isinstance(error, TransientError):
            minimum = error.retry_after or 0.0
            if error.never_connected:
                self._seconds = min(self._seconds, _UNCONNECTED_RETRY_TIME)
        seconds_left = self.seconds_left()
        if minimum > seconds_left or not seconds_left:
            if isinstance(error, TransientError) and not error.gave_up:
                self._add_retry_times(error, minimum)
            raise error
        jitter = random.uniform(0, self._backoff)  # noqa: S311 - no secret
        self._backoff = min(self._backoff * 2, _MAX_BACKOFF)
        # The last try is at the very end of the time there is.
        self.wait(min(minimum + jitter, seconds_left), error.message)

    def _add_retry_times(self, error: TransientError, minimum: float) -> None:
        """Add to the message how long requests were retried, and when `minimum` seconds (0: none) are over."""
        error.gave_up = True
        if (elapsed_seconds := CLOCK.monotonic() - self._start) >= 1:
            error.message += f"; gave up after {format_duration(elapsed_seconds)}"
        if minimum:
            error.message += f"; retry after {_format_time_after(minimum)}"
        error.args = (error.message,)

    @property
    def read_timeout(self) -> float:
        """The seconds to wait for the next bytes of a response: the time limit, but at least 5 and at most 60."""
        return min(max(self._seconds, _UNCONNECTED_RETRY_TIME), READ_TIMEOUT)

    def seconds_left(self) -> float:
        """Return the remaining seconds, or 0 if they are too few for another attempt."""
        seconds_left = self._start + self._seconds - CLOCK.monotonic()
        return seconds_left if seconds_left >= _MIN_WAIT else 0.0

    def wait(self, seconds: float, reason: str) -> None:
        """Pause; report that, with the reason, once all pauses of the operation add up to 5 s.

        Raises:
            Failed: The run was interrupted.
        """
        self._waited += seconds
        if self._waited >= _REPORTED_WAIT:
            now = CLOCK.utc_now()
            attempt, deadline = now + timedelta(seconds=seconds), now + timedelta(seconds=self.seconds_left())
            report_wait(Waiting(reason, attempt, deadline))
        with current_scope().wait_event() as woken:
            CLOCK.pause(seconds, woken)
        if woken.is_set():
            raise interruption_error()


def interruption_error() -> Failed:
    """Return the error for a request or pause that a signal interrupted."""
    return Failed("interrupted", "interrupted", fix="rerun the command to resume")


def format_duration(seconds: float) -> str:
    """Return a duration as text: in seconds (`90 s`), or in minutes (`10 min`) if it is ten minutes or longer."""
    return f"{seconds:.0f} s" if seconds < _MIN_MINUTES else f"{seconds / 60:.0f} min"


@contextmanager
def use_wait_listener(callback: Callable[[Waiting], None]) -> Iterator[None]:
    """Report the waits of this run's threads to `callback` until the end of the `with` block.

    It is called for each reason at most every two minutes. No listener of an outer block is called meanwhile.
    """
    listeners = current_scope().wait_listeners
    listeners.append(_throttle(callback))
    try:
        yield
    finally:
        listeners.pop()


def report_wait(waiting: Waiting) -> None:
    """Notify the listener of the run, if any, of a wait, unless it was notified of the same reason recently."""
    if listeners := current_scope().wait_listeners:
        listeners[-1](waiting)


def _throttle(callback: Callable[[Waiting], None]) -> Callable[[Waiting], None]:
    """Return a function that passes each wait on to `callback`, but one reason at most every two minutes."""
    last_reports: dict[str, float] = {}
    lock = threading.RLock()

    def throttled(waiting: Waiting) -> None:
        with lock:  # several threads may wait for the same server
            now = CLOCK.monotonic()
            if now - last_reports.get(waiting.reason, -math.inf) >= _REPORT_INTERVAL:
                last_reports[waiting.reason] = now
                callback(waiting)

    return throttled


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds from `now` that a server asks clients to wait, or None if it does not say.

    `Retry-After` (RFC 9110: seconds or a date) takes precedence over `RateLimit-Reset` (GitLab) and
    `X-RateLimit-Reset` (GitHub). These two are used only if no requests remain, since each response may have them.
    """
    if (after := headers.get("Retry-After", "").strip()) and (seconds := _parse_wait(after, now)) is not None:
        return seconds
    for name in ("RateLimit-Reset", "X-RateLimit-Reset"):
        remaining = headers.get(name.replace("Reset", "Remaining"), "0").strip()
        if remaining == "0" and (seconds := _parse_wait(headers.get(name, "").strip(), now)) is not None:
            return seconds
    return None


def _parse_wait(text: str, now: datetime) -> float | None:
    """Return the seconds from `now` that a text stands for: a number of seconds, a Unix time or an HTTP date.

    The result is 0 for a time in the past, and None for an invalid text.
    """
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        number = float(text)
        return max(0.0, number - now.timestamp()) if number > _MIN_TIMESTAMP else number
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or out of range
        return None


def _format_time_after(seconds: float) -> str:
    """Format the UTC time a number of seconds from now, with the date if it is more than twelve hours away."""
    then = CLOCK.utc_now() + timedelta(seconds=min(seconds, _MAX_RETRY_AFTER))
    return then.strftime("%H:%M:%S UTC" if seconds <= _HALF_A_DAY else "%Y-%m-%d %H:%M:%S UTC")
