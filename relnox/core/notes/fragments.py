"""Change fragments: small Markdown files that describe a change and list the packages and levels it affects.

A file starts with front matter between two `---` lines. Each line of it has a package and a level, and the text
follows below. Names may be quoted, as in files of changesets. Other YAML is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, get_args

from relnox.core.names import normalize_name
from relnox.core.notes.changelog_document import ChangelogDocument
from relnox.core.text import did_you_mean
from relnox.core.versions.requested_bump import Level
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_LEVELS: tuple[Level, ...] = get_args(Level)
_LEVEL_BY_WORD: Mapping[str, Level | None] = {**{level: level for level in _LEVELS}, "none": None}

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_PACKAGE_LINE = re.compile(
    r"""[ \t]*(?P<quote>["']?)(?P<name>[^"'#:\s][^"':]*?)(?P=quote)[ \t]*:"""
    r"""[ \t]*(?P<around>["']?)(?P<level>[^"'#\s]*)(?P=around)[ \t]*(?:(?<=[ \t])\#.*)?"""
)
_LIST_ITEM = re.compile(r"(?:[-*+]|[0-9]{1,9}[.)])[ \t]")
_SECTION_MARK = "###"
"""The mark of headings below a version, such as `### Added`, and of the lowest ones that begin a section."""
_BOM = "\ufeff"


class Fragment(NamedTuple):
    """A change fragment.

    Attributes:
        file: The name of the file, for messages and for the order of changelog entries.
        levels: Maps the normalized name of each affected package to the level of the change, or None if the
            package needs no release.
        text: The changelog entry in Markdown, with line feeds as line endings.
    """

    file: str
    levels: Mapping[str, Level | None]
    text: str


def parse_fragment(file: str, content: bytes, packages: Iterable[str]) -> Fragment:
    """Parse a change fragment.

    Args:
        file: The name of the file, for messages.
        content: The content of the file.
        packages: The names of all packages, normalized or not.

    Raises:
        Blocked: The file is not UTF-8; it has no front matter, no package or no text; or a package is unknown or
            listed twice, or a level is invalid.
    """
    lines = _LINE.findall(_decode_fragment(file, content).removeprefix(_BOM))
    end = _require_end_of_front_matter(file, lines)
    names = sorted({normalize_name(name) for name in packages})
    levels: dict[str, Level | None] = {}
    for number, line in _front_matter_lines(lines, end):
        name, level = _parse_package_line(f"{file}, line {number}", line.strip(), names)
        if name in levels:
            raise Blocked(
                "fragment-package-twice",
                f"{file}, line {number}: package {name} is listed twice",
                fix="remove one of the lines",
            )
        levels[name] = level
    if not levels:
        raise Blocked(
            "fragment-without-package",
            f"{file}, line {end + 1}: the front matter lists no package",
            fix=f"add a line like {_example_package_line(names)}",
        )
    text = "\n".join(line.rstrip("\r\n") for line in lines[end + 1 :]).strip()
    if not text:
        raise Blocked(
            "fragment-without-text",
            f"{file}, line {end + 1}: there is no text below the front matter",
            fix="describe the change below ---",
        )
    return Fragment(file, levels, text)


def remove_released_packages(content: bytes, packages: Collection[str]) -> bytes | None:
    """Return the content of a valid fragment without the lines of released packages; the rest is unchanged.

    Returns:
        The new content, or None if no package remains, so that the file can be removed. Content without front
        matter is returned unchanged.
    """
    lines = _LINE.findall(content.decode(errors="surrogateescape"))
    end = _find_end_of_front_matter(lines)
    if end is None:
        return content
    released_names = {normalize_name(name) for name in packages}
    removed_lines: set[int] = set()
    remaining = 0
    for number, line in _front_matter_lines(lines, end):
        entry = _PACKAGE_LINE.fullmatch(line.strip())
        if entry and normalize_name(entry["name"]) in released_names:
            removed_lines.add(number)
        else:
            remaining += 1
    if not remaining:
        return None
    text = "".join(line for number, line in enumerate(lines, 1) if number not in removed_lines)
    return text.encode(errors="surrogateescape")


def as_changelog_entries(fragments: Iterable[Fragment]) -> str:
    """Return the texts of fragments as Markdown list items, without a line ending at the end.

    Text below headings, such as `### Added`, follows the other text, below headings of one level.
    """
    items, sections = [], []
    for fragment in fragments:
        parts = list(_split_at_headings(fragment.text))
        items += [_as_list_item(text) for title, text in parts if not title]
        sections += [f"{_SECTION_MARK} {title}\n\n{_as_list_item(text)}" for title, text in parts if title]
    return "\n\n".join(["\n".join(items), *sections] if items else sections)


def _split_at_headings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of a text that are not empty: the title of the heading, or "", and the text below it."""
    headings = [heading for heading in ChangelogDocument(text).headings if heading.level <= len(_SECTION_MARK)]
    lines = text.split("\n")
    if not headings or headings[0].first_line:  # a heading that is not at the top is part of the text
        yield "", text
        return
    for heading, end in zip(headings, [*(later.first_line for later in headings[1:]), len(lines)], strict=True):
        if below := "\n".join(lines[heading.last_line + 1 : end]).strip():
            yield heading.title, below


def _as_list_item(text: str) -> str:
    """Return a text as a Markdown list item; lines after the first are indented.

    Text that already starts with a list item is returned unchanged.
    """
    if _LIST_ITEM.match(text):
        return text
    first, *others = text.split("\n")
    return "\n".join([f"- {first}", *(f"  {line}" if line.strip() else "" for line in others)])


def _decode_fragment(file: str, content: bytes) -> str:
    """Decode a change fragment.

    Raises:
        Blocked: It is not UTF-8; the message has the line number.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = len(_LINE.findall(content[: error.start].decode() + "?"))
        raise Blocked(
            "fragment-not-utf8", f"{file}, line {line}: invalid UTF-8", fix="save the file as UTF-8"
        ) from error


def _require_end_of_front_matter(file: str, lines: list[str]) -> int:
    """Return the index of the line that ends the front matter.

    Raises:
        Blocked: There is no front matter, or it has no end.
    """
    if (end := _find_end_of_front_matter(lines)) is not None:
        return end
    if lines and _is_front_matter_border(lines[0]):
        raise Blocked(
            "front-matter-without-end",
            f"{file}, line 1: the front matter has no end",
            fix="add a line --- below the packages",
        )
    raise Blocked(
        "front-matter-missing",
        f"{file}, line 1: there is no front matter",
        fix="begin with a line ---, a line such as core: minor for each package, and a line ---",
    )


def _find_end_of_front_matter(lines: list[str]) -> int | None:
    """Return the index of the line that ends the front matter, or None if there is no complete front matter."""
    borders = [index for index, line in enumerate(lines) if _is_front_matter_border(line)]
    return borders[1] if borders[:1] == [0] and len(borders) > 1 else None


def _is_front_matter_border(line: str) -> bool:
    """Return whether a line is `---`, which begins and ends front matter."""
    return line.removeprefix(_BOM).rstrip() == "---"


def _front_matter_lines(lines: list[str], end: int) -> Iterator[tuple[int, str]]:
    """Yield the number (from 1) and the text of each front matter line that is not blank or a comment."""
    for number, line in enumerate(lines[1:end], 2):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _parse_package_line(where: str, line: str, packages: Sequence[str]) -> tuple[str, Level | None]:
    """Parse a line of the front matter.

    Args:
        where: The file and the line number, for messages.
        line: The line.
        packages: The normalized names of all packages.

    Returns:
        The normalized name of the package, and the level, or None if the package needs no release.

    Raises:
        Blocked: The line is malformed, the package is unknown, or the level is invalid.
    """
    entry = _PACKAGE_LINE.fullmatch(line)
    if entry is None:
        raise Blocked(
            "fragment-line-invalid",
            f"{where}: {line!r} is not a package and a level",
            fix=f"write it like {_example_package_line(packages)}",
        )
    name = normalize_name(entry["name"])
    if name not in packages:
        raise Blocked(
            "package-unknown", f"{where}: unknown package {entry['name']!r}", fix=did_you_mean(name, packages)
        )
    if entry["level"] not in _LEVEL_BY_WORD:
        raise Blocked(
            "fragment-level-invalid",
            f"{where}: invalid level {entry['level']!r} (allowed: {', '.join(_LEVEL_BY_WORD)})",
            fix=did_you_mean(entry["level"], _LEVEL_BY_WORD),
        )
    return name, _LEVEL_BY_WORD[entry["level"]]


def _example_package_line(packages: Sequence[str]) -> str:
    """Return a valid line of front matter, for fixes."""
    return f"{packages[0] if packages else 'core'}: patch"
