"""Conversion of records to JSON types."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from packaging.version import Version

from relnox.core.records import Record, field_values
from relnox.core.text import escape_json
from relnox.errors import Problem


def to_json(document: Any) -> str:
    """Format a document as indented JSON that is safe to print."""
    return escape_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def digest(value: Any) -> str:
    """Return the SHA-256 hex digest of a value that consists of JSON types."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def encode(value: Any) -> Any:
    """Convert a value to JSON types.

    Bytes become a string, or an object with the key `base64` if they are not UTF-8. A record becomes an object of
    its fields, with its class name as `kind` unless it has a field of that name.
    """
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | float() | str():
            return value
        case Version():
            return str(value)
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                import base64  # imported lazily: it is seldom needed

                return {"base64": base64.b64encode(value).decode()}
        case tuple() | list():
            return [encode(item) for item in value]
        case Mapping():
            return {name: encode(item) for name, item in value.items()}
        case Problem():
            names = ("code", "message", "fix", "exit_code")
            return {"kind": "Problem", **{name: encode(getattr(value, name)) for name in names}}
        case Record():
            inner = {name: encode(inner) for name, inner in field_values(value).items()}
            return {"kind": type(value).__name__, **inner}
        case _:
            raise TypeError(f"{type(value).__name__} cannot be encoded")
