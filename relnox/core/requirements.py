"""Requirements on packages: their clauses, what they allow, and rewriting them for a new version of the package.

Only the version numbers inside the requirement change, and they keep their form: a pin stays a pin, `~=1.2` keeps
its length, `<2` stays a bound on the major version. Extras, markers, spacing and parentheses stay as they are.

Whether a version is in range is decided by PEP 440, with prereleases allowed: if a workspace is bumped to
`2.0.0a1`, its dependents must accept `2.0.0a1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import pairwise

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core.packages import Dependency, Package, normalize_name
from relnox.core.records import Record
from relnox.core.settings.config import UpdatePolicy
from relnox.core.text import join_names, replace_spans
from relnox.core.workspace import Workspace
from relnox.errors import Blocked


class Clause(Record):
    """One comparison with a version in a requirement, such as `>=1.2`, and its position.

    Attributes:
        operator: An operator of PEP 440, or Poetry's `^` or `~`; `==` for a bare version of Poetry.
        prefix: The operator and the space after it, as written.
        version: The version as written.
        start: Offset of the operator in the requirement.
        end: Offset of the end of the version.
    """

    operator: str
    prefix: str
    version: str
    start: int
    end: int

    @property
    def parsed(self) -> Version:
        """The parsed version, without a wildcard (`.*`) at its end."""
        return Version(self.version.removesuffix(".*"))


BEFORE_CLAUSES = re.compile(r"\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*\(?")
_PEP508_CLAUSE = re.compile(r"(?P<operator>===|==|~=|!=|<=|>=|<|>)\s*(?P<version>[^\s,;)]+)")
_POETRY_CLAUSE = re.compile(r"(?P<operator>\^|==?|~=?|!=|<=?|>=?|)\s*(?P<version>v?[0-9][\w.!+*-]*)")
_BETWEEN_POETRY_CLAUSES = re.compile(r"[\s,|]*")


@lru_cache(maxsize=1024)  # dependents require a package with the same text
def parse_pep508_clauses(text: str) -> Sequence[Clause]:
    """Return the clauses of a PEP 508 requirement; there are none if it has a URL.

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
    return tuple(
        _clauses_from_matches(_PEP508_CLAUSE.finditer(text, name.end(), end.start() if end else len(text)))
    )


def parse_poetry_clauses(text: str) -> Sequence[Clause]:
    """Return the clauses of a version constraint in Poetry's syntax.

    Raises:
        Blocked: The constraint is invalid, or has no clauses.
    """
    clauses = tuple(_clauses_from_matches(_POETRY_CLAUSE.finditer(text)))
    edges = [0, *(edge for clause in clauses for edge in (clause.start, clause.end)), len(text)]
    between = [text[start:end] for start, end in list(pairwise(edges))[::2]]
    if not clauses or not all(_BETWEEN_POETRY_CLAUSES.fullmatch(gap) for gap in between):
        raise Blocked(
            "metadata-invalid",
            f"{text!r} is not a valid Poetry version constraint",
            fix='write it like "^1.2" or ">=1.2,<2"',
        )
    return clauses


def _clauses_from_matches(matches: Iterator[re.Match[str]]) -> Iterator[Clause]:
    for match in matches:
        operator = match["operator"]
        lead = match[0][: match.start("version") - match.start()]
        yield Clause("==" if operator in {"", "="} else operator, lead, match["version"], *match.span())


def poetry_allows(constraint: str, version: Version) -> bool:
    """Return whether a constraint in Poetry's syntax, such as `^3.9` or `^2.7 || >=3.8,<4`, allows a version.

    Raises:
        Blocked: The text is not a valid constraint.
    """
    if constraint.strip() == "*":
        return True
    alternatives = [parse_poetry_clauses(part) for part in re.split(r"\|\|?", constraint)]
    return any(all(clause_allows(clause, version) for clause in clauses) for clauses in alternatives)


def clause_allows(clause: Clause, version: Version) -> bool:
    """Return whether a clause allows a version, which may be a prerelease.

    Raises:
        Blocked: The clause is invalid.
    """
    try:
        return SpecifierSet(_clause_as_specifier(clause)).contains(version, prereleases=True)
    except ValueError as error:
        raise Blocked(
            "metadata-invalid",
            f"{clause.prefix}{clause.version} is not a valid version range (PEP 440)",
            fix='write it like ">=1.2,<2"',
        ) from error


def _clause_as_specifier(clause: Clause) -> str:
    """Return the PEP 440 specifier that allows the same versions as a clause."""
    match clause.operator:
        case "^":
            # Up to the next change of the leftmost nonzero number, at most of the patch number.
            release = clause.parsed.release
            last = min(len(release), 3) - 1
            level = next((level for level, number in enumerate(release[:last]) if number), last)
        case "~":
            level = min(len(clause.parsed.release), 2) - 1
        case _:
            return f"{clause.operator}{clause.version}"
    return f">={clause.version},<{next_series(clause.parsed, level)}"


def next_series(version: Version, level: int, length: int = 0) -> str:
    """Return the start of the next series, padded with zeros to `length` numbers: 2.2 for 2.1.3 at level 1."""
    series = (*version.release, *[0] * level)[: level + 1]
    return format_release(version.epoch, (*series[:-1], series[-1] + 1, *[0] * (length - level - 1)))


def format_release(epoch: int, release: Sequence[int]) -> str:
    """Format the numbers of a release as a version, with its epoch unless that is 0."""
    return f"{epoch}!" * bool(epoch) + ".".join(map(str, release))


_BARE_REQUIREMENT = r"(?s)\s*[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*(\(\s*\))?\s*(;.*)?"


def requires_dist(package: Package) -> tuple[str, ...] | None:
    """Return the `Requires-Dist` values that a package's archives will have.

    Requirements in extras have the marker `extra == '…'`. Return None if the build backend computes the values.
    """
    if package.dynamic is None or {"dependencies", "optional-dependencies"}.intersection(package.dynamic):
        return None
    requirements = []
    for dependency in package.dependencies:
        if dependency.table in ("runtime", "extra") and not dependency.is_poetry_syntax:
            requirement, separator, marker = dependency.text.partition(";")
            conditions = [f"({marker.strip()})"] if separator else []
            conditions += [f"extra == '{dependency.extra}'"] if dependency.table == "extra" else []
            text = requirement.strip()
            requirements.append(f"{text} ; {' and '.join(conditions)}" if conditions else text)
    return tuple(requirements)


def highest_lower_bound(dependency: Dependency) -> Version | None:
    """Return the highest version among a requirement's lower bounds and pins; None if it has none.

    Texts that are not versions are left out: `===` compares strings, so that any text is valid there (PEP 440).
    """
    text = dependency.text
    if dependency.is_poetry_syntax and ("|" in text or text.strip() == "*"):
        return None
    clauses = parse_poetry_clauses(text) if dependency.is_poetry_syntax else parse_pep508_clauses(text)
    bounds: list[Version] = []
    for clause in clauses:
        with suppress(ValueError):
            bounds += [clause.parsed] if clause.operator not in {"!=", "<", "<="} else []
    return max(bounds, default=None)


def rewrite_pep508(
    text: str,
    new: Version,
    *,
    policy: UpdatePolicy = "out-of-range",
    format_version: Callable[[Version], str] = str,
) -> str | None:
    """Rewrite a PEP 508 requirement for a new version of the package it names.

    Args:
        text: The requirement. One with a URL (PEP 508's `name @ https://…`) names no version and stays.
        new: The new version of the package; its local segment is left out.
        policy: When the requirement is rewritten.
        format_version: Formats a full version for this project; shortened ones (`~=1.2`, `<2`) are written as in
            PEP 440.

    Returns:
        The new requirement, which allows the new version, or None if nothing has to change.

    Raises:
        Blocked: The text is not a valid requirement, excludes the new version with `!=`, or would exclude it even
            after the change.
    """
    if policy == "never":
        return None
    return _rewrite_clauses(text, parse_pep508_clauses, new, policy, format_version)


def rewrite_poetry(
    constraint: str,
    new: Version,
    *,
    policy: UpdatePolicy = "out-of-range",
    format_version: Callable[[Version], str] = str,
) -> str | None:
    """Rewrite a version constraint in Poetry's own syntax for a new version of the package.

    Versions after `^` and `~` keep their length, and these operators have Poetry's meaning, also below 1.0. A bare
    `1.2.3` is a pin, and `*` is not changed. The grammar is that of Poetry's "Dependency specification".

    The arguments and the result are those of `rewrite_pep508`.

    Raises:
        Blocked: As for `rewrite_pep508`; or the constraint has alternatives (`^1.2 || ^2.0`), and none of them
            allows the new version, so that it is ambiguous which one to change.
    """
    if policy == "never" or constraint.strip() == "*":
        return None
    if "|" in constraint and policy != "exact":
        if poetry_allows(constraint, new):
            return None
        raise Blocked(
            "requirement-excludes-version",
            f"{constraint!r} does not allow {new}",
            fix=f'add " || ^{new}" to the requirement, or set [tool.relnox] update-requirements = "exact"',
        )
    return _rewrite_clauses(constraint, parse_poetry_clauses, new, policy, format_version)


def _rewrite_clauses(
    text: str,
    clauses_of: Callable[[str], Sequence[Clause]],
    new: Version,
    policy: UpdatePolicy,
    format_version: Callable[[Version], str],
) -> str | None:
    """Do the work of `rewrite_pep508` and `rewrite_poetry`; `clauses_of` parses the syntax."""
    clauses = clauses_of(text)
    allows_new = [clause_allows(clause, new) for clause in clauses]
    for clause, is_allowed in zip(clauses, allows_new, strict=True):
        if clause.operator == "!=" and not is_allowed:
            raise Blocked(
                "requirement-excludes-version",
                f"{text!r} excludes {new} ({clause.prefix}{clause.version})",
                fix="remove that clause from the requirement, or release another version",
            )
    if not clauses or (policy == "out-of-range" and all(allows_new)):
        return None
    if policy == "exact":
        new_text = _pin_requirement(text, clauses, new, format_version)
    else:
        new_text = replace_spans(
            text, ((clause.start, clause.end, _update_clause(clause, new, format_version)) for clause in clauses)
        )
    if new_text == text:
        return None
    if not all(clause_allows(clause, new) for clause in clauses_of(new_text)):
        raise Blocked(
            "requirement-excludes-version",
            f"{text!r} excludes {new}, and so does {new_text!r}",
            fix="change the requirement by hand",
        )
    return new_text


def _pin_requirement(
    text: str, clauses: Sequence[Clause], new: Version, format_version: Callable[[Version], str]
) -> str:
    """Return the requirement with its whole version range replaced by a pin to the new version."""
    first, *others = clauses
    if not others and first.operator in {"==", "==="} and "*" not in first.version and clause_allows(first, new):
        return text
    end = others[-1].end if others else first.end
    space = first.prefix[len(first.prefix.rstrip()) :]
    return f"{text[: first.start]}=={space}{format_version(Version(new.public))}{text[end:]}"


def _update_clause(clause: Clause, new: Version, format_version: Callable[[Version], str]) -> str:
    """Return the text of a clause for the new version; the operator stays, except that `>` becomes `>=`."""
    # A local segment is valid after == only, and would exclude every other build there.
    public = Version(new.public)
    lead = clause.prefix
    match clause.operator:
        case "!=":
            version = clause.version
        case "<" | "<=" if clause_allows(clause, new):
            version = clause.version
        case "<":
            version = _raise_upper_bound(clause.version, public)
        case "===":  # compares strings
            version = str(new)
        case "==" if clause.version.endswith(".*"):
            version = _truncate_to_same_precision(public, clause) + ".*"
        case "~=" | "^" | "~":
            version = _truncate_to_clause(public, clause)
        case ">":  # would exclude the new version itself
            lead = lead.replace(">", ">=")
            version = format_version(public)
        case _:
            version = clause.version if clause.parsed in {new, public} else format_version(public)
    return lead + version


def _truncate_to_same_precision(new: Version, clause: Clause) -> str:
    """Return the epoch and release of the new version, cut or padded to as many numbers as the clause has."""
    length = len(clause.parsed.release)
    return format_release(new.epoch, (*new.release, *[0] * length)[:length])


def _truncate_to_clause(new: Version, clause: Clause) -> str:
    """Return the version for a `~=`, `^` or `~` clause: as many numbers as before, not above the new version."""
    version = _truncate_to_same_precision(new, clause)
    if Version(version) > new:  # 2.0 is too high for 2.0.0a1
        version += new.public.removeprefix(new.base_version)
    return clause.version if clause.parsed == Version(version) else version


def _raise_upper_bound(bound: str, new: Version) -> str:
    """Raise an upper bound (`2`, `1.3.0`, `2.0.dev0`) above the new version, with the same length and level.

    The level is the position of the last nonzero number: `<2.0.0` ends a major series, `<1.3.0` a minor one.
    """
    release = Version(bound).release
    level = max((level for level, number in enumerate(release) if number), default=0)
    numbers = re.match(r"v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*", bound, re.IGNORECASE)
    suffix = bound[numbers.end() :] if numbers else ""
    return next_series(new, level, len(release)) + suffix


def is_unbounded(dependency: Dependency) -> bool:
    """Return whether a requirement has neither a version nor a URL."""
    return (
        dependency.text.strip() == "*"
        if dependency.is_poetry_syntax
        else re.fullmatch(_BARE_REQUIREMENT, dependency.text) is not None
    )


def unbounded_sibling_warnings(packages: Iterable[Package], workspace: Workspace) -> Iterator[str]:
    """Yield a warning that lists the requirements of published packages on siblings without a version, if any."""
    requirements = [
        f"{package.name} on {dependency.name}"
        for package in packages
        if not package.is_private
        for dependency in package.dependencies
        if dependency.table in ("runtime", "extra")
        and dependency.name in workspace.by_name
        and dependency.name != package.name
        if dependency.key and is_unbounded(dependency)
    ]
    if requirements:
        yield (
            f"requirements on siblings without a version: {join_names(requirements)}; add one such as >=1.2, so "
            "that an installer finds a version that fits"
        )


def required_names(requires: Iterable[str]) -> frozenset[str]:
    """Return the names of the distributions that `Requires-Dist` values require without any extra.

    Invalid requirements are ignored, since the checks of archives report them.
    """
    names = set()
    for text in requires:
        with suppress(InvalidRequirement, RecursionError):
            requirement = Requirement(text)
            if requirement.marker is None or "extra" not in str(requirement.marker):
                names.add(normalize_name(requirement.name))
    return frozenset(names)
