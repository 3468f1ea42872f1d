"""Positions of the strings in a TOML document, so that an edit changes their characters and no others.

Values are read with `tomllib`, which does not keep positions; this scanner finds only positions. It reads a
document that `tomllib` accepts, in one pass, and returns the offsets between the quotes of each string.

The grammar is TOML 1.0.0 (https://toml.io/en/v1.0.0), with the inline tables and escapes of TOML 1.1, which newer
Pythons accept too.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

KeyPath: TypeAlias = tuple[str | int, ...]
"""The keys that lead to a value, with the index of each array item: `("project", "dependencies", 0)`."""


class StringSpan(NamedTuple):
    """One string value and its position.

    Attributes:
        path: The keys that lead to it.
        start: Offset of its first character in the text, after the opening quotes and, in a multi-line
            string, after the line end that TOML trims there.
        end: Offset of the closing quotes.
        quote: Its quotes: `'`, `"`, `'''` or three double quotes.
        value: Its value, with escapes resolved.
        line: The line of its opening quotes, counted from 1.
    """

    path: KeyPath
    start: int
    end: int
    quote: str
    value: str
    line: int


def string_spans(text: str, paths: set[KeyPath] | None = None) -> dict[KeyPath, StringSpan]:
    """Return the strings of a TOML document and their positions by path, in the order of the document.

    Args:
        text: A document that `load_toml` accepts, decoded, with its own line ends, without a byte order
            mark. Offsets count its characters.
        paths: The paths of the strings to find; the scan ends when all are found. None for all strings.

    Raises:
        ValueError: The text is not TOML; the message contains the line and the column.
    """
    return _Scanner(text, paths).document()


# Possessive quantifiers throughout: a text that does not match is rejected in one pass, too.
BARE_KEY = r"[A-Za-z0-9_-]++"
_BASIC = r'"(?:[^"\\\n]++|\\.)*+"'
_LITERAL = r"'[^'\n]*+'"
_KEY = rf"(?:{BARE_KEY}|{_BASIC}|{_LITERAL})"
_DOTTED_KEY = rf"{_KEY}(?:[ \t]*+\.[ \t]*+{_KEY})*+"
_COMMENT = r"\#[^\n]*+"

_BLANK = re.compile(rf"(?:[ \t\r\n]++|{_COMMENT})*+")
_LINE_END = re.compile(rf"[ \t]*+(?:{_COMMENT})?+(?:\r?\n|\Z)")
_ASSIGNMENT = re.compile(rf"({_DOTTED_KEY})[ \t]*+=[ \t]*+")
_HEADER = re.compile(rf"\[(?P<array>\[)?+[ \t]*+(?P<key>{_DOTTED_KEY})[ \t]*+\](?(array)\])")
_KEY_PART = re.compile(rf"({BARE_KEY})|({_BASIC})|({_LITERAL})")

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
SHORT_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "e": "\x1b"}


class _Scanner:
    """A scanner that reads one document in one pass.

    Each method that reads a part of the document takes the offset where that part begins, and returns the offset
    after it.
    """

    def __init__(self, text: str, paths: set[KeyPath] | None) -> None:
        self.text = text
        self.paths = paths
        self.spans: dict[KeyPath, StringSpan] = {}
        self.tables: dict[KeyPath, int] = {}  # arrays of tables, with the index of their last table
        self.line = 1
        self.counted = 0  # line ends before this offset are counted in self.line

    def document(self) -> dict[KeyPath, StringSpan]:
        """Read the document until all wanted strings are found, and return them with their positions."""
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
        """Return the key path of a table header, with the index of the last table after each array of tables."""
        path: KeyPath = ()
        *parents, last = _key_parts(header["key"])
        for key in parents:
            path = (*path, key)
            if path in self.tables:
                path = (*path, self.tables[path])
        path = (*path, last)
        if header["array"]:
            self.tables[path] = self.tables.get(path, -1) + 1
            path = (*path, self.tables[path])
        return path

    def assignment(self, position: int, table: KeyPath) -> int:
        match = self.require(_ASSIGNMENT.match(self.text, position), position, "a key and its value")
        return self.value(match.end(), table + _key_parts(match[1]))

    def value(self, position: int, path: KeyPath) -> int:
        """Read a value of any type; strings in it are added to `spans`."""
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
        if self.paths is not None and path not in self.paths:
            return match.end()
        self.line += self.text.count("\n", self.counted, match.start())
        self.counted = match.start()
        value = match[kind]
        if kind.startswith("multiline"):
            value = value.replace("\r\n", "\n")  # as tomllib does
        if "\\" in value and kind.endswith("basic"):
            value = _resolve_escapes(value)
        self.spans[path] = StringSpan(path, match.start(kind), match.end(kind), _QUOTES[kind], value, self.line)
        return match.end()

    def array(self, position: int, path: KeyPath) -> int:
        position = self.blank(position)
        index = 0
        while not self.text.startswith("]", position):
            position = self.skip_separator(self.value(position, (*path, index)), "]")
            index += 1
        return position + 1

    def inline_table(self, position: int, path: KeyPath) -> int:
        position = self.blank(position)
        while not self.text.startswith("}", position):
            position = self.skip_separator(self.assignment(position, path), "}")
        return position + 1

    def skip_separator(self, position: int, close: str) -> int:
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
        """Return the match, or raise ValueError with what was expected if there is none."""
        if match is None:
            raise self.error(position, expected)
        return match

    def error(self, position: int, expected: str) -> ValueError:
        """Return the error to raise if something else than expected is at a position."""
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        return ValueError(f"invalid TOML: expected {expected} at line {line}, column {column}")


def _key_parts(dotted_key: str) -> tuple[str, ...]:
    """Split a dotted key into its keys, without their quotes."""
    if dotted_key.isidentifier():  # no quotes, dots or spaces: most keys
        return (dotted_key,)
    return tuple(
        bare or literal[1:-1] or _resolve_escapes(basic[1:-1])
        for bare, basic, literal in _KEY_PART.findall(dotted_key)
    )


def _resolve_escapes(raw: str) -> str:
    """Return the value of a basic string, with escapes resolved."""
    return re.sub(_ESCAPE, _resolve_escape, raw) if "\\" in raw else raw


def _resolve_escape(escape: re.Match[str]) -> str:
    """Return the characters that an escape sequence stands for."""
    match escape.lastindex:
        case None:  # a backslash at the end of a line: removed with the white space after it
            return ""
        case 1:
            return SHORT_ESCAPES.get(escape[1], escape[1])
        case group:
            return chr(int(escape[group], 16))
