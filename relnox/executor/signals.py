"""SIGINT and SIGTERM: interrupt steps at once, but let atomic ones finish."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from relnox.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_EXIT_CODES = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.TERMINATED}


class Interruption(BaseException):
    """A signal interrupted the run; a BaseException, so that no `except Exception` catches it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number
        self.exit_code = _EXIT_CODES[number]


class Signals:
    """The signal that was received, if any, and whether it interrupts at once.

    It interrupts only inside a step that is not atomic, and once: the clean-up is not interrupted again. Python
    drops exceptions that are raised during garbage collection, so long waits call `check` from time to time.
    """

    def __init__(self) -> None:
        self._at_once = False
        self._received: signal.Signals | None = None

    @contextlib.contextmanager
    def during(self, *, atomic: bool) -> Iterator[None]:
        """Run one step: in an atomic one, a signal has to wait until the next step begins.

        After the last step, the run is done and a signal has no effect.

        Raises:
            Interruption: A signal was received before this step, or in it if it is not atomic.
        """
        try:
            self.check()
            with contextlib.nullcontext() if atomic else self.at_once():
                yield
        except Interruption:
            self._received = None  # handled
            raise

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal interrupt the block at once.

        Raises:
            Interruption: A signal was received.
        """
        try:
            self._at_once = True
            self.check()
            yield
        finally:
            self._at_once = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal, as the installed signal handler."""
        del frame
        self._received = signal.Signals(number)
        if self._at_once:
            self._at_once = False
            self.check()

    def pass_on(self, handler: Any) -> None:
        """Pass a signal that was not handled here to the enclosing run."""
        if self._received is not None and isinstance(getattr(handler, "__self__", None), Signals):
            handler(self._received, None)

    def keep(self, interruption: Interruption) -> None:
        """Keep a signal that came when all steps had ended, for the enclosing run."""
        self._received = interruption.number

    def take_over(self, handler: Any) -> None:
        """Take a signal that the enclosing run received between two steps."""
        enclosing = getattr(handler, "__self__", None)
        if isinstance(enclosing, Signals):
            self._received, enclosing._received = enclosing._received, None  # noqa: SLF001 - another instance

    def check(self) -> None:
        """Raise an interruption if a signal was received.

        Raises:
            Interruption: A signal was received and not handled yet.
        """
        if self._received is not None:
            raise Interruption(self._received)


@contextlib.contextmanager
def watching(*, handled: bool = True) -> Iterator[Signals]:
    """Handle both signals inside the block, and restore the previous handlers afterwards.

    A handler for the time before a run (`only_before_a_run`) is not restored: signals are ignored instead, because
    the exit code is final. Outside the main thread, Python delivers no signals.
    """
    signals = Signals()
    if not handled or threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.handle) for number in _EXIT_CODES}
    signals.take_over(before[signal.SIGINT])
    previous_hook, sys.unraisablehook = sys.unraisablehook, _unless_interruption(sys.unraisablehook)
    try:
        yield signals
    finally:
        sys.unraisablehook = previous_hook
        for number, handler in before.items():
            over = signal.SIG_IGN if getattr(handler, "only_before_a_run", False) else handler
            signal.signal(number, over if over is not None else signal.SIG_DFL)
    signals.pass_on(before[signal.SIGINT])


def _unless_interruption(hook: Callable[[Any], object]) -> Callable[[Any], None]:
    """Wrap a hook for dropped exceptions to ignore interruptions: the next `check` raises them again."""

    def wrapper(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Interruption):
            hook(unraisable)

    return wrapper
