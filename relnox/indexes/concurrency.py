"""Concurrent requests for many projects or files."""

from __future__ import annotations

from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, wait
from typing import TYPE_CHECKING, TypeVar

from relnox.system.run_scope import ThreadPool, current_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

S = TypeVar("S")
T = TypeVar("T")

_CONCURRENT_REQUESTS = 16
_POLL_INTERVAL = 0.05


def call_concurrently(
    call: Callable[[S], T], arguments: Iterable[S], *, threads: int = _CONCURRENT_REQUESTS, fail_fast: bool = False
) -> list[T]:
    """Call a function concurrently, and return the results in the order of the arguments.

    The first error is raised. With `fail_fast`, no call starts after one has failed.
    If the run is interrupted, all active requests are ended.
    """
    with ThreadPool(threads, thread_name_prefix="index") as pool:
        futures = [pool.submit(call, argument) for argument in arguments]
        try:
            wait(futures, return_when=FIRST_EXCEPTION if fail_fast else ALL_COMPLETED)
        except BaseException:  # when interrupted too: leaving the pool waits for its requests
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(futures, timeout=_POLL_INTERVAL).not_done:
                current_scope().interrupt()
            raise
        pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures if not future.cancelled()]
