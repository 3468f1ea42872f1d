"""Reading of TOML documents whose values may have any type."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Patterns that begin with a character are found many times as fast as alternatives.
_TIME_WITHOUT_SECONDS = re.compile(r":(?<=\d\d:)(?<!\d:\d\d:)\d\d(?!:\d)")
_NOT_SIMPLE_INLINE_TABLE = re.compile(r"""\{(?!(?:[^{}"'\n#,]|"[^"\\{}\n]*"|'[^'{}\n]*'|,(?!\s*\}))*\})""")


@lru_cache(maxsize=256)  # a build reads a package's settings six times
def parse_toml(text: str) -> Mapping[str, Any]:
    """Parse a TOML document; do not modify the result, which is cached and shared by all callers.

    Raises:
        ValueError: The text is not valid TOML 1.0.
        RecursionError: Arrays or inline tables are nested too deeply.
    """
    return load_toml(text)


def load_toml(text: str, *, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Parse a TOML document like `tomllib.loads`, with the same result or error.

    The compiled parser of `tomli` is faster, but reads TOML 1.1, which build backends reject. So it reads only
    documents that have the same meaning in both.

    Raises:
        ValueError: The text is not valid TOML 1.0.
        RecursionError: Arrays or inline tables are nested too deeply.
    """
    if not _may_be_toml_1_1(text):
        import tomli

        try:
            return tomli.loads(text, parse_float=parse_float)
        except (ValueError, RecursionError):
            pass  # `tomllib` decides, and words the error
    import tomllib

    return tomllib.loads(text, parse_float=parse_float)


def _may_be_toml_1_1(text: str) -> bool:
    """Return whether a text may have syntax that only TOML 1.1 has; if unsure, it may.

    These are two escapes, times without seconds (zone offsets look like them), and inline tables with line ends or
    comments, or with a comma at their end. An inline table is simple if it is on one line and has no escapes, and
    no further braces, even in strings.
    """
    return (
        "\\e" in text
        or "\\x" in text
        or _TIME_WITHOUT_SECONDS.search(text) is not None
        or _NOT_SIMPLE_INLINE_TABLE.search(text) is not None
    )


def table_at(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return the table at a path of keys, or an empty table if there is none."""
    for key in keys:
        inner = document.get(key) if isinstance(document, dict) else None
        document = inner if isinstance(inner, dict) else {}
    return document


def strings_in(value: Any) -> list[str]:
    """Return the strings in a list; an empty list for any other value."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
