"""Changelogs in the format of Keep a Changelog 1.1.0 (https://keepachangelog.com).

A release is added by inserting text: a heading for the version below `Unreleased`, and a link. Only the link of
`Unreleased` itself is replaced. The rest of the file is unchanged. If the first version of the file is not
released yet, as in `1.2.0 (unreleased)`, its heading gets the date instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core.notes import changelog_versions
from relnox.core.notes.changelog_document import ChangelogDocument, parse_version_or_none
from relnox.errors import Blocked

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator

    from packaging.version import Version

    from relnox.core.notes.changelog_document import Heading

_VERSION = re.compile(r"\d+(?:\.\d+)+[^\s\])(,]*")


def has_unreleased(text: str, versions: Collection[Version] = ()) -> bool:
    """Return whether a changelog has a heading for unreleased changes, such as `## [Unreleased]`, at any level.

    Args:
        text: The changelog.
        versions: Versions that may be in that heading, if it is one such as `1.2.0 (unreleased)`.
    """
    document = ChangelogDocument(text)
    if any(heading.is_unreleased for heading in document.headings):
        return True
    first = next((heading for heading in document.headings if heading.is_release), None)
    return first is not None and first.is_unreleased_version and first.version in versions


def is_unreleased_empty(text: str) -> bool:
    """Return whether the section for unreleased changes has only headings, comments and link references.

    A section for a version, such as `1.2.0 (unreleased)`, does not count as empty, since it exists already.

    Raises:
        Blocked: The changelog does not have exactly one heading for unreleased changes.
    """
    document = ChangelogDocument(text)
    unreleased_section = document.unreleased
    if unreleased_section.is_unreleased_version:
        return False
    titles = {line for heading in document.headings for line in range(heading.first_line, heading.last_line + 1)}
    lines = enumerate(document.lines[: document.section_end(unreleased_section)])
    return not any(
        not line.is_blank and (line.is_text or line.is_in_list_item) and line.link_label is None
        for index, line in lines
        if index > unreleased_section.last_line and index not in titles
    )


def add_release(text: str, *, version: str, date: dt.date, tag: str | None, previous_tag: str | None) -> str:
    """Return a changelog with a new release: the unreleased changes move below a heading for the version.

    The heading `Unreleased` stays at the top, with nothing below it; that of a version that is not released yet
    gets the version and the date. The version's heading is formatted like that of the latest version in the file,
    or else like `Unreleased`. Links that compare tags are updated.

    Args:
        text: The changelog, with its original line endings and byte order mark.
        version: The version, as written in the heading.
        date: The day of the release.
        tag: The tag of the release, for the links; None leaves the links unchanged.
        previous_tag: The tag of the previous release; None uses the one in the link of `Unreleased`.

    Raises:
        Blocked: There is not exactly one heading for `Unreleased`, or the version already has a heading. The
            message does not name the file.
    """
    _check_version_has_no_heading(ChangelogDocument(text), version)
    return changelog_versions.add_version(text, ChangelogDocument(text), version, date, tag, previous_tag)


def _check_version_has_no_heading(document: ChangelogDocument, version: str) -> None:
    """Check that a version has no heading yet.

    Raises:
        Blocked: It has one.
    """
    target, unreleased_section = parse_version_or_none(version), document.unreleased
    for heading in document.headings:
        is_version = heading.level <= unreleased_section.level or heading.is_release
        if is_version and target is not None and heading.version == target and heading != unreleased_section:
            raise Blocked(
                "changelog-invalid",
                f"version {version} already has a heading (line {heading.title_line + 1})",
                fix="release another version, or move its text to Unreleased and remove the heading",
            )


def text_of_version(text: str, version: str) -> str | None:
    """Return the text about one version, without its heading and without blank lines at the beginning and the end.

    Versions are compared as in PEP 440: `v1.2` and `[1.2.0] - 2026-11-21` are headings of the same version. Link
    references that the text does not use are left out, since the last section contains those of the whole file.

    Returns:
        The text, or None if the version is invalid or has no heading.
    """
    document = ChangelogDocument(text)
    target = parse_version_or_none(version)
    headings = [heading for heading in document.headings if target is not None and heading.version == target]
    if not headings:
        return None
    heading = min(headings, key=lambda heading: heading.level)
    lines = document.lines[heading.last_line + 1 : document.section_end(heading)]
    body = "".join(
        line.text + line.line_ending for line in lines if line.is_text and line.link_label is None
    ).lower()
    content = "".join(
        line.text + line.line_ending
        for line in lines
        if (label := line.link_label) is None or f"[{label}]" in body
    )
    return re.sub(r"\A(?:[ \t]*[\r\n]+)+", "", content).rstrip()


def keep_earlier_releases(before: str, after: str, version: str) -> str:
    """Return the changelog that a tool wrote, with the text about earlier releases and the line endings as before.

    Args:
        before: The changelog before the release.
        after: The changelog that the tool wrote.
        version: What the headings of the release contain: its version, or several ones separated by commas.

    Raises:
        Blocked: The tool left out the last of the earlier releases. The message does not name the file.
    """
    document, generated = ChangelogDocument(before), ChangelogDocument(after)
    after = re.sub(r"\r\n|\r|\n", document.newline, after)
    last = next(_earlier_releases(document, version), None)
    if last is None:
        return after
    headings = list(_earlier_releases(generated, version))
    same = [heading for heading in headings if heading.title == last.title] or [
        heading for heading in headings if _VERSION.findall(heading.title) == _VERSION.findall(last.title)
    ]
    if not same:
        raise Blocked(
            "changelog-invalid",
            f'the section "{last.title}" would be replaced',
            fix='let a hook of edit-bump write the new section only, and set [tool.relnox] changelog = "none"',
        )
    start = ChangelogDocument(after).lines[same[0].first_line].start_offset
    return after[:start] + before[document.lines[last.first_line].start_offset :]


def _earlier_releases(document: ChangelogDocument, version: str) -> Iterator[Heading]:
    """Yield the headings of releases other than `version`; names before their versions are allowed."""
    new = re.compile("|".join(rf"(?<![\d.]){re.escape(part)}(?![\w.+-])" for part in version.split(", ")))
    headings = document.headings
    if not (releases := [heading for heading in headings if heading.is_release]):
        title = headings[:1] if len({heading.level for heading in headings[:2]}) > 1 else []
        releases = [heading for heading in headings if _VERSION.search(heading.title) and heading not in title]
    for heading in releases:
        is_unreleased = heading.is_unreleased or heading.is_unreleased_version
        if not is_unreleased and new.search(heading.title) is None:
            yield heading


def remove_empty_sections(text: str) -> str:
    """Return a changelog without those sections below `Unreleased` that have no text."""
    document = ChangelogDocument(text)
    unreleased_section = document.unreleased
    end = document.section_end(unreleased_section)
    for heading in document.headings:
        if (
            unreleased_section.last_line < heading.first_line < end
            and document.last_line_of(heading) == heading.last_line
        ):
            stop = heading.last_line + 1
            while (
                stop < len(document.lines) and document.lines[stop].is_blank and document.lines[stop].line_ending
            ):
                stop += 1
            after = document.lines[stop].start_offset if stop < len(document.lines) else len(text)
            return remove_empty_sections(text[: document.lines[heading.first_line].start_offset] + text[after:])
    return text
