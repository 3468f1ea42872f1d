"""A parser for Python source that is safe to use in threads.

CPython 3.11 has one recursion counter for all threads that build syntax trees. If garbage collection lets another
thread parse at the same time, both fail with SystemError ("AST constructor recursion depth mismatch").
"""

from __future__ import annotations

import ast
import threading
from typing import Any

_LOCK = threading.Lock()


def parse(source: str | bytes) -> ast.Module:
    """Return the syntax tree of a module as `ast.parse` does, but safely if several threads parse."""
    with _LOCK:
        return ast.parse(source)


def literal_eval(text: str) -> Any:
    """Return the value of a Python literal as `ast.literal_eval` does, but safely if several threads parse."""
    with _LOCK:
        return ast.literal_eval(text)
