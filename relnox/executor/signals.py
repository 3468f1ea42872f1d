"""SIGINT and SIGTERM: end what can be ended at once, let what must not be halved come to its end."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Interruption", "Signals", "watching"]

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interruption(BaseException):
    """Somebody wants the run to end; no `except Exception` may catch it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number
        self.exit_code = _EXIT_CODES[number]


class Signals:
    """Whether a signal came, and whether it ends at once what is going on.

    Only inside a step that is not atomic it does, and once: what cleans up after it is not interrupted again.
    Python drops what is raised while it collects garbage, so whoever waits for long asks with `tell` now and then.
    """

    def __init__(self) -> None:
        self._at_once = False
        self._came: signal.Signals | None = None

    @contextlib.contextmanager
    def during(self, *, atomic: bool) -> Iterator[None]:
        """Around one step: in an atomic one a signal waits, and ends the run when the step is through.

        Raises:
            Interruption: A signal came in this step, or before it.
        """
        try:
            self._at_once = not atomic
            try:
                self.tell()
                yield
            finally:
                self._at_once = False
            self.tell()
        except Interruption:
            self._came = None  # it is heard
            raise

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler that is installed."""
        del frame
        self._came = signal.Signals(number)
        if self._at_once:
            self._at_once = False
            self.tell()

    def pass_on(self, handler: Any) -> None:
        """Give a signal that nothing here was left to hear to the run around this one."""
        if self._came is not None and isinstance(getattr(handler, "__self__", None), Signals):
            handler(self._came, None)

    def tell(self) -> None:
        """Say that a signal came.

        Raises:
            Interruption: One came, and nobody has heard of it.
        """
        if self._came is not None:
            raise Interruption(self._came)


@contextlib.contextmanager
def watching() -> Iterator[Signals]:
    """Handle both signals inside the block; the handlers that were there come back afterwards.

    Outside the main thread Python gives no signals, and there is nothing to handle.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.handle) for number in _EXIT_CODES}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
    signals.pass_on(before[signal.SIGINT])
