"""Requirements by what they mean: order and spelling do not count (PEP 508).

Backends write ranges anew: `>=1.4.2,<1.5.0` for `~=1.4.2`. So they are compared by what they admit of the versions
around those that they name. Backends write markers anew: without parentheses, or `python_full_version < "3.11"`
for `python_version < "3.11"`. So conditions are compared by whether they hold, in all environments that make a
difference to one of them.
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

__all__ = ["can_apply", "difference"]

_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_VARIABLE = re.compile(r"\b(?:os_name|sys_platform|platform_\w+|implementation_\w+|extra)\b")
_MOST_ENVIRONMENTS = 5000
_LAST_MINOR = 30
"""Of Pythons that a marker may be about."""


def difference(left: Iterable[str], right: Iterable[str], *, name: str) -> tuple[list[str], list[str]]:
    """The requirements of either side that the other one has not; what is no requirement is left out.

    A package may ask for extras of its own (`all = ["demo[test]"]`); some backends put their requirements in the
    place of such an entry. Where it is so, what extras ask for is not compared.

    Args:
        left: PEP 508 strings.
        right: The same.
        name: Normalised name of the package whose requirements they are.
    """
    first, second = _by_subject(left), _by_subject(right)
    asked = [each for found in (first, second) for group in found.values() for each in group]
    extras = all(canonicalize_name(each.name) != name for each in asked)
    differing = [
        subject
        for subject in first.keys() | second.keys()
        if not _is_same(first.get(subject, ()), second.get(subject, ()), extras=extras)
    ]
    return (
        sorted(str(each) for subject in differing for each in first.get(subject, ())),
        sorted(str(each) for subject in differing for each in second.get(subject, ())),
    )


def can_apply(requirement: Requirement, pythons: SpecifierSet, *, extras: bool) -> bool:
    """Whether a requirement counts in some environment.

    Args:
        requirement: The requirement.
        pythons: The Pythons that the package is for.
        extras: Whether extras may be asked for.
    """
    if requirement.marker is None:
        return True
    named = {clause.version for clause in pythons} | {f"3.{minor}" for minor in range(_LAST_MINOR)}
    environments = _environments([requirement.marker], extras=extras, pythons=named)
    supported = (each for each in environments if pythons.contains(each["python_full_version"], prereleases=True))
    return any(_counts(requirement, each) for each in islice(supported, _MOST_ENVIRONMENTS))


def _by_subject(texts: Iterable[str]) -> Mapping[Hashable, Sequence[Requirement]]:
    """Requirements by what they ask for, whatever the condition."""
    found: dict[Hashable, list[Requirement]] = {}
    for text in texts:
        try:
            each = Requirement(text)
        except InvalidRequirement:
            continue
        extras = frozenset(map(canonicalize_name, each.extras))
        found.setdefault((canonicalize_name(each.name), extras, each.url), []).append(each)
    return found


def _is_same(one: Sequence[Requirement], other: Sequence[Requirement], *, extras: bool) -> bool:
    """Whether requirements for one thing admit the same versions of it in the same environments."""
    if {str(each) for each in one} == {str(each) for each in other}:
        return True
    markers = [each.marker for each in (*one, *other) if each.marker is not None]
    versions = sorted({version for each in (*one, *other) for version in _around(each.specifier)})
    return all(
        _admitted(one, environment, versions) == _admitted(other, environment, versions)
        for environment in islice(_environments(markers, extras=extras), _MOST_ENVIRONMENTS)
    )


def _admitted(
    requirements: Iterable[Requirement], environment: dict[str, str], versions: Sequence[Version]
) -> frozenset[Version] | None:
    """Which of the versions all requirements admit that count in an environment; None if none of them counts."""
    counting = [each.specifier for each in requirements if _counts(each, environment)]
    if not counting:
        return None
    return frozenset(each for each in versions if all(of.contains(each, prereleases=True) for of in counting))


def _counts(requirement: Requirement, environment: dict[str, str]) -> bool:
    try:
        return requirement.marker is None or requirement.marker.evaluate(environment)
    except UndefinedComparison:
        return False


def _around(specifier: SpecifierSet) -> Iterator[Version]:
    """Versions at, just below and just above each one that a range names, and at the ends of its series."""
    for clause in specifier:
        try:
            named = Version(clause.version.removesuffix(".*"))
        except InvalidVersion:
            continue  # an arbitrary one, by `===`
        yield named
        base = named.base_version
        yield from (Version(f"{base}{end}") for end in (".dev0", "a0", "rc1", "", ".post1", ".0.1"))
        for place in range(len(named.release)):
            for step in (-1, 1):
                if (moved := named.release[place] + step) >= 0:
                    release = ".".join(map(str, [*named.release[:place], moved]))
                    yield from (Version(f"{named.epoch}!{release}{end}") for end in ("", ".dev0", ".99.99"))


def _environments(
    markers: Iterable[Marker], *, extras: bool, pythons: Iterable[str] = ()
) -> Iterator[dict[str, str]]:
    """Environments that differ in what the markers ask for, on these Pythons, too.

    Without `extras` no extra is ever asked for.
    """
    text = " and ".join(map(str, markers))
    quoted = {value for pair in _QUOTED.findall(text) for value in pair}
    values = quoted | {part for value in quoted for part in re.split("[, ]+", value)}
    words = sorted(set(_VARIABLE.findall(_QUOTED.sub("", text))) - ({"extra"} if not extras else set()))
    for python, *chosen in product(sorted(_pythons({*values, *pythons})), *([sorted(values | {""})] * len(words))):
        short = ".".join(python.split(".")[:2])
        versions = {"python_full_version": python, "python_version": short}
        yield {"extra": "", **versions, **dict(zip(words, chosen, strict=True))}


def _pythons(values: Iterable[str]) -> Iterator[str]:
    """Versions of Python on both sides of each one that is named."""
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
