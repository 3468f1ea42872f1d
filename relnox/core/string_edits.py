"""Strings in TOML and JSON documents: read one by its keys, and replace some without changing other characters."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from relnox.core.documents import load_toml

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value, with the index of each array item: `("project", "dependencies", 0)`."""

parse_toml = partial(load_toml, parse_float=str)  # a NaN would differ from itself
parse_json = json.loads


def read_string(document: Any, path: KeyPath) -> str:
    """Return the string at a path of a parsed document, or raise ValueError if there is none."""
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            document = None
    if not isinstance(document, str):
        raise ValueError(f"it has no string {'.'.join(map(str, path))}")  # noqa: TRY004 - an error in the file
    return document


def replace_strings(
    text: str, changes: Mapping[KeyPath, tuple[str, str]], parse: Callable[[str], Any] = parse_toml
) -> str:
    """Return a document with other strings; their quotes and all other characters stay.

    Args:
        text: The document.
        changes: Maps the path of each string to its current and its new value.
        parse: The function that parses the document.

    Raises:
        ValueError: A path does not have the current value, or the string cannot be replaced as it is written.
    """
    planned = copy.deepcopy(parse(text))
    for path, (old, new) in changes.items():
        if read_string(planned, path) != old:
            raise ValueError(f"{'.'.join(map(str, path))} has changed since it was read")
        table = planned
        for key in path[:-1]:
            table = table[key]
        table[path[-1]] = new
        text = next((changed for changed in _candidates(text, old, new) if _is(changed, planned, parse)), "")
        if not text:
            raise ValueError(f"{old!r} is not written as a plain string there, or its quotes cannot hold {new!r}")
    return text


def _candidates(text: str, old: str, new: str) -> Iterator[str]:
    """Yield the text with one occurrence of a string replaced, for each occurrence, plain or with escapes."""
    for spell in (str, _escape):
        for match in re.finditer(rf"(?<=[\"'\n]){re.escape(spell(old))}(?=[\"'])", text):
            yield text[: match.start()] + spell(new) + text[match.end() :]


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"")


def _is(text: str, planned: Any, parse: Callable[[str], Any]) -> bool:
    try:
        return bool(parse(text) == planned)
    except ValueError:
        return False
