"""Rewriting of requirements for a new version of the package they name.

Only the version numbers inside the requirement change, and they keep their form: a pin stays a pin, `~=1.2` keeps
its length, `<2` stays a bound on the major version. Extras, markers, spacing and parentheses stay as they are.

Whether a version is in range is decided by PEP 440, prereleases included: a workspace that is bumped to `2.0.0a1`
needs dependents that accept `2.0.0a1`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core.dependencies.siblings import is_unbounded
from relnox.core.records import Record
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from relnox.core.packages import Dependency, Package

__all__ = [
    "Policy",
    "Siblings",
    "add_bound",
    "lower_bound",
    "poetry_allows",
    "requires_dist",
    "rewrite",
    "rewrite_poetry",
]

Siblings: TypeAlias = Literal["keep", "at-least", "compatible", "exact"]
"""The bound that a requirement on a sibling gets if it names no version; `keep` adds none."""

_BOUNDS = {"at-least": ">=", "compatible": "~=", "exact": "=="}

Policy: TypeAlias = Literal["out-of-range", "always", "exact", "never"]
"""When a requirement is rewritten, and how.

- `out-of-range`: if it excludes the new version; its lower bounds are then raised, too.
- `always`: pins and lower bounds always become the new version; upper bounds are raised if necessary.
- `exact`: any range becomes `==` the new version.
- `never`: not at all.

A requirement without a version stays without one under every policy.
"""


def requires_dist(package: Package) -> tuple[str, ...] | None:
    """Return a package's future `Requires-Dist`, extras with their markers; None if its backend determines it."""
    if package.dynamic is None or {"dependencies", "optional-dependencies"}.intersection(package.dynamic):
        return None
    requirements = []
    for need in package.dependencies:
        if need.table in ("runtime", "extra") and not need.poetry:
            requirement, separator, marker = need.text.partition(";")
            conditions = [f"({marker.strip()})"] if separator else []
            conditions += [f"extra == '{need.extra}'"] if need.table == "extra" else []
            text = requirement.strip()
            requirements.append(f"{text} ; {' and '.join(conditions)}" if conditions else text)
    return tuple(requirements)


def add_bound(
    need: Dependency, version: Version, siblings: Siblings, format_version: Callable[[Version], str] = str
) -> str | None:
    """Add a bound to a requirement without a version; None if it has one, or the policy adds none."""
    if siblings == "keep" or not is_unbounded(need):
        return None
    public = Version(version.public)
    text = format_version(public)
    if siblings == "compatible" and len(public.release) == 1:
        text = f"{text.partition('.')[0]}.0" if public == Version(public.base_version) else f">={text}"
    bound = text if text.startswith(">=") else f"{_BOUNDS[siblings]}{text}"
    if need.poetry:
        return bound
    name = _BEFORE_CLAUSES.match(need.text)
    end = len(name[0].rstrip()) if name is not None else 0
    return f"{need.text[:end]}{bound}{need.text[end:]}" if end else None


def lower_bound(need: Dependency) -> Version | None:
    """Return the greatest version among a requirement's lower bounds and pins; None if it has none."""
    text = need.text
    if need.poetry and ("|" in text or text.strip() == "*"):
        return None
    clauses = _poetry_clauses(text) if need.poetry else _pep508_clauses(text)
    return max((clause.parsed for clause in clauses if clause.operator not in {"!=", "<", "<="}), default=None)


def rewrite(
    text: str,
    new: Version,
    *,
    policy: Policy = "out-of-range",
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
        Blocked: The text is not a requirement, it excludes the new version with `!=`, or would still exclude it
            after the change.
    """
    if policy == "never":
        return None
    return _rewritten(text, _pep508_clauses, new, policy, format_version)


def rewrite_poetry(
    constraint: str,
    new: Version,
    *,
    policy: Policy = "out-of-range",
    format_version: Callable[[Version], str] = str,
) -> str | None:
    """Rewrite a version constraint in Poetry's own syntax for a new version of the package.

    Carets and tildes keep their length and have Poetry's meaning, below 1.0 as well; a bare `1.2.3` is a pin; `*`
    stays. The grammar is that of Poetry's "Dependency specification".

    Args:
        constraint: A constraint from a Poetry table: `^1.2`, `~1.2`, `>=1,<2`, `1.2.*`, `1.2.3`, `*`.
        new: As for `rewrite`.
        policy: As for `rewrite`.
        format_version: As for `rewrite`.

    Returns:
        The new constraint, which allows the new version, or None if nothing has to change.

    Raises:
        Blocked: As for `rewrite`, or none of several alternatives (`^1.2 || ^2.0`) allows the new version: it is
            ambiguous which of them to change.
    """
    if policy == "never" or constraint.strip() == "*":
        return None
    if "|" in constraint and policy != "exact":
        alternatives = [_poetry_clauses(part) for part in re.split(r"\|\|?", constraint)]
        if any(all(_allows(clause, new) for clause in clauses) for clauses in alternatives):
            return None
        raise Blocked(
            "requirement-excludes-version",
            f"no alternative of {constraint!r} allows {new}",
            fix='add an alternative by hand, or set [tool.relnox] update-requirements = "exact"',
        )
    return _rewritten(constraint, _poetry_clauses, new, policy, format_version)


def poetry_allows(constraint: str, version: Version) -> bool:
    """Return whether a constraint in Poetry's syntax, such as `^3.9` or `^2.7 || >=3.8,<4`, allows a version.

    Raises:
        Blocked: The text is not a valid constraint.
    """
    if constraint.strip() == "*":
        return True
    alternatives = (_poetry_clauses(part) for part in re.split(r"\|\|?", constraint))
    return any(all(_allows(clause, version) for clause in clauses) for clauses in alternatives)


# --- reading ---------------------------------------------------------------------------------------


class _Clause(Record):
    """One comparison in a requirement, with its position."""

    operator: str  # of PEP 440, or Poetry's ^ and ~; Poetry's bare version is a ==
    lead: str  # the operator as written, with the space after it
    version: str
    start: int
    end: int

    @property
    def parsed(self) -> Version:
        return Version(self.version.removesuffix(".*"))


_BEFORE_CLAUSES = re.compile(r"\s*[A-Za-z0-9][\w.-]*\s*(?:\[[^\]]*\])?\s*\(?")
_PEP508_CLAUSE = re.compile(r"(?P<operator>===|==|~=|!=|<=|>=|<|>)\s*(?P<version>[^\s,;)]+)")
_POETRY_CLAUSE = re.compile(r"(?P<operator>\^|==?|~=?|!=|<=?|>=?|)\s*(?P<version>v?[0-9][\w.!+*-]*)")
_BETWEEN_POETRY_CLAUSES = re.compile(r"[\s,|]*")


@lru_cache(maxsize=1024)  # a workspace repeats its requirements
def _pep508_clauses(text: str) -> Sequence[_Clause]:
    try:
        requirement = Requirement(text)
    except (ValueError, RecursionError) as error:
        raise Blocked(
            "requirement-invalid",
            f"{text!r} is not a valid requirement (PEP 508)",
            fix='write it like "acme>=1.2,<2"',
        ) from error
    name = _BEFORE_CLAUSES.match(text)
    if requirement.url or not requirement.specifier or name is None:
        return ()
    end = re.compile(r"[;)]|\Z").search(text, name.end())
    return tuple(_clauses(_PEP508_CLAUSE.finditer(text, name.end(), end.start() if end else len(text))))


def _poetry_clauses(text: str) -> Sequence[_Clause]:
    clauses = tuple(_clauses(_POETRY_CLAUSE.finditer(text)))
    edges = [0, *(edge for clause in clauses for edge in (clause.start, clause.end)), len(text)]
    between = [text[start:end] for start, end in list(pairwise(edges))[::2]]
    if not clauses or not all(_BETWEEN_POETRY_CLAUSES.fullmatch(gap) for gap in between):
        raise Blocked(
            "requirement-invalid",
            f"{text!r} is not a valid Poetry version constraint",
            fix='write it like "^1.2" or ">=1.2,<2"',
        )
    return clauses


def _clauses(matches: Iterator[re.Match[str]]) -> Iterator[_Clause]:
    for match in matches:
        operator = match["operator"]
        lead = match[0][: match.start("version") - match.start()]
        yield _Clause("==" if operator in {"", "="} else operator, lead, match["version"], *match.span())


def _allows(clause: _Clause, version: Version) -> bool:
    try:
        return SpecifierSet(_limits(clause)).contains(version, prereleases=True)
    except ValueError as error:
        raise Blocked(
            "requirement-invalid",
            f"{clause.lead}{clause.version} is not a valid version range (PEP 440)",
            fix='write it like ">=1.2,<2"',
        ) from error


def _limits(clause: _Clause) -> str:
    """Express a clause in PEP 440's operators."""
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
    return f">={clause.version},<{_series_after(clause.parsed, level)}"


# --- writing ---------------------------------------------------------------------------------------


def _rewritten(
    text: str,
    clauses_of: Callable[[str], Sequence[_Clause]],
    new: Version,
    policy: Policy,
    format_version: Callable[[Version], str],
) -> str | None:
    clauses = clauses_of(text)
    allowed = [_allows(clause, new) for clause in clauses]
    for clause, is_allowed in zip(clauses, allowed, strict=True):
        if clause.operator == "!=" and not is_allowed:
            raise Blocked(
                "requirement-excludes-version",
                f"{text!r} excludes {new} ({clause.lead}{clause.version})",
                fix="remove that clause from the requirement, or release another version",
            )
    if not clauses or (policy == "out-of-range" and all(allowed)):
        return None
    if policy == "exact":
        changed = _pinned(text, clauses, new, format_version)
    else:
        changed = text
        for clause in reversed(clauses):  # from the end, so that the earlier offsets stay valid
            changed = changed[: clause.start] + _updated(clause, new, format_version) + changed[clause.end :]
    if changed == text:
        return None
    if not all(_allows(clause, new) for clause in clauses_of(changed)):
        raise Blocked(
            "requirement-excludes-version",
            f"{text!r} excludes {new}, and so does {changed!r}",
            fix="change the requirement by hand",
        )
    return changed


def _pinned(text: str, clauses: Sequence[_Clause], new: Version, format_version: Callable[[Version], str]) -> str:
    """Replace the whole range with a pin."""
    first, *others = clauses
    if not others and first.operator in {"==", "==="} and "*" not in first.version and _allows(first, new):
        return text
    end = others[-1].end if others else first.end
    space = first.lead[len(first.lead.rstrip()) :]
    return f"{text[: first.start]}=={space}{format_version(Version(new.public))}{text[end:]}"


def _updated(clause: _Clause, new: Version, format_version: Callable[[Version], str]) -> str:
    """Return the same kind of clause for the new version."""
    # A local segment is valid after == only, and would exclude every other build there.
    public = Version(new.public)
    lead = clause.lead
    match clause.operator:
        case "!=":
            version = clause.version
        case "<" | "<=" if _allows(clause, new):
            version = clause.version
        case "<":
            version = _raised(clause.version, public)
        case "===":  # compares strings
            version = str(new)
        case "==" if clause.version.endswith(".*"):
            version = _of_length(public, clause) + ".*"
        case "~=" | "^" | "~":
            version = _shortened(public, clause)
        case ">":  # would exclude the new version itself
            lead = lead.replace(">", ">=")
            version = format_version(public)
        case _:
            version = clause.version if clause.parsed in {new, public} else format_version(public)
    return lead + version


def _of_length(new: Version, clause: _Clause) -> str:
    """Return the release of a version with its epoch, with as many numbers as the clause has."""
    length = len(clause.parsed.release)
    return _join(new.epoch, (*new.release, *[0] * length)[:length])


def _shortened(new: Version, clause: _Clause) -> str:
    """Return the lowest version with the clause's length whose series contains the new version."""
    version = _of_length(new, clause)
    if Version(version) > new:  # 2.0 is too high for 2.0.0a1
        version += new.public.removeprefix(new.base_version)
    return clause.version if clause.parsed == Version(version) else version


def _raised(bound: str, new: Version) -> str:
    """Raise an upper bound (`2`, `1.3.0`, `2.0.dev0`) above the new version, with its length and level.

    The level is the last number that is not zero: `<2.0.0` ends a major series, `<1.3.0` a minor one.
    """
    release = Version(bound).release
    level = max((level for level, number in enumerate(release) if number), default=0)
    numbers = re.match(r"v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*", bound, re.IGNORECASE)
    suffix = bound[numbers.end() :] if numbers else ""
    return _series_after(new, level, len(release)) + suffix


def _series_after(version: Version, level: int, length: int = 0) -> str:
    """Return the start of the series after a version's: 2.1.3 at level 1 gives 2.2, padded to a length."""
    series = (*version.release, *[0] * level)[: level + 1]
    return _join(version.epoch, (*series[:-1], series[-1] + 1, *[0] * (length - level - 1)))


def _join(epoch: int, release: Sequence[int]) -> str:
    return f"{epoch}!" * bool(epoch) + ".".join(map(str, release))
