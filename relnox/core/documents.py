"""TOML and JSON documents: values of any type in them, replaced strings, and records as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache, partial
from typing import Any, TypeAlias

import tomli
from packaging.version import Version

from relnox.core.records import Record, field_values
from relnox.core.text import escape_json, join_names, replace_spans
from relnox.errors import Problem

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
    """Return those items of a list that are strings; an empty list if the value is no list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value, with the index of each array item: `("project", "dependencies", 0)`."""

parse_toml_exactly = partial(load_toml, parse_float=str)  # a NaN would differ from itself
parse_json = json.loads


def read_string(document: Any, path: KeyPath) -> str:
    """Return the string at a path of keys and list indexes in a parsed TOML or JSON document.

    Raises:
        ValueError: There is no string at that path.
    """
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            document = None
    if not isinstance(document, str):
        raise ValueError(f"it has no string {'.'.join(map(str, path))}")  # noqa: TRY004 - an error in the file
    return document


def replace_strings(
    text: str, changes: Mapping[KeyPath, tuple[str, str]], parse: Callable[[str], Any] = parse_toml_exactly
) -> str:
    """Return the text of a TOML or JSON document with some strings replaced; all other characters stay.

    `changes` maps the path of each string to replace to its current and its new value. `parse` parses the
    document (by default as TOML), and must return a new object at each call.

    Raises:
        ValueError: The document is invalid, a path does not have the current value, or a string is written in a
            way (such as with escapes) in which it cannot be replaced.
    """
    planned = parse(text)
    for path, (old, new) in changes.items():
        if read_string(planned, path) != old:
            raise ValueError(f"{'.'.join(map(str, path))} has changed since it was read")
        parent = planned
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = new
    places = list(
        _find_quoted_strings(
            text, {spelling for old, _ in changes.values() for spelling in (old, _escape_quotes(old))}
        )
    )
    # With a number in each place, the parser tells which of them a path leads to.
    by_number = {f"relnox-{number}": place for number, place in enumerate(places)}
    numbered = _parse_or_none(replace_spans(text, ((*place, name) for name, place in by_number.items())), parse)
    spans = []
    for path, (old, new) in changes.items():
        place = by_number.get(read_string(numbered, path)) if numbered is not None else None
        if place is None:
            raise ValueError(f"{old!r} is not written as a plain string there")
        spans.append((*place, _escape_quotes(new) if text[place[1]] == '"' else new))
    changed = replace_spans(text, spans)
    if _parse_or_none(changed, parse) != planned:
        raise ValueError(f"its quotes cannot hold {join_names(repr(new) for _, new in changes.values())}")
    return changed


def _find_quoted_strings(text: str, spellings: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each place in a text where one of the spellings stands between quotes.

    A line end may stand for the first quote, as in multi-line strings. The quotes are not part of the place. Of
    places that overlap, only the first is yielded, or the longest of those with the same start. No regular
    expression is used: compiling one for each of hundreds of files is slow.
    """
    places = []
    for spelling in spellings:
        start = text.find(spelling)
        while start > 0:
            end = start + len(spelling)
            if text[start - 1] in "\"'\n" and text[end : end + 1] in ("'", '"'):
                places.append((start, end))
            start = text.find(spelling, start + 1)
    last_end = -1
    for start, end in sorted(places, key=lambda place: (place[0], -place[1])):
        if start > last_end:
            yield start, end
            last_end = end


def _escape_quotes(value: str) -> str:
    """Escape backslashes and double quotes with a backslash."""
    return value.replace("\\", r"\\").replace('"', r"\"")


def _parse_or_none(text: str, parse: Callable[[str], Any]) -> Any:
    """Parse a text; return None if that raises ValueError."""
    try:
        return parse(text)
    except ValueError:
        return None


def describe_parsing_error(error: Exception) -> str:
    """Return what is wrong with a JSON document, as words for a message, such as `it has no key 'files'`.

    `error` is what was raised when the document was parsed, or when its values were read.
    """
    match error:
        case json.JSONDecodeError():
            return f"it is not JSON: line {error.lineno}, column {error.colno}"
        case KeyError():
            return f"it has no key {error}"
        case ValueError():
            return str(error)
        case RecursionError():
            return "it is nested too deeply"
        case _:  # by Python: a list where a dict is expected, and the like
            return "a value has the wrong type"


def to_json(document: Any) -> str:
    r"""Format a value of JSON types as indented JSON, with a line end after it.

    It is safe to print: invisible characters are written as `\u` escapes.
    """
    return escape_json(json.dumps(document, indent=2, ensure_ascii=False)) + "\n"


def json_digest(value: Any) -> str:
    """Return the SHA-256 hash, in hex, of a value of JSON types, whatever the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def to_json_types(value: Any) -> Any:
    """Convert a value, with all that it contains, to JSON types.

    Bytes become a string, or an object with the key `base64` if they are not UTF-8; a version becomes a string, an
    enum its value. A record becomes an object of its fields, with its class name as `kind` unless it has a field
    of that name. A problem becomes an object of its code, message, fix and exit code, with the kind `Problem`.

    Raises:
        TypeError: The value is or contains something else.
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
            return [to_json_types(item) for item in value]
        case Mapping():
            return {name: to_json_types(item) for name, item in value.items()}
        case Problem():
            names = ("code", "message", "fix", "exit_code")
            return {"kind": "Problem", **{name: to_json_types(getattr(value, name)) for name in names}}
        case Record():
            inner = {name: to_json_types(inner) for name, inner in field_values(value).items()}
            return {"kind": type(value).__name__, **inner}
        case _:
            raise TypeError(f"{type(value).__name__} cannot be encoded")
