"""Parsers for the output of git commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterator


class GitState(Record, kw_only=True):
    """The state of a checkout at one moment.

    Attributes:
        head: The full id of the current commit, or None before the first commit.
        branch: The name of the current branch, or None if the head is detached.
        changed_files: Tracked files below `Git.root` that differ from the commit, relative to it.
        untracked_files: Files below `Git.root` that are neither tracked nor ignored, relative to it.
        tags: Maps each local tag to the commit that it points to.
        is_shallow: Whether the clone is shallow.
        upstream: The upstream branch, such as `origin/main`, or None if there is none.
        upstream_remote: The remote of the upstream; `.` for a branch of this repository, None if there is none.
        commits_behind: The number of commits of the upstream that the branch lacks, as of the last fetch.
        operation: The git command that has begun and not ended, such as `merge`; None if there is none.
    """

    head: str | None
    branch: str | None
    changed_files: tuple[str, ...]
    untracked_files: tuple[str, ...]
    tags: dict[str, str]
    is_shallow: bool
    upstream: str | None = None
    upstream_remote: str | None = None
    commits_behind: int = 0
    operation: str | None = None


def parse_status(output: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Parse the output of `git status --porcelain=v2 --branch -z`.

    Returns:
        The values of the header lines by name, such as `branch.head`, the tracked files that differ from the
        commit, and the files that are neither tracked nor ignored; all paths are relative to the top level.
    """
    header: dict[str, str] = {}
    changed_files: list[str] = []
    untracked_files: list[str] = []
    entries = iter(output.split("\0"))
    for entry in entries:
        match entry[:2]:
            case "# ":
                name, _, value = entry[2:].partition(" ")
                header[name] = value
            case "1 ":
                changed_files.append(entry.split(" ", 8)[8])
            case "2 ":
                changed_files.append(entry.split(" ", 9)[9])
                next(entries)  # the old name of a renamed file
            case "u ":
                changed_files.append(entry.split(" ", 10)[10])
            case "? ":
                untracked_files.append(entry[2:])
            case _:
                continue  # the empty string behind the last NUL, and kinds that no option asks for
    return header, changed_files, untracked_files


def quote_path(name: str) -> bytes:
    """Return a path in quotes, as git reads it where each line has a path."""
    inside = name.encode("utf-8", "surrogateescape")
    for old, new in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        inside = inside.replace(old, new)
    return b'"%s"' % inside


def parse_refs(listing: str, separator: str) -> dict[str, str]:
    """Parse lines that have an object id, the separator and a ref; return the ids by full name of the ref."""
    pairs = (line.split(separator, 1) for line in listing.split("\n") if separator in line)
    return {name: object_id for object_id, name in pairs}


def parse_tags(refs: dict[str, str]) -> dict[str, str]:
    """Return the commit that each tag points to, by tag name, from object ids by ref name.

    For an annotated tag, `refs` has the commit under the name of the ref with `^{}` at its end.
    """
    names = [name for name in refs if name.startswith("refs/tags/") and not name.endswith("^{}")]
    return {name.removeprefix("refs/tags/"): refs.get(f"{name}^{{}}", refs[name]) for name in names}


def parse_grep_output(output: str) -> Iterator[tuple[str, str]]:
    """Parse the output of `git grep -z`; yield the file and text of each matching line."""
    # A file name is before each line; it ends in NUL, and may contain line ends.
    file, *rest = output.split("\0")
    for text in rest:
        line, _, following = text.partition("\n")
        yield file, line.removesuffix("\r")
        file = following
