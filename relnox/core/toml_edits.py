"""Edits of the strings in a TOML document, which keep its comments, order, quotes, spacing and line ends."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from relnox.core.documents import load_toml
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
    """Replace strings in a TOML document without changing any other character.

    A new value is written in the quotes of the old one. The result is parsed and compared with the planned values
    before it is returned. That is skipped if nothing else can have changed: if `expected` has the old value of
    every string, and neither old nor new values contain characters that may need an escape.

    Args:
        text: A document that `load_toml` accepts, decoded, without a byte order mark.
        replacements: Maps the path of each string to its new value.
        expected: Maps paths to the values that `load_toml` read there, if they are known.
        source: The name of the document in messages, usually its file name.

    Raises:
        Blocked: There is no string at a path, or its value is not the expected one.
        ValueError: A new value cannot be written in the quotes of the old one, or the text is not TOML.
        Failed: The values in the result are not the planned ones.
    """
    if not replacements:
        return text
    from relnox.core.text import replace_spans

    spans = string_spans(text, set(replacements))
    for path in replacements:
        if path not in spans:
            raise Blocked(
                "file-changed",
                f"{source} changed while it was read (it has no string at {_format_key_path(path)} now)",
                fix="rerun the command",
            )
        if expected is not None and path in expected and spans[path].value != expected[path]:
            raise Blocked(
                "file-changed",
                f"{source} changed while it was read (at {_format_key_path(path)})",
                fix="rerun the command",
            )
    new_text = replace_spans(
        text,
        (
            (span.start, span.end, _encode_string(replacements[path], span, text))
            for path, span in spans.items()
            if path in replacements
        ),
    )
    is_checked = expected is not None and replacements.keys() <= expected.keys()
    if not is_checked or not all(
        _needs_no_escapes(spans[path].value) and _needs_no_escapes(new) for path, new in replacements.items()
    ):
        _verify(text, new_text, replacements, source)
    return new_text


def _needs_no_escapes(value: str) -> bool:
    """Return whether a value needs no escapes in any kind of quotes."""
    return _NOT_PLAIN.search(value) is None


def _verify(before: str, after: str, replacements: Mapping[KeyPath, str], source: str) -> None:
    """Raise `Failed` unless two versions of a document differ exactly in the planned replacements."""
    expected_document = _parse_document(before)
    for path, value in replacements.items():
        node: Any = expected_document
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value
    try:
        is_as_planned = _parse_document(after) == expected_document
    except ValueError:
        is_as_planned = False
    if not is_as_planned:
        changed_keys = ", ".join(_format_key_path(path) for path in replacements)
        raise Failed(
            "file-not-editable",
            f"cannot change {changed_keys} in {source} without changing other values",
            fix=f"edit {source} by hand, and report the bug",
        )


def _parse_document(text: str) -> dict[str, Any]:
    # Floats stay text, since a NaN differs from itself; the tuple distinguishes them from strings.
    return load_toml(text, parse_float=lambda literal: ("float", literal))


def _format_key_path(path: KeyPath) -> str:
    """Format a path of keys for messages, such as `project.dependencies[0]`."""
    steps = "".join(f"[{key}]" if isinstance(key, int) else f".{_quote_key(key)}" for key in path)
    return steps.removeprefix(".")


def _quote_key(key: str) -> str:
    """Return a key as it is written in TOML, in quotes if necessary."""
    return key if re.fullmatch(BARE_KEY, key) else '"' + _escape_special(key) + '"'


def _encode_string(value: str, span: StringSpan, text: str) -> str:
    """Return a value as it is written in the quotes of the string it replaces, with the document's line ends."""
    if span.quote == '"':
        return _escape_special(value)
    if span.quote == "'":
        return _literal_string(value, _NOT_LITERAL, span)
    if span.quote == '"""':
        escaped_text = re.sub(_NEEDS_ESCAPE_MULTILINE, _escape_character, value)
    else:
        escaped_text = _literal_string(value, _NOT_MULTILINE_LITERAL, span)
    if escaped_text.startswith("\n") and text[span.start - 1] != "\n":
        escaped_text = "\n" + escaped_text  # TOML trims one line end after the opening quotes
    return escaped_text.replace("\n", "\r\n") if "\r\n" in text else escaped_text


def _escape_special(value: str) -> str:
    return _NEEDS_ESCAPE.sub(_escape_character, value)


def _escape_character(match: re.Match[str]) -> str:
    """Return the TOML escape of the matched character."""
    return _ESCAPES.get(match[0]) or f"\\u{ord(match[0]):04x}"


def _literal_string(value: str, impossible: str, span: StringSpan) -> str:
    """Return the value, or raise ValueError if it matches `impossible`: literal strings have no escapes."""
    if re.search(impossible, value):
        raise ValueError(f"{value!r} cannot be written in {span.quote} quotes at line {span.line}")
    return value
