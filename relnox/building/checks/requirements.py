"""Comparison of requirements (PEP 508), regardless of order and spelling."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

_EXTRA_IN_MARKER = re.compile(r"\bextra == (?:\"([^\"]*)\"|'([^']*)')")


def differing_requirements(
    left: Iterable[str], right: Iterable[str], *, name: str, markers: bool = False, redundant: bool = True
) -> tuple[list[str], list[str]]:
    """Return the requirements of package `name` that are only in `left`, and those only in `right`.

    Of markers only the extras are compared, unless `markers` is true, since backends rewrite them. Clauses that
    other clauses imply are not compared if `redundant` is false. Invalid requirements are skipped. If the package
    requires its own extras (`all = ["demo[test]"]`), requirements of extras are not compared, since some backends
    replace such an entry with the requirements of the extra.
    """
    first, second = _parse_requirements(left), _parse_requirements(right)
    extras = all(canonicalize_name(requirement.name) != name for requirement in (*first, *second))
    sides = [
        {
            _canonical_text(requirement, markers=markers, redundant=redundant): str(requirement)
            for requirement in side
            if extras or not _extras_in_marker(requirement)
        }
        for side in (first, second)
    ]
    differing = sides[0].keys() ^ sides[1].keys()
    return (
        sorted(sides[0][text] for text in differing & sides[0].keys()),
        sorted(sides[1][text] for text in differing & sides[1].keys()),
    )


def _parse_requirements(texts: Iterable[str]) -> list[Requirement]:
    requirements = []
    for text in texts:
        with contextlib.suppress(InvalidRequirement):
            requirements.append(Requirement(text))
    return requirements


def _canonical_text(requirement: Requirement, *, markers: bool, redundant: bool) -> str:
    clauses = sorted(clause for specifier in requirement.specifier for clause in _canonical_clauses(specifier))
    if not redundant:
        clauses = _without_redundant(clauses)
    extras = sorted(map(canonicalize_name, requirement.extras))
    marker = ""
    if markers:
        text = str(requirement.marker or "").replace("python_full_version", "python_version")
        marker = " and ".join(sorted(text.split(" and ")))
    parts = (canonicalize_name(requirement.name), extras, clauses, requirement.url, _extras_in_marker(requirement))
    return f"{parts} {marker}"


def _canonical_clauses(specifier: Specifier) -> list[str]:
    """Normalize the versions of a specifier, and write `~=1.4.2` as `>=1.4.2,<1.5`, as poetry-core does."""
    if specifier.operator != "~=":
        return [f"{specifier.operator}{canonicalize_version(specifier.version)}"]
    version = Version(specifier.version)
    *series, last = version.release[:-1]
    epoch = f"{version.epoch}!" if version.epoch else ""
    end = canonicalize_version(epoch + ".".join(map(str, [*series, last + 1])))
    return [f">={canonicalize_version(version)}", f"<{end}"]


def _without_redundant(clauses: Iterable[str]) -> list[str]:
    specifiers = [Specifier(clause) for clause in sorted(set(clauses))]
    return [str(clause) for clause in specifiers if not any(_implies(other, clause) for other in specifiers)]


def _implies(one: Specifier, other: Specifier) -> bool:
    """Return whether clause `other` allows all versions that clause `one` allows; false if that is not certain."""
    bounds = (">=", ">", "<=", "<")
    if one.operator not in ("==", *bounds) or other.operator not in ("!=", *bounds) or one.version.endswith(".*"):
        return False
    if not other.contains(one.version, prereleases=True):
        return False
    if one.operator == "==":
        return "+" not in other.version  # ==1.0 allows 1.0+local as well
    if one.version == other.version:
        return other.operator == f"{one.operator}="
    # Releases are compared, since > and < exclude some post- and pre-releases of the version that they name.
    limit, named = (Version(Version(clause.version.removesuffix(".*")).base_version) for clause in (one, other))
    return limit > named if one.operator in (">=", ">") else limit < named


def _extras_in_marker(requirement: Requirement) -> list[str]:
    pairs = _EXTRA_IN_MARKER.findall(str(requirement.marker or ""))
    return sorted(canonicalize_name(extra) for pair in pairs for extra in pair if extra)
