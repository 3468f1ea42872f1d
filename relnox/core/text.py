"""Formatting of counts, lists and suggestions in messages, and replacement of parts of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun in singular or plural: `1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def join_names(names: Iterable[str], limit: int = 4) -> str:
    """Join names with commas; if there are more than `limit`, end with their number, as in `a, b and 7 more`."""
    names = list(names)
    text = ", ".join(names[:limit])
    return f"{text} and {len(names) - limit} more" if len(names) > limit else text


def replace_spans(text: str, replacements: Iterable[tuple[int, int, str]]) -> str:
    """Replace parts of a text that do not overlap, each given by its start, its end and the new text."""
    pieces: list[str] = []
    copied_until = 0
    for start, end, new_text in sorted(replacements):
        pieces += text[copied_until:start], new_text
        copied_until = end
    return "".join([*pieces, text[copied_until:]])


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a fix that suggests the most similar of the valid names, or lists all of them if none is similar."""
    choices = sorted(names)
    import difflib  # imported lazily: it is slow to import

    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"choose one of {', '.join(choices)}"
