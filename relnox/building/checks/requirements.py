"""Comparison of requirements (PEP 508) by their meaning, regardless of order and spelling.

Backends may rewrite version ranges, such as `~=1.4.2` to `>=1.4.2,<1.5.0`, so two ranges are compared by the
versions that they allow, among the versions around those that they name. Backends may also rewrite markers, such
as `python_version < "3.11"` to `python_full_version < "3.11"`, so markers are compared by their values in all
environments that could make a difference.
"""

from __future__ import annotations

import re
from itertools import islice, product
from typing import TYPE_CHECKING

from packaging.markers import UndefinedComparison
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from packaging.markers import Marker
    from packaging.specifiers import SpecifierSet

_QUOTED_VALUE = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_MARKER_VARIABLE = re.compile(r"\b(?:os_name|sys_platform|platform_\w+|implementation_\w+|extra)\b")
_MAX_ENVIRONMENTS = 5000


def differing_requirements(left: Iterable[str], right: Iterable[str], *, name: str) -> tuple[list[str], list[str]]:
    """Return the requirements of package `name` that are only in `left`, and those only in `right`.

    Invalid requirements are skipped. If the package requires its own extras (`all = ["demo[test]"]`), requirements
    of extras are not compared, since some backends replace such an entry with the requirements of the extra.
    """
    first, second = _group_by_package(left), _group_by_package(right)
    both = [requirement for side in (first, second) for group in side.values() for requirement in group]
    extras = all(canonicalize_name(requirement.name) != name for requirement in both)
    differing = [
        subject
        for subject in first.keys() | second.keys()
        if not _allow_same_versions(first.get(subject, ()), second.get(subject, ()), extras=extras)
    ]
    return (
        sorted(str(requirement) for subject in differing for requirement in first.get(subject, ())),
        sorted(str(requirement) for subject in differing for requirement in second.get(subject, ())),
    )


def _group_by_package(texts: Iterable[str]) -> Mapping[Hashable, Sequence[Requirement]]:
    """Group requirements by normalized name, extras and URL, skipping invalid ones."""
    groups: dict[Hashable, list[Requirement]] = {}
    for text in texts:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        extras = frozenset(map(canonicalize_name, requirement.extras))
        groups.setdefault((canonicalize_name(requirement.name), extras, requirement.url), []).append(requirement)
    return groups


def _allow_same_versions(one: Sequence[Requirement], other: Sequence[Requirement], *, extras: bool) -> bool:
    """Return whether two sets of requirements on a package allow the same versions in every environment.

    If `extras` is true, they must also require the same extras.
    """
    if set(map(str, one)) == set(map(str, other)):
        return True
    both = (*one, *other)
    markers = [requirement.marker for requirement in both if requirement.marker is not None]
    versions = sorted({version for requirement in both for version in _boundary_versions(requirement.specifier)})
    return all(
        _allowed_versions(one, environment, versions) == _allowed_versions(other, environment, versions)
        for environment in islice(_marker_environments(markers, extras=extras), _MAX_ENVIRONMENTS)
    )


def _allowed_versions(
    requirements: Iterable[Requirement], environment: dict[str, str], versions: Sequence[Version]
) -> frozenset[Version] | None:
    """Return those of `versions` that the requirements allow in an environment, or None if none applies."""
    specifiers = [
        requirement.specifier for requirement in requirements if _applies_in_environment(requirement, environment)
    ]
    if not specifiers:
        return None
    return frozenset(
        version
        for version in versions
        if all(specifier.contains(version, prereleases=True) for specifier in specifiers)
    )


def _applies_in_environment(requirement: Requirement, environment: dict[str, str]) -> bool:
    try:
        return requirement.marker is None or requirement.marker.evaluate(environment)
    except UndefinedComparison:
        return False


def _boundary_versions(specifier: SpecifierSet) -> Iterator[Version]:
    """Yield the versions that a range names, versions just below and above them, and the ends of their series."""
    for clause in specifier:
        try:
            version = Version(clause.version.removesuffix(".*"))
        except InvalidVersion:
            continue  # an arbitrary string, by `===`
        yield version
        base = version.base_version
        yield from (Version(f"{base}{end}") for end in (".dev0", "a0", "rc1", "", ".post1", ".0.1"))
        for index in range(len(version.release)):
            for step in (-1, 1):
                if (number := version.release[index] + step) >= 0:
                    release = ".".join(map(str, [*version.release[:index], number]))
                    yield from (Version(f"{version.epoch}!{release}{end}") for end in ("", ".dev0", ".99.99"))


def _marker_environments(markers: Iterable[Marker], *, extras: bool) -> Iterator[dict[str, str]]:
    """Yield marker environments with all combinations of the values that the markers test.

    Without `extras`, the extra is always empty.
    """
    text = " and ".join(map(str, markers))
    quoted_values = {value for pair in _QUOTED_VALUE.findall(text) for value in pair}
    values = quoted_values | {part for value in quoted_values for part in re.split("[, ]+", value)}
    variables = set(_MARKER_VARIABLE.findall(_QUOTED_VALUE.sub("", text))) - (set() if extras else {"extra"})
    versions = sorted(_python_versions_around(values))
    for python, *combination in product(versions, *([sorted(values | {""})] * len(variables))):
        short = ".".join(python.split(".")[:2])
        others = dict(zip(sorted(variables), combination, strict=True))
        yield {"extra": "", "python_full_version": python, "python_version": short, **others}


def _python_versions_around(values: Iterable[str]) -> Iterator[str]:
    """Yield the Python versions among `values`, and the versions just below and above them."""
    yield "3.11.0"
    for value in values:
        try:
            version = Version(value.removesuffix(".*"))
        except InvalidVersion:
            continue
        major, minor, micro = version.major, version.minor, version.micro
        yield from (f"{major}.{minor}.{micro}", f"{major}.{minor}.{micro + 1}", f"{major}.{minor + 1}.0")
        yield f"{major}.{minor - 1}.0" if minor else f"{major - 1}.99.0"
        yield f"{major}.{minor}.{max(micro - 1, 0)}"
