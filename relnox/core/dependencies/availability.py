"""Availability of requirements on the indexes from which users install."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from relnox.core import fixes
from relnox.core.names import normalize_name
from relnox.core.problems import Problem
from relnox.core.records import Record
from relnox.core.text import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.version import Version

SKIP_FLAG = "--no-check-requirements"


class RequiredProject(Record, kw_only=True):
    """A requirement of a package that is to be published.

    Attributes:
        package: The name of the package that has the requirement.
        version: The version of that package.
        text: The requirement as written in the metadata.
        name: The normalized name of the required project.
        specifier: The version specifier, or "" for any version.
        extra: Whether only an extra of the package has the requirement.
        sibling: Whether the required project is a package of the same checkout.
        private: Whether the required project is a package that is not published.
    """

    package: str
    version: Version
    text: str
    name: str
    specifier: str
    extra: bool = False
    sibling: bool = False
    private: bool = False


class AvailableVersions(Record, kw_only=True):
    """The versions of a project on the indexes from which users install.

    Attributes:
        versions: The versions that are not yanked.
        yanked: The yanked versions, which installers use only if a requirement pins them (PEP 592).
        indexes: The names or hosts of the indexes that responded.
        errors: The name or host of each index that failed, with the error message.
    """

    versions: frozenset[Version] = frozenset()
    yanked: frozenset[Version] = frozenset()
    indexes: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()


def is_satisfied(requirement: RequiredProject, available: AvailableVersions) -> bool:
    """Return whether installers, with their rules for prereleases and yanked versions, find a suitable version."""
    specifier = SpecifierSet(requirement.specifier)
    if any(True for _ in specifier.filter(available.versions)):
        return True
    is_pinned = any(clause.operator in ("==", "===") and "*" not in clause.version for clause in specifier)
    return is_pinned and any(specifier.contains(version, prereleases=True) for version in available.yanked)


def is_excluded_from_check(name: str, patterns: Iterable[str]) -> bool:
    """Return whether a project's name matches one of the patterns in `unchecked-requirements`."""
    return any(fnmatchcase(name, normalize_name(pattern)) for pattern in patterns)


def unsatisfied_problems(
    requirements: Iterable[RequiredProject],
    available: Mapping[str, AvailableVersions],
    released_versions: Mapping[str, Version],
    command: str,
) -> Iterator[Problem]:
    """Yield a problem for each requirement that neither the indexes nor this run satisfy, except those of extras.

    A requirement is not checked if an index failed to respond.

    Args:
        requirements: The requirements to check.
        available: The available versions of each required project.
        released_versions: Maps the name of each package that this run publishes to its version.
        command: The command that publishes, for the fix.
    """
    for requirement, reason in _unsatisfied_with_reasons(requirements, available, released_versions):
        if not requirement.extra:
            message = (
                f"{requirement.package} {requirement.version} requires {requirement.text}, which cannot be "
                f"installed ({reason})"
            )
            yield Problem(
                code="requirement-unavailable", message=message, fix=_fix_for_unsatisfied(requirement, command)
            )


def unsatisfied_extra_warnings(
    requirements: Iterable[RequiredProject],
    available: Mapping[str, AvailableVersions],
    released_versions: Mapping[str, Version],
) -> Iterator[str]:
    """Yield a warning for each requirement of an extra that cannot be satisfied; see `unsatisfied_problems`."""
    for requirement, reason in _unsatisfied_with_reasons(requirements, available, released_versions):
        if requirement.extra:
            yield (
                f"an extra of {requirement.package} {requirement.version} requires {requirement.text}, which "
                f"cannot be installed ({reason})"
            )


def unreachable_index_warnings(
    available: Mapping[str, AvailableVersions], requirements: Sequence[RequiredProject]
) -> Iterator[str]:
    """Yield a warning for each index that failed to respond, with the projects that could not be checked on it."""
    by_error: dict[tuple[str, str], list[str]] = {}
    satisfied_names = {
        requirement.name
        for requirement in requirements
        if requirement.name in available and is_satisfied(requirement, available[requirement.name])
    }
    for name, versions in available.items():
        for index, error in versions.errors if name not in satisfied_names else ():
            by_error.setdefault((index, error), []).append(name)
    for (index, error), names in by_error.items():
        yield f"requirements not checked on {index}: {join_names(sorted(names))} ({error})"


def _unsatisfied_with_reasons(
    requirements: Iterable[RequiredProject],
    available: Mapping[str, AvailableVersions],
    released_versions: Mapping[str, Version],
) -> Iterator[tuple[RequiredProject, str]]:
    """Yield each requirement that cannot be satisfied, with the reason."""
    for requirement in requirements:
        versions, release = available.get(requirement.name), released_versions.get(requirement.name)
        if versions is None or not versions.indexes or versions.errors or is_satisfied(requirement, versions):
            continue
        if release is None or not SpecifierSet(requirement.specifier).contains(release, prereleases=True):
            yield requirement, _why_unsatisfied(requirement, versions, release)


def _fix_for_unsatisfied(requirement: RequiredProject, command: str) -> str:
    """Return the fix for a requirement that cannot be satisfied; `command` is the command that publishes."""
    if requirement.private:
        return (
            f"remove the Private :: classifier of {requirement.name}, or the requirement of {requirement.package}"
        )
    if requirement.sibling:
        return (
            f"publish both in one run: {command} --package {requirement.package} --package {requirement.name}; "
            "if users install it from another index, add that to extra-indexes in [tool.relnox.publish]"
        )
    return (
        f"correct the requirement of {requirement.package}, then rebuild: {fixes.task_command('build-all')}; "
        "if users install it from another index, set "
        'extra-indexes = ["https://…/simple/"] in [tool.relnox.publish]; if it is on no index, set '
        f'unchecked-requirements = ["{requirement.name}"], or use {SKIP_FLAG}'
    )


def _why_unsatisfied(requirement: RequiredProject, available: AvailableVersions, release: Version | None) -> str:
    """Return why a requirement cannot be satisfied: which versions exist instead."""
    indexes = " and ".join(available.indexes)
    versions = sorted(available.versions, reverse=True)
    if versions:
        reason = f"only {join_names(map(str, versions))} on {indexes}"
    elif available.yanked:
        reason = f"only yanked versions on {indexes}: {join_names(map(str, sorted(available.yanked)))}"
    else:
        reason = f"{requirement.name} is not on {indexes}"
    return reason if release is None else f"{reason}, and this run publishes {release}"
