"""Edits of the strings in a TOML document: comments, order, quotes, spacing and line ends are never rewritten."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from relnox.core.toml_spans import BARE_KEY, SHORT_ESCAPES, string_spans
from relnox.errors import Blocked, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relnox.core.toml_spans import KeyPath, StringSpan

_CONTROL = r"\x00-\x08\x0b-\x1f\x7f"  # all but tab and line feed
_NEEDS_ESCAPE = re.compile(rf'["\\\n{_CONTROL}]')
# A quote needs no escape in a multi-line string unless three follow each other, or it precedes the closing ones.
_NEEDS_ESCAPE_MULTILINE = rf'[\\{_CONTROL}]|"(?=""|\Z)'
_NOT_LITERAL = rf"['\n{_CONTROL}]"
_NOT_MULTILINE_LITERAL = rf"'''|[{_CONTROL}]"
_NOT_PLAIN = re.compile(rf"""["'\\\n{_CONTROL}]""")
_ESCAPES = {char: f"\\{name}" for name, char in SHORT_ESCAPES.items() if name != "e"} | {
    '"': r"\"",
    "\\": r"\\",
}


def replace_strings(
    text: str,
    replacements: Mapping[KeyPath, str],
    *,
    expected: Mapping[KeyPath, str] | None = None,
    source: str = "the TOML document",
) -> str:
    """Replace strings of a document without changing any other character.

    A new value is written in the quotes of the old one. The result is verified before it is returned: if each
    string has the value that `tomllib` read, and neither old nor new value needs escapes in any quotes, no other
    token can have changed; otherwise the result is parsed and compared with the planned values.

    Args:
        text: A document that `tomllib.loads` accepts, decoded, without a byte order mark.
        replacements: The new value of each string, by path.
        expected: The values that `tomllib` read at these paths, if available.
        source: The name of the document in messages, usually its file name.

    Raises:
        Blocked: A path leads to no string, or to another value than was read.
        ValueError: A new value cannot be written in the quotes of the old one, or the text is not TOML.
        Failed: The result would differ from the planned values.
    """
    if not replacements:
        return text
    spans = string_spans(text, set(replacements))
    for path in replacements:
        if path not in spans:
            raise Blocked("file-changed", f"{source} has no string at {_dotted(path)}", fix="rerun the command")
        if expected is not None and path in expected and spans[path].value != expected[path]:
            raise Blocked(
                "file-changed", f"{source} changed while it was read (at {_dotted(path)})", fix="rerun the command"
            )
    pieces: list[str] = []
    done = 0
    for span in sorted((spans[path] for path in replacements), key=lambda span: span.start):
        pieces += text[done : span.start], _encode(replacements[span.path], span, text)
        done = span.end
    edited = "".join([*pieces, text[done:]])
    is_checked = expected is not None and replacements.keys() <= expected.keys()
    if not is_checked or not all(
        _is_plain(spans[path].value) and _is_plain(new) for path, new in replacements.items()
    ):
        _verify(text, edited, replacements, source)
    return edited


def _is_plain(value: str) -> bool:
    """Return whether a value needs no escapes in any kind of quotes."""
    return _NOT_PLAIN.search(value) is None


def _verify(before: str, after: str, replacements: Mapping[KeyPath, str], source: str) -> None:
    """Check that a document has changed in the planned strings only."""
    planned = _parsed(before)
    for path, value in replacements.items():
        node: Any = planned
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    try:
        is_as_planned = _parsed(after) == planned
    except tomllib.TOMLDecodeError:
        is_as_planned = False
    if not is_as_planned:
        changed = ", ".join(_dotted(path) for path in replacements)
        raise Failed(
            "file-not-editable",
            f"cannot change {changed} in {source} without changing other values",
            fix=f"edit {source} by hand, and report the bug",
        )


def _parsed(text: str) -> dict[str, Any]:
    # Floats stay text, since a NaN differs from itself; the tuple distinguishes them from strings.
    return tomllib.loads(text, parse_float=lambda literal: ("float", literal))


def _dotted(path: KeyPath) -> str:
    """Format a path for messages: `project.dependencies[0]`."""
    steps = "".join(f"[{key}]" if isinstance(key, int) else f".{_quoted(key)}" for key in path)
    return steps.removeprefix(".")


def _quoted(key: str) -> str:
    return key if re.fullmatch(BARE_KEY, key) else '"' + _escaped(key) + '"'


def _encode(value: str, span: StringSpan, text: str) -> str:
    """Escape a value for the quotes of a span, with the line ends of the text."""
    if span.quote == '"':
        return _escaped(value)
    if span.quote == "'":
        return _literal(value, _NOT_LITERAL, span)
    if span.quote == '"""':
        escaped = re.sub(_NEEDS_ESCAPE_MULTILINE, _escape, value)
    else:
        escaped = _literal(value, _NOT_MULTILINE_LITERAL, span)
    if escaped.startswith("\n") and text[span.start - 1] != "\n":
        escaped = "\n" + escaped  # TOML trims one line end after the opening quotes
    return escaped.replace("\n", "\r\n") if "\r\n" in text else escaped


def _escaped(value: str) -> str:
    return _NEEDS_ESCAPE.sub(_escape, value)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _literal(value: str, impossible: str, span: StringSpan) -> str:
    if re.search(impossible, value):
        raise ValueError(f"{value!r} cannot be written in {span.quote} quotes at line {span.line}")
    return value
