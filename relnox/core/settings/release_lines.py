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
        """Whether `branch` is a glob, which may match several branches."""
        return "*" in self.branch or "?" in self.branch

    def contains(self, version: Version) -> bool:
        """Return whether the final release of a version, such as 2.0 for 2.0a1, is within the bounds."""
        return not self.bounds or SpecifierSet(self.bounds).contains(version.base_version, prereleases=True)


class ReleaseLineSetting(SettingKind):
    """The kind of the setting `branch`, whose values are converted to tuples of release lines.

    Attributes:
        name: The kind of a value that is one branch.
        names: The kind of a value that is a list of branches.
        bounds: The kind of a value that is a table, which maps branches to version specifiers.
    """

    expected = "a string, a list of strings, or a table of strings"

    name: Text = Text(rule=rules.branch_problem)
    names: ListOf = ListOf(Text(rule=rules.branch_problem))
    bounds: TableOf = TableOf(Text(rule=rules.version_bounds_problem), keys=Text(rule=rules.branch_problem))

    def check(self, value: Any, key: str) -> tuple[ReleaseLine, ...]:
        """Return the release lines for a branch, a list of branches, or a table of branches and bounds.

        `key` is the dotted key of the setting, for messages.

        Raises:
            Blocked: The value has none of these forms, or contains an invalid branch or version specifier.
        """
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
        """Return a JSON schema that accepts a branch, a list of branches, or a table of branches and bounds."""
        return {"anyOf": [kind.json_schema() for kind in (self.name, self.names, self.bounds)]}


def has_release_lines(lines: Sequence[ReleaseLine]) -> bool:
    """Return whether there are several lines, or one whose branch is a glob or that has bounds."""
    return len(lines) > 1 or any(line.is_glob or line.bounds for line in lines)


def release_lines_of_branch(branch: str, lines: Iterable[ReleaseLine]) -> tuple[ReleaseLine, ...]:
    """Return the release line of a branch as the only item of a tuple, which is empty if no line matches it.

    The result has the branch as its name, and the bounds of the matching line. A line with the exact name takes
    precedence over globs.

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
    """Return at most four lines as text for messages, as in `main (>=2), 1.x (<2)`; others are counted."""
    return join_names(map(str, lines))
