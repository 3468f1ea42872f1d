"""Strings in TOML and JSON documents: read one by its keys, and replace some without changing other characters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

from relnox.core.documents import load_toml
from relnox.core.text import join_names, replace_spans

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
    planned = parse(text)
    for path, (old, new) in changes.items():
        if read_string(planned, path) != old:
            raise ValueError(f"{'.'.join(map(str, path))} has changed since it was read")
        parent = planned
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = new
    places = list(
        _find_quoted(text, {spelling for old, _ in changes.values() for spelling in (old, _escape(old))})
    )
    # With a number in each place, the parser tells which of them a path leads to.
    by_number = {f"relnox-{number}": place for number, place in enumerate(places)}
    numbered = _parse_or_none(replace_spans(text, ((*place, name) for name, place in by_number.items())), parse)
    spans = []
    for path, (old, new) in changes.items():
        place = by_number.get(read_string(numbered, path)) if numbered is not None else None
        if place is None:
            raise ValueError(f"{old!r} is not written as a plain string there")
        spans.append((*place, _escape(new) if text[place[1]] == '"' else new))
    changed = replace_spans(text, spans)
    if _parse_or_none(changed, parse) != planned:
        raise ValueError(f"its quotes cannot hold {join_names(repr(new) for _, new in changes.values())}")
    return changed


def _find_quoted(text: str, spellings: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each of these strings between quotes; of two that overlap, the first and longest.

    No regular expression, since compiling one for each of hundreds of files takes longer than all other work.
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


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"")


def _parse_or_none(text: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None
