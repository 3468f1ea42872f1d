"""How a dependent's requirement follows the package it names to a new version.

Only the version numbers inside the requirement change, and only in the shape their author gave them: a
pin stays a pin, `~=1.2` keeps its length, `<2` stays a bound on the major version. Extras, markers,
spacing and parentheses stay as they are.

Whether a version is in range is asked as PEP 440 asks it, prereleases included: a workspace that moves to
`2.0.0a1` needs dependents that accept `2.0.0a1`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, TypeAlias

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core.records import Record
from relnox.core.siblings import is_unbounded
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
"""What a requirement on a package of the same workspace gets that names no version: nothing, or a bound."""

_BOUNDS = {"at-least": ">=", "compatible": "~=", "exact": "=="}

Policy: TypeAlias = Literal["out-of-range", "always", "exact", "never"]
"""When a requirement follows, and how.

- `out-of-range`: when it excludes the new version; then its lower ends move, too.
- `always`: pins and lower ends name the new version every time; upper ends move when they have to.
- `exact`: whatever range there was becomes `==` the new version.
- `never`: not at all.

A requirement without any version stays without one under each of them.
"""


def requires_dist(package: Package) -> tuple[str, ...] | None:
    """What a package's `Requires-Dist` will be, extras with their markers; None where its backend decides."""
    if package.dynamic is None or {"dependencies", "optional-dependencies"}.intersection(package.dynamic):
        return None
    found = []
    for need in package.dependencies:
        if need.table in ("runtime", "extra") and not need.poetry:
            stated, separator, marker = need.text.partition(";")
            conditions = [f"({marker.strip()})"] if separator else []
            conditions += [f"extra == '{need.extra}'"] if need.table == "extra" else []
            found.append(f"{stated.strip()} ; {' and '.join(conditions)}" if conditions else stated.strip())
    return tuple(found)


def add_bound(
    need: Dependency, version: Version, siblings: Siblings, scheme_spelling: Callable[[Version], str] = str
) -> str | None:
    """A bare requirement with a bound on a version; None where the policy adds none or it is not bare."""
    if siblings == "keep" or not is_unbounded(need):
        return None
    public = Version(version.public)
    written = scheme_spelling(public)
    if siblings == "compatible" and len(public.release) == 1:
        written = f"{written.partition('.')[0]}.0" if public == Version(public.base_version) else f">={written}"
    bound = written if written.startswith(">=") else f"{_BOUNDS[siblings]}{written}"
    if need.poetry:
        return bound
    before = _BEFORE_CLAUSES.match(need.text)
    end = len(before[0].rstrip()) if before is not None else 0
    return f"{need.text[:end]}{bound}{need.text[end:]}" if end else None


def lower_bound(need: Dependency) -> Version | None:
    """The greatest version that a requirement's lower ends and pins name; None for one without any."""
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
    scheme_spelling: Callable[[Version], str] = str,
) -> str | None:
    """A PEP 508 requirement after the package it names has moved to a new version.

    Args:
        text: The requirement. One with a URL (PEP 508's `name @ https://…`) names no version and stays.
        new: The version that the package moves to; a local segment is left out of what is written.
        policy: When the requirement follows.
        scheme_spelling: How a full version is spelled in this project; shortened ones (`~=1.2`, `<2`) are
            spelled as in PEP 440.

    Returns:
        The new requirement, which admits the new version, or None when nothing has to change.

    Raises:
        Blocked: The text is not a requirement, it excludes the new version with `!=`, or it still would
            exclude it after the change.
    """
    if policy == "never":
        return None
    return _followed(text, _pep508_clauses, new, policy, scheme_spelling)


def rewrite_poetry(
    constraint: str,
    new: Version,
    *,
    policy: Policy = "out-of-range",
    scheme_spelling: Callable[[Version], str] = str,
) -> str | None:
    """A version constraint of poetry's own after the package has moved to a new version.

    Carets and tildes keep their length and mean what they mean to poetry, below 1.0 as well; a bare
    `1.2.3` is a pin; `*` stays. The grammar is that of poetry's "Dependency specification".

    Args:
        constraint: What stands in a poetry table: `^1.2`, `~1.2`, `>=1,<2`, `1.2.*`, `1.2.3`, `*`.
        new: As for `rewrite`.
        policy: As for `rewrite`.
        scheme_spelling: As for `rewrite`.

    Returns:
        The new constraint, which admits the new version, or None when nothing has to change.

    Raises:
        Blocked: As for `rewrite`, or none of several alternatives (`^1.2 || ^2.0`) admits the new version:
            which of them should move is not ours to say.
    """
    if policy == "never" or constraint.strip() == "*":
        return None
    if "|" in constraint and policy != "exact":
        alternatives = [_poetry_clauses(part) for part in re.split(r"\|\|?", constraint)]
        if any(all(_admits(clause, new) for clause in clauses) for clauses in alternatives):
            return None
        raise Blocked(
            "todo",
            f"none of the alternatives in {constraint!r} admits {new}",
            fix="add one by hand, or set the policy to exact",
        )
    return _followed(constraint, _poetry_clauses, new, policy, scheme_spelling)


def poetry_allows(constraint: str, version: Version) -> bool:
    """Whether a version constraint of poetry's own, such as `^3.9` or `^2.7 || >=3.8,<4`, admits a version.

    Raises:
        Blocked: The text is no such constraint.
    """
    if constraint.strip() == "*":
        return True
    alternatives = (_poetry_clauses(part) for part in re.split(r"\|\|?", constraint))
    return any(all(_admits(clause, version) for clause in clauses) for clauses in alternatives)


# --- reading ---------------------------------------------------------------------------------------


class _Clause(Record):
    """One comparison in a requirement and where it stands there."""

    operator: str  # of PEP 440, or poetry's ^ and ~; poetry's bare version is a ==
    lead: str  # the operator as it is written, with the space behind it
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


def _pep508_clauses(text: str) -> Sequence[_Clause]:
    try:
        requirement = Requirement(text)
    except (ValueError, RecursionError) as error:
        raise Blocked("todo", f"{text!r} is not a PEP 508 requirement") from error
    before = _BEFORE_CLAUSES.match(text)
    if requirement.url or not requirement.specifier or before is None:
        return ()
    end = re.compile(r"[;)]|\Z").search(text, before.end())
    return tuple(_clauses(_PEP508_CLAUSE.finditer(text, before.end(), end.start() if end else len(text))))


def _poetry_clauses(text: str) -> Sequence[_Clause]:
    clauses = tuple(_clauses(_POETRY_CLAUSE.finditer(text)))
    edges = [0, *(edge for clause in clauses for edge in (clause.start, clause.end)), len(text)]
    between = [text[start:end] for start, end in list(pairwise(edges))[::2]]
    if not clauses or not all(_BETWEEN_POETRY_CLAUSES.fullmatch(gap) for gap in between):
        raise Blocked("todo", f"{text!r} is not a version constraint of poetry's")
    return clauses


def _clauses(matches: Iterator[re.Match[str]]) -> Iterator[_Clause]:
    for match in matches:
        operator = match["operator"]
        lead = match[0][: match.start("version") - match.start()]
        yield _Clause("==" if operator in {"", "="} else operator, lead, match["version"], *match.span())


def _admits(clause: _Clause, version: Version) -> bool:
    try:
        return SpecifierSet(_limits(clause)).contains(version, prereleases=True)
    except ValueError as error:
        raise Blocked("todo", f"{clause.lead}{clause.version} is not a range of PEP 440 versions") from error


def _limits(clause: _Clause) -> str:
    """The clause in PEP 440's terms."""
    match clause.operator:
        case "^":
            # Up to the next change of the leftmost number that is not zero, the patch at the latest.
            release = clause.parsed.release
            last = min(len(release), 3) - 1
            level = next((level for level, number in enumerate(release[:last]) if number), last)
        case "~":
            level = min(len(clause.parsed.release), 2) - 1
        case _:
            return f"{clause.operator}{clause.version}"
    return f">={clause.version},<{_series_after(clause.parsed, level)}"


# --- writing ---------------------------------------------------------------------------------------


def _followed(
    text: str,
    clauses_of: Callable[[str], Sequence[_Clause]],
    new: Version,
    policy: Policy,
    spelled: Callable[[Version], str],
) -> str | None:
    clauses = clauses_of(text)
    admitted = [_admits(clause, new) for clause in clauses]
    for clause, admits in zip(clauses, admitted, strict=True):
        if clause.operator == "!=" and not admits:
            raise Blocked(
                "todo",
                f"{text!r} excludes {new} by its {clause.lead}{clause.version}",
                fix="remove that from the requirement, or release another version",
            )
    if not clauses or (policy == "out-of-range" and all(admitted)):
        return None
    if policy == "exact":
        changed = _pinned(text, clauses, new, spelled)
    else:
        changed = text
        for clause in reversed(clauses):  # from behind, so that the offsets before it hold
            changed = changed[: clause.start] + _moved(clause, new, spelled) + changed[clause.end :]
    if changed == text:
        return None
    if not all(_admits(clause, new) for clause in clauses_of(changed)):
        raise Blocked("todo", f"{text!r} would exclude {new} even as {changed!r}", fix="change it by hand")
    return changed


def _pinned(text: str, clauses: Sequence[_Clause], new: Version, spelled: Callable[[Version], str]) -> str:
    first, *others = clauses
    if not others and first.operator in {"==", "==="} and "*" not in first.version and _admits(first, new):
        return text
    end = others[-1].end if others else first.end
    space = first.lead[len(first.lead.rstrip()) :]
    return f"{text[: first.start]}=={space}{spelled(Version(new.public))}{text[end:]}"


def _moved(clause: _Clause, new: Version, spelled: Callable[[Version], str]) -> str:
    """The clause when the requirement follows: the same kind of clause, with the new version in it."""
    # A local segment is allowed behind == only, and there it would exclude every other build.
    public = Version(new.public)
    lead = clause.lead
    match clause.operator:
        case "!=":
            version = clause.version
        case "<" | "<=" if _admits(clause, new):
            version = clause.version
        case "<":
            version = _raised(clause.version, public)
        case "===":  # compares texts
            version = str(new)
        case "==" if clause.version.endswith(".*"):
            version = _of_length(public, clause) + ".*"
        case "~=" | "^" | "~":
            version = _shortened(public, clause)
        case ">":  # no version is greater than itself
            lead = lead.replace(">", ">=")
            version = spelled(public)
        case _:
            version = clause.version if clause.parsed in {new, public} else spelled(public)
    return lead + version


def _of_length(new: Version, clause: _Clause) -> str:
    """The release numbers of a version, as many as the clause has, its epoch before them."""
    length = len(clause.parsed.release)
    return _written(new.epoch, (*new.release, *[0] * length)[:length])


def _shortened(new: Version, clause: _Clause) -> str:
    """The lowest version of the clause's length whose series has the new version in it."""
    version = _of_length(new, clause)
    if Version(version) > new:  # 2.0 is too high for 2.0.0a1
        version += new.public.removeprefix(new.base_version)
    return clause.version if clause.parsed == Version(version) else version


def _raised(bound: str, new: Version) -> str:
    """An upper end (`2`, `1.3.0`, `2.0.dev0`) beyond the new version, as long as it was and on its level.

    The level is the last number that is not zero: `<2.0.0` ends a major series, `<1.3.0` a minor one.
    """
    release = Version(bound).release
    level = max((level for level, number in enumerate(release) if number), default=0)
    numbers = re.match(r"v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*", bound, re.IGNORECASE)
    suffix = bound[numbers.end() :] if numbers else ""
    return _series_after(new, level, len(release)) + suffix


def _series_after(version: Version, level: int, length: int = 0) -> str:
    """Where the series behind a version's begins: 2.1.3 at level 1 gives 2.2, padded to a length."""
    kept = (*version.release, *[0] * level)[: level + 1]
    return _written(version.epoch, (*kept[:-1], kept[-1] + 1, *[0] * (length - level - 1)))


def _written(epoch: int, release: Sequence[int]) -> str:
    return f"{epoch}!" * bool(epoch) + ".".join(map(str, release))
