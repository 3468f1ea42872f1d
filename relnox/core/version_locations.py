"""Find a version in the text of a file, and exchange it with every other character as it was.

Each kind of file is read by its own grammar, never by a guess: a Python file by its syntax tree, so that a
docstring or `target_version = …` does not count; JSON and lock files by what stands at their top level. What is
there more or less often than declared is told instead of chosen from.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, NamedTuple

from relnox.core import toml_spans, versioning
from relnox.errors import Blocked

if TYPE_CHECKING:
    import ast
    from collections.abc import Iterator

    from packaging.version import Version

    from relnox.core.packages import VersionSource

__all__ = [
    "HATCH_PATTERN",
    "MESON_PATTERN",
    "Span",
    "find_attribute",
    "find_json_version",
    "find_literals",
    "find_locked_versions",
    "find_only_word",
    "find_pattern",
    "find_spans",
    "parse_version",
    "replace_span",
    "replace_version",
]

HATCH_PATTERN = r"(?i)^(__version__|VERSION)(?: ?\: ?str)? *= *([\'\"])v?(?P<version>.+?)\2"
"""What hatchling looks for where `[tool.hatch.version]` names a path and no pattern (its documentation)."""

MESON_PATTERN = (
    r"^[ \t]*project[ \t]*\((?:[^()#']|'(?:[^'\\\n]|\\.)*'|\#[^\n]*)*?"
    r"\bversion[ \t\r\n]*:[ \t\r\n]*'(?P<version>[^'\n]*)'"
)
"""The version that `project()` of a meson.build is given as a plain string (Meson's reference manual)."""

_LOCK_ENTRY = (
    r"^\[\[package\]\]\r?\nname = \"(?P<name>[^\"\n]+)\"\r?\nversion = \"(?P<version>[^\"\n]+)\"\r?\n"
    r"(?P<source>source = (?P<value>[^\n]*))?"
)
_OF_THE_TREE = ("{ editable = ", "{ virtual = ", "{ directory = ", "{ workspace = ")
"""Sources of uv.lock that are folders of the same checkout."""


class Span(NamedTuple):
    """Where a version stands: offsets in the text, and the version as written there."""

    start: int
    end: int
    text: str


def find_attribute(code: str, name: str) -> Span:
    """The string that a module assigns to a name.

    Raises:
        ValueError: It assigns none, or more than one, or something else; or the code is no Python.
    """
    import ast  # a fiftieth of a second's start-up that most bumps need not pay

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
    start, end = (_offset(code, *place) for place in _position_range(value))
    inside = code.find(value.value, start, end)
    if inside < 0 or not value.value:
        raise ValueError(f"{name} is not a plain string")
    return Span(inside, inside + len(value.value), value.value)


def find_literals(code: str) -> Iterator[tuple[str, str]]:
    """Names that mean a version and the strings that a module's top level assigns to them, each just once.

    What a branch assigns is a fallback, and what is assigned twice is made up: neither is a literal.
    """
    import ast

    try:
        module = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name.strip("_").lower() == "version":
                    with contextlib.suppress(ValueError):
                        yield name, find_attribute(code, name).text
            case _:
                continue


def find_pattern(text: str, expression: str, count: int = 1) -> tuple[Span, ...]:
    """The group `version`, or `value`, of each match of a regular expression, lines being lines.

    Raises:
        ValueError: There are not so many matches; or the expression is none, or has no such group.
    """
    try:
        compiled = re.compile(expression, re.MULTILINE)
        group = "value" if "value" in compiled.groupindex and "version" not in compiled.groupindex else "version"
        spans = tuple(Span(*match.span(group), match[group] or "") for match in compiled.finditer(text))
    except (re.error, IndexError) as error:
        raise ValueError(f"the pattern cannot be used: {error}") from error
    if any(span.start < 0 for span in spans):
        raise ValueError("the pattern matches without its version")
    if len(spans) != count:
        raise ValueError(f"the pattern matches {len(spans)} times" + (f", not {count}" if count != 1 else ""))
    return spans


def find_only_word(text: str) -> Span:
    """All of a text but the white space around it.

    Raises:
        ValueError: There is more than one line, or nothing.
    """
    found = text.strip()
    if not found or len(found.split()) != 1:
        raise ValueError("it holds more, or less, than a version")
    start = text.index(found)
    return Span(start, start + len(found), found)


def find_json_version(text: str) -> Span:
    """The string at the top-level key `version` of a JSON document.

    Raises:
        ValueError: It is no JSON, or has none.
    """
    import json

    document = json.loads(text)
    stated = document.get("version") if isinstance(document, dict) else None
    if not isinstance(stated, str) or not stated:
        raise ValueError("it has no version")
    for match in re.finditer(r'"version"\s*:\s*"(?P<version>[^"\\]*)"', text):
        span = Span(*match.span("version"), match["version"])
        if json.loads(replace_span(text, span, f"{stated}.")) == document | {"version": f"{stated}."}:
            return span
    raise ValueError("its version is not a plain string")


def find_locked_versions(text: str) -> dict[str, Span]:
    """The version lines of the packages that a lock file takes from the checkout itself, by name.

    That is uv.lock's entries with a folder as their source, and Cargo.lock's entries without a source; both are
    written by their tools alone, in this form.
    """
    return {
        match["name"]: Span(*match.span("version"), match["version"])
        for match in re.finditer(_LOCK_ENTRY, text, re.MULTILINE)
        if match["source"] is None or match["value"].startswith(_OF_THE_TREE)
    }


def find_spans(text: str, source: VersionSource) -> tuple[Span, ...]:
    """Where a source's version stands in the text of its file.

    Raises:
        ValueError: It is not there, or not as often as declared.
    """
    match source.kind:
        case "toml":
            found = toml_spans.string_spans(text).get(source.key)
            if found is None:
                raise ValueError(f"it has no string {'.'.join(map(str, source.key))}")
            return (Span(found.start, found.end, found.value),)
        case "attribute":
            return (find_attribute(text, str(source.key[0])),)
        case "pattern":
            return find_pattern(text, str(source.key[0]), source.count)
        case "text":
            return (find_only_word(text),)
        case "json":
            return (find_json_version(text),)
        case "lock":
            lines = find_locked_versions(text)
            return tuple(lines[str(name)] for name in source.key if name in lines)
        case "tags" | "dynamic":
            raise ValueError(f"a version of kind {source.kind} is no text of a file")


def parse_version(source: VersionSource) -> Version:
    """The version that a source's text means.

    Raises:
        Blocked: It means none.
    """
    if not source.semver:
        return versioning.parse(source.text, where=source.file)
    try:
        return versioning.from_semver(source.text)
    except Blocked as error:
        raise Blocked("todo", f"{source.file}: {error.message}", fix=error.fix) from None


def replace_span(text: str, span: Span, version: str) -> str:
    """The text with another version in that place."""
    return text[: span.start] + version + text[span.end :]


def replace_version(text: str, source: VersionSource, version: str) -> str:
    """The text with another version in each place that its source means, read back before it is returned.

    Raises:
        ValueError: It is not there, not as often as declared, or would not be found again.
    """
    for span in reversed(find_spans(text, source)):
        text = replace_span(text, span, version)
    if any(span.text != version for span in find_spans(text, source)):
        raise ValueError(f"{version} would not be found there again")
    return text


def _assigned(module: ast.Module, name: str) -> Iterator[ast.expr]:
    """Values that the module's own statements assign to a name; functions and classes have names of their own."""
    import ast

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
    import ast

    return isinstance(target, ast.Name) and target.id == name


def _position_range(value: ast.Constant) -> tuple[tuple[int, int], tuple[int, int]]:
    return (value.lineno, value.col_offset), (value.end_lineno or 0, value.end_col_offset or 0)


def _offset(code: str, line: int, column: int) -> int:
    """A place of the syntax tree, which counts bytes of UTF-8, as an offset in the text."""
    lines = re.split("(?<=\n)", code)
    before = "".join(lines[: line - 1])
    return len(before) + len(lines[line - 1].encode()[:column].decode())
