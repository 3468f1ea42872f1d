"""Positions of the strings in a TOML document, so that an edit changes their characters and no others.

Values are read with `tomllib`, which does not keep positions; this scanner finds only positions. It reads a
document that `tomllib` accepts, in one pass, and returns the offsets between the quotes of each string. Comments,
order, quotes, spacing and line ends are never rewritten, so they cannot change.

The grammar is TOML 1.0.0 (https://toml.io/en/v1.0.0), with the inline tables and escapes of TOML 1.1, which newer
Pythons accept too.
"""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from relnox.errors import Blocked, Failed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KeyPath", "StringSpan", "replace_strings", "string_spans"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value: `("project", "dependencies", 0)`; arrays, also those of tables, by index."""


class StringSpan(NamedTuple):
    """One string value and its position.

    Attributes:
        path: The keys that lead to it.
        start: Offset of its first character in the text, after the opening quotes and, in a multi-line
            string, after the line end that TOML trims there.
        end: Offset of the closing quotes.
        quote: Its quotes: `'`, `"`, `'''` or three double ones.
        value: Its value, escapes resolved.
        line: The line of its opening quotes, counted from 1.
    """

    path: KeyPath
    start: int
    end: int
    quote: str
    value: str
    line: int


def string_spans(text: str) -> dict[KeyPath, StringSpan]:
    """Return every string value of a TOML document by path, in the order of the document.

    Args:
        text: A document that `tomllib.loads` accepts, decoded, with its own line ends, without a byte order
            mark. Offsets count its characters.

    Raises:
        ValueError: The text is not TOML; the message has line and column.
    """
    return _Scanner(text).document()


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
    spans = _Scanner(text, paths=set(replacements)).document()
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
    return key if re.fullmatch(_BARE, key) else '"' + _escaped(key) + '"'


# --- reading ---------------------------------------------------------------------------------------

# Possessive quantifiers throughout: a text that does not match is rejected in one pass, too.
_BARE = r"[A-Za-z0-9_-]++"
_BASIC = r'"(?:[^"\\\n]++|\\.)*+"'
_LITERAL = r"'[^'\n]*+'"
_KEY = rf"(?:{_BARE}|{_BASIC}|{_LITERAL})"
_DOTTED_KEY = rf"{_KEY}(?:[ \t]*+\.[ \t]*+{_KEY})*+"
_COMMENT = r"\#[^\n]*+"

_BLANK = re.compile(rf"(?:[ \t\r\n]++|{_COMMENT})*+")
_LINE_END = re.compile(rf"[ \t]*+(?:{_COMMENT})?+(?:\r?\n|\Z)")
_ASSIGNMENT = re.compile(rf"({_DOTTED_KEY})[ \t]*+=[ \t]*+")
_HEADER = re.compile(rf"\[(?:\[[ \t]*+(?P<array>{_DOTTED_KEY})[ \t]*+\]|[ \t]*+(?P<table>{_DOTTED_KEY})[ \t]*+)\]")
_KEY_PART = re.compile(rf"({_BARE})|({_BASIC})|({_LITERAL})")

# A multi-line string may end in one or two quotes of its own before the three that close it.
_VALUE = re.compile(
    r"""
    "{3} (?:\r?\n)?+ (?P<multiline_basic> (?: [^"\\]++ | \\. | "{1,2}(?!") )*+ "{0,2} ) "{3}
  | '{3} (?:\r?\n)?+ (?P<multiline_literal> (?: [^']++ | '{1,2}(?!') )*+ '{0,2} ) '{3}
  | " (?P<basic> (?: [^"\\\n]++ | \\. )*+ ) "
  | ' (?P<literal> [^'\n]*+ ) '
  | (?P<scalar> [A-Za-z0-9_+.:-]++ (?: [ ][0-9]{2}:[0-9:.+Z-]++ )?+ )
  | (?P<array> \[ )
  | (?P<table> \{ )
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTES = {"multiline_basic": '"""', "multiline_literal": "'''", "basic": '"', "literal": "'"}

# Patterns that are rarely needed are compiled on first use, to start faster.
_ESCAPE = r"""(?x)
    \\ (?: (["\\bfnrte]) | x([0-9A-Fa-f]{2}) | u([0-9A-Fa-f]{4}) | U([0-9A-Fa-f]{8}) | [ \t]*\n[ \t\n]* )
"""
_SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "e": "\x1b"}


class _Scanner:
    """A scanner that reads one document in one pass.

    Each method that reads something takes its offset and returns the offset after it.
    """

    def __init__(self, text: str, paths: set[KeyPath] | None = None) -> None:
        self.text = text
        self.paths = paths  # the paths to find; None for all
        self.spans: dict[KeyPath, StringSpan] = {}
        self.tables: dict[KeyPath, int] = {}  # arrays of tables, with the index of their last table
        self.line = 1
        self.counted = 0  # line ends before this offset are counted in self.line

    def document(self) -> dict[KeyPath, StringSpan]:
        text = self.text
        table: KeyPath = ()
        position = self.blank(0)
        while position < len(text):
            if text[position] == "[":
                header = self.require(_HEADER.match(text, position), position, "a table header")
                table = self.table_path(header)
                position = header.end()
            else:
                position = self.assignment(position, table)
            position = self.require(_LINE_END.match(text, position), position, "the end of the line").end()
            position = self.blank(position)
            if self.paths is not None and self.paths <= self.spans.keys():
                break
        return self.spans

    def table_path(self, header: re.Match[str]) -> KeyPath:
        """Return the path of a table header; arrays of tables along it stand for their last table."""
        array = header["array"]
        path: KeyPath = ()
        *parents, last = _key_parts(array or header["table"])
        for key in parents:
            path = (*path, key)
            if path in self.tables:
                path = (*path, self.tables[path])
        path = (*path, last)
        if array:
            self.tables[path] = self.tables.get(path, -1) + 1
            path = (*path, self.tables[path])
        return path

    def assignment(self, position: int, table: KeyPath) -> int:
        match = self.require(_ASSIGNMENT.match(self.text, position), position, "a key and its value")
        return self.value(match.end(), table + _key_parts(match[1]))

    def value(self, position: int, path: KeyPath) -> int:
        match = self.require(_VALUE.match(self.text, position), position, "a value")
        match match.lastgroup:
            case "multiline_basic" | "multiline_literal" | "basic" | "literal" as kind:
                return self.string(match, kind, path)
            case "array":
                return self.array(match.end(), path)
            case "table":
                return self.inline_table(match.end(), path)
            case _:  # a number, a date or a boolean
                return match.end()

    def string(self, match: re.Match[str], kind: str, path: KeyPath) -> int:
        self.line += self.text.count("\n", self.counted, match.start())
        self.counted = match.start()
        value = match[kind]
        if kind.startswith("multiline"):
            value = value.replace("\r\n", "\n")  # as tomllib does
        if "\\" in value and kind.endswith("basic"):
            value = _unescaped(value)
        self.spans[path] = StringSpan(path, match.start(kind), match.end(kind), _QUOTES[kind], value, self.line)
        return match.end()

    def array(self, position: int, path: KeyPath) -> int:
        position = self.blank(position)
        index = 0
        while not self.text.startswith("]", position):
            position = self.separated(self.value(position, (*path, index)), "]")
            index += 1
        return position + 1

    def inline_table(self, position: int, path: KeyPath) -> int:
        position = self.blank(position)
        while not self.text.startswith("}", position):
            position = self.separated(self.assignment(position, path), "}")
        return position + 1

    def separated(self, position: int, close: str) -> int:
        """Skip from the end of an item to the next one or to the closing bracket."""
        position = self.blank(position)
        if self.text.startswith(",", position):
            return self.blank(position + 1)
        if self.text.startswith(close, position):
            return position
        raise self.error(position, f"a comma or {close}")

    def blank(self, position: int) -> int:
        """Skip white space, line ends and comments."""
        match = _BLANK.match(self.text, position)
        return match.end() if match else position

    def require(self, match: re.Match[str] | None, position: int, expected: str) -> re.Match[str]:
        if match is None:
            raise self.error(position, expected)
        return match

    def error(self, position: int, expected: str) -> ValueError:
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        return ValueError(f"invalid TOML: expected {expected} at line {line}, column {column}")


def _key_parts(dotted: str) -> tuple[str, ...]:
    if dotted.isidentifier():  # no quotes, dots or spaces: most keys
        return (dotted,)
    return tuple(
        bare or literal[1:-1] or _unescaped(basic[1:-1]) for bare, basic, literal in _KEY_PART.findall(dotted)
    )


def _unescaped(raw: str) -> str:
    return re.sub(_ESCAPE, _resolved, raw) if "\\" in raw else raw


def _resolved(escape: re.Match[str]) -> str:
    match escape.lastindex:
        case None:  # a backslash at the end of a line: removed with the white space after it
            return ""
        case 1:
            return _SHORT_ESCAPES.get(escape[1], escape[1])
        case group:
            return chr(int(escape[group], 16))


# --- writing ---------------------------------------------------------------------------------------

_CONTROL = r"\x00-\x08\x0b-\x1f\x7f"  # all but tab and line feed
_NEEDS_ESCAPE = re.compile(rf'["\\\n{_CONTROL}]')
# A quote needs no escape in a multi-line string unless three follow each other, or it precedes the closing ones.
_NEEDS_ESCAPE_MULTILINE = rf'[\\{_CONTROL}]|"(?=""|\Z)'
_NOT_LITERAL = rf"['\n{_CONTROL}]"
_NOT_MULTILINE_LITERAL = rf"'''|[{_CONTROL}]"
_NOT_PLAIN = re.compile(rf"""["'\\\n{_CONTROL}]""")
_ESCAPES = {char: f"\\{name}" for name, char in _SHORT_ESCAPES.items() if name != "e"} | {
    '"': r"\"",
    "\\": r"\\",
}


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
