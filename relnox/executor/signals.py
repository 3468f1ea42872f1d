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
    interrupted. To interrupt means to raise `Interruption`. Python drops exceptions that are raised during garbage
    collection; therefore, code that waits for long enters `allow_interruption` repeatedly, which raises it again.
    """

    def __init__(self) -> None:
        self._is_interruptible = False
        self._received: signal.Signals | None = None

    @contextlib.contextmanager
    def executing_step(self, *, atomic: bool) -> Iterator[None]:
        """Return a context for one step, in which a signal raises `Interruption`.

        If the step is atomic, a signal has no effect until the next step starts; after the last step, it does not
        interrupt this run.
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
        """Let a signal interrupt only when the next step starts, not the code before that."""
        self._is_interruptible = False

    def pass_on_interruption(self, interruption: Interruption) -> None:
        """Record the signal of `interruption` again, so that it interrupts when the next step starts.

        That is for a signal received when no step was left to interrupt; the next step may be one of an enclosing
        run.
        """
        self._received = interruption.number

    def raise_if_received(self) -> None:
        """Raise `Interruption` if a signal was received and is not handled yet."""
        if self._received is not None:
            raise Interruption(self._received)


@contextlib.contextmanager
def handle_signals(*, enabled: bool = True) -> Iterator[SignalState]:
    """Handle SIGINT and SIGTERM inside the block, and restore the previous handlers afterwards.

    Yield the state of signals. A run inside another one gets the state of the other run, and changes no handlers:
    a signal received after its last step interrupts the other run. If `enabled` is false, or outside the main
    thread, no signals are handled. Instead of a handler with the attribute `only_before_a_run`, which ends the
    process, the signal is ignored afterwards, since the exit code is final.
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
