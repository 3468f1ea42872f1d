"""Parse Python source, one text at a time.

CPython 3.11 counts the depth of the tree that it makes for all threads together: where garbage collection lets
another thread parse meanwhile, both end with SystemError ("AST constructor recursion depth mismatch").
"""

from __future__ import annotations

import ast
import threading
from typing import Any

__all__ = ["literal", "parse"]

_ONE_AT_A_TIME = threading.Lock()


def parse(source: str | bytes) -> ast.Module:
    """The syntax tree of a module.

    Raises:
        SyntaxError: It is no Python.
        ValueError: It has null bytes.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(source)


def literal(text: str) -> Any:
    """The value of a literal; see `ast.literal_eval`."""
    with _ONE_AT_A_TIME:
        return ast.literal_eval(text)
