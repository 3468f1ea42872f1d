"""The text of a release page on a forge, in Markdown: notes, then the section that relnox keeps up to date.

Markers in HTML comments say which release relnox made, and where its section is: people may edit all other text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.version import Version

from relnox.core.release.manifest import Distribution
from relnox.core.text import escape_line, split_lines

CHECKSUMS = "SHA256SUMS"
_LOOKS_LIKE_MARKER = re.compile(r"<!--(?=\s*/?\s*relnox\b)", re.IGNORECASE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ENTRY = re.compile(r"[-*+] |\d+[.)] |#{1,6} ")
_HEADING = re.compile(r"#{1,6} ")
_MARKUP = re.compile(r"[\\`*_\[\]<>~|&$]")
_OWN_LINE = re.compile(r"\s*(?:[-*+] |\d+[.)] |#{1,6} |>|\||<|\[[^\]]+\]: |(?:[-=*_] *){3,}$|$)")
"""Matches lines that begin something else than a paragraph, such as an item, a heading, a table or HTML."""
_ENDS_PARAGRAPH = re.compile(r"\s*(?:#{1,6} |>|\||<|\[[^\]]+\]: |$)|.*(?:  |\\)$")
"""Matches lines that the next one does not go on; two spaces or a backslash at the end are a line break."""
_SHORTENED = "\n\n_Shortened; all of it:_"
_MENTION = re.compile(r"(?<![\w`])@(?=\w)")


def release_marker(tag: str) -> str:
    """Return the HTML comment that marks the release page of a tag as made by relnox."""
    return f"<!-- relnox: release {_percent_encode_tag(tag)} -->"


def is_made_by_relnox(body: str, tag: str) -> bool:
    """Return whether relnox made the release page of a tag: its text, `body`, has the line of `release_marker`."""
    return release_marker(tag) in split_lines(body)


def _percent_encode_tag(tag: str) -> str:
    """Percent-encode the characters of a tag that could end an HTML comment."""
    return re.sub(r"[^\w./+@-]|--", lambda match: "".join(f"%{ord(char):02X}" for char in match[0]), tag)


# --- the section about installation


def format_installation_section(
    tag: str, versions: Mapping[str, Version], files: Sequence[Distribution], *, index_url: str, limit: int
) -> str:
    """Return the section of a release page that says how to install the packages, with the hashes of `files`.

    It stands between two HTML comments that contain the tag. `versions` are the released ones, by package name.
    `index_url` is the simple API of the index that has the files, or empty for the one that pip uses by default.
    The table of hashes is left out if it has more than `limit` characters.
    """
    index = f"--index-url {index_url} " if index_url else ""
    commands = {name: f"pip install {index}{name}=={version}" for name, version in versions.items()}
    first, last = _section_markers(tag)
    lines = [first, "### Installation", ""]
    if len(commands) == 1:
        lines += ["```sh", *commands.values(), "```"]
    else:
        lines += ["| package | command |", "|---|---|"]
        lines += [f"| {name} | `{command}` |" for name, command in commands.items()]
    hashes = ["", "<details>", "<summary>SHA-256 of the files</summary>", "", "| file | SHA-256 |", "|---|---|"]
    hashes += [f"| {file.filename} | `{file.sha256}` |" for file in files]
    hashes += ["", "</details>"]
    if sum(map(len, hashes)) <= limit:
        lines += hashes
    return "\n".join([*lines, last])


def has_section(body: str, section: str) -> bool:
    """Return whether the text of a release page contains a section, as `format_installation_section` returns it.

    Differences in line ends and in white space before them do not count, since forges change these.
    """
    return _normalize_line_ends(section) in _normalize_line_ends(body)


def replace_section(body: str, tag: str, section: str) -> str:
    """Return the text of a release page with its section about installation replaced with `section`.

    The old section is between the comments with this tag, which are replaced as well. If it is missing, the new
    one is appended.
    """
    first, last = _section_markers(tag)
    start, end = body.find(first), body.find(last)
    if 0 <= start < end:
        return f"{body[:start]}{section}{body[end + len(last) :]}"
    return f"{body.rstrip()}\n\n{section}\n".lstrip()


def _section_markers(tag: str) -> tuple[str, str]:
    """Return the HTML comments before and after the section about installation; both contain the tag."""
    name = f"relnox: installation {_percent_encode_tag(tag)}"
    return f"<!-- {name} -->", f"<!-- /{name} -->"


def _normalize_line_ends(text: str) -> str:
    """Return the text with LF line ends, without white space before them."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))


# --- notes


def format_new_page(tag: str, notes: str, link: str, section: str, *, limit: int) -> str:
    """Return the text of a new release page: a marker, then `notes`, `link` and `section`, all in Markdown.

    The marker is a comment by which relnox recognizes its own page. `link` leads to all changes, and `section` is
    about installation; both may be empty. If the page would have more than `limit` characters, the notes are cut
    before an entry of a list or a heading, and a remark says so.
    """
    notes = _LOOKS_LIKE_MARKER.sub("&lt;!--", notes).strip()
    after = "".join(f"\n\n{part}" for part in (link, section) if part) + "\n"
    room = limit - len(release_marker(tag)) - 1 - len(after)
    if len(notes) > room:
        notes = _cut_at_entry(notes, room - len(_SHORTENED)) + _SHORTENED
    return f"{release_marker(tag)}\n{notes}{after}"


def _cut_at_entry(text: str, limit: int) -> str:
    """Return the start of a Markdown text that is too long: at most `limit` characters.

    It ends before an entry of a list or a heading, but not in code, and not with a heading. If there is no such
    place, the text is cut at the limit.
    """
    end, size, fence = 0, 0, ""
    for line in text.split("\n"):
        if size > limit:
            break
        if not fence and _ENTRY.match(line):
            end = size
        if match := _FENCE.match(line):
            fence = "" if fence and match[1].startswith(fence) else fence or match[1]
        size += len(line) + 1
    lines = text[: end or limit].rstrip().split("\n")
    while lines and (not lines[-1].strip() or _HEADING.match(lines[-1])):
        lines.pop()
    return "\n".join(lines)


def join_paragraph_lines(text: str) -> str:
    """Return Markdown with the lines of each paragraph joined, since GitHub's release pages break at line ends.

    The text of a list entry is a paragraph, too. Code, tables, HTML and explicit line breaks stay.
    """
    lines: list[str] = []
    fence, goes_on = "", False
    for line in text.split("\n"):
        match = _FENCE.match(line.lstrip())
        is_code = bool(fence or match) or (line.startswith("    ") and not goes_on)
        if match:
            fence = "" if fence and match[1].startswith(fence) else fence or match[1]
        if goes_on and not is_code and not _OWN_LINE.match(line):
            lines[-1] += f" {line.lstrip()}"
            goes_on = _ENDS_PARAGRAPH.match(line) is None
        else:
            lines.append(line)
            goes_on = not is_code and _ENDS_PARAGRAPH.match(line) is None
    return "\n".join(lines)


def format_commit_notes(commits: Iterable[tuple[str, str]]) -> str:
    """Return a Markdown list of commits, each with its subject and the first 10 digits of its ID.

    `commits` are pairs of subject and full ID. Markup in subjects is escaped, and mentions notify no user.
    """
    return "\n".join(f"- {escape_markup(subject)} ({commit[:10]})" for subject, commit in commits)


def escape_markup(text: str) -> str:
    """Escape text so that Markdown shows it as it is, on one line.

    `@name` in it notifies no user, but `#12` may become a link to an issue.
    """
    text = _MARKUP.sub(lambda match: f"\\{match[0]}", escape_line(text))
    return _MENTION.sub("@<!-- -->", text)


def join_package_notes(notes: Mapping[str, str]) -> str:
    """Return the notes of packages as one text; `notes` are by package name.

    Notes that are the same for all packages have no heading; otherwise each text is below a heading with the names
    of its packages.
    """
    packages: dict[str, list[str]] = {}
    for package, text in notes.items():
        packages.setdefault(text, []).append(package)
    if len(packages) == 1:
        return next(iter(packages))
    return "\n\n".join(f"## {', '.join(names)}\n\n{text}" for text, names in packages.items())


# --- files


def format_checksums(hashes: Mapping[str, str]) -> str:
    """Return the SHA-256 hashes, given by file name, in the form that `sha256sum --check` reads."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))


def previous_tag(tags: Mapping[str, Version], version: Version) -> str | None:
    """Return the tag of the highest version below `version`, or None; `tags` are all tags of the package.

    Development releases do not count. For a final version, prereleases do not count either, so that the notes have
    the changes of all of them.
    """
    earlier = (
        (tagged, tag)
        for tag, tagged in tags.items()
        if tagged < version and not tagged.is_devrelease and (version.is_prerelease or not tagged.is_prerelease)
    )
    return max(earlier, default=(version, None))[1]


def is_latest_release(tagged_versions: Iterable[Version], version: Version) -> bool:
    """Return whether a version is final, and no final one of the tagged versions is higher."""
    return not version.is_prerelease and all(
        tagged <= version for tagged in tagged_versions if not tagged.is_prerelease
    )


def format_link(text: str, url: str) -> str:
    """Return a link in Markdown; `text` is escaped, but `url` is not, so it must be percent-encoded."""
    return f"[{escape_markup(text)}]({url})"
