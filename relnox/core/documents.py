"""TOML documents, whose values may have any type."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@lru_cache(maxsize=256)  # a build reads a package's settings six times, and `tomllib` is slow
def parse_toml(text: str) -> Mapping[str, Any]:
    """Parse a document with `tomllib`; the result must not be changed, since others get the same one.

    Raises:
        ValueError: It is not valid TOML.
    """
    return tomllib.loads(text)


def table_at(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    """Return the table at these keys; an empty one if there is no table."""
    for key in keys:
        inner = document.get(key) if isinstance(document, dict) else None
        document = inner if isinstance(inner, dict) else {}
    return document


def strings_in(value: Any) -> list[str]:
    """Return the strings in a list; an empty list for any other value."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
