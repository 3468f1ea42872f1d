"""The lines and headings of a changelog.

Headings follow CommonMark, outside of code fences and HTML comments. A text without `#` headings is parsed like
reStructuredText: the level of a heading is the order in which its underline character first appears.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterator

_LINE = re.compile(r"(?P<text>[^\r\n]*)(?P<end>\r\n|\r|\n|\Z)")
BOM = "\ufeff"

_ATX = re.compile(r"(?P<before>(?P<indent> {0,3})(?P<marks>#{1,6})[ \t]+)(?P<title>.*)")
_UNDERLINE = re.compile(r"(?P<mark>[=\-~^\"'*+:.#_])(?P=mark)*[ \t]*")
_NO_TITLE = re.compile(r"[-*+][ \t]|[>|<#]|[0-9]{1,9}[.)][ \t]|\[[^\]]+\]:|\.\. ")
"""The start of a list item, quotation, table, HTML, link reference or directive, none of which is a title."""

_FENCE = re.compile(r"(?P<before>(?:[ >]|[-*+] |[0-9]{1,9}[.)] )*)(?P<marks>`{3,}(?=[^`]*$)|~{3,})")
LIST_ITEM = re.compile(r"[ \t]*(?P<marker>[-*+]|[0-9]{1,9}[.)])(?=[ \t]|$)")
DEFINITION = re.compile(r" {0,3}\[(?P<label>(?:[^\]\\]|\\.)+)\]:[ \t]*(?P<url><[^<>]*>|\S+)")

UNRELEASED = re.compile(
    r"(?P<open>[\\\[*_`]*)unreleased(?P<close>[\\\]*_`]*)(?P<link>\([^()]*\)|\[[^\[\]]*\])?(?:[ \t]*[-–—(:].*)?",  # noqa: RUF001
    re.IGNORECASE,
)
VERSION = re.compile(
    r"[\\\[*_`]*(?:version[ \t]+|release[ \t]+)?(?P<v>v?)(?P<version>[0-9][^\s\\\[\](),:*_`]*)"
    r"[\\\]*_`]*(?:\([^()]*\)|\[[^\[\]]*\])?(?P<rest>(?=[\s,:(]|$).*)",
    re.IGNORECASE,
)


class Line(NamedTuple):
    """A line.

    Attributes:
        start: Its position in the text.
        text: Its text.
        end: Its line end.
        is_text: Whether it is neither in a fence nor in a comment.
        in_item: Whether it starts a list item, or is indented below one.
    """

    start: int
    text: str
    end: str
    is_text: bool
    in_item: bool

    @property
    def stop(self) -> int:
        """The position of its line end."""
        return self.start + len(self.text)

    @property
    def is_blank(self) -> bool:
        """Whether it has white space only."""
        return not self.text.strip()

    @property
    def label(self) -> str | None:
        """The label of a link reference, in lower case; None if the line is not one."""
        definition = DEFINITION.match(self.text) if self.is_text else None
        return None if definition is None else definition["label"].lower()


class Heading(NamedTuple):
    """A heading.

    Attributes:
        first: Index of its first line.
        last: Index of its last line.
        title_line: Index of the line with the title.
        column: Position of the title in that line.
        title: The title.
        level: 1 for the highest.
    """

    first: int
    last: int
    title_line: int
    column: int
    title: str
    level: int

    @property
    def version(self) -> Version | None:
        """The version that the title begins with."""
        match = VERSION.fullmatch(self.title)
        return None if match is None else parse_version(match["version"])

    @property
    def is_unreleased(self) -> bool:
        """Whether it is that of unreleased changes, in any case."""
        return UNRELEASED.fullmatch(self.title) is not None

    @property
    def is_release(self) -> bool:
        """Whether it is that of a version, or of unreleased changes; one such as `2.0 migration` is not."""
        if self.version is None:
            return self.is_unreleased
        match = VERSION.fullmatch(self.title)
        return match is not None and re.match(r"\s*[^\W\d_]", match["rest"]) is None


class Document:
    """A changelog's lines and headings."""

    def __init__(self, text: str) -> None:
        self.lines = list(_scan(text, "`~"))
        self.headings = list(_markdown_headings(self.lines))
        is_markdown = any(heading.first == heading.last for heading in self.headings)
        if not is_markdown:  # then a line of tildes is an underline, and no fence
            self.lines = list(_scan(text, "`"))
            self.headings = list(_underlined_headings(self.lines))
        self.newline = next((line.end for line in self.lines if line.end), "\n")

    @property
    def unreleased(self) -> Heading:
        """The heading for unreleased changes.

        Raises:
            Blocked: There is none, or several.
        """
        headings = [heading for heading in self.headings if heading.is_unreleased]
        if not headings:
            raise Blocked(
                "changelog-without-unreleased",
                "there is no heading for Unreleased",
                fix="add one above the last version: ## [Unreleased]",
            )
        if len(headings) > 1:
            numbers = ", ".join(str(heading.title_line + 1) for heading in headings)
            raise Blocked(
                "changelog-unreleased-twice",
                f"there are {len(headings)} headings for Unreleased (lines {numbers})",
                fix="merge them",
            )
        return headings[0]

    def end_of(self, heading: Heading) -> int:
        """Find the index of the line after a heading's section: at a version, or at a heading of its level."""
        later = (other for other in self.headings if other.first > heading.last)
        ends = (other.first for other in later if other.level <= heading.level or other.is_release)
        return next(ends, len(self.lines))

    def last_line_of(self, heading: Heading) -> int:
        """Find the index of the last line with text in a heading's section; the heading's own if there is none."""
        index = self.end_of(heading) - 1
        while index > heading.last and (self.lines[index].is_blank or self.lines[index].label is not None):
            index -= 1
        return index


def _scan(text: str, fences: str) -> Iterator[Line]:
    """Split text into lines as CommonMark does; `fences` are the characters of fences."""
    in_item, in_comment, fence, width = False, False, "", 0
    for match in _LINE.finditer(text):
        content = match["text"].removeprefix(BOM).expandtabs(4)
        is_blank = not content.strip()
        if fence and not is_blank and len(content) - len(content.lstrip(" >")) < width:
            fence = ""  # the list item or quotation that the fence is in ends here
        if not fence and not in_comment and not is_blank:
            in_item = LIST_ITEM.match(content) is not None or (in_item and content[0] == " ")
        is_text, opening = False, None if fence or in_comment else _FENCE.match(content)
        if opening is not None and opening["marks"][0] in fences:
            fence, before = opening["marks"], opening["before"]
            minimum = 1 if in_item and before else 0
            width = len(before) if before.strip() else max(minimum, len(before) - 3)
        elif fence:
            closing = content.strip(" >")
            if len(closing) >= len(fence) and not closing.strip(fence[0]):
                fence = ""
        else:
            in_comment = in_comment or re.match(" {0,3}<!--", content) is not None
            is_text, in_comment = not in_comment, in_comment and "-->" not in content
        yield Line(match.start(), match["text"], match["end"], is_text, in_item)


def _markdown_headings(lines: list[Line]) -> Iterator[Heading]:
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_text:
            continue
        text = line.text.removeprefix(BOM)
        atx = _ATX.fullmatch(text)
        if atx is not None and not (line.in_item and atx["indent"]):
            title = _without_closing_marks(atx["title"])
            column = len(line.text) - len(text) + len(atx["before"])
            yield Heading(index, index, index, column, title, len(atx["marks"]))
        elif (mark := _underline_of(lines, index)) is not None and mark in "=-":
            column = len(line.text) - len(line.text.removeprefix(BOM).lstrip())
            yield Heading(index, index + 1, index, column, line.text[column:].rstrip(), "=-".index(mark) + 1)


def _underlined_headings(lines: list[Line]) -> Iterator[Heading]:
    """Find headings with an underline, or with one and the same line above the title."""
    styles: list[tuple[str, bool]] = []
    last = -1
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_text or (mark := _underline_of(lines, index)) is None:
            continue
        above = lines[index - 1].text.removeprefix(BOM) if index - 1 > last else None
        last, style = index + 1, (mark, above == lines[index + 1].text)
        if style not in styles:
            styles.append(style)
        column = len(line.text) - len(line.text.removeprefix(BOM).lstrip())
        yield Heading(index - style[1], last, index, column, line.text[column:].rstrip(), styles.index(style) + 1)


def _underline_of(lines: list[Line], index: int) -> str | None:
    """Find the character that underlines a line; None if the line is not a title.

    A title is the first line of its paragraph. An underline is at least as long as its title, or has at least
    three of the characters that Markdown underlines with.
    """
    title = lines[index].text.removeprefix(BOM)
    below = lines[index + 1] if index + 1 < len(lines) else None
    underline = _UNDERLINE.fullmatch(below.text) if below is not None and below.is_text else None
    if underline is None or _NO_TITLE.match(title.lstrip()) or _UNDERLINE.fullmatch(title):
        return None
    if title.startswith(("    ", "\t")) or (index and not _ends_paragraph(lines[index - 1])):
        return None
    minimum = 3 if underline["mark"] in "=-" else len(title.strip())
    return underline["mark"] if len(underline[0].rstrip()) >= minimum else None


def _ends_paragraph(line: Line) -> bool:
    """Return whether the line after this one does not belong to the same paragraph."""
    text = line.text.removeprefix(BOM)
    return line.is_blank or not line.is_text or any(pattern.fullmatch(text) for pattern in (_ATX, _UNDERLINE))


def _without_closing_marks(title: str) -> str:
    title = title.rstrip()
    shorter = title.rstrip("#")
    return shorter.rstrip() if not shorter or shorter[-1] in " \t" else title


def parse_version(version: str) -> Version | None:
    """Parse a version; None if it is not valid."""
    try:
        return Version(version)
    except ValueError:  # InvalidVersion, or an integer with thousands of digits
        return None
