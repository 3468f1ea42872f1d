"""The lines and headings of a changelog.

Headings in code fences and HTML comments are ignored. Markdown headings are found as in CommonMark. A text without
`#` headings is parsed as reStructuredText: the level of a heading depends on the order in which the underline
characters first appear.
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

_HASH_HEADING = re.compile(r"(?P<before>(?P<indent> {0,3})(?P<marks>#{1,6})[ \t]+)(?P<title>.*)")
_UNDERLINE = re.compile(r"(?P<mark>[=\-~^\"'*+:.#_])(?P=mark)*[ \t]*")
_NOT_A_TITLE = re.compile(r"[-*+][ \t]|[>|<#]|[0-9]{1,9}[.)][ \t]|\[[^\]]+\]:|\.\. ")
"""The start of a list item, quotation, table, HTML, link reference or directive, none of which can be a title."""

_CODE_FENCE = re.compile(r"(?P<before>(?:[ >]|[-*+] |[0-9]{1,9}[.)] )*)(?P<marks>`{3,}(?=[^`]*$)|~{3,})")
LIST_ITEM = re.compile(r"[ \t]*(?P<marker>[-*+]|[0-9]{1,9}[.)])(?=[ \t]|$)")
LINK_DEFINITION = re.compile(r" {0,3}\[(?P<label>(?:[^\]\\]|\\.)+)\]:[ \t]*(?P<url><[^<>]*>|\S+)")

UNRELEASED_TITLE = re.compile(
    r"(?P<open>[\\\[*_`]*)unreleased(?P<close>[\\\]*_`]*)(?P<link>\([^()]*\)|\[[^\[\]]*\])?(?:[ \t]*[-–—(:].*)?",  # noqa: RUF001
    re.IGNORECASE,
)
VERSION_TITLE = re.compile(
    r"[\\\[*_`]*(?:version[ \t]+|release[ \t]+)?(?P<v>v?)(?P<version>[0-9][^\s\\\[\](),:*_`]*)"
    r"[\\\]*_`]*(?:\([^()]*\)|\[[^\[\]]*\])?(?P<rest>(?=[\s,:(]|$).*)",
    re.IGNORECASE,
)

_UNRELEASED_REST = re.compile(r"\W+unreleased\W*", re.IGNORECASE)
"""What follows the version in the heading of a version that is not released yet, as in `1.2.0 (unreleased)`."""


class Line(NamedTuple):
    """A line of a changelog.

    Attributes:
        start_offset: The position of the line in the whole text.
        text: The text of the line, without the line ending.
        line_ending: The line ending, or an empty string at the end of the file.
        is_text: Whether the line is outside of code fences and comments.
        is_in_list_item: Whether the line starts a list item or is indented below one.
    """

    start_offset: int
    text: str
    line_ending: str
    is_text: bool
    is_in_list_item: bool

    @property
    def end_offset(self) -> int:
        """The position of the line ending in the whole text."""
        return self.start_offset + len(self.text)

    @property
    def is_blank(self) -> bool:
        """Whether the line is empty or has only white space."""
        return not self.text.strip()

    @property
    def link_label(self) -> str | None:
        """The label of a link reference such as `[1.0]: https://…`, in lower case, or None for other lines."""
        definition = LINK_DEFINITION.match(self.text) if self.is_text else None
        return None if definition is None else definition["label"].lower()


class Heading(NamedTuple):
    """A heading of a changelog.

    Attributes:
        first_line: The index of the first line of the heading.
        last_line: The index of the last line of the heading, such as its underline.
        title_line: The index of the line with the title.
        column: The position of the title in that line.
        title: The title.
        level: The level of the heading; 1 is the highest.
    """

    first_line: int
    last_line: int
    title_line: int
    column: int
    title: str
    level: int

    @property
    def version(self) -> Version | None:
        """The version that the title begins with, or None."""
        match = VERSION_TITLE.fullmatch(self.title)
        return None if match is None else parse_version_or_none(match["version"])

    @property
    def is_unreleased(self) -> bool:
        """Whether this is the heading of unreleased changes, in upper or lower case."""
        return UNRELEASED_TITLE.fullmatch(self.title) is not None

    @property
    def is_unreleased_version(self) -> bool:
        """Whether this is the heading of a version that is not released yet, such as `1.2.0 (unreleased)`."""
        match = VERSION_TITLE.fullmatch(self.title)
        return self.version is not None and match is not None and bool(_UNRELEASED_REST.fullmatch(match["rest"]))

    @property
    def is_release(self) -> bool:
        """Whether this is the heading of a version or of unreleased changes, unlike `2.0 migration`."""
        if self.version is None or self.is_unreleased_version:
            return self.is_unreleased or self.is_unreleased_version
        match = VERSION_TITLE.fullmatch(self.title)
        return match is not None and re.match(r"\s*[^\W\d_]", match["rest"]) is None


class ChangelogDocument:
    """A changelog, split into lines and headings.

    Attributes:
        lines: The lines.
        headings: The headings, in the order of the lines.
        newline: The first line ending in the text, used for inserted lines.
    """

    def __init__(self, text: str) -> None:
        self.lines = list(_scan_lines(text, "`~"))
        self.headings = list(_markdown_headings(self.lines))
        is_markdown = any(heading.first_line == heading.last_line for heading in self.headings)
        if not is_markdown:  # then a line of tildes is an underline, and no fence
            self.lines = list(_scan_lines(text, "`"))
            self.headings = list(_underlined_headings(self.lines))
        self.newline = next((line.line_ending for line in self.lines if line.line_ending), "\n")

    @property
    def unreleased(self) -> Heading:
        """The heading of unreleased changes: `Unreleased`, or else the first version if it is not released yet.

        Raises:
            Blocked: There is no such heading, or more than one `Unreleased`.
        """
        headings = [heading for heading in self.headings if heading.is_unreleased]
        if not headings:
            releases = [heading for heading in self.headings if heading.is_release]
            headings = [heading for heading in releases[:1] if heading.is_unreleased_version]
        if not headings:
            raise Blocked(
                "changelog-invalid",
                "there is no heading for Unreleased",
                fix="add one above the last version: ## [Unreleased]",
            )
        if len(headings) > 1:
            numbers = ", ".join(str(heading.title_line + 1) for heading in headings)
            raise Blocked(
                "changelog-invalid",
                f"there are {len(headings)} headings for Unreleased (lines {numbers})",
                fix="merge them",
            )
        return headings[0]

    def section_end(self, heading: Heading) -> int:
        """Return the index of the line after the section of a heading.

        A section ends before the next release, before the next heading of the same or a higher level, or at the
        end of the text.
        """
        later = (other for other in self.headings if other.first_line > heading.last_line)
        ends = (other.first_line for other in later if other.level <= heading.level or other.is_release)
        return next(ends, len(self.lines))

    def last_line_of(self, heading: Heading) -> int:
        """Return the index of the last line with text in the section of a heading.

        Link references do not count. If the section has no text, this is the last line of the heading.
        """
        index = self.section_end(heading) - 1
        while index > heading.last_line and (
            self.lines[index].is_blank or self.lines[index].link_label is not None
        ):
            index -= 1
        return index


def _scan_lines(text: str, fences: str) -> Iterator[Line]:
    """Split text into lines, and find fences, comments and list items as in CommonMark.

    Args:
        text: The text.
        fences: The characters that start a code fence when repeated.
    """
    in_item, in_comment, fence, width = False, False, "", 0
    for match in _LINE.finditer(text):
        content = match["text"].removeprefix(BOM).expandtabs(4)
        is_blank = not content.strip()
        if fence and not is_blank and len(content) - len(content.lstrip(" >")) < width:
            fence = ""  # the list item or quotation that the fence is in ends here
        if not fence and not in_comment and not is_blank:
            in_item = LIST_ITEM.match(content) is not None or (in_item and content[0] == " ")
        is_text, opening = False, None if fence or in_comment else _CODE_FENCE.match(content)
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
    """Yield the headings that begin with `#`, or are underlined with `=` or `-`."""
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_text:
            continue
        text = line.text.removeprefix(BOM)
        atx = _HASH_HEADING.fullmatch(text)
        if atx is not None and not (line.is_in_list_item and atx["indent"]):
            title = _without_closing_marks(atx["title"])
            column = len(line.text) - len(text) + len(atx["before"])
            yield Heading(index, index, index, column, title, len(atx["marks"]))
        elif (mark := _underline_character(lines, index)) is not None and mark in "=-":
            column = len(line.text) - len(line.text.removeprefix(BOM).lstrip())
            yield Heading(index, index + 1, index, column, line.text[column:].rstrip(), "=-".index(mark) + 1)


def _underlined_headings(lines: list[Line]) -> Iterator[Heading]:
    """Yield the headings of reStructuredText: titles with an underline, or with equal lines above and below."""
    styles: list[tuple[str, bool]] = []
    last = -1
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_text or (mark := _underline_character(lines, index)) is None:
            continue
        above = lines[index - 1].text.removeprefix(BOM) if index - 1 > last else None
        last, style = index + 1, (mark, above == lines[index + 1].text)
        if style not in styles:
            styles.append(style)
        column = len(line.text) - len(line.text.removeprefix(BOM).lstrip())
        yield Heading(index - style[1], last, index, column, line.text[column:].rstrip(), styles.index(style) + 1)


def _underline_character(lines: list[Line], index: int) -> str | None:
    """Return the character that a line is underlined with, or None if the line is not a title.

    A title is the first line of a paragraph. An underline of `=` or `-` has at least three characters; one of
    other characters is at least as long as the title.
    """
    title = lines[index].text.removeprefix(BOM)
    below = lines[index + 1] if index + 1 < len(lines) else None
    underline = _UNDERLINE.fullmatch(below.text) if below is not None and below.is_text else None
    if underline is None or _NOT_A_TITLE.match(title.lstrip()) or _UNDERLINE.fullmatch(title):
        return None
    if title.startswith(("    ", "\t")) or (index and not _ends_paragraph(lines[index - 1])):
        return None
    minimum = 3 if underline["mark"] in "=-" else len(title.strip())
    return underline["mark"] if len(underline[0].rstrip()) >= minimum else None


def _ends_paragraph(line: Line) -> bool:
    """Return whether the line after this one starts a new paragraph."""
    text = line.text.removeprefix(BOM)
    return (
        line.is_blank
        or not line.is_text
        or any(pattern.fullmatch(text) for pattern in (_HASH_HEADING, _UNDERLINE))
    )


def _without_closing_marks(title: str) -> str:
    """Return the title of a heading without trailing `#` characters, as in `## Title ##`."""
    title = title.rstrip()
    shorter = title.rstrip("#")
    return shorter.rstrip() if not shorter or shorter[-1] in " \t" else title


def parse_version_or_none(version: str) -> Version | None:
    """Parse a version; return None if it is invalid."""
    try:
        return Version(version)
    except ValueError:  # InvalidVersion, or an integer with thousands of digits
        return None
