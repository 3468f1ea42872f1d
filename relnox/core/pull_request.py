"""The title and body of a release pull request, in Markdown.

Text from the project is in code, where it cannot notify people, refer to issues or change the layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from relnox.core.records import Record
from relnox.core.text import escape_line, split_lines

MAX_BODY_SIZE = 65_536
"""The maximum size of a pull request's body.

GitHub's limit is in characters. relnox counts bytes instead, to stay within the limit however they are counted.
"""
MAX_TITLE_LENGTH = 250

_SHORTENED = "\n\n_Shortened: the rest is in the changed files._"


class PullRequestPackage(Record, kw_only=True):
    """A package of the release.

    Attributes:
        name: The name of the package.
        before: The current version.
        after: The new version.
        reason: Why the package is bumped.
        tag: The tag of the new version.
        changes: The text about the new version in the package's changelog; empty if there is none.
        private: Whether the package is not published.
    """

    name: str
    before: str
    after: str
    reason: str
    tag: str
    changes: str
    private: bool = False


def format_title(message: str) -> str:
    """Return the title of the pull request: the first line of a commit message, at most `MAX_TITLE_LENGTH`."""
    line = escape_line(message.strip().partition("\n")[0].strip())
    return line if len(line) <= MAX_TITLE_LENGTH else f"{line[: MAX_TITLE_LENGTH - 1]}…"


def format_body(packages: Sequence[PullRequestPackage], branch: str, limit: int = MAX_BODY_SIZE) -> str:
    """Return the body of the pull request; if it exceeds the limit in bytes, the rest is left out, with a note."""
    lines: list[str] = []
    size = len(_SHORTENED.encode())
    for line in _lines(packages, branch):
        size += len(line.encode()) + 1
        if size > limit:
            return "\n".join(lines).rstrip() + _SHORTENED
        lines.append(line)
    return "\n".join(lines)


def _lines(packages: Sequence[PullRequestPackage], branch: str) -> Iterator[str]:
    """Yield the lines of the body: a table of the packages, and their changelogs; packages may share a text."""
    yield "| package | from | to | why | tag |"
    yield "|---|---|---|---|---|"
    for package in packages:
        name = _code(package.name) + " (private)" * package.private
        yield f"| {name} | {package.before} | {package.after} | {_code(package.reason)} | {_code(package.tag)} |"
    yield ""
    yield f"After the merge, `auto-tag` on {_code(branch)} creates the tags. Private packages are not published."
    for text in dict.fromkeys(package.changes for package in packages if package.changes):
        yield ""
        yield f"**Changes of {', '.join(_code(package.name) for package in packages if package.changes == text)}**"
        yield ""
        # A block of indented code ends at the first line that is not indented, whatever is inside.
        yield from (f"    {escape_line(line.expandtabs(4))}".rstrip() for line in split_lines(text))


def _code(text: str) -> str:
    """Return text as inline code for a table cell."""
    return f"`{escape_line(text).replace('`', chr(39)).replace('|', '/')}`"
