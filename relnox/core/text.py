r"""Text in messages: counts, lists and suggestions, replaced parts, and untrusted text, which is escaped.

Tags, file names, settings, server responses and program output are untrusted. Characters that move the cursor,
hide or reorder text are written as Python escapes (`\x1b`, `\u202e`). Workflow commands of CI providers are made
ineffective in the same way (`\x3a:error::`, `##\x5berror]`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


_KILO = 1000


def format_count(number: int, noun: str) -> str:
    """Format a number with its noun in singular or plural: `1 file`, `2 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_size(size: int) -> str:
    """Format a number of bytes with three digits and a decimal prefix: `812 bytes`, `12.3 kB`, `1.25 GB`."""
    if size < _KILO:
        return format_count(size, "byte")
    value, units = size / _KILO, ["kB", "MB", "GB"]
    while value >= _KILO - 0.5 and len(units) > 1:  # it would be rounded up to 1000
        value /= _KILO
        units.pop(0)
    return f"{value:.3g} {units[0]}" if value < _KILO else f"{value:,.0f} {units[0]}"


def join_names(names: Iterable[str], limit: int = 4) -> str:
    """Join names with commas; of more than `limit`, list the first ones and count the rest: `a, b and 7 more`."""
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


def suggest_name(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """Return text for a fix that suggests the one of `names` that is most similar to `name`.

    If none is similar, return `otherwise`; if that is empty, list all names.
    """
    choices = sorted(names)
    import difflib  # imported lazily: it is slow to import

    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else otherwise or f"choose one of {', '.join(choices)}"


# Printable for Python, but invisible in fonts. A variation selector may follow a symbol, as in emoji.
_INVISIBLE = (  # compiled on first use, to start faster
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0d\U000e0100-\U000e01ef]"
    "|(?<![0-9\u00a9\u00ae\u2000-\u33ff\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
)
# GitHub's runner looks for `::name params::text` behind leading white space, and for `##[name params]text`
# anywhere in a line (ActionCommand.TryParseV2 and TryParse); Azure Pipelines and TeamCity for `##vso[` and
# `##teamcity[`.
_CI_COMMAND = re.compile(r"(?P<indent>\A *):(?=:)")
_OLD_CI_COMMAND = re.compile(r"(?P<before>##\w*)\[")


def escape_line(text: str) -> str:
    r"""Escape text so that it is one printable line, and not a command of a CI provider.

    Line ends and unprintable or invisible characters become Python escapes, such as `\n`. Escaping twice has the
    same result as escaping once.
    """
    text = _escape_invisible(text, _escape_character)
    text = _CI_COMMAND.sub(r"\g<indent>\\x3a", text)
    return _OLD_CI_COMMAND.sub(r"\g<before>\\x5b", text)


_MARKUP = {ord(mark): f"&#{ord(mark)};" for mark in "\\`*_{}[]<>()#!|~&$\"'"} | {ord("@"): "&#64;&#8203;"}
"""Replacements for characters with a meaning in Markdown or HTML; a zero-width space after @ prevents mentions."""


def escape_markdown(text: str) -> str:
    """Escape text for Markdown: one line without HTML, links, mentions and column separators."""
    return escape_line(text).translate(_MARKUP)


def escape_json(document: str) -> str:
    r"""Return a JSON document with `\u` escapes instead of invisible characters, so that it is safe to print."""
    lines = (_escape_invisible(line, lambda char: json.dumps(char)[1:-1]) for line in document.split("\n"))
    return _OLD_CI_COMMAND.sub(r"\g<before>\\u005b", "\n".join(lines))


def split_lines(text: str) -> list[str]:
    r"""Split text as `str.splitlines` does, but only at `\n` and `\r\n`, not at characters such as form feeds."""
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []


def _escape_invisible(text: str, escape: Callable[[str], str]) -> str:
    """Replace each unprintable or invisible character with the result of `escape` for it."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else escape(char) for char in text)
    return text if text.isascii() else re.sub(_INVISIBLE, lambda match: escape(match[0]), text)


def _escape_character(char: str) -> str:
    r"""Return the Python escape of a character, such as `\x1b`."""
    return char.encode("unicode_escape").decode("ascii")
