"""Waits that somebody would notice: each is told when it begins, and now and then while it goes on.

Many threads may wait for the same server: what they wait for is told once for all of them.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from relnox.core.events import Waiting

__all__ = ["on_wait", "span", "tell"]

_FIRST = 60.0
"""Seconds until a wait is told again; twice as many after that."""
_LONGEST = 300.0
"""Engines end jobs that print nothing for ten minutes."""
_IN_MINUTES = 600.0


def span(seconds: float) -> str:
    """How long something took, for people: in seconds, and from ten minutes on in minutes."""
    return f"{seconds:.0f} s" if seconds < _IN_MINUTES else f"{seconds / 60:.0f} min"


@contextmanager
def on_wait(listener: Callable[[Waiting], None]) -> Iterator[None]:
    """Have somebody hear of waits inside the block, in whatever thread they are, instead of who heard before."""
    _listeners.append(_Listener(listener))
    try:
        yield
    finally:
        _listeners.pop()


def tell(waiting: Waiting, now: float) -> None:
    """Something is waited for, unless that was told a moment ago.

    Args:
        waiting: What for, and until when.
        now: Seconds that only ever grow.
    """
    if _listeners:
        _listeners[-1].hear(waiting, now)


class _Listener:
    def __init__(self, listener: Callable[[Waiting], None]) -> None:
        self._listener = listener
        self._told: dict[str, tuple[float, float]] = {}
        self._hearing = threading.RLock()

    def hear(self, waiting: Waiting, now: float) -> None:
        with self._hearing:
            before, silence = self._told.get(waiting.why, (now, 0.0))
            if now - before < silence:
                return
            self._told[waiting.why] = now, min(max(2 * silence, _FIRST), _LONGEST)
            self._listener(waiting)


_listeners: list[_Listener] = []
