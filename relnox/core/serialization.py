"""Conversion of records to JSON types, and back according to the types of their fields."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from packaging.version import Version

from relnox.core.escaping import escape_json
from relnox.core.records import Record, field_names, field_values

_JSON_NAMES = {
    "NoneType": "null",
    "bool": "true or false",
    "int": "an integer",
    "str": "a string",
    "bytes": "a string",
    "tuple": "a list",
    "Mapping": "an object",
    "Version": "a version",
}
"""Names of types for users, by the name of the class."""


def to_json(document: Any) -> str:
    """Format a document as indented JSON that is safe to print."""
    return escape_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def digest(value: Any) -> str:
    """Return the SHA-256 hex digest of a value that consists of JSON types."""
    import hashlib  # imported lazily, for start-up

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
        case Record():
            inner = {name: encode(inner) for name, inner in field_values(value).items()}
            return {"kind": type(value).__name__, **inner}
        case _:
            raise TypeError(f"{type(value).__name__} cannot be encoded")


def decode(expected: Any, value: Any) -> Any:
    """Convert the result of `encode` back to a value of type `expected`.

    Raises:
        ValueError: The value does not fit the type.
    """
    if isinstance(expected, type) and issubclass(expected, Record):
        return _decode_record(expected, value)
    match get_origin(expected):
        case origin if origin in (Union, UnionType):
            return _decode_union(get_args(expected), value)
        case origin if origin is tuple:
            return _decode_tuple(get_args(expected), value)
        case origin if origin is Mapping:
            return _decode_mapping(get_args(expected)[1], value)
        case origin if origin is Literal:
            if value not in get_args(expected):
                raise ValueError(f"expected {_describe_type(expected)}, not {value!r}")
            return value
        case _:
            return _decode_scalar(expected, value)


def _decode_record(expected: type[Record], value: Any) -> Any:
    names = field_names(expected)
    own_kind = {} if "kind" in names else {"kind": expected.__name__}
    if not isinstance(value, dict) or not own_kind.items() <= value.items() or not set(names) <= value.keys():
        raise ValueError(f"expected {_describe_type(expected)} with its fields, not {value!r}")
    types = get_type_hints(expected)
    return expected(**{name: decode(types[name], value[name]) for name in names})


def _decode_union(members: tuple[Any, ...], value: Any) -> Any:
    """Decode a value as the first of several types that it fits."""
    for member in members:
        try:
            return decode(member, value)
        except ValueError:
            continue
    raise ValueError(f"expected {' or '.join(map(_describe_type, members))}, not {value!r}")


def _decode_tuple(items: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, not {value!r}")  # noqa: TRY004 - one exception class for all invalid input
    match items:
        case (item, last) if last is Ellipsis:
            return tuple(decode(item, entry) for entry in value)
        case _:
            return tuple(decode(item, entry) for item, entry in zip(items, value, strict=True))


def _decode_mapping(item: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, not {value!r}")  # noqa: TRY004 - as above
    return {name: decode(item, entry) for name, entry in value.items()}


def _decode_scalar(expected: Any, value: Any) -> Any:
    if expected is NoneType and value is None:
        return None
    if expected is Version and isinstance(value, str):
        return Version(value)
    if expected is bytes and isinstance(value, str):
        return value.encode()
    if expected is bytes and isinstance(value, dict) and isinstance(text := value.get("base64"), str):
        import base64

        return base64.b64decode(text, validate=True)
    if isinstance(expected, type) and type(value) is expected:
        return value
    if isinstance(expected, type) and issubclass(expected, Enum):
        return expected(value)
    raise ValueError(f"expected {_describe_type(expected)}, not {value!r}")


def _describe_type(expected: Any) -> str:
    """Return what a value of a type looks like in JSON, for messages."""
    if get_origin(expected) is Literal:
        return " or ".join(map(repr, get_args(expected)))
    name = getattr(get_origin(expected) or expected, "__name__", str(expected))
    return _JSON_NAMES.get(name, f"a {name}")
