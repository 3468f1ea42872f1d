"""Changelogs: the section of a version, and a new section for a release.

Headings are `#` Markdown or underlined, and stand at the beginning of a line. A release adds a heading below
`Unreleased`, in the form of that of the last version, and updates links that compare tags
(https://keepachangelog.com). Nothing else in the file changes.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from packaging.version import Version

from relnox.core.text import replace_spans
from relnox.errors import Blocked

_BOM = "\ufeff"
_HIDDEN = (
    r"^[ \t]*<!--.*?(?:-->|\Z)|^[ \t>]*(?:[-*+][ \t]+)?(?P<fence>{fences})[^`\n]*$.*?(?:^[ \t>]*(?P=fence)|\Z)"
)
"""Matches comments and code fences, in which there are no headings."""
_HASH_HEADING = re.compile(
    r"^(?P<marks>#{1,6})[ \t]+(?P<title>[^\r\n]*?)(?:[ \t]+#+)?[ \t]*(?=\r?$)", re.MULTILINE
)
_UNDERLINED_HEADING = re.compile(
    r"(?:(?<=\n\n)|(?<=\n\r\n)|(?<=[#\n]\n)|\A)"
    r"(?P<over>(?P<mark>[=\-~^\"'*+:.#_])(?P=mark)+[ \t]*\r?\n)?"
    r"[ ]{0,3}(?P<title>(?![-*+][ \t]|[>|<#]|\d{1,9}[.)][ \t]|\[[^\]]+\]:|\.\.[ ])[^\s][^\r\n]*?)[ \t]*\r?\n"
    r"(?P<under>(?(mark)(?P=mark)+|(?P<alone>[=\-~^\"'*+:.#_])(?P=alone)*))[ \t]*(?=\r?$)",
    re.MULTILINE,
)
_UNRELEASED = re.compile(
    r"(?P<open>[\\\[*_`]*)unreleased(?P<close>[\\\]*_`]*)(?P<link>\([^()]*\)|\[[^\[\]]*\])?(?:[ \t]*[-–—(:].*)?",  # noqa: RUF001
    re.IGNORECASE,
)
_AFTER_NAME = (
    r"[\\\[*_`]*v?)(?P<version>[0-9][^\s\\\[\](),:*_`]*)"
    r"(?P<after>[\\\]*_`]*)(?P<link>\([^()]*\)|\[[^\[\]]*\])?(?P<rest>(?=[\s,:(]|$).*)"
)
_VERSION = re.compile(rf"(?P<before>[\\\[*_`]*(?:(?:version|release)[ \t]+)?{_AFTER_NAME}", re.IGNORECASE)
_NAMED_VERSION = re.compile(
    rf"(?P<before>[\\*_`]*[^\W\d_].*?[ \t/@=-](?=[\\\[*_`]*v?[\d!]+\.){_AFTER_NAME}", re.IGNORECASE
)
"""A version after a name: `## greeter 1.2.0 (2026-11-21)`, `## greeter-v1.2.0`."""
_UNRELEASED_LINE = re.compile(r"\s*^(?P<word>unreleased)[ \t]*(?=\r?$)", re.IGNORECASE | re.MULTILINE)
"""The line below the heading of a version that is not released yet; later it is `Released 2026-11-21`."""
_DATES = (
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "%Y-%m-%d"),
    (r"[0-9]{4}/[0-9]{2}/[0-9]{2}", "%Y/%m/%d"),
    (r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}", "%Y.%m.%d"),
    (r"[A-Z][a-z]{3,} [0-9]{1,2}, [0-9]{4}", "%B @%d, %Y"),
    (r"[0-9]{1,2} [A-Z][a-z]{3,} [0-9]{4}", "@%d %B %Y"),
)
_LINK = re.compile(r"^ {0,3}\[(?P<label>(?:[^\]\\\r\n]|\\.)+)\]:[ \t]*(?P<url><[^<>\r\n]*>|\S+)", re.MULTILINE)
_COMPARISON = re.compile(
    r"(?P<base>[^?#]*/compare/)(?P<old>(?!HEAD)(?:(?!\.\.)[^?#])+)(?P<dots>\.{2,3})(?P<new>[^?#.][^?#]*)(?P<end>.*)"
)
"""The URL of a comparison of tags: `/compare/a...b` on GitHub and Gitea, `/-/compare/a...b` on GitLab."""
_NUMBER = re.compile(r"\d+(?:\.\d+)+[^\s\])(,]*")


class Heading(NamedTuple):
    """A heading of a changelog.

    Attributes:
        start: The position of the heading in the text, with its marks or overline.
        end: The position of its end, before the line ending; an underline is part of it.
        title: The text of the heading, without `#` marks or underline.
        title_start: The position of the title in the text.
        level: 1 is the highest.
        parts: The match of a title with a version, with the groups `before`, `version`, `after`, `link` and
            `rest`; else None.
        unreleased_start: The position of `unreleased` after a version, in the title or in the line below; or -1.
    """

    start: int
    end: int
    title: str
    title_start: int
    level: int
    parts: re.Match[str] | None = None
    unreleased_start: int = -1

    @property
    def version(self) -> Version | None:
        """The version in the title, or None if there is none."""
        return None if self.parts is None else _parse_version(self.parts["version"])

    @property
    def is_unreleased(self) -> bool:
        """Whether the title is `Unreleased` in any case, also in brackets or with text after a dash or colon."""
        return _UNRELEASED.fullmatch(self.title) is not None

    @property
    def is_unreleased_version(self) -> bool:
        """Whether `unreleased` follows the version, as in `1.2.0 (unreleased)` or in the line below."""
        return self.unreleased_start >= 0

    @property
    def is_release_or_unreleased(self) -> bool:
        """Whether the title is that of a release or of unreleased changes.

        A title with `parts` counts, unless a word follows the version, as in `2.0 migration`.
        """
        is_version = self.parts is not None and not re.match(r"\s*[^\W\d_]", self.parts["rest"])
        return self.is_unreleased or self.is_unreleased_version or is_version


class Changelog:
    r"""A changelog and its headings.

    Attributes:
        text: The text, without a byte order mark.
        visible: The text with blanks instead of code fences and comments; positions in it are those in `text`.
        headings: Its headings, in the order of the text.
        newline: `\r\n` if the text has it anywhere, else `\n`; used for inserted lines.
    """

    def __init__(self, text: str) -> None:
        self.text = text.removeprefix(_BOM)
        self.visible = _blank_out_code(self.text, "`{3,}|~{3,}")
        if not (is_markdown := _HASH_HEADING.search(self.visible) is not None):
            self.visible = _blank_out_code(self.text, "`{3,}")  # a line of tildes is an underline, and no fence
        headings = sorted(self._find_headings(is_markdown=is_markdown), key=lambda heading: heading.start)
        self.headings = [self._with_unreleased_start(heading) for heading in _with_title_parts(headings)]
        self.newline = "\r\n" if "\r\n" in self.text else "\n"

    def _find_headings(self, *, is_markdown: bool) -> Iterator[Heading]:
        """Yield all headings, not in order, in Markdown or else in reStructuredText.

        In reStructuredText, the first style of underlines in the text is level 1, the next new one level 2, etc.
        """
        if is_markdown:
            for match in _HASH_HEADING.finditer(self.visible):
                yield Heading(
                    match.start(), match.end(), match["title"], match.start("title"), len(match["marks"])
                )
        styles = [("=", False), ("-", False)] if is_markdown else []
        for match in _UNDERLINED_HEADING.finditer(self.visible):
            mark, title = match["under"][0], match["title"]
            style = (mark, match["over"] is not None)
            if len(match["under"]) < (3 if mark in "=-" else len(title)) or (is_markdown and style not in styles):
                continue
            if style not in styles:
                styles.append(style)
            yield Heading(match.start(), match.end(), title, match.start("title"), styles.index(style) + 1)

    def _with_unreleased_start(self, heading: Heading) -> Heading:
        """Return a heading with its `unreleased_start` set, or unchanged if it has no version, or no such word."""
        if heading.parts is None:
            return heading
        if word := re.fullmatch(r"\W+(unreleased)\W*", heading.parts["rest"], re.IGNORECASE):
            return heading._replace(
                unreleased_start=heading.title_start + heading.parts.start("rest") + word.start(1)
            )
        line = _UNRELEASED_LINE.match(self.visible, heading.end)
        return heading._replace(unreleased_start=line.start("word")) if line is not None else heading

    @property
    def unreleased_heading(self) -> Heading:
        """The heading of unreleased changes: `Unreleased`, or else that of the first version if it is pending.

        A version is pending if `unreleased` follows, as in `1.2.0 (unreleased)`, or is the line below.

        Raises:
            Blocked: There is no such heading, or more than one `Unreleased`.
        """
        headings = [heading for heading in self.headings if heading.is_unreleased]
        if not headings:
            headings = [heading for heading in self.headings if heading.is_release_or_unreleased][:1]
            headings = [heading for heading in headings if heading.is_unreleased_version]
        if not headings:
            raise Blocked(
                "changelog-invalid",
                "there is no heading for Unreleased",
                fix="add a line ## [Unreleased] above the last version",
            )
        if len(headings) > 1:
            lines = ", ".join(str(self.line_number_of(heading)) for heading in headings)
            raise Blocked(
                "changelog-invalid",
                f"there are {len(headings)} headings for Unreleased (lines {lines})",
                fix="merge these sections under one ## [Unreleased]",
            )
        return headings[0]

    def line_number_of(self, heading: Heading) -> int:
        """Return the number of the line with the title of a heading, from 1."""
        return self.text.count("\n", 0, heading.title_start) + 1

    def end_of_section(self, heading: Heading) -> int:
        """Return the position where the section of a heading ends: the end of the text, or the next heading.

        Only a heading of the same or a higher level counts, or one of a release or of unreleased changes; other
        headings belong to the section.
        """
        after = self.headings[self.headings.index(heading) + 1 :]
        ends = (other.start for other in after if other.is_release_or_unreleased or other.level <= heading.level)
        return next(ends, len(self.text))

    def section_without_spans(self, heading: Heading, spans: Iterable[tuple[int, int]]) -> str:
        """Return the text of the section below a heading, without the parts of it that `spans` names.

        `spans` are pairs of start and end positions in the whole text, in order; those that begin outside the
        section are ignored.
        """
        parts, start, end = [], heading.end, self.end_of_section(heading)
        for first, last in spans:
            if start <= first < end:
                parts.append(self.text[start:first])
                start = last
        return "".join([*parts, self.text[start:end]])

    def heading_with_title(self, heading: Heading, title: str) -> str:
        """Return the text of a heading, with its marks or underline, for another title.

        An underline (and overline) that is shorter than the new title is extended to its length.
        """
        title_end = heading.title_start + len(heading.title)
        before, after = self.text[heading.start : heading.title_start], self.text[title_end : heading.end]

        def extend(line: re.Match[str]) -> str:
            is_short = len(line[0]) < len(heading.title)
            return line[0] if is_short else line[0][0] * max(len(line[0]), len(title))

        pattern = r"^([=\-~^\"'*+:.#_])\1+"
        is_underlined = "\n" in after
        parts = (
            re.sub(pattern, extend, part, flags=re.MULTILINE) if is_underlined else part
            for part in (before, after)
        )
        return title.join(parts)


def _with_title_parts(headings: list[Heading]) -> list[Heading]:
    """Return all headings, with `parts` set for those that have a version in their titles, else None.

    If no title begins with a version, titles with a name before it (`greeter 1.2.0`) count as well, but only
    those of the highest level that has any.
    """

    def parsed(pattern: re.Pattern[str]) -> list[Heading]:
        matches = [pattern.fullmatch(heading.title) for heading in headings]
        return [
            heading._replace(parts=match if match is not None and _parse_version(match["version"]) else None)
            for heading, match in zip(headings, matches, strict=True)
        ]

    unnamed, named = parsed(_VERSION), parsed(_NAMED_VERSION)
    if any(heading.parts is not None for heading in unnamed):
        return unnamed
    releases = [heading for heading in named if heading.is_release_or_unreleased]
    # `# Changes since 1.0` is the title of the file.
    is_titled = releases[:1] == named[:1] and releases[1:] and releases[0].level < releases[1].level
    level = min(
        (heading.level for heading in releases[1 if is_titled else 0 :] if heading.parts is not None), default=0
    )
    return [heading if heading.level == level else heading._replace(parts=None) for heading in named]


def _format_date(date: dt.date, examples: list[str]) -> tuple[str, str]:
    """Return a date as text, and a regex that matches all dates in the same form.

    The form is that of the first of `examples`, which are texts of the changelog, that contains a date; if none
    does, ISO 8601.
    """
    for example in examples:
        for pattern, date_format in _DATES:
            if re.search(rf"(?<!\w){pattern}(?!\w)", example):
                return re.sub("@0?", "", date.strftime(date_format)), pattern  # the day without a leading zero
    return date.isoformat(), _DATES[0][0]


def _blank_out_code(text: str, fences: str) -> str:
    """Return the text with a blank for each character of comments and fenced code, so that positions stay.

    Line ends stay as well. `fences` is a regex for the marks that open a code fence.
    """
    pattern = re.compile(_HIDDEN.replace("{fences}", fences), re.MULTILINE | re.DOTALL)
    return pattern.sub(lambda match: re.sub(r"[^\r\n]", " ", match[0]), text)


def _parse_version(version: str) -> Version | None:
    """Parse a version (PEP 440); return None if it is invalid."""
    try:
        return Version(version)
    except ValueError:  # InvalidVersion, or an integer with thousands of digits
        return None


def has_unreleased_heading(text: str, versions: Collection[Version] | None = ()) -> bool:
    """Return whether a changelog has a heading for unreleased changes, such as `## [Unreleased]`, at any level.

    If the first release is marked as unreleased, as in `1.2.0 (unreleased)`, its heading counts as well, provided
    that `versions` has its version or is None.
    """
    changelog = Changelog(text)
    if any(heading.is_unreleased for heading in changelog.headings):
        return True
    first = next((heading for heading in changelog.headings if heading.is_release_or_unreleased), None)
    return first is not None and first.is_unreleased_version and (versions is None or first.version in versions)


def reason_version_has_no_section(text: str, version: Version) -> str | None:
    """Return why a release of this version added no section to a changelog, as words for a message.

    `text` is the changelog after the release. Return None if it has a section for the version.
    """
    headings = [heading for heading in Changelog(text).headings if heading.is_release_or_unreleased]
    if any(heading.version == version and not heading.is_unreleased_version for heading in headings):
        return None
    if any(heading.is_unreleased for heading in headings):
        return "nothing is under Unreleased"
    if headings and headings[0].is_unreleased_version:
        return f"its first heading is {headings[0].title}, of another version"
    hide = '[tool.relnox] changelog = "none"'
    return f"no heading Unreleased above the last version; to leave it so without this note: {hide}"


def is_unreleased_section_empty(text: str) -> bool:
    """Return whether the section for unreleased changes has only headings, comments and link references.

    Always return False if the heading of that section has a version, such as `1.2.0 (unreleased)`.

    Raises:
        Blocked: The changelog does not have exactly one heading for unreleased changes.
    """
    changelog = Changelog(text)
    heading = changelog.unreleased_heading
    rest = changelog.section_without_spans(heading, [(other.start, other.end) for other in changelog.headings])
    without = re.sub(r"<!--.*?-->", "", _LINK.sub("", rest), flags=re.DOTALL)
    return not heading.is_unreleased_version and not without.strip()


def add_release(text: str, *, version: str, date: dt.date, tag: str | None, previous_tag: str | None) -> str:
    """Return a changelog with a new release: the unreleased changes move below a heading for the version.

    The heading `Unreleased` stays at the top, with nothing below it; one such as `1.2.0 (unreleased)` gets the
    version and the date instead. If the URL of `Unreleased` compares a tag with later commits, `tag` replaces that
    tag, and the version gets a URL that compares `previous_tag` (None: the replaced tag) with `tag`. If `tag` is
    None, URLs stay.

    Raises:
        Blocked: There is not exactly one heading for `Unreleased`, or the version already has a heading. The
            message does not name the file.
    """
    changelog = Changelog(text)
    target, unreleased = _parse_version(version), changelog.unreleased_heading
    for heading in changelog.headings:
        is_version = heading.level <= unreleased.level or heading.is_release_or_unreleased
        if is_version and target is not None and heading.version == target and heading != unreleased:
            raise Blocked(
                "changelog-invalid",
                f"version {version} already has a heading (line {changelog.line_number_of(heading)})",
                fix="release another version: --to VERSION; or move its text to Unreleased and remove the heading",
            )
    if unreleased.is_unreleased_version:
        edits = _edits_of_pending_version(changelog, unreleased, version, date, tag)
    else:
        edits = _edits_inserting_release(changelog, unreleased, version, date, tag, previous_tag)
    bom = text[: len(text) - len(changelog.text)]
    return bom + replace_spans(changelog.text, edits)


_Edit = tuple[int, int, str]
"""The start and end position of the text to replace, and its replacement."""


def _edits_of_pending_version(
    changelog: Changelog, heading: Heading, version: str, date: dt.date, tag: str | None
) -> Iterator[_Edit]:
    """Yield the edits that turn a heading such as `1.2.0 (unreleased)` into that of a release.

    They set the version and the date. If `tag` is not None, it replaces `HEAD` in the link reference of that
    version, provided that it compares a tag with `HEAD`.
    """
    title = heading.parts
    assert title is not None  # noqa: S101 - it is pending
    new_title = heading.title[: title.start("version")] + version + heading.title[title.end("version") :]
    word_end = heading.unreleased_start + len("unreleased")
    if heading.unreleased_start > heading.end:
        lines = re.findall(r"^(?:\S+ )?released (.*)", changelog.visible, re.IGNORECASE | re.MULTILINE)
        word = "Released" if changelog.text[heading.unreleased_start].isupper() else "released"
        yield heading.unreleased_start, word_end, f"{word} {_format_date(date, lines)[0]}"
    else:
        titles = [other.title for other in changelog.headings if other.is_release_or_unreleased]
        new_title = re.sub("unreleased", _format_date(date, titles)[0], new_title, flags=re.IGNORECASE)
    yield heading.start, heading.end, changelog.heading_with_title(heading, new_title)
    label = re.sub(r"^.*?(?=v?[0-9])", "", title["before"] + version).lower()
    for link in _LINK.finditer(changelog.visible) if tag is not None else ():
        urls = _COMPARISON.fullmatch(link["url"].strip("<>"))
        if link["label"].lower() == label and urls is not None and urls["new"] == "HEAD":
            start = link.start("url") + link["url"].index(urls["dots"] + "HEAD") + len(urls["dots"])
            yield start, start + len("HEAD"), _percent_encode_tag(tag or "")


def _edits_inserting_release(  # noqa: PLR0913, PLR0917 - the parts of a release
    changelog: Changelog, heading: Heading, version: str, date: dt.date, tag: str | None, previous_tag: str | None
) -> Iterator[_Edit]:
    """Yield the edits that insert the heading of a release below `heading`, that of unreleased changes.

    They also set the URLs of both headings if these compare tags; see `add_release` for the tags.
    """
    own = _UNRELEASED.fullmatch(heading.title)
    assert own is not None  # noqa: S101 - the heading was found by it
    earlier = [
        other.parts for other in changelog.headings if other.is_release_or_unreleased and other.parts is not None
    ]
    day, pattern = _format_date(date, [match["rest"] for match in earlier])
    dated = (re.fullmatch(rf"([^\w\[\]]+){pattern}([^\w\[\]]*)", match["rest"]) for match in earlier)
    around = next(filter(None, dated), None)
    is_undated = earlier and not any(match["rest"].strip() for match in earlier)
    rest = f"{around[1]}{day}{around[2]}" if around else "" if is_undated else f" - {date.isoformat()}"
    v = earlier[0]["before"][-1:] if earlier and earlier[0]["before"][-1:] in "vV" else ""
    name = re.match(r"(?:.*[ \t/@=-])?", earlier[0]["before"]) if earlier else None
    opening, closing, link = (name[0] if name else "") + own["open"], own["close"], ""
    if (own["link"] or "").startswith("("):
        urls = _new_compare_urls(own["link"][1:-1], tag, previous_tag)
        if urls is None:
            opening, closing = opening.replace("[", ""), closing.replace("]", "")
        else:
            start = heading.title_start + own.start("link")
            yield start, start + len(own["link"]), f"({urls[0]})"
            link = f"({urls[1]})"
    if not link and earlier and not earlier[0]["link"]:
        opening, closing = earlier[0]["before"][: len(earlier[0]["before"]) - len(v)], earlier[0]["after"]
    new_heading = changelog.heading_with_title(heading, f"{opening}{v}{version}{closing}{link}{rest}")
    yield heading.end, heading.end, 2 * changelog.newline + new_heading
    definitions = list(_LINK.finditer(changelog.visible))
    for definition in definitions:
        if definition["label"].lower() == "unreleased":
            url, label = definition["url"], f"{v}{version}"
            if (urls := _new_compare_urls(url.strip("<>"), tag, previous_tag)) is not None:
                after, new = (f"<{text}>" if url.startswith("<") else text for text in urls)
                yield definition.start("url"), definition.end("url"), after
                if all(other["label"].lower() != label.lower() for other in definitions):
                    line = f"{definition[0][: definition.start('label') - definition.start()]}{label}"
                    separator = changelog.text[definition.end("label") : definition.start("url")]
                    end = changelog.text.find("\n", definition.end())
                    end = len(changelog.text) if end < 0 else end - (changelog.text[end - 1] == "\r")
                    yield end, end, f"{changelog.newline}{line}{separator}{new}"
            return


def _new_compare_urls(url: str, tag: str | None, previous_tag: str | None) -> tuple[str, str] | None:
    """Return the new URL of `Unreleased` and that of the released version, given the present URL of `Unreleased`.

    Return None if that URL does not compare a tag with later commits, or if `tag`, that of the release, is None.
    If `previous_tag` is None, the tag in that URL takes its place.
    """
    match = _COMPARISON.fullmatch(url)
    if match is None or tag is None:
        return None
    base, dots, end, new = match["base"], match["dots"], match["end"], _percent_encode_tag(tag)
    old = match["old"] if previous_tag is None else _percent_encode_tag(previous_tag)
    return f"{base}{new}{dots}{match['new']}{end}", f"{base}{old}{dots}{new}{end}"


def _percent_encode_tag(tag: str) -> str:
    """Percent-encode the characters of a tag that would end a URL path or a Markdown link."""
    return re.sub(r"[%#?()<>]", lambda character: f"%{ord(character[0]):02X}", tag)


def section_of_version(text: str, version: str) -> str | None:
    """Return the text about one version, without its heading; None if the version is invalid or has no heading.

    Versions are compared as in PEP 440: `v1.2` and `[1.2.0] - 2026-11-21` are headings of the same version. Link
    references that the text does not use are left out, since the last section contains those of the whole file.
    """
    changelog, target = Changelog(text), _parse_version(version)
    headings = [heading for heading in changelog.headings if target is not None and heading.version == target]
    if not headings:
        return None
    return _text_of_section(changelog, min(headings, key=lambda heading: heading.level))


def release_notes_of_version(text: str, version: Version) -> str | None:
    """Return the text about one version, with the link references that it uses from the whole file.

    A prerelease without a section has the text of its final version, or else of the unreleased changes. Return
    None if there is none of these.

    Raises:
        Blocked: The text would be that of the unreleased changes, which have more than one heading.
    """
    changelog, section = Changelog(text), section_of_version(text, str(version))
    if section is None and version.is_prerelease:
        section = section_of_version(text, version.base_version)
        if section is None and has_unreleased_heading(text):
            section = _text_of_section(changelog, changelog.unreleased_heading)
    if section is None:
        return None
    links = [
        link[0].strip()
        for link in _LINK.finditer(changelog.visible)
        if f"[{link['label'].lower()}]" in section.lower() and link[0].strip() not in section
    ]
    return "\n".join([section, "", *links]).rstrip() if links else section


def is_markdown(file: str, text: str) -> bool:
    """Return whether a changelog is in Markdown, by the suffix of its name `file` or else by its headings."""
    if file.lower().endswith((".md", ".markdown")):
        return True
    return not file.lower().endswith(".rst") and _HASH_HEADING.search(Changelog(text).visible) is not None


def _text_of_section(changelog: Changelog, heading: Heading) -> str:
    """Return the text of a section without its heading and without link references that it does not use."""
    start, end = heading.end, changelog.end_of_section(heading)
    body = _LINK.sub("", changelog.visible[start:end]).lower()
    unused = [
        (link.start(), changelog.text.find("\n", link.end()) + 1 or len(changelog.text))
        for link in _LINK.finditer(changelog.visible, start, end)
        if f"[{link['label'].lower()}]" not in body
    ]
    return re.sub(r"\A(?:[ \t]*[\r\n]+)+", "", changelog.section_without_spans(heading, unused)).rstrip()


def keep_earlier_releases(before: str, after: str, version: str) -> str:
    """Return the changelog that a tool wrote, with earlier releases and line endings as before the tool ran.

    `before` and `after` are the texts before and after the tool ran. `version` is the new version or, for several
    packages, their names and versions: `greeter 1.2.0, greeter-cli 0.4.0`.

    Raises:
        Blocked: `after` has no heading for the most recent of the earlier releases. The message does not name the
            file.
    """
    old = Changelog(before)
    new = Changelog(re.sub(r"\r\n|\r|\n", old.newline, after))
    last = next(_earlier_releases(old, version), None)
    if last is None:
        return new.text
    headings = list(_earlier_releases(new, version))
    same = [heading for heading in headings if heading.title == last.title] or [
        heading for heading in headings if _NUMBER.findall(heading.title) == _NUMBER.findall(last.title)
    ]
    if not same:
        raise Blocked(
            "changelog-invalid",
            f'the section "{last.title}" of an earlier release would be lost',
            fix='let a hook of edit-bump write the new section only, and set [tool.relnox] changelog = "none"',
        )
    return new.text[: same[0].start] + old.text[last.start :]


def _earlier_releases(changelog: Changelog, version: str) -> Iterator[Heading]:
    """Yield the headings of releases in order, without unreleased ones and those with the new version.

    `version` is that version, or the names and new versions of several packages, separated by `, `.
    """
    new = re.compile("|".join(rf"(?<![\d.]){re.escape(part)}(?![\w.+-])" for part in version.split(", ")))
    for heading in changelog.headings:
        is_released = heading.is_release_or_unreleased and not (
            heading.is_unreleased or heading.is_unreleased_version
        )
        if is_released and new.search(heading.title) is None:
            yield heading
