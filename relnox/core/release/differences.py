"""What changes for users from one release of a package to the next, and what of that exceeds a budget."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from packaging.version import Version

from relnox.core.records import Record
from relnox.core.release.manifest import DistributionKind
from relnox.core.settings.config import DiffConfig
from relnox.core.settings.rules import GROWTH
from relnox.core.text import format_size, join_names
from relnox.errors import Blocked, Problem

_MAX_NAMES = 3
"""The number of names in a line, unless all are asked for."""
_MAX_SIZES = 2
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9}
_GENERATED = re.compile(r"[0-9a-f]{16,}__mypyc")
"""Modules that mypyc generates beside a package; their names change with its modules."""


class ArchiveContents(Record, kw_only=True):
    """What users get from an archive, in a form in which two releases can be compared.

    Attributes:
        members: Maps the path of each file in it to the size in bytes; directory names are without the version,
            so that paths of two releases can be compared.
        requires: The requirements, with normalized names.
        entry_points: Those of a wheel, such as `[console_scripts] greet = greeter:main`; empty for an sdist.
        requires_python: `Requires-Python`, or empty.
        license: The license expression, else the start of the text, else the classifiers; or empty.
        top_level: What a wheel installs at the top: modules, packages, and data directories such as
            `data/share`; empty for an sdist.
    """

    filename: str
    kind: DistributionKind
    members: Mapping[str, int]
    requires: tuple[str, ...]
    entry_points: tuple[str, ...]
    requires_python: str
    license: str
    top_level: tuple[str, ...]


class FileSizes(NamedTuple):
    """The names of a file in the last release (`before`) and in the new one (`after`), and its sizes in bytes."""

    before: str
    after: str
    size_before: int
    size_after: int

    @property
    def growth(self) -> str:
        """The growth in percent, such as `+19 %`."""
        percent = (self.size_after / max(self.size_before, 1) - 1) * 100
        return f"{round(percent):+,} %"

    def __str__(self) -> str:
        name = _kind_or_tags(self.after).partition(".")[0]
        return f"{name} {format_size(self.size_before)} → {format_size(self.size_after)} ({self.growth})"


class ReleaseDiff(Record, kw_only=True):
    """How a new release of a package differs from the last one.

    Attributes:
        index: The name of the index that has the last release.
        before: The version of the last release.
        files: The names of all files of the last release, and of all files of the new one.
        sizes: The sizes of each file that both releases have: an sdist, or a wheel with the same tags. Files whose
            old size is unknown are left out.
        archives: Pairs of the old and the new archive: at most one pair of sdists, and one pair of wheels.
        unread: A text `FILE, FILE: REASON` for the archives of the last release that could not be compared.
    """

    package: str
    index: str
    before: Version
    after: Version
    files: tuple[tuple[str, ...], tuple[str, ...]]
    sizes: tuple[FileSizes, ...]
    archives: tuple[tuple[ArchiveContents, ArchiveContents], ...]
    unread: tuple[str, ...] = ()

    def changes(self, *, full: bool = False) -> Iterator[tuple[str, str]]:
        """Yield pairs of what changes and how, such as `license` and `MIT → none`.

        The first pair always has the sizes of the archives, or `-` if none can be compared. If many names, such as
        those of files or requirements, were added or removed, a pair has the first few and the number of the
        others; with `full`, each name has its own pair.
        """
        yield "size", join_names(map(str, self.sizes), len(self.sizes) if full else _MAX_SIZES) or "-"
        yield from _added_and_removed_names(
            "archives", *(map(_kind_or_tags, files) for files in self.files), full=full
        )
        for before, after in self.archives:
            yield from _added_and_removed_names(f"files in {after.kind}", before.members, after.members, full=full)
        if self.archives:  # that of the wheel, which is what installers read
            before, after = max(self.archives, key=lambda pair: pair[1].kind)
            yield from _added_and_removed_names("requirements", before.requires, after.requires, full=full)
            yield from _added_and_removed_names("entry points", before.entry_points, after.entry_points, full=full)
            for what, old, new in (
                ("Requires-Python", before.requires_python, after.requires_python),
                ("license", before.license, after.license),
            ):
                if old != new:
                    yield what, f"{old or 'none'} → {new or 'none'}"


def budget_problems(diffs: Sequence[ReleaseDiff], budget: DiffConfig) -> Iterator[Problem]:
    """Yield at most two problems: files grew more than the budget allows, and wheels install new top-level names.

    If `budget.max_growth` is None, any size is allowed. Names in `budget.top_level` may be new, as may the
    directory `NAME.libs` and modules that mypyc generates.
    """
    lines, needed = [], 0
    for diff in diffs if budget.max_growth is not None else ():
        for size in diff.sizes:
            allowed = _allowed_size(size.size_before, budget.max_growth or "")
            if size.size_after > allowed:
                added = _describe_largest_new_files(diff, size.after)
                needed = max(needed, math.ceil((size.size_after / max(size.size_before, 1) - 1) * 100))
                lines.append(
                    f"{size.after} has {format_size(size.size_after)}, {size.before} on {diff.index} "
                    f"{format_size(size.size_before)} ({size.growth}; allowed are {format_size(allowed)})"
                    f"{f'; largest new files: {added}' if added else ''}"
                )
    if lines:
        yield _budget_error("archive-too-large", lines, f'max-growth = "{needed}%"')
    lines, names = [], dict.fromkeys(budget.top_level)
    for diff in diffs:
        for before, after in diff.archives:
            own = {*before.top_level, *budget.top_level, f"{after.filename.partition('-')[0]}.libs"}
            if new := [name for name in after.top_level if name not in own and not _GENERATED.match(name)]:
                names |= dict.fromkeys(new)
                lines.append(
                    f"{after.filename} installs {join_names(new)} at the top level, {before.filename} on "
                    f"{diff.index} only {join_names(before.top_level) or 'nothing'}"
                )
    if lines:
        yield _budget_error("archive-content", lines, f"top-level = [{', '.join(map(json.dumps, names))}]")


def _budget_error(code: str, lines: Sequence[str], setting: str) -> Problem:
    """Return the error of a release that exceeds the budget: `lines` say what does, and are the message.

    `setting` is the line that `[tool.relnox.diff]` must have to allow all of it, for the fix.
    """
    return Blocked(
        code,
        "\n".join(lines),
        "exclude it in the build configuration, and build again; or, if it is intended: "
        f"[tool.relnox.diff] {setting}",
    )


def find_counterpart(filename: str, others: Iterable[str]) -> str | None:
    """Return the file name among `others` that is of the same kind (sdist, wheel) and has the most similar tags.

    Return None if none is of that kind.
    """
    ending, parts = ".whl" if filename.endswith(".whl") else ".tar.gz", _parts_of_tags(filename)
    candidates = [other for other in others if other.endswith(ending)]
    return max(sorted(candidates), key=lambda other: len(parts & _parts_of_tags(other)), default=None)


def has_same_tags(filename: str, other: str) -> bool:
    """Return whether two file names are those of sdists, or of wheels for the same Pythons and platforms."""
    return _kind_or_tags(filename) == _kind_or_tags(other)


def _parts_of_tags(filename: str) -> frozenset[str]:
    """Return the words in the tags of a wheel, such as `cp312`, `win` and `amd64`, to measure similarity.

    For a pure wheel it is only `wheel`, for an sdist `sdist`.
    """
    return frozenset(re.split(r"[-._]", _kind_or_tags(filename)))


def _kind_or_tags(filename: str) -> str:
    """Return what a file is: `sdist`, `wheel` if it is pure, or the tags of another wheel."""
    if not filename.endswith(".whl"):
        return "sdist"
    tags = "-".join(filename.removesuffix(".whl").split("-")[-3:])
    return "wheel" if tags in ("py3-none-any", "py2.py3-none-any") else tags


def _added_and_removed_names(
    what: str, before: Iterable[str], after: Iterable[str], *, full: bool
) -> Iterator[tuple[str, str]]:
    """Yield pairs of `what`, the kind of the names, and names that were added (`+name`) or removed (`-name`).

    With `full`, each name has its own pair; otherwise one pair has the first names and the number of the others.
    There are no pairs if `before` and `after` have the same names.
    """
    old, new = list(before), list(after)
    groups = [
        [f"+{name}" for name in _names_missing_in(new, old)],
        [f"-{name}" for name in _names_missing_in(old, new)],
    ]
    if full:
        yield from ((what, name) for group in groups for name in group)
    elif any(groups):
        yield what, "; ".join(join_names(group, _MAX_NAMES) for group in groups if group)


def _names_missing_in(names: Collection[str], others: Collection[str]) -> list[str]:
    """Return the names that are not among the others, sorted."""
    return sorted(set(names) - set(others))


def _describe_largest_new_files(diff: ReleaseDiff, filename: str) -> str:
    """Return the largest files that are new in an archive since the last release: `a.so (2 MB), b.txt (1 kB)`.

    `filename` is the name of the archive. The text names at most three files; it is empty if no file is new, or if
    the archive was not compared.
    """
    for before, after in diff.archives:
        if after.filename == filename:
            new = sorted(_names_missing_in(after.members, before.members), key=lambda name: -after.members[name])
            return ", ".join(f"{name} ({format_size(after.members[name])})" for name in new[:_MAX_NAMES])
    return ""


def _allowed_size(size: int, growth: str) -> int:
    """Return the size in bytes to which a file of this size may grow, by `growth` such as `20%` or `2 MB`."""
    match = GROWTH.fullmatch(growth)
    assert match is not None  # by the rule of the setting  # noqa: S101
    number, unit = float(match[1]), match[2].lower()
    return size + int(size * number / 100 if unit == "%" else number * _UNITS[unit])
