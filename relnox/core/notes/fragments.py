"""Change fragments: small Markdown files with a change, the packages that it affects, and its level in each.

Front matter between two lines `---` has a package and a level on each line; the text follows. Names may be quoted,
as changesets writes them. Only this form is parsed, not all of YAML; everything else is an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, get_args

from relnox.core.names import normalized
from relnox.core.text import did_you_mean
from relnox.core.versions.requested_bump import Level
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_LEVELS: tuple[Level, ...] = get_args(Level)
_LEVEL_BY_WORD: Mapping[str, Level | None] = {**{level: level for level in _LEVELS}, "none": None}

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_ENTRY = re.compile(
    r"""[ \t]*(?P<quote>["']?)(?P<name>[^"'#:\s][^"':]*?)(?P=quote)[ \t]*:"""
    r"""[ \t]*(?P<around>["']?)(?P<level>[^"'#\s]*)(?P=around)[ \t]*(?:(?<=[ \t])\#.*)?"""
)
_LIST_ITEM = re.compile(r"(?:[-*+]|[0-9]{1,9}[.)])[ \t]")
_BOM = "\ufeff"


class Fragment(NamedTuple):
    """A change.

    Attributes:
        file: The file's name, for messages and for the order of entries.
        levels: Level of the change in each package, by normalized name; None if it needs no release.
        text: The entry for the changelog, in Markdown; lines end in line feeds.
    """

    file: str
    levels: Mapping[str, Level | None]
    text: str


def parse(file: str, content: bytes, packages: Iterable[str]) -> Fragment:
    """Parse a change fragment; `packages` are the names of all packages, in any spelling.

    Raises:
        Blocked: It is not UTF-8, has no front matter, no package, an unknown package or one twice, an invalid
            level, or no text.
    """
    lines = _LINE.findall(_decode(file, content).removeprefix(_BOM))
    end = _end_of_front_matter(file, lines)
    names = sorted({normalized(name) for name in packages})
    levels: dict[str, Level | None] = {}
    for number, line in _entries(lines, end):
        name, level = _parse_entry(f"{file}, line {number}", line.strip(), names)
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
            fix=f"add a line like {_example(names)}",
        )
    text = "\n".join(line.rstrip("\r\n") for line in lines[end + 1 :]).strip()
    if not text:
        raise Blocked(
            "fragment-without-text",
            f"{file}, line {end + 1}: there is no text below the front matter",
            fix="describe the change below ---",
        )
    return Fragment(file, levels, text)


def remove_packages(content: bytes, packages: Collection[str]) -> bytes | None:
    """Remove the lines of released packages from a valid fragment; every other byte is unchanged.

    Content without front matter is returned unchanged.

    Returns:
        None if no package remains: the file can be removed.
    """
    lines = _LINE.findall(content.decode(errors="surrogateescape"))
    end = _find_end(lines)
    if end is None:
        return content
    released = {normalized(name) for name in packages}
    removed_lines: set[int] = set()
    remaining = 0
    for number, line in _entries(lines, end):
        entry = _ENTRY.fullmatch(line.rstrip())
        if entry and normalized(entry["name"]) in released:
            removed_lines.add(number)
        else:
            remaining += 1
    if not remaining:
        return None
    text = "".join(line for number, line in enumerate(lines, 1) if number not in removed_lines)
    return text.encode(errors="surrogateescape")


def list_item(fragment: Fragment) -> str:
    """Format a fragment's text as a Markdown list item, without a line end at the end.

    Lines after the first are indented. Text that is a list already is unchanged.
    """
    if _LIST_ITEM.match(fragment.text):
        return fragment.text
    first, *others = fragment.text.split("\n")
    return "\n".join([f"- {first}", *(f"  {line}" if line.strip() else "" for line in others)])


def _decode(file: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = len(_LINE.findall(content[: error.start].decode() + "?"))
        raise Blocked(
            "fragment-not-utf8", f"{file}, line {line}: invalid UTF-8", fix="save the file as UTF-8"
        ) from error


def _end_of_front_matter(file: str, lines: list[str]) -> int:
    """Find the index of the line that ends the front matter."""
    if (end := _find_end(lines)) is not None:
        return end
    if lines and _is_border(lines[0]):
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


def _find_end(lines: list[str]) -> int | None:
    borders = [index for index, line in enumerate(lines) if _is_border(line)]
    return borders[1] if borders[:1] == [0] and len(borders) > 1 else None


def _is_border(line: str) -> bool:
    return line.removeprefix(_BOM).rstrip() == "---"


def _entries(lines: list[str], end: int) -> Iterator[tuple[int, str]]:
    """Yield the lines of the front matter with their numbers (from 1), except empty ones and comments."""
    for number, line in enumerate(lines[1:end], 2):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _parse_entry(where: str, line: str, packages: Sequence[str]) -> tuple[str, Level | None]:
    entry = _ENTRY.fullmatch(line)
    if entry is None:
        raise Blocked(
            "fragment-line-invalid",
            f"{where}: {line!r} is not a package and a level",
            fix=f"write it like {_example(packages)}",
        )
    name = normalized(entry["name"])
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


def _example(packages: Sequence[str]) -> str:
    return f"{packages[0] if packages else 'core'}: patch"
