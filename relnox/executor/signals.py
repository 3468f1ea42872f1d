"""SIGINT and SIGTERM: interrupt steps at once, but let atomic ones finish."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from relnox.errors import ExitCode

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interruption(BaseException):
    """Raised when a signal interrupts the run; a BaseException so that `except Exception` does not catch it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number
        self.exit_code = _EXIT_CODES[number]


class SignalState:
    """The last signal received, if any, and whether a signal interrupts the running code at once.

    A signal interrupts at once only in a step that is not atomic, and only the first time, so that clean-up is not
    interrupted. Python drops exceptions raised during garbage collection, so long waits regularly enter
    `allow_interruption` again.
    """

    def __init__(self) -> None:
        self._is_interruptible = False
        self._received: signal.Signals | None = None

    @contextlib.contextmanager
    def executing_step(self, *, atomic: bool) -> Iterator[None]:
        """Return a context for one step, in which a signal raises `Interruption`.

        In an atomic step, that happens when the next step starts; after the last step, the run is not interrupted.
        """
        try:
            self.raise_if_received()
            with contextlib.nullcontext() if atomic else self.allow_interruption():
                yield
        except Interruption:
            self._received = None  # handled
            raise

    @contextlib.contextmanager
    def allow_interruption(self) -> Iterator[None]:
        """Return a context in which a signal raises `Interruption` at once, also one received before."""
        try:
            self._is_interruptible = True
            self.raise_if_received()
            yield
        finally:
            self._is_interruptible = False

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """Record a signal, and interrupt if that is allowed; called by Python as the signal handler."""
        del frame
        self._received = signal.Signals(number)
        if self._is_interruptible:
            self._is_interruptible = False
            self.raise_if_received()

    def defer_interruption(self) -> None:
        """Do not let a signal interrupt until the next interruptible step starts."""
        self._is_interruptible = False

    def pass_on_interruption(self, interruption: Interruption) -> None:
        """Record a signal again that was received after the last step, so that it interrupts the enclosing run."""
        self._received = interruption.number

    def raise_if_received(self) -> None:
        """Raise `Interruption` if a signal was received and is not handled yet."""
        if self._received is not None:
            raise Interruption(self._received)


@contextlib.contextmanager
def handle_signals(*, enabled: bool = True) -> Iterator[SignalState]:
    """Handle SIGINT and SIGTERM inside the block, and restore the previous handlers afterwards.

    A run inside another one shares its `SignalState`: a signal received after its last step interrupts the other
    run. A handler with the attribute `only_before_a_run` is not restored; its signal is ignored instead, since the
    exit code is final. Nothing is handled if `enabled` is false, or outside the main thread.
    """
    if not enabled or threading.current_thread() is not threading.main_thread():
        yield SignalState()
        return
    enclosing = getattr(signal.getsignal(signal.SIGINT), "__self__", None)
    if isinstance(enclosing, SignalState):
        enclosing.defer_interruption()
        yield enclosing
        return
    signals = SignalState()
    before = {number: signal.signal(number, signals.handle_signal) for number in _EXIT_CODES}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            over = signal.SIG_IGN if getattr(handler, "only_before_a_run", False) else handler
            signal.signal(number, over if over is not None else signal.SIG_DFL)
