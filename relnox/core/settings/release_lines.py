"""Release lines: the branches that releases are made from, each with bounds on its versions.

A prerelease, development release or post-release belongs to the line of its final release: 2.0a1 is not below 2.0
here, although PEP 440 orders it so, and its final release would be outside of the bounds `<2`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.kinds import Kind, ListOf, TableOf, Text
from relnox.core.text import listing
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

_HIGH = 10**9
"""A part of a version that no bounds contain."""


class ReleaseLine(Record):
    """A release line.

    Attributes:
        branch: Its branch, or a glob of branches.
        bounds: A version specifier that its versions match (PEP 440); empty for any version.
    """

    branch: str
    bounds: str = ""

    def __str__(self) -> str:
        return f"{self.branch} ({self.bounds})" if self.bounds else self.branch

    @property
    def is_glob(self) -> bool:
        """Whether it may have several branches."""
        return "*" in self.branch or "?" in self.branch

    def contains(self, version: Version) -> bool:
        """Whether the final release of a version is within the bounds."""
        return not self.bounds or _matches(_specifiers(self.bounds), version.base_version)


class Lines(Kind):
    """A branch, a list of branches, or a table of branches with bounds; the value is a tuple of release lines."""

    expected = "a string, a list of strings, or a table of strings"

    name: Text = Text(rule=rules.branch)
    names: ListOf = ListOf(Text(rule=rules.branch))
    bounds: TableOf = TableOf(Text(rule=rules.version_bounds), keys=Text(rule=rules.branch))

    def check(self, value: Any, key: str) -> tuple[ReleaseLine, ...]:
        """See `Kind`; bounds of different lines must have no version in common."""
        match value:
            case str():
                return (ReleaseLine(self.name.check(value, key)),)
            case list():
                return tuple(ReleaseLine(name) for name in dict.fromkeys(self.names.check(value, key)))
            case dict():
                lines = tuple(ReleaseLine(name, text) for name, text in self.bounds.check(value, key).items())
                _check_disjoint(lines, key)
                return lines
            case _:
                raise self.invalid(value, key)


def are_configured(lines: Sequence[ReleaseLine]) -> bool:
    """Whether the settings part the releases into lines; one branch without bounds is all of them."""
    return len(lines) > 1 or any(line.is_glob or line.bounds for line in lines)


def lines_of(branch: str, lines: Iterable[ReleaseLine]) -> tuple[ReleaseLine, ...]:
    """Return the line of a branch, with the branch's own name; none if no release is made from it.

    A name precedes globs.

    Raises:
        Blocked: Globs with different bounds match.
    """
    matches = [line for line in lines if fnmatchcase(branch, line.branch)]
    matches = [line for line in matches if line.branch == branch] or matches
    if len({line.bounds for line in matches}) > 1:
        raise Blocked(
            "branch-ambiguous",
            f"branch {branch} matches several release lines: {listing(map(str, matches))} ([tool.relnox] branch)",
            fix=f'name it in [tool.relnox] branch: "{branch}" = "{matches[0].bounds}"',
        )
    return tuple(ReleaseLine(branch, line.bounds) for line in matches[:1])


def contain(lines: Sequence[ReleaseLine], version: Version) -> bool:
    """Whether a version belongs to one of several lines; any version does if there are none."""
    return not lines or any(line.contains(version) for line in lines)


def describe(lines: Sequence[ReleaseLine]) -> str:
    """Return branches and bounds as text, such as `main (>=2)`."""
    return listing(map(str, lines))


def _specifiers(bounds: str) -> SpecifierSet:
    from packaging.specifiers import SpecifierSet  # imported lazily: it is slow to import

    return SpecifierSet(bounds)


def _matches(specifiers: SpecifierSet, version: str) -> bool:
    return specifiers.contains(version, prereleases=True)


def _check_disjoint(lines: Sequence[ReleaseLine], key: str) -> None:
    """Check that no version is within the bounds of two lines, unless these have the same bounds."""
    for index, line in enumerate(lines):
        for other in lines[index + 1 :]:
            if line.bounds == other.bounds:
                continue
            both = _specifiers(",".join(filter(None, (line.bounds, other.bounds))))
            if (version := next((text for text in _samples(both) if _matches(both, text)), None)) is not None:
                raise Blocked(
                    "bounds-overlap",
                    f"{key}: the bounds of {line.branch} ({line.bounds or 'none'}) and {other.branch} "
                    f"({other.bounds or 'none'}) overlap: both contain {version}",
                    fix=f'make them exclude each other, for example: {key} = {{ main = ">=2", "1.x" = "<2" }}',
                )


def _samples(specifiers: SpecifierSet) -> Iterator[str]:
    """Yield versions of all intervals that specifiers part the versions into: their limits, and those beside."""
    from packaging.version import Version

    yield "0"
    for specifier in specifiers:
        version = Version(specifier.version.removesuffix(".*"))
        parts = version.release
        for length in range(1, len(parts) + 1):
            start = parts[:length]
            for limit in (start, (*start[:-1], start[-1] + 1)):
                for sample in (limit, (*limit, *(0,) * len(parts), 0, 1), _below(limit)):
                    yield f"{version.epoch}!{'.'.join(map(str, sample))}"


def _below(limit: tuple[int, ...]) -> tuple[int, ...]:
    """Return a release below another one, above all others that bounds contain; zero for zero."""
    if not any(limit):
        return (0,)
    *start, last = limit
    return (*start, last - 1, _HIGH) if last else _below(tuple(start))
