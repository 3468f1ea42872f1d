"""Time limits of operations: retries with exponential back-off, pauses that servers ask for, and the clock."""

from __future__ import annotations

import random
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from relnox.core.planning.events import Waiting
from relnox.system import waits
from relnox.system.network.failures import TransientError, interrupted
from relnox.system.network.watching import interruptible_pause

if TYPE_CHECKING:
    from collections.abc import Mapping

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
_HALF_A_DAY = 12 * 3600.0
_MIN_TIMESTAMP = 1e9
"""A larger value of `RateLimit-Reset` is a Unix time, a smaller one a number of seconds: servers send both."""
_MAX_RETRY_AFTER = 1e9
"""The maximum wait in seconds (31 years), small enough to be added to the current time by `datetime`."""


class Clock:
    """The clock that deadlines and pauses use; tests replace `CLOCK`."""

    def now(self) -> float:
        """Return the time of a monotonic clock in seconds."""
        return time.monotonic()

    def today(self) -> datetime:
        """Return the date and time in UTC."""
        return datetime.now(UTC)

    def pause(self, seconds: float, woken: threading.Event) -> None:
        """Wait for a number of seconds, or until the event is set."""
        woken.wait(seconds)


CLOCK = Clock()


class Deadline:
    """The time limit of one operation in seconds, including retries and pauses."""

    def __init__(self, seconds: float = _RETRY_TIME) -> None:
        self._start = CLOCK.now()
        self._parse_wait = seconds
        self._waited = 0.0
        self._backoff = _MIN_BACKOFF

    def back_off(self, error: TransientError) -> None:
        """Wait before the next attempt: back-off with full jitter, at least the error's `retry_after`.

        Raises:
            TransientError: There is no time left for another try.
        """
        if error.never_connected:
            self._parse_wait = min(self._parse_wait, _UNCONNECTED_RETRY_TIME)
        elapsed_seconds, seconds_left = CLOCK.now() - self._start, self.left()
        minimum = error.retry_after or 0.0
        if minimum > seconds_left or not seconds_left:
            gave_up = f"; gave up after {waits.format_duration(elapsed_seconds)}" if elapsed_seconds >= 1 else ""
            until = f"; retry after {_clock_time(minimum)}" if minimum else ""
            raise TransientError(
                error.code, f"{error.message}{gave_up}{until}", never_connected=error.never_connected
            ) from error
        jitter = random.uniform(0, self._backoff)  # noqa: S311 - no secret
        self._backoff = min(self._backoff * 2, _MAX_BACKOFF)
        # The last try is at the very end of the time there is.
        self.wait(min(minimum + jitter, seconds_left), error.message)

    @property
    def read_timeout(self) -> float:
        """The seconds to wait for one response: the total time, but at least 5 and at most 60 seconds."""
        return min(max(self._parse_wait, _UNCONNECTED_RETRY_TIME), READ_TIMEOUT)

    def left(self) -> float:
        """Return the remaining seconds, or 0 if they are too few for another attempt."""
        seconds_left = self._start + self._parse_wait - CLOCK.now()
        return seconds_left if seconds_left >= _MIN_WAIT else 0.0

    def wait(self, seconds: float, why: str) -> None:
        """Pause, and report why once all pauses add up to a few seconds.

        Raises:
            Failed: The run was interrupted.
        """
        self._waited += seconds
        if self._waited >= _REPORTED_WAIT:
            now = CLOCK.today()
            attempt, deadline = now + timedelta(seconds=seconds), now + timedelta(seconds=self.left())
            waits.notify(Waiting(why, attempt, deadline), CLOCK.now())
        woken = threading.Event()
        with interruptible_pause(woken):
            CLOCK.pause(seconds, woken)
        if woken.is_set():
            raise interrupted()


def _clock_time(seconds: float) -> str:
    """Format the UTC time that is `seconds` from now, with the date if it is more than twelve hours away."""
    then = CLOCK.today() + timedelta(seconds=min(seconds, _MAX_RETRY_AFTER))
    return then.strftime("%H:%M:%S UTC" if seconds <= _HALF_A_DAY else "%Y-%m-%d %H:%M:%S UTC")


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that a server asks clients to wait, or None if it does not say.

    `Retry-After` (RFC 9110: seconds or a date) takes precedence over the rate limit headers: `RateLimit` with its
    parameter `t` and `RateLimit-Reset`, which are from IETF drafts, then the older `X-RateLimit-Reset`. Some
    servers send the last two with every response, so they are used only if no requests remain.
    """
    if (after := headers.get("Retry-After", "").strip()) and (seconds := _parse_wait(after, now)) is not None:
        return seconds
    if limit := re.search(r";\s*t=(\d+)", headers.get("RateLimit", "")):
        return min(float(limit[1]), _MAX_RETRY_AFTER)
    for name in ("RateLimit-Reset", "X-RateLimit-Reset"):
        remaining = headers.get(name.replace("Reset", "Remaining"), "0").strip()
        if remaining == "0" and (seconds := _parse_wait(headers.get(name, "").strip(), now)) is not None:
            return seconds
    return None


def _parse_wait(text: str, now: datetime) -> float | None:
    """Parse a number of seconds, a Unix time or a date; return the seconds from now, or None if it is invalid."""
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        number = float(text)
        return max(0.0, number - now.timestamp()) if number > _MIN_TIMESTAMP else number
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or out of range
        return None
