"""Reading of TOML documents whose values may have any type."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import tomli

load_toml = tomli.loads


@lru_cache(maxsize=256)  # a build reads a package's settings six times
def parse_toml(text: str) -> Mapping[str, Any]:
    """Parse a TOML document; do not modify the result, which is cached and shared by all callers.

    Raises:
        ValueError: The text is not valid TOML.
        RecursionError: Arrays or inline tables are nested too deeply.
    """
    return load_toml(text)


def table_at(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return the table at a path of keys, or an empty table if there is none."""
    for key in keys:
        inner = document.get(key) if isinstance(document, dict) else None
        document = inner if isinstance(inner, dict) else {}
    return document


def strings_in(value: Any) -> list[str]:
    """Return the strings in a list; an empty list for any other value."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
