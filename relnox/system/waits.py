"""Notifications about waiting, sent when a wait begins and less and less often while it lasts.

If several threads wait for the same reason, such as a server that is down, only one notification is sent.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from relnox.system.run_scope import current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relnox.core.planning.events import Waiting

_FIRST_INTERVAL = 60.0
"""Seconds until the second notification of a wait; the interval doubles after each."""
_MAX_INTERVAL = 300.0
"""The maximum seconds between notifications: CI providers end jobs that print nothing for ten minutes."""
_MIN_MINUTES = 600.0


def format_duration(seconds: float) -> str:
    """Format a duration in seconds, or in minutes if it is ten minutes or longer."""
    return f"{seconds:.0f} s" if seconds < _MIN_MINUTES else f"{seconds / 60:.0f} min"


@contextmanager
def on_wait(callback: Callable[[Waiting], None]) -> Iterator[None]:
    """Set the function that is notified about the waits of a run's threads, until the end of the block."""
    listeners = current_scope().wait_listeners
    listeners.append(_throttle(callback))
    try:
        yield
    finally:
        listeners.pop()


def notify(waiting: Waiting, now: float) -> None:
    """Send a notification about a wait at the monotonic time `now`, unless a recent one had the same reason."""
    if listeners := current_scope().wait_listeners:
        listeners[-1](waiting, now)


def _throttle(callback: Callable[[Waiting], None]) -> Callable[[Waiting, float], None]:
    """Return a function that passes on waits, but the same reason only in growing intervals."""
    notifications: dict[str, tuple[float, float]] = {}
    lock = threading.RLock()

    def notify(waiting: Waiting, now: float) -> None:
        with lock:
            last, interval = notifications.get(waiting.reason, (now, 0.0))
            if now - last >= interval:
                notifications[waiting.reason] = now, min(max(2 * interval, _FIRST_INTERVAL), _MAX_INTERVAL)
                callback(waiting)

    return notify
