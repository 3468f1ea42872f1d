"""The heading and the links of a new version in a changelog, formatted like those of earlier versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from relnox.core.notes.changelog_document import BOM, LINK_DEFINITION, UNRELEASED_TITLE, VERSION_TITLE

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from relnox.core.notes.changelog_document import ChangelogDocument, Heading

_COMPARISON_URL = re.compile(r"(?P<start>(?:(?!\.\.)[^?#])+)(?P<dots>\.{2,3})(?P<new>[^?#.][^?#]*)")
"""The URL of a comparison of tags: `/compare/a...b` on GitHub and Gitea, `/-/compare/a...b` on GitLab."""


def add_version(  # noqa: PLR0913, PLR0917 - the parts of a release
    text: str, document: ChangelogDocument, version: str, date: dt.date, tag: str | None, previous_tag: str | None
) -> str:
    """Return a changelog with a heading for a new version below `Unreleased`, and with a link for the version.

    Args:
        text: The changelog.
        document: The same changelog, split into lines and headings.
        version: The version, as written in the heading.
        date: The day of the release.
        tag: The tag of the release, for links that compare tags; None leaves these links unchanged.
        previous_tag: The tag of the previous release; None uses the one in the link of `Unreleased`.

    Raises:
        Blocked: There is not exactly one heading for `Unreleased`.
    """
    from relnox.core.text import replace_spans

    if document.unreleased.is_unreleased_version:
        return replace_spans(text, _unreleased_version_edits(document, version, date, tag))
    style = _heading_style(document, version, date)
    links = None if tag is None else _ComparisonTags(tag, previous_tag)
    edits = list(_heading_edits(document, style, links))
    if links is not None:
        edits += _link_definition_edits(document, style.label, links)
    return replace_spans(text, edits)


class _HeadingStyle(NamedTuple):
    """The format of a version's heading.

    Attributes:
        label: The version, with a `v` if the latest version in the file has one.
        date: The text after the version: the date and the characters around it.
        brackets: The characters right before and right after the latest version in its heading; None uses those
            around `Unreleased`.
    """

    label: str
    date: str
    brackets: tuple[str, str] | None


def _heading_style(document: ChangelogDocument, version: str, date: dt.date) -> _HeadingStyle:
    """Return the format of the latest version in the file, or that of Keep a Changelog if it has no version."""
    titles = [heading.title for heading in document.headings if heading.is_release]
    versions = [match for title in titles if (match := VERSION_TITLE.fullmatch(title)) is not None]
    dates = (text for match in versions if (text := _formatted_date(date, match["rest"])) is not None)
    is_undated = versions and not any(match["rest"].strip() for match in versions)
    text = next(dates, "" if is_undated else f" - {date.isoformat()}")
    return (
        _HeadingStyle(versions[0]["v"] + version, text, _characters_around(versions[0]))
        if versions
        else _HeadingStyle(version, text, None)
    )


_DATE_FORMATS = (
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "%Y-%m-%d"),
    (r"[0-9]{4}/[0-9]{2}/[0-9]{2}", "%Y/%m/%d"),
    (r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", "%Y.%m.%d"),
    (r"[A-Z][a-z]+ [0-9]{1,2}, [0-9]{4}", "%B @%d, %Y"),
    (r"[0-9]{1,2} [A-Z][a-z]+ [0-9]{4}", "@%d %B %Y"),
)


def _formatted_date(date: dt.date, rest: str) -> str | None:
    """Return a date in the format of an existing heading.

    Args:
        date: The date.
        rest: The text after the version in the existing heading.

    Returns:
        The text after the new version, or None if `rest` has no date in a known format.
    """
    for expression, date_format in _DATE_FORMATS:
        match = re.fullmatch(rf"(?P<before>[^\w\[\]]+)(?P<date>{expression})(?P<after>[^\w\[\]]*)", rest)
        if match is not None:
            month = re.search(r"[A-Z][a-z]+", match["date"])
            is_short = month is not None and len(month[0]) == len("Nov") and month[0] != "May"
            text = date.strftime(date_format.replace("%B", "%b") if is_short else date_format)
            text = text.replace("@0", "").replace("@", "")  # the day without a leading zero
            return f"{match['before']}{text}{match['after']}"
    return None


def _characters_around(version: re.Match[str]) -> tuple[str, str] | None:
    """Return the characters right before and right after the version in a heading.

    Return None if the version is a link; the new version then gets the characters around `Unreleased`.
    """
    title = version.string
    after = title[version.end("version") : version.start("rest")]
    return None if "(" in after or "[" in after else (title[: version.start("v")], after)


class _ComparisonTags(NamedTuple):
    """The tags in links that compare a release with the previous one.

    Attributes:
        tag: The tag of the release.
        previous_tag: The tag of the previous release; None uses the one in the link of `Unreleased`.
    """

    tag: str
    previous_tag: str | None

    def update(self, url: str) -> tuple[str, str] | None:
        """Return the new URLs of `Unreleased` and of the version.

        Args:
            url: The current URL of `Unreleased`.

        Returns:
            The two URLs, or None if the current one does not compare a tag with later commits.
        """
        match = _COMPARISON_URL.match(url)
        base, compare, old = ("", "", "") if match is None else match["start"].rpartition("/compare/")
        if match is None or not compare or old in {"", "HEAD"}:
            return None
        tag, dots = _percent_encode_tag(self.tag), match["dots"]
        previous = old if self.previous_tag is None else _percent_encode_tag(self.previous_tag)
        rest = url[match.end() :]
        return f"{base}{compare}{tag}{dots}{match['new']}{rest}", f"{base}{compare}{previous}{dots}{tag}{rest}"


def _percent_encode_tag(tag: str) -> str:
    """Percent-encode the characters of a tag that would end a URL path or a Markdown link."""
    return re.sub(r"[%#?()<>]", lambda character: f"%{ord(character[0]):02X}", tag)


def _heading_edits(
    document: ChangelogDocument, style: _HeadingStyle, links: _ComparisonTags | None
) -> Iterator[tuple[int, int, str]]:
    """Yield the edits that insert the heading of the version, and update the link in the heading of `Unreleased`.

    Yields:
        The start and end position of the text to replace, and its replacement.
    """
    heading = document.unreleased
    unreleased_match = UNRELEASED_TITLE.fullmatch(heading.title)
    assert unreleased_match is not None  # noqa: S101 - the heading was found by it
    line = document.lines[heading.title_line]
    opening, closing = unreleased_match["open"], unreleased_match["close"]
    if (link := unreleased_match["link"] or "").startswith("("):
        urls = None if links is None else links.update(link[1:-1])
        if urls is None:
            opening, closing, link = opening.replace("[", ""), closing.replace("]", ""), ""
        else:
            start = line.start_offset + heading.column + unreleased_match.start("link")
            yield start, start + len(link), f"({urls[0]})"
            link = f"({urls[1]})"
    elif link:
        link = ""  # [Unreleased][ref] uses a definition of another name; [1.2.0] has one of its own
    if not link and style.brackets is not None:
        opening, closing = style.brackets
    title = f"{opening}{style.label}{closing}{link}{style.date}"
    newline = document.newline
    text = newline.join(_heading_with_title(document, heading, title))
    end = document.lines[heading.last_line].end_offset
    yield end, end, f"{newline}{newline}{text}"


def _unreleased_version_edits(
    document: ChangelogDocument, version: str, date: dt.date, tag: str | None
) -> Iterator[tuple[int, int, str]]:
    """Yield the edits that set version and date in a heading such as `1.2.0 (unreleased)`, and its link's tag.

    Yields:
        The start and end position of the text to replace, and its replacement.
    """
    heading = document.unreleased
    title = VERSION_TITLE.fullmatch(heading.title)
    assert title is not None  # noqa: S101 - the heading was found by it
    matches = (VERSION_TITLE.fullmatch(other.title) for other in document.headings if other.is_release)
    dates = (text for match in matches if match and (text := _formatted_date(date, match["rest"])) is not None)
    rest = next(dates, re.sub("unreleased", date.isoformat(), title["rest"], flags=re.IGNORECASE))
    between = title.string[title.end("version") : title.start("rest")]
    lines = _heading_with_title(
        document, heading, f"{title.string[: title.start('version')]}{version}{between}{rest}"
    )
    first = document.lines[heading.first_line]
    start = first.start_offset + len(first.text) - len(first.text.removeprefix(BOM))
    yield start, document.lines[heading.last_line].end_offset, document.newline.join(lines)
    for line in document.lines:
        link = LINK_DEFINITION.match(line.text) if line.is_text and tag is not None else None
        if link is not None and link["label"].lower() == f"{title['v']}{version}".lower():
            url = link["url"].strip("<>")
            match = _COMPARISON_URL.match(url)
            if match is not None and match["new"] == "HEAD":
                position = line.start_offset + link.start("url") + link["url"].index(url) + match.start("new")
                yield position, position + len("HEAD"), _percent_encode_tag(tag or "")


def _heading_with_title(document: ChangelogDocument, heading: Heading, title: str) -> Iterator[str]:
    """Yield the lines of a heading with a new title; underlines are extended to the title's length."""
    for index in range(heading.first_line, heading.last_line + 1):
        text = document.lines[index].text
        if index == heading.title_line:
            after = text[heading.column + len(heading.title) :]
            yield f"{text[: heading.column].removeprefix(BOM)}{title}{after}".rstrip()
            continue
        text = text.removeprefix(BOM).rstrip()
        is_short = len(text) < len(heading.title)
        yield text if is_short else text[0] * max(len(text), len(title))


def _link_definition_edits(
    document: ChangelogDocument, label: str, links: _ComparisonTags
) -> Iterator[tuple[int, int, str]]:
    """Yield the edits that update the link reference of `Unreleased` and insert one for the version below it.

    Yields:
        The start and end position of the text to replace, and its replacement.
    """
    definitions = [
        (line, match) for line in document.lines if line.is_text and (match := LINK_DEFINITION.match(line.text))
    ]
    unreleased_link = next((pair for pair in definitions if pair[1]["label"].lower() == "unreleased"), None)
    if unreleased_link is None:
        return
    line, match = unreleased_link
    urls = links.update(match["url"].strip("<>"))
    if urls is None:
        return
    unreleased_url, version_url = (f"<{url}>" if match["url"].startswith("<") else url for url in urls)
    yield line.start_offset + match.start("url"), line.start_offset + match.end("url"), unreleased_url
    if all(other["label"].lower() != label.lower() for _, other in definitions):
        opening, separator = match[0][: match.start("label")], match[0][match.end("label") : match.start("url")]
        yield line.end_offset, line.end_offset, f"{document.newline}{opening}{label}{separator}{version_url}"
