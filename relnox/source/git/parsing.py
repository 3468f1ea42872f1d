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
        changed_files: Tracked files that differ from the commit, relative to the root of `Git`.
        untracked_files: Files that are neither tracked nor ignored, relative to the root of `Git`.
        tags: Maps each local tag to the commit that it points to.
        is_shallow: Whether the clone is shallow.
        upstream: The upstream branch, such as `origin/main`, or None if there is none.
        commits_behind: The number of upstream commits that the branch does not have, as of the last fetch.
    """

    head: str | None
    branch: str | None
    changed_files: tuple[str, ...]
    untracked_files: tuple[str, ...]
    tags: dict[str, str]
    is_shallow: bool
    upstream: str | None = None
    commits_behind: int = 0


class Status(Record):
    """The output of `git status`; files are relative to the top level.

    Attributes:
        header: The values of the `--branch` header lines, by name.
        changed_files: Tracked files that differ from the commit.
        untracked_files: Files that are neither tracked nor ignored.
    """

    header: dict[str, str]
    changed_files: list[str]
    untracked_files: list[str]


def parse_status(output: str) -> Status:
    """Parse the output of `git status --porcelain=v2 --branch -z`."""
    status = Status({}, [], [])
    entries = iter(output.split("\0"))
    for entry in entries:
        match entry[:2]:
            case "# ":
                name, _, value = entry[2:].partition(" ")
                status.header[name] = value
            case "1 ":
                status.changed_files.append(entry.split(" ", 8)[8])
            case "2 ":
                status.changed_files.append(entry.split(" ", 9)[9])
                next(entries)  # the old name of a renamed file
            case "u ":
                status.changed_files.append(entry.split(" ", 10)[10])
            case "? ":
                status.untracked_files.append(entry[2:])
            case _:
                continue  # the empty string behind the last NUL, and kinds that no option asks for
    return status


def parse_refs(listing: str, separator: str) -> dict[str, str]:
    """Return object ids by full ref name, from lines that each have an id, the separator and a name."""
    pairs = (line.split(separator, 1) for line in listing.split("\n") if separator in line)
    return {name: object_id for object_id, name in pairs}


def parse_tags(refs: dict[str, str]) -> dict[str, str]:
    """Return the commits of tags by short tag name; in `refs`, an annotated tag's commit is under `NAME^{}`."""
    names = [name for name in refs if name.startswith("refs/tags/") and not name.endswith("^{}")]
    return {name.removeprefix("refs/tags/"): refs.get(f"{name}^{{}}", refs[name]) for name in names}


def parse_matches(output: str) -> Iterator[tuple[str, str]]:
    """Yield the file and text of each line that `git grep -z` printed."""
    # Each line has a file name before it, which ends in NUL and may contain line ends.
    file, *rest = output.split("\0")
    for text in rest:
        line, _, following = text.partition("\n")
        yield file, line.removesuffix("\r")
        file = following
