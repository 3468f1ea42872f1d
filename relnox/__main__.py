"""`relnox` and `python -m relnox`: a signal ends them without a traceback, also while they import."""

# Only what Python has imported anyway, and `signal`: until the handlers are there, a signal prints a traceback.
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_MESSAGE = b"error: interrupted; nothing was changed [interrupted]\nfix: rerun the command\n"

_NO_MEMORY = (
    b"error: out of memory [out-of-memory]\nfix: end other programs, or raise the limit; then rerun the command\n"
)


class _AtStart:
    """Ends the process until a run begins: there is nothing to clean up that the next run does not.

    It raises nothing: Python drops what is raised in some places of an import, and prints a traceback.
    """

    only_before_a_run = True

    def __call__(self, number: int, _: "Any") -> "NoReturn":
        os.write(2, _MESSAGE)
        os._exit(128 + number)


def main() -> int:
    """Run a task and return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _AtStart())
    try:
        from relnox import cli

        return cli.main()
    except MemoryError:
        os.write(2, _NO_MEMORY)  # importing more, as what shows errors does, would need more
        return 2
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # how it ended is decided
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
