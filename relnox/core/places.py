"""Find a version in the text of a file that is no TOML, and exchange it with every other character as it was.

A Python file is read by its syntax tree, never by a guess: a docstring or `target_version = …` does not count,
and a name that is assigned twice is told instead of chosen from.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relnox.core.packages import VersionSource

__all__ = ["HATCH_PATTERN", "Span", "attribute", "pattern", "replaced", "span_of", "whole"]

HATCH_PATTERN = r"(?i)^(__version__|VERSION)(?: ?\: ?str)? *= *([\'\"])v?(?P<version>.+?)\2"
"""What hatchling looks for where `[tool.hatch.version]` names a path and no pattern (its documentation)."""


class Span(NamedTuple):
    """Where a version stands: offsets in the text, and the version as written there."""

    start: int
    end: int
    text: str


def attribute(code: str, name: str) -> Span:
    """The string that a module assigns to a name.

    Raises:
        ValueError: It assigns none, or more than one, or something else; or the code is no Python.
    """
    try:
        module = ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"it is no Python that can be read (line {error.lineno})") from error
    values = list(_assigned(module, name))
    if len(values) != 1:
        raise ValueError(f"{name} is assigned {len(values)} times")
    value = values[0]
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise ValueError(f"{name} is not a plain string")  # noqa: TRY004 - what the file says, not a wrong call
    start, end = (_offset(code, *place) for place in _places(value))
    inside = code.find(value.value, start, end)
    if inside < 0 or not value.value:
        raise ValueError(f"{name} is not a plain string")
    return Span(inside, inside + len(value.value), value.value)


def pattern(text: str, expression: str) -> Span:
    """The group `version` of the one match of a regular expression, lines being lines.

    Raises:
        ValueError: There is no match, or more than one; or the expression is none, or has no such group.
    """
    try:
        matches = list(re.finditer(expression, text, re.MULTILINE))
        spans = [Span(*match.span("version"), match["version"]) for match in matches]
    except (re.error, IndexError) as error:
        raise ValueError(f"the pattern cannot be used: {error}") from error
    if len(spans) != 1:
        raise ValueError(f"the pattern matches {len(spans)} times")
    return spans[0]


def whole(text: str) -> Span:
    """All of a text but the white space around it.

    Raises:
        ValueError: There is more than one line, or nothing.
    """
    found = text.strip()
    if not found or len(found.split()) != 1:
        raise ValueError("it holds more, or less, than a version")
    start = text.index(found)
    return Span(start, start + len(found), found)


def span_of(text: str, source: VersionSource) -> Span:
    """Where a source's version stands in the text of its file.

    Raises:
        ValueError: It is not there, or not once.
    """
    match source.kind:
        case "attribute":
            return attribute(text, source.key[0])
        case "pattern":
            return pattern(text, source.key[0])
        case "text":
            return whole(text)
        case _:
            raise ValueError(f"a version of kind {source.kind} is no text of a file")


def replaced(text: str, span: Span, version: str) -> str:
    """The text with another version in that place."""
    return text[: span.start] + version + text[span.end :]


def _assigned(module: ast.Module, name: str) -> Iterator[ast.expr]:
    """Values that the module's own statements assign to a name; functions and classes have names of their own."""
    waiting: list[ast.AST] = list(module.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        match node:
            case ast.Assign(targets=targets, value=value) if any(_is_name(target, name) for target in targets):
                yield value
            case ast.AnnAssign(target=target, value=ast.expr() as value) if _is_name(target, name):
                yield value
            case _:
                waiting += ast.iter_child_nodes(node)


def _is_name(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _places(value: ast.Constant) -> tuple[tuple[int, int], tuple[int, int]]:
    return (value.lineno, value.col_offset), (value.end_lineno or 0, value.end_col_offset or 0)


def _offset(code: str, line: int, column: int) -> int:
    """A place of the syntax tree, which counts bytes of UTF-8, as an offset in the text."""
    lines = re.split("(?<=\n)", code)
    before = "".join(lines[: line - 1])
    return len(before) + len(lines[line - 1].encode()[:column].decode())
