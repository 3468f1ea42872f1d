"""Versions in the text of files: find them, and replace them without changing other characters.

Each kind of file is read by its own grammar. In a Python file, that is the syntax tree, so that a docstring or
`target_version = …` is not mistaken for the version. In JSON, only the given keys count, by default the one at the
top level. A version that is missing, or found more or less often than declared, raises `ValueError`.
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from packaging.version import Version

from relnox.core import documents
from relnox.core.packages import Package, VersionSource
from relnox.core.records import replace
from relnox.core.text import format_count, replace_spans
from relnox.core.versions import semver_compat, versioning
from relnox.core.versions.semver_compat import Scheme
from relnox.errors import Blocked

HATCH_PATTERN = r"(?i)^(__version__|VERSION)(?: ?\: ?str)? *= *([\'\"])v?(?P<version>.+?)\2"
"""The pattern that hatchling uses if `[tool.hatch.version]` has a path but no pattern (from its documentation)."""

MESON_PATTERN = (
    r"^[ \t]*project[ \t]*\((?:[^()#']|'(?:[^'\\\n]|\\.)*'|\#[^\n]*)*?"
    r"\bversion[ \t\r\n]*:[ \t\r\n]*'(?P<version>[^'\n]*)'"
)
"""The version passed to `project()` in a meson.build as a plain string (see Meson's reference manual)."""

_PARSERS: Mapping[str, Callable[[str], Any]] = {
    "toml": documents.parse_toml_exactly,
    "json": documents.parse_json,
}
"""How the kinds of files with keys are parsed."""


class VersionSpan(NamedTuple):
    """The position of a version in a text: the start and end offsets, and the version as written there."""

    start: int
    end: int
    text: str


def find_assigned_string(code: str, name: str) -> VersionSpan:
    """Return the position of the string, without its quotes, that a module assigns to a name.

    Raises:
        ValueError: The code is invalid, or the name is not assigned exactly once, to a plain string literal.
    """
    try:
        module = ast.parse(code)
    except SyntaxError as error:
        raise ValueError(f"not valid Python (line {error.lineno})") from error
    values = list(_assigned_values(module, name))
    if len(values) != 1:
        raise ValueError(f"{name} is assigned {format_count(len(values), 'time')}")
    value = values[0]
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise ValueError(f"{name} is not a plain string literal")  # noqa: TRY004 - an error in the file, not in the call
    start = _offset_in_text(code, value.lineno, value.col_offset)
    end = _offset_in_text(code, value.end_lineno or 0, value.end_col_offset or 0)
    inside = code.find(value.value, start, end)
    if inside < 0 or not value.value:
        raise ValueError(f"{name} is not a plain string literal")
    return VersionSpan(inside, inside + len(value.value), value.value)


def version_literals_in(code: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the string of each variable `version`, `__version__`, `VERSION` and so on in a module.

    `code` is the source of the module. Variables that are assigned in a branch or more than once are left out:
    such values are fallbacks, or computed. There are none if the code is invalid.
    """
    try:
        module = ast.parse(code)
    except (SyntaxError, ValueError):
        return
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name.strip("_").lower() == "version":
                    with contextlib.suppress(ValueError):
                        yield name, find_assigned_string(code, name).text
            case _:
                continue


def find_pattern_matches(text: str, expression: str, count: int = 1) -> tuple[VersionSpan, ...]:
    """Return the position of the group `version`, or else `value`, in each match of a regular expression.

    `^` and `$` match at each line.

    Raises:
        ValueError: The expression is invalid, there are not `count` matches, or one has no version.
    """
    try:
        regex = re.compile(expression, re.MULTILINE)
        group = "value" if "value" in regex.groupindex and "version" not in regex.groupindex else "version"
        spans = tuple(VersionSpan(*match.span(group), match[group] or "") for match in regex.finditer(text))
    except (re.error, IndexError) as error:
        raise ValueError(f"invalid pattern: {error}") from error
    if any(span.start < 0 for span in spans):
        raise ValueError("the pattern matches without a version")
    if len(spans) != count:
        expected = f", not {count}" if count != 1 else ""
        raise ValueError(f"the pattern matches {format_count(len(spans), 'time')}{expected}")
    return spans


def find_only_word(text: str) -> VersionSpan:
    """Return the position of the only word in a text; raise ValueError if there are none or several."""
    word = text.strip()
    if len(word.split()) != 1:
        raise ValueError("it does not contain exactly one version")
    start = text.index(word)
    return VersionSpan(start, start + len(word), word)


def read_versions(text: str, source: VersionSource) -> list[str]:
    """Return the versions as written at all places of `source`, given the text of its file.

    Raises:
        ValueError: The file is invalid, or a version is missing or found more or less often than declared.
    """
    if source.kind in _PARSERS:
        return [documents.read_string(_PARSERS[source.kind](text), source.key or ("version",))]
    return [span.text for span in _find_version_spans(text, source)]


def _find_version_spans(text: str, source: VersionSource) -> tuple[VersionSpan, ...]:
    """Return the positions of a version in the text of a file that is not TOML or JSON.

    Raises:
        ValueError: The version is missing, or found more or less often than `source` declares.
    """
    match source.kind:
        case "attribute":
            return (find_assigned_string(text, str(source.key[0])),)
        case "pattern":
            return find_pattern_matches(text, str(source.key[0]), source.count)
        case "text":
            return (find_only_word(text),)
        case _:
            raise ValueError(f"a version of kind {source.kind} is not in a file")


def parse_source_version(source: VersionSource) -> Version:
    """Parse the version written at a source, as SemVer if the source requires it, else as PEP 440.

    Raises:
        Blocked: The version is invalid; the message names the file.
    """
    if not source.semver:
        return versioning.parse_version(source.text, where=source.file)
    try:
        return semver_compat.from_semver(source.text)
    except Blocked as error:
        raise Blocked(error.code, f"{source.file}: {error.message}", fix=error.fix) from None


def format_at(version: Version, location: VersionSource, scheme: Scheme) -> str:
    """Format a version for a location: as SemVer if the location requires it, else as the scheme does.

    If the location has a `length`, it gets only that many numbers of the release.

    Raises:
        Blocked: The location requires SemVer, which cannot express the version.
    """
    if location.length:
        version = _shorten_release(version, location.length)
    if not location.semver:
        return semver_compat.format_version(version, scheme)
    try:
        return semver_compat.to_semver(version)
    except Blocked as error:
        raise Blocked(error.code, f"{location.file}: {error.message}", fix=error.fix) from None


def detect_short_form(location: VersionSource, version: Version | None) -> VersionSource:
    """Return a location, with `length` set if only the first numbers of `version` are there (1.4 of 1.4.2).

    Otherwise, and if `version` is None, it is returned unchanged.

    Raises:
        Blocked: The version there is invalid.
    """
    length = len(parse_source_version(location).release)
    is_short = version is not None and length < len(version.release)
    if version is None or not is_short or parse_source_version(location) != _shorten_release(version, length):
        return location
    return replace(location, length=length)


def _shorten_release(version: Version, length: int) -> Version:
    """Return a final version with the first `length` numbers of a version: 1.4 for 1.4.2rc1 and 2."""
    return Version.from_parts(epoch=version.epoch, release=version.release[:length])


def all_locations_have_version(package: Package, version: Version | None) -> bool:
    """Return whether all locations in files of a package contain this version, also in a short form such as 1.4.

    Only the short form of locations with a `length` counts. None matches no location.

    Raises:
        Blocked: The version at a location is invalid.
    """
    return all(
        parse_source_version(location)
        == (_shorten_release(version, location.length) if version and location.length else version)
        for location in package.locations
    )


def inconsistent_version_error(package: Package, version: Version | None, bump: str) -> Blocked:
    """Return the error that not all files of a package contain its version; `bump` is the command to set it."""
    lines = "\n".join(f"  {location.text}: {location.file}" for location in package.locations)
    others = [location.file for location in package.other_locations if parse_source_version(location) != version]
    excluded = ", ".join(f'{{ file = "{file}", count = 0 }}' for file in dict.fromkeys(others))
    return Blocked(
        "version-locations-differ",
        f"the files of {package.name} contain different versions\n{lines}",
        fix=f"set one version everywhere: {bump}; or leave out what has a version of its own: "
        f"[tool.relnox] version-files = [{excluded}]",
    )


def replace_version(text: str, source: VersionSource, version: str) -> str:
    """Return the text of a source's file, in which `version` replaces the current version at all its places.

    Raises:
        ValueError: No version is found there, or it would not be found after the change.
    """
    if source.kind in _PARSERS:
        change = {source.key or ("version",): (source.text, version)}
        return documents.replace_strings(text, change, _PARSERS[source.kind])
    text = replace_spans(text, ((span.start, span.end, version) for span in _find_version_spans(text, source)))
    if any(span.text != version for span in _find_version_spans(text, source)):
        raise ValueError(f"the pattern would not match {version} once it is written")
    return text


def _assigned_values(module: ast.Module, name: str) -> Iterator[ast.expr]:
    """Yield the values that a module assigns to a name, in branches too, but not inside functions and classes."""
    nodes: list[ast.AST] = list(module.body)
    while nodes:
        node = nodes.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        match node:
            case ast.Assign(targets=targets, value=value) if any(
                isinstance(target, ast.Name) and target.id == name for target in targets
            ):
                yield value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value) if target == name:
                yield value
            case _:
                nodes += ast.iter_child_nodes(node)


def _offset_in_text(code: str, line: int, column: int) -> int:
    """Convert a line and a column of the syntax tree, which counts UTF-8 bytes, to an offset in the text."""
    lines = re.split("(?<=\n)", code)
    before = "".join(lines[: line - 1])
    return len(before) + len(lines[line - 1].encode()[:column].decode())
