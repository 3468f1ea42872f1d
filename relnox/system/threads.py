"""Threads of a run, which work in its context (see `run_scope`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool(ThreadPoolExecutor):
    """A thread pool whose calls have the context of the thread that submits them."""

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule a call; see `Executor.submit`."""
        return super().submit(partial(copy_context().run, call), *args, **kwargs)


def new_thread(call: Callable[[], None], name: str) -> Thread:
    """Return a daemon thread that has the context of this thread."""
    return Thread(target=copy_context().run, args=(call,), name=name, daemon=True)
