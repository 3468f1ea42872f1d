"""SIGINT and SIGTERM: end what can be ended at once, let what must not be halved come to its end."""

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
        """Around one step: in an atomic one a signal waits, and ends the run before its next step.

        After the last step there is nothing left to end: the run is done.

        Raises:
            Interruption: A signal came before this step, or in it if it is not atomic.
        """
        try:
            self.tell()
            with contextlib.nullcontext() if atomic else self.at_once():
                yield
        except Interruption:
            self._came = None  # it is heard
            raise

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Around what a signal ends at once, wherever it is.

        Raises:
            Interruption: A signal came.
        """
        try:
            self._at_once = True
            self.tell()
            yield
        finally:
            self._at_once = False

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

    def keep(self, interruption: Interruption) -> None:
        """A signal came when nothing was left to end here: it is for the run around this one, if there is one."""
        self._came = interruption.number

    def take_over(self, handler: Any) -> None:
        """Hear a signal that came before this run, while the run around it was not in a step."""
        around = getattr(handler, "__self__", None)
        if isinstance(around, Signals):
            self._came, around._came = around._came, None  # noqa: SLF001 - another one of these

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

    One that is only for the time before a run (`only_before_a_run`) does not: then signals are ignored, since how
    the process ends is decided. Outside the main thread Python gives no signals, and there is nothing to handle.
    """
    signals = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.signal(number, signals.handle) for number in _EXIT_CODES}
    signals.take_over(before[signal.SIGINT])
    tell_unraisable, sys.unraisablehook = sys.unraisablehook, _unless_interruption(sys.unraisablehook)
    try:
        yield signals
    finally:
        sys.unraisablehook = tell_unraisable
        for number, handler in before.items():
            over = signal.SIG_IGN if getattr(handler, "only_before_a_run", False) else handler
            signal.signal(number, over if over is not None else signal.SIG_DFL)
    signals.pass_on(before[signal.SIGINT])


def _unless_interruption(tell: Callable[[Any], object]) -> Callable[[Any], None]:
    """Tell what Python has to drop, but not an interruption: the signal is remembered, and ends the run soon."""

    def told(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, Interruption):
            tell(unraisable)

    return told
