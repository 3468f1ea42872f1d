"""The title and body of a release pull request, in Markdown.

Text from the project is escaped, so that it cannot notify people, close issues or change the layout.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from relnox.core import escaping
from relnox.core.records import Record
from relnox.core.text import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MAX_BODY_SIZE = 65_536
"""The maximum size of a pull request's body.

GitHub's limit is in characters. relnox counts bytes instead, to stay within the limit however they are counted.
"""
MAX_TITLE_LENGTH = 250

_MAX_LISTED = 200
_ZERO_WIDTH_SPACE = "\u200b"
"""A zero-width space. Text with one inside looks the same, but is no longer a mention, reference or keyword."""
_REFERENCE_SYMBOLS = re.compile(
    r"(?<=[@<])(?=\S)|(?<=[#!&$%])(?=\d)|(?<=%)(?=[\w\"])|(?<=(?<!~)~)(?=[\w\"])|(?<=\bGH-)(?=\d)", re.IGNORECASE
)
_ISSUE_CLOSING_WORDS = re.compile(
    r"\b(c)(los(?:e[sd]?|ing))\b|\b(f)(ix(?:e[sd]|ing)?)\b|\b(r)(esolv(?:e[sd]?|ing))\b"
    r"|\b(i)(mplement(?:s|ed|ing)?)\b",
    re.IGNORECASE,
)
"""Keywords that close the issue named after them when the pull request is merged (GitHub, GitLab)."""
_MARKUP = re.compile(r"([\\`*_\[\]|~])")


class PullRequestPackage(Record, kw_only=True):
    """A package of the release.

    Attributes:
        name: The name of the package.
        before: The current version.
        after: The new version.
        reason: Why the package is bumped.
        tag: The tag of the new version.
        changes: The text about the new version in the package's changelog, or None if there is none.
        private: Whether the package is not published.
    """

    name: str
    before: str
    after: str
    reason: str
    tag: str
    changes: str | None
    private: bool = False


class PullRequestContent(Record, kw_only=True):
    """The content of a release pull request.

    Attributes:
        packages: The packages that get a new version.
        unchanged: The names of the packages that keep their version.
        files: The paths of the changed files.
        branch: The branch that the pull request is merged into.
    """

    packages: tuple[PullRequestPackage, ...]
    unchanged: tuple[str, ...]
    files: tuple[str, ...]
    branch: str


def format_title(message: str) -> str:
    """Return the title of the pull request: the first line of a commit message, at most `MAX_TITLE_LENGTH`."""
    line = escaping.escape_line(message.strip().partition("\n")[0].strip())
    return line if len(line) <= MAX_TITLE_LENGTH else f"{line[: MAX_TITLE_LENGTH - 1]}…"


def format_body(release: PullRequestContent, limit: int = MAX_BODY_SIZE) -> str:
    """Return the body of the pull request; if it exceeds the limit, the rest is left out, with a note.

    The changelogs come last and are quoted, so that unclosed markup in them ends with the quote.

    Args:
        release: The release.
        limit: The maximum size in bytes.
    """
    return _join_within_limit([*_summary_lines(release), *_changelog_lines(release.packages)], limit)


def neutralize_references(text: str) -> str:
    """Return text that does not notify people, refer to issues, close them or contain HTML, but looks the same."""
    text = _REFERENCE_SYMBOLS.sub(_ZERO_WIDTH_SPACE, text)
    return _ISSUE_CLOSING_WORDS.sub(lambda match: _ZERO_WIDTH_SPACE.join(filter(None, match.groups())), text)


def _summary_lines(release: PullRequestContent) -> Iterator[str]:
    """Yield the lines about the bumped packages, what happens after the merge, and the changed files."""
    yield "| package | from | to | why |"
    yield "|---|---|---|---|"
    for package in release.packages:
        cells = (package.name, package.before, package.after, package.reason)
        yield f"| {' | '.join(map(_escape_to_one_line, cells))} |"
    yield ""
    yield "### After the merge"
    yield ""
    tags = list(dict.fromkeys(package.tag for package in release.packages))
    yield f"- `auto-tag` on {_escape_to_one_line(release.branch)} tags the merged commit: {_list_names(tags)}"
    lists = {
        "to publish": [package.name for package in release.packages if not package.private],
        "not published (private)": [package.name for package in release.packages if package.private],
        "unchanged": release.unchanged,
    }
    yield from (f"- {what}: {_list_names(names)}" for what, names in lists.items() if names)
    yield ""
    yield "### Files"
    yield ""
    for file in release.files[:_MAX_LISTED]:
        yield f"- {_escape_to_one_line(file)}"
    if len(release.files) > _MAX_LISTED:
        yield f"- and {len(release.files) - _MAX_LISTED} more"


def _changelog_lines(packages: Iterable[PullRequestPackage]) -> Iterator[str]:
    """Yield the lines with each package's changelog text; packages with the same text share it."""
    yield ""
    yield "### Changes"
    by_text: dict[str, list[PullRequestPackage]] = {}
    without = []
    for package in packages:
        if package.changes:
            by_text.setdefault(package.changes, []).append(package)
        else:
            without.append(package.name)
    for text, sharing_packages in by_text.items():
        yield ""
        names = ", ".join(_escape_to_one_line(f"{package.name} {package.after}") for package in sharing_packages)
        yield f"**{names}**"
        yield ""
        for line in escaping.split_lines(text):
            printable = "".join(char if char.isprintable() or char == "\t" else " " for char in line)
            yield f"> {neutralize_references(printable)}".rstrip()
    if without:
        yield ""
        yield f"No changelog entries: {_list_names(without)}"


def _join_within_limit(lines: Sequence[str], limit: int) -> str:
    """Join lines, up to a size in bytes; if some are left out, a note at the end says so."""
    text = "\n".join(lines)
    if len(text.encode()) <= limit:
        return text
    note = "\n\n_Shortened: the rest is in the changed files._"
    bytes_left = limit - len(note.encode())
    lines_to_keep = []
    for line in lines:
        bytes_left -= len(line.encode()) + 1
        if bytes_left < 0:
            break
        lines_to_keep.append(line)
    return "\n".join(lines_to_keep).rstrip() + note


def _escape_to_one_line(text: str) -> str:
    """Return text as one line with all Markdown escaped."""
    return neutralize_references(_MARKUP.sub(r"\\\1", escaping.escape_line(text)))


def _list_names(names: Iterable[str]) -> str:
    """Return names separated by commas; if there are too many, the number of the others at the end."""
    return join_names(map(_escape_to_one_line, names), _MAX_LISTED)
