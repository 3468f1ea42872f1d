"""The title and the body of a release pull request, in Markdown.

Text from the project is in code, where it cannot notify people, refer to issues or change the layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from relnox.core.records import Record
from relnox.core.text import escape_line, split_lines

MAX_BODY_SIZE = 65_536
"""The maximum size of a pull request's body.

GitHub's limit is in characters. relnox counts bytes instead, to stay within the limit however they are counted.
"""
MAX_TITLE_LENGTH = 250

_CHECKED = re.compile(r"- \[[xX]\]")
_SHORTENED = "\n\n_Shortened: the rest is in the changed files._"


class PullRequestPackage(Record, kw_only=True):
    """A package that a release pull request bumps.

    Attributes:
        before: The current version, or `-` if there is none.
        tag: The tag that the release gets after the merge.
        changes: The text about the new version in the package's changelog; empty if there is none.
        private: Whether the package is not published.
        last_release: The release whose archives were compared, such as `1.2.0 on pypi`; empty if none was.
        differences: Pairs of what differs in the archives, and how, such as `license` and `MIT → none`.
    """

    name: str
    before: str
    after: str
    reason: str
    tag: str
    changes: str
    private: bool = False
    last_release: str = ""
    differences: tuple[tuple[str, str], ...] = ()


def format_pull_request_title(message: str) -> str:
    """Return the first line of a commit message, cut to `MAX_TITLE_LENGTH` characters."""
    line = escape_line(message.strip().partition("\n")[0].strip())
    return line if len(line) <= MAX_TITLE_LENGTH else f"{line[: MAX_TITLE_LENGTH - 1]}…"


def format_pull_request_body(
    packages: Sequence[PullRequestPackage], branch: str, limit: int = MAX_BODY_SIZE, *, tasks: str = ""
) -> str:
    """Return the body of the pull request; if it exceeds `limit` bytes, the rest is left out, with a remark.

    `branch` is the one to merge into; `tasks` is the Markdown list of what a person has to do, or empty.
    """
    lines: list[str] = []
    size = len(_SHORTENED.encode())
    for line in _body_lines(packages, branch, tasks):
        size += len(line.encode()) + 1
        if size > limit:
            return "\n".join(lines).rstrip() + _SHORTENED
        lines.append(line)
    return "\n".join(lines)


def keep_checked_tasks(body: str, before: str) -> str:
    """Return `body` with the items of its task list checked that are also checked in `before`.

    `before` is the text that the pull request has now, in which people check items.
    """
    done = {uncheck_task(line).rstrip(): line.rstrip() for line in before.splitlines() if _CHECKED.match(line)}
    return "\n".join(done.get(line, line) for line in body.split("\n"))


def uncheck_task(line: str) -> str:
    """Return a line of a body with `- [ ]` for the `- [x]` of a checked item; other lines are unchanged."""
    return _CHECKED.sub("- [ ]", line)


def _body_lines(packages: Sequence[PullRequestPackage], branch: str, tasks: str) -> Iterator[str]:
    """Yield the lines of the body: packages, tasks, differences of archives, and texts of changelogs."""
    yield "| package | from | to | why | tag |"
    yield "|---|---|---|---|---|"
    for package in packages:
        name, reason, tag = map(_as_code, (package.name, package.reason, package.tag))
        private = " (private)" * package.private
        yield f"| {name}{private} | {package.before} | {package.after} | {reason} | {tag} |"
    yield ""
    yield f"After the merge, `auto-tag` on {_as_code(branch)} tags it. Private packages are not published."
    yield from ("", *tasks.split("\n")) if tasks else ()
    for package in packages:
        if package.differences:
            yield from (
                "",
                f"**Archives of {_as_code(package.name)} compared with {_as_code(package.last_release)}**",
                "",
            )
            yield from ("| what | change |", "|---|---|")
            yield from (f"| {what} | {_as_code(change)} |" for what, change in package.differences)
    for text in dict.fromkeys(package.changes for package in packages if package.changes):
        names = [_as_code(package.name) for package in packages if package.changes == text]
        yield ""
        yield f"**Changes of {', '.join(names)}**"
        yield ""
        # A block of indented code ends at the first line that is not indented, whatever is inside.
        yield from (f"    {escape_line(line.expandtabs(4))}".rstrip() for line in split_lines(text))


def _as_code(text: str) -> str:
    """Return text as inline code for a Markdown table cell, with characters replaced that would end either."""
    return f"`{escape_line(text).replace('`', chr(39)).replace('|', '/')}`"
