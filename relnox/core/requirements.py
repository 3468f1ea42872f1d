"""Requirements on packages: their clauses, what they allow, and rewriting them for a new version of the package.

Only the version numbers inside the requirement change, and they keep their form: a pin stays a pin, `~=1.2` keeps
its length, `<2` stays a bound on the major version. Extras, markers, spacing and parentheses stay as they are.

Whether a version is in range is decided by PEP 440, with prereleases allowed: if a workspace is bumped to
`2.0.0a1`, its dependents must accept `2.0.0a1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core import graph
from relnox.core.packages import Dependency, Package, Syntax, normalize_name
from relnox.core.records import Record
from relnox.core.settings.config import UpdatePolicy
from relnox.core.text import join_names, replace_spans
from relnox.core.workspace import Workspace
from relnox.errors import Blocked


class Clause(Record):
    """One comparison with a version in a requirement, such as `>=1.2`, and its position.

    Attributes:
        operator: An operator of PEP 440, or `^` or `~` of Poetry and Cargo. A version without an operator has `==`
            in Poetry's syntax, `^` in Cargo's.
        prefix: The operator and the space after it, as written.
        version_text: The version as written.
        start: Offset of the operator in the requirement.
        end: Offset of the end of the version.
    """

    operator: str
    prefix: str
    version_text: str
    start: int
    end: int

    @property
    def version(self) -> Version:
        """The version, without a wildcard (`.*`) at its end.

        Raises:
            ValueError: The text is not a version, which is valid after `===`.
        """
        return Version(self.version_text.removesuffix(".*"))


BEFORE_CLAUSES = re.compile(r"\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*\(?")
_PEP508_CLAUSE = re.compile(r"(?P<operator>===|==|~=|!=|<=|>=|<|>)\s*(?P<version>[^\s,;)]+)")
_OTHER_CLAUSE = re.compile(r"(?P<operator>\^|==?|~=?|!=|<=?|>=?|)\s*(?P<version>v?[0-9][\w.!+*-]*)")
_EXTRA = re.compile(r"""\bextra == ["']([^"']+)["']""")
_BETWEEN_CLAUSES = re.compile(r"[\s,|]*")
_OPERATORS: Mapping[Syntax, Mapping[str, str]] = {
    "poetry": {"": "==", "=": "=="},
    "cargo": {"": "^", "=": "=="},
}
"""What operators mean that PEP 440 does not have."""


@lru_cache(maxsize=1024)  # dependents require a package with the same text
def parse_clauses(text: str, syntax: Syntax) -> Sequence[Clause]:
    """Return the clauses of a requirement (PEP 508), or of a version constraint in Poetry's or Cargo's syntax.

    There are none if a requirement has a URL or no versions. Clauses of alternatives (`||`) are in one sequence.

    Raises:
        Blocked: The requirement is invalid, or the constraint is not a list of clauses; `*` is none.
    """
    if syntax == "pep508":
        return _clauses_of_pep508_requirement(text)
    clauses = tuple(_clauses_from_matches(_OTHER_CLAUSE.finditer(text), _OPERATORS[syntax]))
    edges = [0, *(edge for clause in clauses for edge in (clause.start, clause.end)), len(text)]
    between = [text[start:end] for start, end in list(pairwise(edges))[::2]]
    if not clauses or not all(_BETWEEN_CLAUSES.fullmatch(gap) for gap in between):
        raise Blocked(
            "metadata-invalid",
            f"{text!r} is not a valid {syntax.title()} version constraint",
            fix='write it like "^1.2" or ">=1.2,<2"',
        )
    return clauses


def _clauses_of_pep508_requirement(text: str) -> Sequence[Clause]:
    """Return the clauses of a requirement; none if it has a URL or no versions.

    Raises:
        Blocked: The requirement is invalid.
    """
    try:
        requirement = Requirement(text)
    except (ValueError, RecursionError) as error:
        raise Blocked(
            "metadata-invalid",
            f"{text!r} is not a valid requirement (PEP 508)",
            fix='write it like "acme>=1.2,<2"',
        ) from error
    name = BEFORE_CLAUSES.match(text)
    if requirement.url or not requirement.specifier or name is None:
        return ()
    end = re.compile(r"[;)]|\Z").search(text, name.end())
    matches = _PEP508_CLAUSE.finditer(text, name.end(), end.start() if end else len(text))
    return tuple(_clauses_from_matches(matches, {}))


def _clauses_from_matches(matches: Iterator[re.Match[str]], operators: Mapping[str, str]) -> Iterator[Clause]:
    """Yield the clause of each match, which has the groups `operator` and `version`.

    `operators` maps operators that PEP 440 does not have, such as `=`, to those that they stand for.
    """
    for match in matches:
        operator = match["operator"]
        lead = match[0][: match.start("version") - match.start()]
        yield Clause(operators.get(operator, operator), lead, match["version"], *match.span())


def requirement_allows(text: str, version: Version, syntax: Syntax = "pep508") -> bool:
    """Return whether a requirement or a constraint, such as `^2.7 || >=3.8,<4`, allows a version.

    One with a URL or without versions allows any. Prereleases in the range are allowed; in Cargo's syntax, only if
    a clause has a prerelease of the same release.

    Raises:
        Blocked: The text is not valid.
    """
    if text.strip() == "*":
        return True
    parts = re.split(r"\|\|?", text) if syntax == "poetry" else [text]
    alternatives = [parse_clauses(part, syntax) for part in parts]
    return any(_all_clauses_allow(clauses, version, syntax) for clauses in alternatives)


def is_satisfied_by(dependency: Dependency, version: Version) -> bool:
    """Return whether a requirement allows a version; False if it is invalid. See `requirement_allows`."""
    try:
        return requirement_allows(dependency.text, version, dependency.syntax)
    except Blocked:
        return False


def _all_clauses_allow(clauses: Sequence[Clause], version: Version, syntax: Syntax) -> bool:
    """Return whether all clauses allow a version; without clauses, any is allowed.

    A prerelease is allowed if it is in the range; in Cargo's syntax, only if a clause has a prerelease of the same
    release.
    """
    if syntax == "cargo" and version.is_prerelease:
        bounds = (clause.version for clause in clauses)
        if not any(bound.is_prerelease and bound.release == version.release for bound in bounds):
            return False
    return all(_clause_allows(clause, version) for clause in clauses)


def _clause_allows(clause: Clause, version: Version) -> bool:
    """Return whether a clause, such as `>=1.2`, allows a version, also if it is a prerelease.

    Raises:
        Blocked: The clause is invalid.
    """
    try:
        return SpecifierSet(_clause_as_specifier(clause)).contains(version, prereleases=True)
    except ValueError as error:
        raise Blocked(
            "metadata-invalid",
            f"{clause.prefix}{clause.version_text} is not a valid version range (PEP 440)",
            fix='write it like ">=1.2,<2"',
        ) from error


def _clause_as_specifier(clause: Clause) -> str:
    """Return the PEP 440 specifier that allows the same versions as a clause, such as `>=1.2,<2` for `^1.2`.

    Raises:
        ValueError: The clause has `^` or `~`, and its text is not a version.
    """
    if clause.version_text.endswith(".*") and clause.operator == "^":  # of Cargo
        return f"=={clause.version_text}"
    match clause.operator:
        case "^":
            # Up to the next change of the leftmost nonzero number, at most of the patch number.
            release = clause.version.release
            last = min(len(release), 3) - 1
            level = next((level for level, number in enumerate(release[:last]) if number), last)
        case "~":
            level = min(len(clause.version.release), 2) - 1
        case _:
            return f"{clause.operator}{clause.version_text}"
    return f">={clause.version_text},<{_start_of_next_series(clause.version, level)}"


def _start_of_next_series(version: Version, level: int, length: int = 0) -> str:
    """Return the first version after the series of a version: 3 for 2.1.3 at level 0, 2.2 at level 1.

    `level` is the index of the number that is raised. Zeros are added until the version has `length` numbers.
    """
    series = (*version.release, *[0] * level)[: level + 1]
    return _format_release(version.epoch, (*series[:-1], series[-1] + 1, *[0] * (length - level - 1)))


def _format_release(epoch: int, release: Sequence[int]) -> str:
    """Format the numbers of a release as a version, with its epoch unless that is 0."""
    return f"{epoch}!" * bool(epoch) + ".".join(map(str, release))


_BARE_REQUIREMENT = r"(?s)\s*[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*(\(\s*\))?\s*(;.*)?"


def requires_dist(package: Package) -> tuple[str, ...] | None:
    """Return the `Requires-Dist` values of a package's archives, or None if the build backend computes them.

    Requirements in extras have the marker `extra == '…'`. Those in other syntax than PEP 508 are left out.
    """
    if package.dynamic is None or {"dependencies", "optional-dependencies"}.intersection(package.dynamic):
        return None
    requirements = []
    for dependency in package.dependencies:
        if dependency.table in ("runtime", "extra") and dependency.syntax == "pep508":
            requirement, separator, marker = dependency.text.partition(";")
            conditions = [f"({marker.strip()})"] if separator else []
            conditions += [f"extra == '{dependency.extra}'"] if dependency.table == "extra" else []
            text = requirement.strip()
            requirements.append(f"{text} ; {' and '.join(conditions)}" if conditions else text)
    return tuple(requirements)


def requires_later_release(dependency: Dependency, version: Version) -> bool:
    """Return whether a requirement asks for a later release than `version`, by a lower bound or a pin.

    Prereleases count as their final release: `>=1.2` does not ask for a later release than `1.2rc1`. A clause with
    `>` that excludes `version` does. A requirement with alternatives (`||`) never does. Clauses with texts that
    are not versions are ignored: after `===`, any text is valid (PEP 440).

    Raises:
        Blocked: The requirement is invalid.
    """
    text = dependency.text
    if "|" in text or text.strip() == "*":
        return False
    for clause in parse_clauses(text, dependency.syntax):
        with suppress(ValueError):
            is_above = Version(clause.version.base_version) > Version(version.base_version)
            if clause.operator not in {"!=", "<", "<="} and is_above:
                return True
            if clause.operator == ">" and not _clause_allows(clause, version):
                return True
    return False


def versions_in_requirement(dependency: Dependency, *operators: str) -> list[Version]:
    """Return the versions in a requirement, in order; an empty list if it is invalid.

    If `operators` are passed, such as `==`, only the versions after these are returned.
    """
    versions = []
    with suppress(Blocked):
        for clause in parse_clauses(dependency.text, dependency.syntax):
            with suppress(ValueError):
                versions += [clause.version] if not operators or clause.operator in operators else []
    return versions


def rewrite_requirement(
    dependency: Dependency,
    new: Version,
    *,
    policy: UpdatePolicy = "out-of-range",
    format_version: Callable[[Version], str] = str,
) -> str | None:
    """Return the text of a requirement for a new version of the package it names, or None if it need not change.

    With the policy `out-of-range`, only a requirement that does not allow the version changes. `always` changes
    the others too, `exact` makes each a pin, and `never` changes none. A requirement without a version, or with a
    URL or `*`, never changes. `format_version` formats full versions; shortened ones (`~=1.2`, `^1.2`, `<2`) keep
    their length and have PEP 440's form.

    Raises:
        Blocked: The text is not a valid requirement, or excludes the new version with `!=` or even after the
            change; or it has alternatives (`^1.2 || ^2.0`), and none allows the version.
    """
    text, syntax = dependency.text, dependency.syntax
    if policy == "never" or text.strip() == "*":
        return None
    if syntax == "poetry" and "|" in text and policy != "exact":
        if requirement_allows(text, new, syntax):
            return None
        raise Blocked(
            "requirement-excludes-version",
            f"{text!r} does not allow {new}",
            fix=f'add " || ^{new}" to the requirement; or [tool.relnox] update-requirements = "exact"',
        )
    clauses = parse_clauses(text, syntax)
    for clause in clauses:
        if clause.operator == "!=" and not _clause_allows(clause, new):
            raise Blocked(
                "requirement-excludes-version",
                f"{text!r} excludes {new} ({clause.prefix}{clause.version_text})",
                fix="remove that clause from the requirement; or release another version: --to VERSION",
            )
    if not clauses or (_all_clauses_allow(clauses, new, syntax) and policy == "out-of-range"):
        return None
    if policy == "exact":
        new_text = _pin_requirement(text, clauses, new, format_version)
    else:
        is_exact = syntax == "cargo" and new.is_prerelease  # a shortened version would not allow it
        new_text = replace_spans(
            text,
            (
                (clause.start, clause.end, _updated_clause(clause, new, format_version, is_exact=is_exact))
                for clause in clauses
            ),
        )
    if new_text == text:
        return None
    if not _all_clauses_allow(parse_clauses(new_text, syntax), new, syntax):
        raise Blocked(
            "requirement-excludes-version",
            f"{text!r} excludes {new}, and so does {new_text!r}",
            fix=f"edit the requirement by hand so that it allows {new}",
        )
    return new_text


def _pin_requirement(
    text: str, clauses: Sequence[Clause], new: Version, format_version: Callable[[Version], str]
) -> str:
    """Return a requirement in which `==` and the new version replace all clauses.

    It stays unchanged if its only clause is a pin (`==` or `===`) that allows the version.
    """
    first, *others = clauses
    if (
        not others
        and first.operator in {"==", "==="}
        and "*" not in first.version_text
        and _clause_allows(first, new)
    ):
        return text
    end = others[-1].end if others else first.end
    space = first.prefix[len(first.prefix.rstrip()) :]
    return f"{text[: first.start]}=={space}{format_version(Version(new.public))}{text[end:]}"


def _updated_clause(
    clause: Clause, new: Version, format_version: Callable[[Version], str], *, is_exact: bool
) -> str:
    """Return the text of a clause for the new version; its operator stays, except that `>` becomes `>=`.

    `!=` and upper bounds that allow the version do not change. With `is_exact`, the version is not shortened.
    """
    # A local segment is valid after == only, and would exclude every other build there.
    public = Version(new.public)
    lead = clause.prefix
    match clause.operator:
        case "!=":
            version = clause.version_text
        case "<" | "<=" if _clause_allows(clause, new):
            version = clause.version_text
        case "<":
            version = _upper_bound_above(clause.version_text, public)
        case "===":  # compares strings
            version = str(new)
        case "==" | "^" if clause.version_text.endswith(".*") and not is_exact:
            version = _release_with_length_of_clause(public, clause) + ".*"
        case "~=" | "^" | "~" if not is_exact:
            version = _version_for_compatible_clause(public, clause)
        case ">":  # would exclude the new version itself
            lead = lead.replace(">", ">=")
            version = format_version(public)
        case _:
            version = clause.version_text if clause.version in {new, public} else format_version(public)
    return lead + version


def _release_with_length_of_clause(new: Version, clause: Clause) -> str:
    """Return the epoch and release of the new version, cut or padded to as many numbers as the clause has."""
    length = len(clause.version.release)
    return _format_release(new.epoch, (*new.release, *[0] * length)[:length])


def _version_for_compatible_clause(new: Version, clause: Clause) -> str:
    """Return the version to write in a `~=`, `^` or `~` clause, so that it allows the new version.

    It has as many numbers as before, and the suffix of a prerelease where it would else be above the new version:
    `2.0a1`, not `2.0`, for `2.0.0a1`.
    """
    version = _release_with_length_of_clause(new, clause)
    if Version(version) > new:  # 2.0 is too high for 2.0.0a1
        version += new.public.removeprefix(new.base_version)
    return clause.version_text if clause.version == Version(version) else version


def _upper_bound_above(bound: str, new: Version) -> str:
    """Return an upper bound (`2`, `1.3.0`, `2.0.dev0`) raised above the new version, of the same length and level.

    The level is the position of the last nonzero number: `<2.0.0` ends a major series, `<1.3.0` a minor one.
    """
    release = Version(bound).release
    level = max((level for level, number in enumerate(release) if number), default=0)
    numbers = re.match(r"v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*", bound, re.IGNORECASE)
    suffix = bound[numbers.end() :] if numbers else ""
    return _start_of_next_series(new, level, len(release)) + suffix


def unbounded_sibling_requirements(packages: Iterable[Package], workspace: Workspace) -> list[str]:
    """Return each requirement on another package of the workspace that has no version, as `PACKAGE on REQUIRED`.

    `packages` are those whose requirements are checked. Only published requirements count: those of packages that
    are not private, at run time or in extras.
    """
    return [
        f"{package.name} on {dependency.name}"
        for package in packages
        if not package.is_private
        for dependency in package.dependencies
        if dependency.table in ("runtime", "extra")
        and dependency.name in workspace.by_name
        and dependency.name != package.name
        if dependency.key
        and re.fullmatch(_BARE_REQUIREMENT if dependency.syntax == "pep508" else r"\s*\*\s*", dependency.text)
    ]


def unbounded_sibling_warnings(packages: Iterable[Package], workspace: Workspace) -> Iterator[str]:
    """Yield one warning, as text, if published requirements on other packages of the workspace have no version."""
    if requirements := unbounded_sibling_requirements(packages, workspace):
        yield (
            f"requirements on siblings without a version: {join_names(requirements)}; add one such as >=1.2, so "
            "that an installer finds a version that fits"
        )


def transitive_dependencies_among(requires: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Map each package to the other packages among `requires` that it needs, directly or indirectly.

    `requires` maps normalized names of packages to `Requires-Dist` values; invalid values are ignored. Extras of a
    package count where a requirement asks for them; other conditions in markers are taken as true.
    """
    edges: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for package, texts in requires.items():
        for text in texts:
            with suppress(InvalidRequirement, RecursionError):
                requirement = Requirement(text)
                name = normalize_name(requirement.name)
                marker = str(requirement.marker or "")
                own_extras = _EXTRA.findall(marker) if "extra" in marker else [""]
                for extra in map(normalize_name, own_extras):
                    needed = ((name, normalize_name(other)) for other in ("", *requirement.extras))
                    edges.setdefault((package, extra), set()).update(needed)
    names = {package: {name for name, _ in graph.reachable_names([(package, "")], edges)} for package in requires}
    return {package: frozenset(names[package] & requires.keys()) - {package} for package in requires}
