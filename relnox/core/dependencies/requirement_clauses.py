"""Parsing of requirements, in PEP 508's or Poetry's syntax, into clauses with their positions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from relnox.core.records import Record
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
