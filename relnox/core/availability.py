"""Whether what packages require can be had where users install them from."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from relnox.core import fixes
from relnox.core.names import normalized
from relnox.core.plan import Problem
from relnox.core.records import Record
from relnox.core.steps.base import listing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

__all__ = ["Available", "Need", "admits", "unchecked", "unmet", "unmet_extras", "unreadable"]

OFF = "--no-check-requirements"


class Need(Record, kw_only=True):
    """A requirement of a package that is about to be published.

    Attributes:
        package: Who requires it.
        version: The version of that package.
        text: The requirement as its metadata states it.
        name: Normalized name of what is required.
        specifier: The versions that fit; empty for any.
        extra: Whether only an extra asks for it.
        sibling: Whether it is a package of the same checkout.
        private: Whether it is one that is not published.
    """

    package: str
    version: Version
    text: str
    name: str
    specifier: str
    extra: bool = False
    sibling: bool = False
    private: bool = False


class Available(Record, kw_only=True):
    """What indexes have of a project.

    Attributes:
        versions: The versions that installers take.
        yanked: Those that they take only where a requirement names exactly them (PEP 592).
        asked: The indexes that answered, by their names or hosts.
        unreadable: Why others did not, by the same.
    """

    versions: frozenset[Version] = frozenset()
    yanked: frozenset[Version] = frozenset()
    asked: tuple[str, ...] = ()
    unreadable: tuple[tuple[str, str], ...] = ()


def admits(need: Need, available: Available) -> bool:
    """Whether one of the versions fits a requirement, as installers choose (prereleases, yanked versions)."""
    specifier = SpecifierSet(need.specifier)
    if any(True for _ in specifier.filter(available.versions)):
        return True
    pinned = any(clause.operator in ("==", "===") and "*" not in clause.version for clause in specifier)
    return pinned and any(specifier.contains(version, prereleases=True) for version in available.yanked)


def unchecked(name: str, settings: Iterable[str]) -> bool:
    """Whether the settings say that nobody is to be asked about a project."""
    return any(fnmatchcase(name, normalized(each)) for each in settings)


def unmet(
    needs: Iterable[Need], found: Mapping[str, Available], released: Mapping[str, Version], command: str
) -> Iterator[Problem]:
    """Requirements that no index can meet and this run does not.

    Args:
        needs: The requirements.
        found: What indexes have of each project that was asked for; one that an index did not answer for is not
            known to be missing.
        released: The versions of the packages that the same run publishes.
        command: The command that publishes, up to where packages are named.
    """
    for need in needs:
        if need.extra or (available := found.get(need.name)) is None:
            continue
        if not _is_known_to_be_missing(need, available, released):
            continue
        message = f"{need.package} {need.version} requires {need.text}, and {_state(need, available, released)}"
        yield Problem(code="todo", message=message, fix=_fix(need, command))


def unmet_extras(
    needs: Iterable[Need], found: Mapping[str, Available], released: Mapping[str, Version]
) -> Iterator[str]:
    """What a reader should know of extras that cannot be installed."""
    for need in needs:
        available = found.get(need.name) if need.extra else None
        if available is not None and _is_known_to_be_missing(need, available, released):
            state = _state(need, available, released)
            yield f"an extra of {need.package} {need.version} requires {need.text}, and {state}"


def unreadable(found: Mapping[str, Available], needs: Sequence[Need]) -> Iterator[str]:
    """What a reader should know of requirements that could not be looked for."""
    by_index: dict[tuple[str, str], list[str]] = {}
    met = {need.name for need in needs if need.name in found and admits(need, found[need.name])}
    for name, available in found.items():
        for index, why in available.unreadable if name not in met else ():
            by_index.setdefault((index, why), []).append(name)
    for (index, why), names in by_index.items():
        yield f"{index} was not asked successfully for {listing(sorted(names))}, which is not checked: {why}"


def _is_known_to_be_missing(need: Need, available: Available, released: Mapping[str, Version]) -> bool:
    here = released.get(need.name)
    if here is not None and SpecifierSet(need.specifier).contains(here, prereleases=True):
        return False
    return bool(available.asked) and not available.unreadable and not admits(need, available)


def _fix(need: Need, command: str) -> str:
    if need.private:
        return f"take the Private :: classifier from {need.name}, or the requirement from {need.package}"
    if need.sibling:
        return (
            f"publish both in one run: {command} --package {need.package} --package {need.name}; "
            "if users have it from another index: [tool.relnox.publish] extra-indexes"
        )
    return (
        f"correct the requirement of {need.package}, then: {fixes.command('build-all')}; "
        f"if users have it from another index: "
        f'[tool.relnox.publish] extra-indexes = ["https://…/simple/"]; if no index can be asked for it: '
        f'unchecked-requirements = ["{need.name}"], or once {OFF}'
    )


def _state(need: Need, available: Available, released: Mapping[str, Version]) -> str:
    """What there is instead, in words."""
    indexes = " and ".join(available.asked)
    every = sorted(available.versions, reverse=True)
    if every:
        there = f"there is only {listing(map(str, every))} on {indexes}"
    elif available.yanked:
        there = f"there are only yanked versions on {indexes} ({listing(map(str, sorted(available.yanked)))})"
    else:
        there = f"there is no {need.name} on {indexes}"
    here = released.get(need.name)
    return there if here is None else f"{there}, and this run publishes {here}"
