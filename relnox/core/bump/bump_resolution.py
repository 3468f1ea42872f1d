"""The resolution of bump requests: which packages get a new version, which one, and why.

A package is bumped alone, in lockstep with all others, or as a member of a group. All packages of a fixed group
are bumped together; the packages of a linked group that are bumped get the same version. If a package has a
published requirement that excludes the new version of another package, it is bumped as well. This is repeated
until no other package needs a bump. A package that is bumped because of others gets the level that its own changes
ask for, if that is higher.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from relnox.core.bump import dependency_updates, further_bumps
from relnox.core.bump.version_bumps import BumpRequest, VersionBump
from relnox.core.packages import Package
from relnox.core.settings.config import Config
from relnox.core.version_groups import VersionGroup, check_group_has_one_version, find_version_groups
from relnox.core.versions import versioning
from relnox.core.versions.requested_bump import Bump
from relnox.core.versions.version_locations import describe_disagreement, locations_agree
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.core.bump.dependency_updates import DependencyUpdates

_MAX_LISTED = 3
"""The maximum number of packages named in a message."""


class ResolvedBumps(NamedTuple):
    """The result of resolving bump requests.

    Attributes:
        bumps: The bumps, sorted by package name.
        updates: The requirements to rewrite, by package.
    """

    bumps: tuple[VersionBump, ...]
    updates: DependencyUpdates


def resolve_bumps(  # noqa: PLR0913 - what versions follow from
    workspace: Workspace,
    bump_requests: Mapping[str, BumpRequest],
    *,
    released_versions: Mapping[str, Version],
    config: Config,
    today: date,
    dev_number: int | None = None,
    own_changes: Mapping[str, BumpRequest] = MappingProxyType({}),
) -> ResolvedBumps:
    """Resolve bump requests into the bumps of packages and the updates of requirements.

    Args:
        workspace: The packages.
        bump_requests: The requests, by package.
        released_versions: The versions of the last tags, for packages whose versions come from tags.
        config: The settings of the project.
        today: The date in UTC, for calendar versions.
        dev_number: The number of the development versions of dependents; None if they get ordinary bumps.
        own_changes: The levels that the changes of packages ask for, from `levels.requests_for_bumped_packages`.

    Raises:
        Blocked: A version cannot be bumped as requested, or the versions of a group differ.
    """
    current_versions = {
        package.name: version
        for package in workspace.packages
        if (version := _current_version(package, released_versions)) is not None
    }
    if own := sorted(config.dependency_updates.keys() & workspace.by_name.keys()):
        raise Blocked(
            "value-invalid",
            f"{own[0]} is a package of this workspace, but [tool.relnox] dependency-updates is for others",
            fix="remove it from dependency-updates; to bump packages together, add a group: [tool.relnox.groups]",
        )
    groups = find_version_groups(workspace, config)
    all_requests = dict(bump_requests)
    while True:
        group_bumps = (_bump_group(group, all_requests, current_versions, config, today) for group in groups)
        bumps = tuple(sorted(itertools.chain.from_iterable(group_bumps), key=lambda bump: bump.package.name))
        updates = dependency_updates.find_dependency_updates(workspace, bumps, config)
        bases = _base_version_by_package(groups, current_versions)
        added_bumps = dict(
            further_bumps.request_group_members(groups, bumps, bases, all_requests, own_changes)
        ) | dict(
            further_bumps.request_dependents(
                workspace, bumps, updates, bases, config, dev_number, all_requests, own_changes
            )
        )
        if not added_bumps:
            return ResolvedBumps(bumps, updates)
        all_requests |= added_bumps


def check_version_locations_agree(bumps: Iterable[VersionBump]) -> None:
    """Check that every version location of a bumped package has the current version.

    Raises:
        Blocked: The versions differ; the message lists the version at each location.
    """
    for bump in bumps:
        package = bump.package
        if package.other_locations and not locations_agree(package, bump.before):
            raise Blocked(
                "version-locations-differ",
                describe_disagreement(package),
                fix="set one version everywhere: --to VERSION; for a file with a version of its own: "
                "[[tool.relnox.version-files]] file = … with count = 0",
            )


def _bump_group(
    group: VersionGroup,
    bump_requests: Mapping[str, BumpRequest],
    current_versions: Mapping[str, Version],
    config: Config,
    today: date,
) -> Iterator[VersionBump]:
    """Yield the bumps of one group; none if no package of the group has a request."""
    requested_packages = [package for package in group.packages if package.name in bump_requests]
    if not requested_packages:
        return
    bumps_requested = list(dict.fromkeys(bump_requests[package.name].bump for package in requested_packages))
    explicit = next((bump for bump in bumps_requested if bump is not None and bump.to is not None), None)
    keeps_version = explicit is None and None in bumps_requested  # a version that was set by hand takes precedence
    bumped_packages = group.packages if group.kind == "fixed" and not keeps_version else tuple(requested_packages)
    base = _base_version_of_group(group, bumped_packages, current_versions, explicit)
    candidates = [explicit] if explicit is not None else [None] if keeps_version else bumps_requested
    try:
        after = max(_next_version(base, bump, config, today) for bump in candidates)
        for package in bumped_packages:
            # --allow-lower is checked for every package.
            if explicit is not None and package.name in current_versions:
                _next_version(current_versions[package.name], explicit, config, today)
    except Blocked as error:
        if len(current_versions) == 1:
            raise
        more = " …" if len(requested_packages) > _MAX_LISTED else ""
        names = ", ".join(package.name for package in requested_packages[:_MAX_LISTED]) + more
        raise Blocked(error.code, f"{names}: {error.message}", fix=error.fix) from None
    for package in bumped_packages:
        request = bump_requests.get(package.name)
        reason = (
            request.reason if request is not None else f"bumped with {requested_packages[0].name} ({group.name})"
        )
        yield VersionBump(package, current_versions.get(package.name), after, reason)


def _current_version(package: Package, released_versions: Mapping[str, Version]) -> Version | None:
    """Return a package's version: the one in its files, or that of its last tag if versions come from tags."""
    if package.version is None and package.source.kind == "tags":
        return released_versions.get(package.name)
    return package.version


def _base_version_by_package(
    groups: Iterable[VersionGroup], versions: Mapping[str, Version]
) -> dict[str, Version]:
    """Return the version that each package would be bumped from: the highest current version of its group."""
    bases: dict[str, Version] = {}
    for group in groups:
        if names := [package.name for package in group.packages if package.name in versions]:
            bases |= dict.fromkeys(names, max(versions[name] for name in names))
    return bases


def _base_version_of_group(
    group: VersionGroup, bumped_packages: Sequence[Package], versions: Mapping[str, Version], explicit: Bump | None
) -> Version | None:
    """Return the version that a group is bumped from, or None if it has none yet and `--to` gives the first.

    Raises:
        Blocked: A package has no version that can be bumped, or the versions of a fixed group differ.
    """
    for package in bumped_packages:
        if package.source.kind == "dynamic" or (explicit is None and package.name not in versions):
            raise _no_version_error(package)
    names = [package.name for package in group.packages]
    group_versions = {name: versions[name] for name in names if name in versions}
    if group.kind == "fixed" and explicit is None:
        check_group_has_one_version(group, group_versions)
    return max(group_versions.values(), default=None)


def _next_version(base: Version | None, bump: Bump | None, config: Config, today: date) -> Version:
    """Return the version after `base`; if `bump` is None, return `base` unchanged."""
    if base is None:
        if bump is None or bump.to is None:
            raise AssertionError("a package without a version has a request that gives one")
        return versioning.parse(bump.to, where="--to")
    if bump is None:
        return base
    return versioning.next_version(
        base,
        bump,
        scheme=config.scheme,
        prerelease_start=config.prerelease_start,
        today=today,
    )


def _no_version_error(package: Package) -> Blocked:
    """Return the error for a package that has no version, or whose version is not in a file."""
    if package.source.kind == "tags":
        return Blocked(
            "version-missing",
            f"{package.name} has no version yet ({package.source.text} reads tags, and none is reachable)",
            fix="give the first version: --to 0.1.0; in a shallow clone run first: git fetch --unshallow --tags",
        )
    return Blocked(
        "bump-not-possible",
        f"{package.name} has no version in a file (it comes from {package.source.text})",
        fix="exclude the package, or set version in [project]",
    )
