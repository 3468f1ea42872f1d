"""Concurrent requests for many projects."""

from __future__ import annotations

from concurrent.futures import wait
from typing import TYPE_CHECKING, TypeVar

from relnox.system import network
from relnox.system.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

_CONCURRENT_REQUESTS = 16
_POLL_INTERVAL = 0.05


def call_concurrently(call: Callable[[str], T], projects: Iterable[str]) -> list[T]:
    """Call a function for many projects concurrently, and return the results in the order of the projects.

    If the run is interrupted, all active requests are ended.
    """
    with ThreadPool(_CONCURRENT_REQUESTS, thread_name_prefix="index") as pool:
        futures = [pool.submit(call, project) for project in projects]
        try:
            wait(futures)
        except BaseException:  # when interrupted too: leaving the pool waits for its requests
            pool.shutdown(wait=False, cancel_futures=True)
            while wait(futures, timeout=_POLL_INTERVAL).not_done:
                network.cancel_all()
            raise
    return [future.result() for future in futures]
