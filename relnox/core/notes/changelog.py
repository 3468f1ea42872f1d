"""Changelogs in the form of Keep a Changelog 1.1.0 (https://keepachangelog.com).

Adding a release only inserts text: a heading for the version below `Unreleased`, the texts of change fragments,
and a link. Only the link of `Unreleased` itself is replaced. Every other byte of the file is unchanged.

Headings follow CommonMark, outside of code fences and HTML comments. A text without `#` headings is parsed like
reStructuredText: the level of a heading is the order in which its underline character first appears.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

__all__ = ["add_release", "has_unreleased", "is_unreleased_empty", "remove_empty_sections", "section"]

_LINE = re.compile(r"(?P<text>[^\r\n]*)(?P<end>\r\n|\r|\n|\Z)")
_BOM = "\ufeff"

_ATX = re.compile(r"(?P<before>(?P<indent> {0,3})(?P<marks>#{1,6})[ \t]+)(?P<title>.*)")
_UNDERLINE = re.compile(r"(?P<mark>[=\-~^\"'*+:.#_])(?P=mark)*[ \t]*")
_NO_TITLE = re.compile(r"[-*+][ \t]|[>|<#]|[0-9]{1,9}[.)][ \t]|\[[^\]]+\]:|\.\. ")
"""The start of a list item, quotation, table, HTML, link reference or directive, none of which is a title."""

_FENCE = re.compile(r"(?P<before>(?:[ >]|[-*+] |[0-9]{1,9}[.)] )*)(?P<marks>`{3,}(?=[^`]*$)|~{3,})")
_LIST_ITEM = re.compile(r"[ \t]*(?P<marker>[-*+]|[0-9]{1,9}[.)])(?=[ \t]|$)")
_DEFINITION = re.compile(r" {0,3}\[(?P<label>(?:[^\]\\]|\\.)+)\]:[ \t]*(?P<url><[^<>]*>|\S+)")

_UNRELEASED = re.compile(
    r"(?P<open>[\\\[*_`]*)unreleased(?P<close>[\\\]*_`]*)(?P<link>\([^()]*\)|\[[^\[\]]*\])?(?:[ \t]*[-–—(:].*)?",  # noqa: RUF001
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"[\\\[*_`]*(?:version[ \t]+|release[ \t]+)?(?P<v>v?)(?P<version>[0-9][^\s\\\[\](),:*_`]*)"
    r"[\\\]*_`]*(?:\([^()]*\)|\[[^\[\]]*\])?(?P<rest>(?=[\s,:(]|$).*)",
    re.IGNORECASE,
)
_COMPARISON = re.compile(r"(?P<start>(?:(?!\.\.)[^?#])+)(?P<dots>\.{2,3})(?P<new>[^?#.][^?#]*)")
"""The URL of a comparison: `/compare/a...b` of GitHub and Gitea, `/-/compare/a...b` of GitLab."""


def has_unreleased(text: str) -> bool:
    """Return whether a changelog has a heading such as `## [Unreleased]`, in any case and level."""
    return any(_is_unreleased(heading) for heading in _Document(text).headings)


def is_unreleased_empty(text: str) -> bool:
    """Return whether there is nothing but headings and comments below the heading for unreleased changes."""
    document = _Document(text)
    unreleased = _find_unreleased(document)
    titles = {line for heading in document.headings for line in range(heading.first, heading.last + 1)}
    lines = enumerate(document.lines[: document.end_of(unreleased)])
    return not any(
        not line.is_blank and (line.is_text or line.in_item) and _label(line) is None
        for index, line in lines
        if index > unreleased.last and index not in titles
    )


def add_release(  # noqa: PLR0913 - the parts of a release, all keywords
    text: str, *, version: str, date: dt.date, tag: str | None, previous_tag: str | None, addition: str = ""
) -> str:
    """Add a release to a changelog: the unreleased changes move below a heading for the version.

    The heading of `Unreleased` stays at the top, with nothing below it. The version's heading is formatted like
    that of the file's last version, or like that of `Unreleased`. Links that compare commits are updated.

    Args:
        text: The changelog, with its line ends and byte order mark.
        version: The version, as written in the heading.
        date: The day of the release.
        tag: The release's tag, for the links; None leaves them unchanged.
        previous_tag: The tag before it; None for the one in the link of `Unreleased`.
        addition: Markdown list items from change fragments. They are added at the end of the version's text, or at
            the end of a section in it: those below `### Added` to `Added`, which is created if it is missing.

    Raises:
        Blocked: There is no heading for `Unreleased` or several, or the version has one already. The message does
            not name the file.
    """
    _check_is_new(_Document(text), version)
    for part in _parts(addition):
        text = _add_part(text, part)
    document = _Document(text)
    heading = _find_unreleased(document)
    style = _Style.of(document, version, date)
    links = None if tag is None else _Links(tag, previous_tag)
    edits = list(_heading_edits(document, heading, style, links))
    if links is not None:
        edits += _definition_edits(document, style.label, links)
    return _apply(edits, text)


def section(text: str, version: str) -> str | None:
    """Extract the text about one version, without its heading and surrounding blank lines.

    Versions are compared by PEP 440: `v1.2` and `[1.2.0] - 2026-11-21` are headings of the same section. Link
    references that the section does not use are left out: in the last section there are those of the whole file.

    Returns:
        None if the version has no heading or is invalid.
    """
    document = _Document(text)
    target = _parse_version(version)
    headings = [heading for heading in document.headings if target is not None and _version_of(heading) == target]
    if not headings:
        return None
    heading = min(headings, key=lambda heading: heading.level)
    lines = document.lines[heading.last + 1 : document.end_of(heading)]
    body = "".join(line.text + line.end for line in lines if line.is_text and _label(line) is None).lower()
    content = "".join(
        line.text + line.end for line in lines if (label := _label(line)) is None or f"[{label}]" in body
    )
    return re.sub(r"\A(?:[ \t]*[\r\n]+)+", "", content).rstrip()


# --- reading ---------------------------------------------------------------------------------------


class _Line(NamedTuple):
    start: int
    text: str
    end: str
    is_text: bool
    """Whether it is neither in a fence nor in a comment."""
    in_item: bool
    """Whether it starts a list item, or is indented below one."""

    @property
    def stop(self) -> int:
        """The position of its line end."""
        return self.start + len(self.text)

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()


class _Heading(NamedTuple):
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


class _Document:
    """A changelog's lines and headings."""

    def __init__(self, text: str) -> None:
        self.lines = list(_scan(text, "`~"))
        self.headings = list(_markdown_headings(self.lines))
        is_markdown = any(heading.first == heading.last for heading in self.headings)
        if not is_markdown:  # then a line of tildes is an underline, and no fence
            self.lines = list(_scan(text, "`"))
            self.headings = list(_underlined_headings(self.lines))
        self.newline = next((line.end for line in self.lines if line.end), "\n")

    def end_of(self, heading: _Heading) -> int:
        """Find the index of the line after a heading's section: at a version, or at a heading of its level."""
        later = (other for other in self.headings if other.first > heading.last)
        ends = (other.first for other in later if other.level <= heading.level or _is_of_version(other))
        return next(ends, len(self.lines))

    def last_line_of(self, heading: _Heading) -> int:
        """Find the index of the last line with text in a heading's section; the heading's own if there is none."""
        index = self.end_of(heading) - 1
        while index > heading.last and (self.lines[index].is_blank or _label(self.lines[index]) is not None):
            index -= 1
        return index


def _scan(text: str, fences: str) -> Iterator[_Line]:
    """Split text into lines.

    Args:
        text: The text. Lines end as in CommonMark; the last one has no line end.
        fences: The characters of fences.
    """
    in_item, in_comment, fence, width = False, False, "", 0
    for match in _LINE.finditer(text):
        content = match["text"].removeprefix(_BOM).expandtabs(4)
        is_blank = not content.strip()
        if fence and not is_blank and len(content) - len(content.lstrip(" >")) < width:
            fence = ""  # the list item or quotation that the fence is in ends here
        if not fence and not in_comment and not is_blank:
            in_item = _LIST_ITEM.match(content) is not None or (in_item and content[0] == " ")
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
        yield _Line(match.start(), match["text"], match["end"], is_text, in_item)


def _markdown_headings(lines: list[_Line]) -> Iterator[_Heading]:
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_text:
            continue
        text = line.text.removeprefix(_BOM)
        atx = _ATX.fullmatch(text)
        if atx is not None and not (line.in_item and atx["indent"]):
            title = _without_closing_marks(atx["title"])
            column = len(line.text) - len(text) + len(atx["before"])
            yield _Heading(index, index, index, column, title, len(atx["marks"]))
        elif (mark := _underline_of(lines, index)) is not None and mark in "=-":
            column = len(line.text) - len(line.text.removeprefix(_BOM).lstrip())
            yield _Heading(index, index + 1, index, column, line.text[column:].rstrip(), "=-".index(mark) + 1)


def _underlined_headings(lines: list[_Line]) -> Iterator[_Heading]:
    """Find headings with an underline, or with one and the same line above the title."""
    styles: list[tuple[str, bool]] = []
    last = -1
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_text or (mark := _underline_of(lines, index)) is None:
            continue
        above = lines[index - 1].text.removeprefix(_BOM) if index - 1 > last else None
        last, style = index + 1, (mark, above == lines[index + 1].text)
        if style not in styles:
            styles.append(style)
        column = len(line.text) - len(line.text.removeprefix(_BOM).lstrip())
        yield _Heading(index - style[1], last, index, column, line.text[column:].rstrip(), styles.index(style) + 1)


def _underline_of(lines: list[_Line], index: int) -> str | None:
    """Find the character that underlines a line; None if the line is not a title.

    A title is the first line of its paragraph. An underline is at least as long as its title, or has at least
    three of the characters that Markdown underlines with.
    """
    title = lines[index].text.removeprefix(_BOM)
    below = lines[index + 1] if index + 1 < len(lines) else None
    underline = _UNDERLINE.fullmatch(below.text) if below is not None and below.is_text else None
    if underline is None or _NO_TITLE.match(title.lstrip()) or _UNDERLINE.fullmatch(title):
        return None
    if title.startswith(("    ", "\t")) or (index and not _ends_paragraph(lines[index - 1])):
        return None
    minimum = 3 if underline["mark"] in "=-" else len(title.strip())
    return underline["mark"] if len(underline[0].rstrip()) >= minimum else None


def _ends_paragraph(line: _Line) -> bool:
    """Return whether the line after this one does not belong to the same paragraph."""
    text = line.text.removeprefix(_BOM)
    return line.is_blank or not line.is_text or any(pattern.fullmatch(text) for pattern in (_ATX, _UNDERLINE))


def _without_closing_marks(title: str) -> str:
    title = title.rstrip()
    shorter = title.rstrip("#")
    return shorter.rstrip() if not shorter or shorter[-1] in " \t" else title


def _is_unreleased(heading: _Heading) -> bool:
    return _UNRELEASED.fullmatch(heading.title) is not None


def _version_of(heading: _Heading) -> Version | None:
    """Parse the version that a heading's title begins with."""
    match = _VERSION.fullmatch(heading.title)
    return None if match is None else _parse_version(match["version"])


def _is_of_version(heading: _Heading) -> bool:
    """Return whether a heading is that of a version, or of `Unreleased`; one such as `2.0 migration` is not."""
    if _version_of(heading) is None:
        return _is_unreleased(heading)
    match = _VERSION.fullmatch(heading.title)
    return match is not None and re.match(r"\s*[^\W\d_]", match["rest"]) is None


def _parse_version(version: str) -> Version | None:
    try:
        return Version(version)
    except ValueError:  # InvalidVersion, or an integer with thousands of digits
        return None


def _label(line: _Line) -> str | None:
    """Parse the label of a link reference, in lower case; None if the line is not one."""
    definition = _DEFINITION.match(line.text) if line.is_text else None
    return None if definition is None else definition["label"].lower()


# --- releasing -------------------------------------------------------------------------------------


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _Style(Record):
    """The format of a version's heading.

    Attributes:
        label: The version, with a `v` if the file's last version has one.
        date: The date and the text around it, which follow the version.
        brackets: The text right before and after the version in the last version's heading; None for that around
            `Unreleased`.
    """

    label: str
    date: str
    brackets: tuple[str, str] | None

    @classmethod
    def of(cls, document: _Document, version: str, date: dt.date) -> _Style:
        """Copy the style of the first version in the file; without one, use that of Keep a Changelog."""
        titles = [heading.title for heading in document.headings if _is_of_version(heading)]
        versions = [match for title in titles if (match := _VERSION.fullmatch(title)) is not None]
        label = (versions[0]["v"] if versions else "") + version
        brackets = _brackets(versions[0]) if versions else None
        formats = (date_format for match in versions if (date_format := _date_format(match["rest"])) is not None)
        date_format = next(formats, None)
        if date_format is not None:
            start, pattern, end = date_format
            text = date.strftime(pattern).replace("@0", "").replace("@", "")  # the day without a leading zero
            return cls(label, f"{start}{text}{end}", brackets)
        if versions and not any(match["rest"].strip() for match in versions):
            return cls(label, "", brackets)
        return cls(label, f" - {date.isoformat()}", brackets)


_DATE_FORMATS = (
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "%Y-%m-%d"),
    (r"[0-9]{4}/[0-9]{2}/[0-9]{2}", "%Y/%m/%d"),
    (r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", "%Y.%m.%d"),
    (r"[A-Z][a-z]+ [0-9]{1,2}, [0-9]{4}", "%B @%d, %Y"),
    (r"[0-9]{1,2} [A-Z][a-z]+ [0-9]{4}", "@%d %B %Y"),
)


def _date_format(rest: str) -> tuple[str, str, str] | None:
    """Find a date's format in a heading, with the text before and after it; None without a date."""
    for expression, date_format in _DATE_FORMATS:
        match = re.fullmatch(rf"(?P<before>[^\w\[\]]+)(?P<date>{expression})(?P<after>[^\w\[\]]*)", rest)
        if match is not None:
            month = re.search(r"[A-Z][a-z]+", match["date"])
            is_short = month is not None and len(month[0]) == len("Nov") and month[0] != "May"
            return match["before"], date_format.replace("%B", "%b") if is_short else date_format, match["after"]
    return None


def _brackets(version: re.Match[str]) -> tuple[str, str] | None:
    """Find the text around the version in a heading; None if it is a link, which needs the one of `Unreleased`."""
    title = version.string
    after = title[version.end("version") : version.start("rest")]
    return None if "(" in after or "[" in after else (title[: version.start("v")], after)


class _Links(Record):
    """The tags in links that compare a release with the previous one."""

    tag: str
    previous_tag: str | None

    def update(self, url: str) -> tuple[str, str] | None:
        """Compute the new links of `Unreleased` and of the version; None if the link is not a comparison."""
        match = _COMPARISON.match(url)
        base, compare, old = ("", "", "") if match is None else match["start"].rpartition("/compare/")
        if match is None or not compare or old in {"", "HEAD"}:
            return None
        tag, dots = _quote(self.tag), match["dots"]
        previous = old if self.previous_tag is None else _quote(self.previous_tag)
        rest = url[match.end() :]
        return f"{base}{compare}{tag}{dots}{match['new']}{rest}", f"{base}{compare}{previous}{dots}{tag}{rest}"


def _quote(tag: str) -> str:
    """Quote the characters of a tag that would end a path or a link."""
    return re.sub(r"[%#?()<>]", lambda character: f"%{ord(character[0]):02X}", tag)


def _find_unreleased(document: _Document) -> _Heading:
    headings = [heading for heading in document.headings if _is_unreleased(heading)]
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


def _check_is_new(document: _Document, version: str) -> None:
    """Check that a version has no heading yet."""
    target, unreleased = _parse_version(version), _find_unreleased(document)
    for heading in document.headings:
        is_version = heading.level <= unreleased.level or _is_of_version(heading)
        if is_version and target is not None and _version_of(heading) == target:
            raise Blocked(
                "changelog-version-exists",
                f"version {version} already has a heading (line {heading.title_line + 1})",
                fix="release another version, or move its text to Unreleased and remove the heading",
            )


def _heading_edits(document: _Document, heading: _Heading, style: _Style, links: _Links | None) -> Iterator[_Edit]:
    """Insert the version's heading below that of `Unreleased`, and update a link in the latter."""
    unreleased = _UNRELEASED.fullmatch(heading.title)
    assert unreleased is not None  # noqa: S101 - the heading was found by it
    line = document.lines[heading.title_line]
    opening, closing = unreleased["open"], unreleased["close"]
    if (link := unreleased["link"] or "").startswith("("):
        urls = None if links is None else links.update(link[1:-1])
        if urls is None:
            opening, closing, link = opening.replace("[", ""), closing.replace("]", ""), ""
        else:
            start = line.start + heading.column + unreleased.start("link")
            yield _Edit(start, start + len(link), f"({urls[0]})")
            link = f"({urls[1]})"
    elif link:
        link = ""  # [Unreleased][ref] uses a definition of another name; [1.2.0] has one of its own
    if not link and style.brackets is not None:
        opening, closing = style.brackets
    title = f"{opening}{style.label}{closing}{link}{style.date}"
    newline = document.newline
    text = newline.join(_with_title(document, heading, title))
    end = document.lines[heading.last].stop
    yield _Edit(end, end, f"{newline}{newline}{text}")


def _with_title(document: _Document, heading: _Heading, title: str) -> Iterator[str]:
    """Copy the lines of a heading with another title."""
    for index in range(heading.first, heading.last + 1):
        text = document.lines[index].text
        if index == heading.title_line:
            after = text[heading.column + len(heading.title) :]
            yield f"{text[: heading.column].removeprefix(_BOM)}{title}{after}".rstrip()
            continue
        text = text.removeprefix(_BOM).rstrip()
        is_short = len(text) < len(heading.title)
        yield text if is_short else text[0] * max(len(text), len(title))


def _definition_edits(document: _Document, label: str, links: _Links) -> Iterator[_Edit]:
    """Update the link reference of `Unreleased`, and insert one for the new version below it."""
    definitions = [
        (line, match) for line in document.lines if line.is_text and (match := _DEFINITION.match(line.text))
    ]
    unreleased = next((pair for pair in definitions if pair[1]["label"].lower() == "unreleased"), None)
    if unreleased is None:
        return
    line, match = unreleased
    urls = links.update(match["url"].strip("<>"))
    if urls is None:
        return
    unreleased_url, version_url = (f"<{url}>" if match["url"].startswith("<") else url for url in urls)
    yield _Edit(line.start + match.start("url"), line.start + match.end("url"), unreleased_url)
    if all(other["label"].lower() != label.lower() for _, other in definitions):
        opening, separator = match[0][: match.start("label")], match[0][match.end("label") : match.start("url")]
        yield _Edit(line.stop, line.stop, f"{document.newline}{opening}{label}{separator}{version_url}")


def _apply(edits: list[_Edit], text: str) -> str:
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def remove_empty_sections(text: str) -> str:
    """Remove the sections below `Unreleased` that have no text."""
    document = _Document(text)
    unreleased = _find_unreleased(document)
    end = document.end_of(unreleased)
    for heading in document.headings:
        if unreleased.last < heading.first < end and document.last_line_of(heading) == heading.last:
            stop = heading.last + 1
            while stop < len(document.lines) and document.lines[stop].is_blank and document.lines[stop].end:
                stop += 1
            after = document.lines[stop].start if stop < len(document.lines) else len(text)
            return remove_empty_sections(text[: document.lines[heading.first].start] + text[after:])
    return text


# --- adding ----------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """A part of an addition: the lines of its heading, the heading's title, and the lines below it."""

    heading: list[str]
    title: str
    items: list[str]


def _parts(addition: str) -> Iterator[_Part]:
    """Split an addition at the headings of its first heading's level; text above them is a part of its own."""
    document = _Document(addition)
    texts = [line.text for line in document.lines]
    headings = document.headings
    tops = [heading for heading in headings if heading.level <= headings[0].level]
    before = _strip(texts[: tops[0].first] if tops else texts)
    if before:
        yield _Part([], "", before)
    ends = [*(heading.first for heading in tops[1:]), len(texts)]
    for top, end in zip(tops, ends, strict=False):
        yield _Part(texts[top.first : top.last + 1], top.title, _strip(texts[top.last + 1 : end]))


def _strip(lines: list[str]) -> list[str]:
    """Remove blank lines at both ends."""
    indexes = [index for index, line in enumerate(lines) if line.strip()]
    return lines[indexes[0] : indexes[-1] + 1] if indexes else []


def _add_part(text: str, part: _Part) -> str:
    """Add a part at the end of its section below `Unreleased`, or of everything there if it has no section."""
    document = _Document(text)
    unreleased = _find_unreleased(document)
    end = document.end_of(unreleased)
    sections = [heading for heading in document.headings if unreleased.last < heading.first < end]
    titled = (heading for heading in sections if part.title and heading.title.lower() == part.title.lower())
    target = next(titled, None)
    added = part.items if target is not None else _strip([*part.heading, "", *part.items])
    if not added:
        return text
    last = document.last_line_of(target or unreleased)
    start = max(heading.last for heading in document.headings if heading.last <= last) + 1
    present = document.lines[start : last + 1]
    marker = _list_marker(present)
    item = _LIST_ITEM.match(added[0])
    continues_list = marker is not None and item is not None and item["marker"] == marker
    lines = added if continues_list else ["", *added]
    following = document.lines[last + 1 : last + 2]
    if not present and following and not following[0].is_blank:
        lines = [*lines, ""]
    stop = document.lines[last].stop
    return text[:stop] + "".join(document.newline + line for line in lines) + text[stop:]


def _list_marker(lines: list[_Line]) -> str | None:
    """Find the marker of the list that these lines end with; None if they end with something else."""
    below = ""
    for line in reversed(lines):
        is_flush = line.text[:1].strip() != ""
        if is_flush and not line.is_text:
            return None
        if is_flush and (item := _LIST_ITEM.match(line.text)) is not None:
            return item["marker"]
        if line.is_blank and below[:1].strip():
            return None  # a paragraph after the list
        below = line.text.rstrip()
    return None
