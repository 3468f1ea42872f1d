"""A changelog in the form of Keep a Changelog 1.1.0 (https://keepachangelog.com): release it, and read it.

A release only inserts: a heading for the version below `Unreleased`, what change fragments tell, and a link. The
one thing that is rewritten is the link of `Unreleased` itself. Whatever else the file holds stays, to the byte.

Headings are found as CommonMark finds them, outside of fences and HTML comments. A text without any `#` heading is
read as reStructuredText is: the underlines' characters rank in the order in which they first appear.
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
"""What starts a list item, a quotation, a table, HTML, a link reference or a directive, and so no title."""

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
_COMPARED = re.compile(r"(?P<until>(?:(?!\.\.)[^?#])+)(?P<dots>\.{2,3})(?P<new>[^?#.][^?#]*)")
"""A forge's comparison of two commits: GitHub's and Gitea's `/compare/a...b`, GitLab's `/-/compare/a...b`."""


def has_unreleased(text: str) -> bool:
    """Whether a changelog has a heading for what is not released yet: `## [Unreleased]`, in any case and level."""
    return any(_is_unreleased(heading) for heading in _Document(text).headings)


def is_unreleased_empty(text: str) -> bool:
    """Whether nothing stands under the heading for what is not released yet, headings and comments left aside."""
    document = _Document(text)
    heading = _the_unreleased(document)
    titles = {line for each in document.headings for line in range(each.first, each.last + 1)}
    below = enumerate(document.lines[: document.end_of(heading)])
    return not any(
        not line.is_blank and (line.is_live or line.in_item) and _label(line) is None
        for index, line in below
        if index > heading.last and index not in titles
    )


def add_release(  # noqa: PLR0913 - what a release is, each named
    text: str, *, version: str, date: dt.date, tag: str | None, previous_tag: str | None, addition: str = ""
) -> str:
    """The changelog after a release: what was unreleased stands under the version.

    The heading of `Unreleased` stays on top, with nothing below it. The version's heading is spelled and dated
    like the file's last version, or like that of `Unreleased`. Links that compare commits are moved on where there
    are any.

    Args:
        text: The changelog, with the line ends and the byte order mark it has.
        version: The version as its heading is to spell it.
        date: The day of the release.
        tag: The release's tag, for the links; None leaves them as they are.
        previous_tag: The tag before it; None for the one that the link of `Unreleased` names.
        addition: Markdown list items, from change fragments. They go to the end of the version's contents, or to
            the end of a section in it: those below `### Added` to `Added`, which is made where there is none.

    Raises:
        Blocked: There is no heading for `Unreleased` or more than one, or the version has one already. The message
            does not name the file.
    """
    _refuse_twice(_Document(text), version)
    for part in _parts(addition):
        text = _with_part(text, part)
    document = _Document(text)
    heading = _the_unreleased(document)
    style = _Style.of(document, version, date)
    links = None if tag is None else _Links(tag, previous_tag)
    edits = list(_heading_edits(document, heading, style, links))
    if links is not None:
        edits += _definition_edits(document, style.label, links)
    return _edited(text, edits)


def section(text: str, version: str) -> str | None:
    """What a changelog tells of one version, without its heading and the blank lines around.

    Versions are compared as PEP 440 compares them: `v1.2` and `[1.2.0] - 2026-11-21` head the same section.
    Of the link references in the section, which in the last one are the file's, those stay that it uses.

    Returns:
        None when the version has no heading, or is none.
    """
    document = _Document(text)
    wanted = _parsed(version)
    named = [each for each in document.headings if wanted is not None and _version_of(each) == wanted]
    if not named:
        return None
    heading = min(named, key=lambda each: each.level)
    lines = document.lines[heading.last + 1 : document.end_of(heading)]
    told = "".join(line.text + line.end for line in lines if line.is_live and _label(line) is None).lower()
    kept = [line.text + line.end for line in lines if (label := _label(line)) is None or f"[{label}]" in told]
    return re.sub(r"\A(?:[ \t]*[\r\n]+)+", "", "".join(kept)).rstrip()


# --- reading ---------------------------------------------------------------------------------------


class _Line(NamedTuple):
    start: int
    text: str
    end: str
    is_live: bool
    """Neither in a fence nor in a comment."""
    in_item: bool
    """Starts a list item, or is indented below one."""

    @property
    def stop(self) -> int:
        """Where its text ends and its line end begins."""
        return self.start + len(self.text)

    @property
    def is_blank(self) -> bool:
        return not self.text.strip()


class _Heading(NamedTuple):
    """A heading: the lines it takes, and where its title stands in one of them."""

    first: int
    last: int
    titled: int
    column: int
    title: str
    level: int


class _Document:
    """A changelog's lines and headings."""

    def __init__(self, text: str) -> None:
        self.lines = list(_scanned(text, "`~"))
        self.headings = list(_markdown_headings(self.lines))
        is_markdown = any(heading.first == heading.last for heading in self.headings)
        if not is_markdown:  # a line of tildes may be a title's, and none of them starts a fence
            self.lines = list(_scanned(text, "`"))
            self.headings = list(_underlined_headings(self.lines))
        self.newline = next((line.end for line in self.lines if line.end), "\n")

    def end_of(self, heading: _Heading) -> int:
        """The index of the line after the last one below a heading: there is a version or another of its level."""
        later = (each for each in self.headings if each.first > heading.last)
        ends = (each.first for each in later if each.level <= heading.level or _starts_a_version(each))
        return next(ends, len(self.lines))

    def last_below(self, heading: _Heading) -> int:
        """The index of the last line of what is told below a heading; of the heading's own if nothing is."""
        index = self.end_of(heading) - 1
        while index > heading.last and (self.lines[index].is_blank or _label(self.lines[index]) is not None):
            index -= 1
        return index


def _scanned(text: str, fences: str) -> Iterator[_Line]:
    """The lines, each told whether it is live.

    Args:
        text: All of the text. Lines end as CommonMark's do; the last one has no end.
        fences: The characters that fences are made of.
    """
    in_item, in_comment, fence, width = False, False, "", 0
    for found in _LINE.finditer(text):
        content = found["text"].removeprefix(_BOM).expandtabs(4)
        is_blank = not content.strip()
        if fence and not is_blank and len(content) - len(content.lstrip(" >")) < width:
            fence = ""  # the list item or quotation that the fence is in ends here
        if not fence and not in_comment and not is_blank:
            in_item = _LIST_ITEM.match(content) is not None or (in_item and content[0] == " ")
        is_live, opening = False, None if fence or in_comment else _FENCE.match(content)
        if opening is not None and opening["marks"][0] in fences:
            fence, before = opening["marks"], opening["before"]
            least = 1 if in_item and before else 0
            width = len(before) if before.strip() else max(least, len(before) - 3)
        elif fence:
            closing = content.strip(" >")
            if len(closing) >= len(fence) and not closing.strip(fence[0]):
                fence = ""
        else:
            in_comment = in_comment or re.match(" {0,3}<!--", content) is not None
            is_live, in_comment = not in_comment, in_comment and "-->" not in content
        yield _Line(found.start(), found["text"], found["end"], is_live, in_item)


def _markdown_headings(lines: list[_Line]) -> Iterator[_Heading]:
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_live:
            continue
        text = line.text.removeprefix(_BOM)
        found = _ATX.fullmatch(text)
        if found is not None and not (line.in_item and found["indent"]):
            title = _without_closing_marks(found["title"])
            column = len(line.text) - len(text) + len(found["before"])
            yield _Heading(index, index, index, column, title, len(found["marks"]))
        elif (mark := _underline_of(lines, index)) is not None and mark in "=-":
            column = len(line.text) - len(line.text.removeprefix(_BOM).lstrip())
            yield _Heading(index, index + 1, index, column, line.text[column:].rstrip(), "=-".index(mark) + 1)


def _underlined_headings(lines: list[_Line]) -> Iterator[_Heading]:
    ranks: list[tuple[str, bool]] = []
    taken = -1
    for index, line in enumerate(lines):
        if line.is_blank or not line.is_live or (mark := _underline_of(lines, index)) is None:
            continue
        above = lines[index - 1].text.removeprefix(_BOM) if index - 1 > taken else None
        taken, rank = index + 1, (mark, above == lines[index + 1].text)
        if rank not in ranks:
            ranks.append(rank)
        column = len(line.text) - len(line.text.removeprefix(_BOM).lstrip())
        yield _Heading(index - rank[1], taken, index, column, line.text[column:].rstrip(), ranks.index(rank) + 1)


def _underline_of(lines: list[_Line], index: int) -> str | None:
    """The character that underlines a line; None where the line is no title.

    No other line of a paragraph is above a title. An underline is as long as its title, or made of at least three
    of the characters that Markdown underlines with.
    """
    title = lines[index].text.removeprefix(_BOM)
    below = lines[index + 1] if index + 1 < len(lines) else None
    found = _UNDERLINE.fullmatch(below.text) if below is not None and below.is_live else None
    if found is None or _NO_TITLE.match(title.lstrip()) or _UNDERLINE.fullmatch(title):
        return None
    if title.startswith(("    ", "\t")) or (index and not _ends_a_block(lines[index - 1])):
        return None
    least = 3 if found["mark"] in "=-" else len(title.strip())
    return found["mark"] if len(found[0].rstrip()) >= least else None


def _ends_a_block(line: _Line) -> bool:
    """Whether what follows a line is no more of the same paragraph."""
    text = line.text.removeprefix(_BOM)
    return line.is_blank or not line.is_live or any(each.fullmatch(text) for each in (_ATX, _UNDERLINE))


def _without_closing_marks(title: str) -> str:
    title = title.rstrip()
    shorter = title.rstrip("#")
    return shorter.rstrip() if not shorter or shorter[-1] in " \t" else title


def _is_unreleased(heading: _Heading) -> bool:
    return _UNRELEASED.fullmatch(heading.title) is not None


def _version_of(heading: _Heading) -> Version | None:
    """The version that a heading's title begins with."""
    found = _VERSION.fullmatch(heading.title)
    return None if found is None else _parsed(found["version"])


def _starts_a_version(heading: _Heading) -> bool:
    """Whether a heading of any level is a version's: no words stand after it, as they do in `2.0 migration`."""
    if _version_of(heading) is None:
        return _is_unreleased(heading)
    found = _VERSION.fullmatch(heading.title)
    return found is not None and re.match(r"\s*[^\W\d_]", found["rest"]) is None


def _parsed(version: str) -> Version | None:
    try:
        return Version(version)
    except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
        return None


def _label(line: _Line) -> str | None:
    """What a link reference defines, in lower case; None for a line that is none."""
    found = _DEFINITION.match(line.text) if line.is_live else None
    return None if found is None else found["label"].lower()


# --- releasing -------------------------------------------------------------------------------------


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _Style(Record):
    """How the file writes a version's heading.

    Attributes:
        label: The version, with a `v` where the file's last version has one.
        dated: What follows it: the date, and what stands around it.
        around: What stands right before and behind the version in the file's last heading of one; None for what
            stands around `Unreleased`.
    """

    label: str
    dated: str
    around: tuple[str, str] | None

    @classmethod
    def of(cls, document: _Document, version: str, date: dt.date) -> _Style:
        """The style of the first version in the file; Keep a Changelog's own where there is none."""
        titles = [each.title for each in document.headings if _starts_a_version(each)]
        found = [match for title in titles if (match := _VERSION.fullmatch(title)) is not None]
        label = (found[0]["v"] if found else "") + version
        around = _around(found[0]) if found else None
        dated = next((form for each in found if (form := _date_form(each["rest"])) is not None), None)
        if dated is not None:
            start, pattern, end = dated
            written = date.strftime(pattern).replace("@0", "").replace("@", "")  # the day without its zero
            return cls(label, f"{start}{written}{end}", around)
        if found and not any(each["rest"].strip() for each in found):
            return cls(label, "", around)
        return cls(label, f" - {date.isoformat()}", around)


_DATE_FORMS = (
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "%Y-%m-%d"),
    (r"[0-9]{4}/[0-9]{2}/[0-9]{2}", "%Y/%m/%d"),
    (r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", "%Y.%m.%d"),
    (r"[A-Z][a-z]+ [0-9]{1,2}, [0-9]{4}", "%B @%d, %Y"),
    (r"[0-9]{1,2} [A-Z][a-z]+ [0-9]{4}", "@%d %B %Y"),
)


def _date_form(rest: str) -> tuple[str, str, str] | None:
    """What stands before a heading's date, its form, and what stands behind it; None for one without a date."""
    for expression, form in _DATE_FORMS:
        found = re.fullmatch(rf"(?P<before>[^\w\[\]]+)(?P<date>{expression})(?P<after>[^\w\[\]]*)", rest)
        if found is not None:
            month = re.search(r"[A-Z][a-z]+", found["date"])
            short = month is not None and len(month[0]) == len("Nov") and month[0] != "May"
            return found["before"], form.replace("%B", "%b") if short else form, found["after"]
    return None


def _around(found: re.Match[str]) -> tuple[str, str] | None:
    """What stands around the version in a heading; None where that is a link, which only `Unreleased` can give."""
    title = found.string
    behind = title[found.end("version") : found.start("rest")]
    return None if "(" in behind or "[" in behind else (title[: found.start("v")], behind)


class _Links(Record):
    """The two tags between which a release's changes are."""

    tag: str
    previous_tag: str | None

    def moved_on(self, url: str) -> tuple[str, str] | None:
        """The next links of `Unreleased` and of the version, from the former's; None if that compares nothing."""
        found = _COMPARED.match(url)
        base, compare, old = ("", "", "") if found is None else found["until"].rpartition("/compare/")
        if found is None or not compare or old in {"", "HEAD"}:
            return None
        tag, dots = _in_url(self.tag), found["dots"]
        previous = old if self.previous_tag is None else _in_url(self.previous_tag)
        rest = url[found.end() :]
        return f"{base}{compare}{tag}{dots}{found['new']}{rest}", f"{base}{compare}{previous}{dots}{tag}{rest}"


def _in_url(tag: str) -> str:
    """A tag as a link has it: what would end a path, or the link, is escaped."""
    return re.sub(r"[%#?()<>]", lambda found: f"%{ord(found[0]):02X}", tag)


def _the_unreleased(document: _Document) -> _Heading:
    found = [heading for heading in document.headings if _is_unreleased(heading)]
    if not found:
        raise Blocked(
            "todo", "there is no heading for Unreleased", fix="add one above the last version: ## [Unreleased]"
        )
    if len(found) > 1:
        numbers = ", ".join(str(heading.titled + 1) for heading in found)
        raise Blocked(
            "todo", f"there are {len(found)} headings for Unreleased, in lines {numbers}", fix="make one of them"
        )
    return found[0]


def _refuse_twice(document: _Document, version: str) -> None:
    wanted, unreleased = _parsed(version), _the_unreleased(document)
    for heading in document.headings:
        is_one = heading.level <= unreleased.level or _starts_a_version(heading)
        if is_one and wanted is not None and _version_of(heading) == wanted:
            raise Blocked(
                "todo",
                f"{version} has a heading already, in line {heading.titled + 1}",
                fix="release another version, or move its contents to Unreleased and remove the heading",
            )


def _heading_edits(document: _Document, heading: _Heading, style: _Style, links: _Links | None) -> Iterator[_Edit]:
    """The version's heading below that of `Unreleased`; a link in the title of the latter is moved on."""
    found = _UNRELEASED.fullmatch(heading.title)
    assert found is not None  # noqa: S101 - it was chosen for that
    line = document.lines[heading.titled]
    opening, closing = found["open"], found["close"]
    if (link := found["link"] or "").startswith("("):
        moved = None if links is None else links.moved_on(link[1:-1])
        if moved is None:
            opening, closing, link = opening.replace("[", ""), closing.replace("]", ""), ""
        else:
            start = line.start + heading.column + found.start("link")
            yield _Edit(start, start + len(link), f"({moved[0]})")
            link = f"({moved[1]})"
    elif link:
        link = ""  # [Unreleased][ref] names a definition; [1.2.0] is the name of its own
    if not link and style.around is not None:
        opening, closing = style.around
    title = f"{opening}{style.label}{closing}{link}{style.dated}"
    newline = document.newline
    written = newline.join(_like(document, heading, title))
    end = document.lines[heading.last].stop
    yield _Edit(end, end, f"{newline}{newline}{written}")


def _like(document: _Document, heading: _Heading, title: str) -> Iterator[str]:
    """The lines of a heading with another title."""
    for index in range(heading.first, heading.last + 1):
        text = document.lines[index].text
        if index == heading.titled:
            after = text[heading.column + len(heading.title) :]
            yield f"{text[: heading.column].removeprefix(_BOM)}{title}{after}".rstrip()
            continue
        text = text.removeprefix(_BOM).rstrip()
        is_short = len(text) < len(heading.title)
        yield text if is_short else text[0] * max(len(text), len(title))


def _definition_edits(document: _Document, label: str, links: _Links) -> Iterator[_Edit]:
    """The link reference of `Unreleased` moves on, and the version's stands right below it."""
    found = [(line, match) for line in document.lines if line.is_live and (match := _DEFINITION.match(line.text))]
    place = next((pair for pair in found if pair[1]["label"].lower() == "unreleased"), None)
    if place is None:
        return
    line, match = place
    moved = links.moved_on(match["url"].strip("<>"))
    if moved is None:
        return
    unreleased, of_version = (f"<{url}>" if match["url"].startswith("<") else url for url in moved)
    yield _Edit(line.start + match.start("url"), line.start + match.end("url"), unreleased)
    if all(other["label"].lower() != label.lower() for _, other in found):
        before = match[0][: match.start("label")], match[0][match.end("label") : match.start("url")]
        yield _Edit(line.stop, line.stop, f"{document.newline}{before[0]}{label}{before[1]}{of_version}")


def _edited(text: str, edits: list[_Edit]) -> str:
    for start, end, replacement in sorted(edits, reverse=True):
        text = text[:start] + replacement + text[end:]
    return text


def remove_empty_sections(text: str) -> str:
    """The changelog without the sections below `Unreleased` that have no contents."""
    document = _Document(text)
    unreleased = _the_unreleased(document)
    end = document.end_of(unreleased)
    for heading in document.headings:
        if unreleased.last < heading.first < end and document.last_below(heading) == heading.last:
            stop = heading.last + 1
            while stop < len(document.lines) and document.lines[stop].is_blank and document.lines[stop].end:
                stop += 1
            after = document.lines[stop].start if stop < len(document.lines) else len(text)
            return remove_empty_sections(text[: document.lines[heading.first].start] + text[after:])
    return text


# --- adding ----------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """A piece of what is added: the lines of its heading, the heading's title, and the lines below it."""

    heading: list[str]
    title: str
    items: list[str]


def _parts(addition: str) -> Iterator[_Part]:
    """What stands above the first heading, if anything does, and each heading of the first one's level."""
    document = _Document(addition)
    texts = [line.text for line in document.lines]
    headings = document.headings
    tops = [each for each in headings if each.level <= headings[0].level]
    before = _trimmed(texts[: tops[0].first] if tops else texts)
    if before:
        yield _Part([], "", before)
    ends = [*(each.first for each in tops[1:]), len(texts)]
    for top, end in zip(tops, ends, strict=False):
        yield _Part(texts[top.first : top.last + 1], top.title, _trimmed(texts[top.last + 1 : end]))


def _trimmed(lines: list[str]) -> list[str]:
    full = [index for index, line in enumerate(lines) if line.strip()]
    return lines[full[0] : full[-1] + 1] if full else []


def _with_part(text: str, part: _Part) -> str:
    """The changelog with a part at the end of its section below `Unreleased`, or of all that is there."""
    document = _Document(text)
    unreleased = _the_unreleased(document)
    end = document.end_of(unreleased)
    below = [each for each in document.headings if unreleased.last < each.first < end]
    place = next((each for each in below if part.title and each.title.lower() == part.title.lower()), None)
    added = part.items if place is not None else _trimmed([*part.heading, "", *part.items])
    if not added:
        return text
    last = document.last_below(place or unreleased)
    start = max(each.last for each in document.headings if each.last <= last) + 1
    told = document.lines[start : last + 1]
    marker = _list_marker(told)
    goes_on = marker is not None and (item := _LIST_ITEM.match(added[0])) is not None and item["marker"] == marker
    lines = added if goes_on else ["", *added]
    following = document.lines[last + 1 : last + 2]
    if not told and following and not following[0].is_blank:
        lines = [*lines, ""]
    stop = document.lines[last].stop
    return text[:stop] + "".join(document.newline + line for line in lines) + text[stop:]


def _list_marker(lines: list[_Line]) -> str | None:
    """The marker of the list that these lines end with; None if they end with something else."""
    below = ""
    for line in reversed(lines):
        is_flush = line.text[:1].strip() != ""
        if is_flush and not line.is_live:
            return None
        if is_flush and (item := _LIST_ITEM.match(line.text)) is not None:
            return item["marker"]
        if line.is_blank and below[:1].strip():
            return None  # a paragraph of its own
        below = line.text.rstrip()
    return None
