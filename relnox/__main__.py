"""Entry point of `relnox` and `python -m relnox`: a signal ends it without a traceback, during imports too."""

# Import only what Python has loaded anyway: before the handlers are set, a signal prints a traceback.
import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_MESSAGE = b"error: interrupted; nothing was changed [interrupted]\nfix: rerun the command\n"

_NO_MEMORY = (
    b"error: out of memory [out-of-memory]\n"
    b"fix: close other programs, or raise the memory limit, then rerun the command\n"
)


class _StartupSignalHandler:
    """A signal handler that ends the process with status 128 + signal: before a run, there is nothing to clean up.

    It raises no exception, because Python drops exceptions that are raised in some places of an import.
    """

    only_before_a_run = True

    def __call__(self, number: int, _: "Any") -> "NoReturn":
        os.write(2, _MESSAGE)
        os._exit(128 + number)


def main() -> int:
    """Run `relnox` with the arguments of the process, and return its exit code.

    After that, SIGINT and SIGTERM are ignored, since the exit code is final.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _StartupSignalHandler())
    try:
        from relnox import cli

        return cli.main()
    except MemoryError:
        os.write(2, _NO_MEMORY)  # the reporters would need more memory
        return 2
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # the exit code is final
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
