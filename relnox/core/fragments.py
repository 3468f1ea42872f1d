"""Change fragments: small Markdown files that say which packages change by how much, and what to tell of it.

Front matter between two lines `---` names packages and levels, one on a line; the text is what follows. Names may
be quoted, as changesets writes them. Only this shape is read, not YAML at large; whatever else is there is
refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, get_args

from relnox.core.names import normalized
from relnox.core.schema import did_you_mean
from relnox.core.versioning import Level
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["Fragment", "highest_level", "list_item", "notes", "parse", "remove_packages"]

_LEVELS: tuple[Level, ...] = get_args(Level)
_MEANING: Mapping[str, Level | None] = {**{level: level for level in _LEVELS}, "none": None}

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_ENTRY = re.compile(
    r"""[ \t]*(?P<quote>["']?)(?P<name>[^"'#:\s][^"':]*?)(?P=quote)[ \t]*:"""
    r"""[ \t]*(?P<around>["']?)(?P<level>[^"'#\s]*)(?P=around)[ \t]*(?:(?<=[ \t])\#.*)?"""
)
_LIST_ITEM = re.compile(r"(?:[-*+]|[0-9]{1,9}[.)])[ \t]")
_BOM = "\ufeff"


class Fragment(NamedTuple):
    """One change.

    Attributes:
        file: The file's name, for messages and for the order of several.
        levels: How much each package changes, by normalised name; None for one that need not be released.
        text: What the changelog says, in Markdown; lines end in line feeds.
    """

    file: str
    levels: Mapping[str, Level | None]
    text: str


def parse(file: str, content: bytes, known: Iterable[str]) -> Fragment:
    """Read one fragment.

    Args:
        file: Its name, for messages.
        content: What it holds.
        known: The names of the workspace's packages, in any spelling.

    Raises:
        Blocked: It is no UTF-8, has no front matter, names no package or one that is not known or one twice, has a
            level that is none, or has no text.
    """
    text = _decoded(file, content).removeprefix(_BOM)
    lines = _LINE.findall(text)
    end = _end_of_front_matter(file, lines)
    packages = sorted({normalized(name) for name in known})
    levels: dict[str, Level | None] = {}
    for number, line in _entries(lines, end):
        name, level = _entry(f"{file}, line {number}", line.strip(), packages)
        if name in levels:
            raise Blocked("todo", f"{file}, line {number}: {name} is named twice", fix="leave one of the lines")
        levels[name] = level
    if not levels:
        raise Blocked(
            "todo", f"{file}, line {end + 1}: no package is named", fix=f"add a line like {_example(packages)}"
        )
    told = "\n".join(line.rstrip("\r\n") for line in lines[end + 1 :]).strip()
    if not told:
        raise Blocked(
            "todo", f"{file}, line {end + 1}: nothing is told of the change", fix="write a sentence below ---"
        )
    return Fragment(file, levels, told)


def remove_packages(content: bytes, packages: Collection[str]) -> bytes | None:
    """A fragment after some packages were released: their lines are gone, every other byte is as it was.

    Args:
        content: A fragment that can be parsed; anything without front matter comes back unchanged.
        packages: The released packages' names, in any spelling.

    Returns:
        None when no package is left: the file is to be removed.
    """
    lines = _LINE.findall(content.decode(errors="surrogateescape"))
    end = _closing(lines)
    if end is None:
        return content
    released = {normalized(name) for name in packages}
    gone, left = set(), 0
    for number, line in _entries(lines, end):
        found = _ENTRY.fullmatch(line.rstrip())
        if found and normalized(found["name"]) in released:
            gone.add(number)
        else:
            left += 1
    if not left:
        return None
    kept = (line for number, line in enumerate(lines, 1) if number not in gone)
    return "".join(kept).encode(errors="surrogateescape")


def highest_level(fragments: Iterable[Fragment], package: str) -> Level | None:
    """The highest level that any of the fragments has for a package; None when no release is asked for."""
    name = normalized(package)
    found = {level for fragment in fragments if (level := fragment.levels.get(name)) is not None}
    return min(found, key=_LEVELS.index, default=None)


def notes(fragments: Iterable[Fragment], package: str) -> str:
    """What the fragments tell of a package: Markdown list items in the order of the file names.

    A fragment that says `none` for the package tells nothing of it. The result has no line end at the end; where
    no fragment tells anything, it is empty.
    """
    name = normalized(package)
    told = [each for each in fragments if each.levels.get(name) is not None]
    return "\n".join(list_item(each) for each in sorted(told, key=lambda each: each.file))


def list_item(fragment: Fragment) -> str:
    """A fragment's text as a Markdown list item, without a line end at the end.

    Lines after the first are indented to stay in the item. A text that is a list already stays as it is.
    """
    if _LIST_ITEM.match(fragment.text):
        return fragment.text
    first, *others = fragment.text.split("\n")
    return "\n".join([f"- {first}", *(f"  {line}" if line.strip() else "" for line in others)])


def _decoded(file: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = len(_LINE.findall(content[: error.start].decode() + "?"))
        raise Blocked("todo", f"{file}, line {line}: this is no UTF-8", fix="save the file as UTF-8") from error


def _end_of_front_matter(file: str, lines: list[str]) -> int:
    """The index of the line that closes the front matter."""
    end = _closing(lines)
    if end is None and _opens(lines):
        raise Blocked(
            "todo", f"{file}, line 1: the front matter has no end", fix="add a line --- below the packages"
        )
    if end is None:
        raise Blocked(
            "todo",
            f"{file}, line 1: there is no front matter",
            fix="begin with a line ---, one line for each package as in core: minor, and a line ---",
        )
    return end


def _opens(lines: list[str]) -> bool:
    return bool(lines) and lines[0].removeprefix(_BOM).rstrip() == "---"


def _closing(lines: list[str]) -> int | None:
    if not _opens(lines):
        return None
    return next((index for index, line in enumerate(lines) if index and line.rstrip() == "---"), None)


def _entries(lines: list[str], end: int) -> Iterator[tuple[int, str]]:
    """The front matter's lines but empty ones and comments, with their numbers, which start at 1."""
    for number, line in enumerate(lines[1:end], 2):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line


def _entry(where: str, line: str, packages: Sequence[str]) -> tuple[str, Level | None]:
    found = _ENTRY.fullmatch(line)
    if found is None:
        raise Blocked(
            "todo", f"{where}: {line!r} is not a package and a level", fix=f"write it like {_example(packages)}"
        )
    name = normalized(found["name"])
    if name not in packages:
        raise Blocked("todo", f"{where}: there is no package {found['name']!r}", fix=did_you_mean(name, packages))
    if found["level"] not in _MEANING:
        raise Blocked(
            "todo",
            f"{where}: {found['level']!r} is none of {', '.join(_MEANING)}",
            fix=did_you_mean(found["level"], _MEANING),
        )
    return name, _MEANING[found["level"]]


def _example(packages: Sequence[str]) -> str:
    return f"{packages[0] if packages else 'core'}: patch"
