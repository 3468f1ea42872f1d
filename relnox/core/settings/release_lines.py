"""Release lines: the release branches, each with bounds on the versions released from it.

A prerelease, development release or post-release belongs to the line of its final release. For example, 2.0a1 is
outside the bounds `<2`, as 2.0 is, although PEP 440 orders 2.0a1 before 2.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core.records import Record
from relnox.core.settings import rules
from relnox.core.settings.schema import ListOf, SettingKind, TableOf, Text
from relnox.core.text import join_names
from relnox.errors import Blocked


class ReleaseLine(Record):
    """A release branch, with bounds on the versions released from it.

    Attributes:
        branch: The name of the branch, or a glob of branches.
        bounds: A version specifier that the versions must match (PEP 440), or an empty string for any version.
    """

    branch: str
    bounds: str = ""

    def __str__(self) -> str:
        return f"{self.branch} ({self.bounds})" if self.bounds else self.branch

    @property
    def is_glob(self) -> bool:
        """Whether the name is a glob, which may match several branches."""
        return "*" in self.branch or "?" in self.branch

    def contains(self, version: Version) -> bool:
        """Return whether the final release of a version is within the bounds."""
        return not self.bounds or SpecifierSet(self.bounds).contains(version.base_version, prereleases=True)


class ReleaseLineSetting(SettingKind):
    """A branch, a list of branches, or a table of branches with bounds; converted to a tuple of release lines."""

    expected = "a string, a list of strings, or a table of strings"

    name: Text = Text(rule=rules.branch_problem)
    names: ListOf = ListOf(Text(rule=rules.branch_problem))
    bounds: TableOf = TableOf(Text(rule=rules.version_bounds_problem), keys=Text(rule=rules.branch_problem))

    def check(self, value: Any, key: str) -> tuple[ReleaseLine, ...]:
        """Return the release lines in a value of any of the three forms."""
        match value:
            case str():
                return (ReleaseLine(self.name.check(value, key)),)
            case list():
                return tuple(ReleaseLine(name) for name in dict.fromkeys(self.names.check(value, key)))
            case dict():
                return tuple(ReleaseLine(name, text) for name, text in self.bounds.check(value, key).items())
            case _:
                raise self.wrong_type_error(value, key)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of the three forms."""
        return {"anyOf": [kind.json_schema() for kind in (self.name, self.names, self.bounds)]}


def has_release_lines(lines: Sequence[ReleaseLine]) -> bool:
    """Return whether there are several release lines; a single branch without bounds does not count."""
    return len(lines) > 1 or any(line.is_glob or line.bounds for line in lines)


def release_lines_of_branch(branch: str, lines: Iterable[ReleaseLine]) -> tuple[ReleaseLine, ...]:
    """Return a line with this branch as its name and the bounds of the line that matches it; empty if none does.

    A line with the exact name takes precedence over globs.

    Raises:
        Blocked: Several globs with different bounds match the branch.
    """
    matches = [line for line in lines if fnmatchcase(branch, line.branch)]
    matches = [line for line in matches if line.branch == branch] or matches
    if len({line.bounds for line in matches}) > 1:
        raise Blocked(
            "setting-invalid",
            f"branch {branch} matches several release lines: {join_names(map(str, matches))} "
            "([tool.relnox] branch)",
            fix=f'name it in [tool.relnox] branch: "{branch}" = "{matches[0].bounds}"',
        )
    return tuple(ReleaseLine(branch, line.bounds) for line in matches[:1])


def allows_version(lines: Sequence[ReleaseLine], version: Version) -> bool:
    """Return whether a version belongs to one of the given lines; if there are none, any version does."""
    return not lines or any(line.contains(version) for line in lines)


def describe_release_lines(lines: Sequence[ReleaseLine]) -> str:
    """Return branches with their bounds as text, such as `main (>=2)`."""
    return join_names(map(str, lines))
