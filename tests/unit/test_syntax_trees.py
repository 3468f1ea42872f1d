"""Python source is parsed by many threads at once."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from relnox.system import syntax_trees

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 1.0
TEXT = repr({"names": [f"module_{number}" for number in range(600)], "pairs": [(n, str(n)) for n in range(400)]})


class Yielding:
    """Garbage that lets other threads in when it is collected."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        time.sleep(0)


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("frequent_switches")
def test_threads_do_not_disturb_one_another() -> None:
    errors: list[BaseException] = []
    end = time.monotonic() + SECONDS

    def parse() -> None:
        while time.monotonic() < end and not errors:
            Yielding()
            try:
                syntax_trees.literal_eval(TEXT)
                syntax_trees.parse(TEXT)
            except SystemError as error:
                errors.append(error)

    threads = [threading.Thread(target=parse) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
