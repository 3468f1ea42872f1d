"""The bumps of packages that are bumped because of others: dependents, and members of fixed groups.

Dependents are packages whose published requirements change with the versions of other packages. All of these
packages get the level that their own changes ask for, if that is higher.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.bump.dependency_updates import PUBLISHED_TABLES
from relnox.core.bump.version_bumps import BumpRequest, VersionBump
from relnox.core.settings.config import Config
from relnox.core.version_groups import VersionGroup
from relnox.core.versions import versioning
from relnox.core.versions.requested_bump import LEVELS, Bump, Level
from relnox.core.workspace import Workspace

if TYPE_CHECKING:
    from relnox.core.bump.dependency_updates import DependencyUpdates


def request_dependents(  # noqa: PLR0913, PLR0917 - what `resolve_bumps` has
    workspace: Workspace,
    bumps: Sequence[VersionBump],
    updates: DependencyUpdates,
    current_versions: Mapping[str, Version],
    config: Config,
    dev_number: int | None,
    bump_requests: Mapping[str, BumpRequest],
    own_changes: Mapping[str, BumpRequest],
) -> Iterator[tuple[str, BumpRequest]]:
    """Yield a bump request for each dependent whose published requirements change.

    A dependent that is bumped already is left out, unless its level comes from its own changes and is lower than
    that of dependents. Private packages and packages without a version are left out as well. With
    `dependents = "none"`, there are no requests.

    Args:
        workspace: The packages.
        bumps: The bumps so far.
        updates: The requirements to rewrite, by package.
        current_versions: The version that each package would be bumped from.
        config: The settings of the project.
        dev_number: The number of the development versions of dependents; None for ordinary bumps.
        bump_requests: The requests so far, by package.
        own_changes: The levels that the changes of packages ask for.
    """
    by_name = {bump.package.name: bump for bump in bumps}
    for name, needs in updates.items():
        if name in by_name and name not in own_changes:
            continue
        package = workspace.by_name[name]
        causes = [
            by_name[config.dependency_updates.get(dependency.name, dependency.name)]
            for dependency, _ in needs
            if dependency.table in PUBLISHED_TABLES
        ]
        if name not in current_versions or package.is_private or not causes or config.dependents == "none":
            continue
        causing_names = ", ".join(dict.fromkeys(cause.package.name for cause in causes))
        reason = f"its requirement on {causing_names} changes"
        if dev_number is not None:
            request = BumpRequest(Bump(part="dev", number=dev_number), reason)
        else:
            request = BumpRequest(_bump_of_dependent(current_versions[name], causes, config), reason)
        if name not in by_name:
            yield name, _with_own_level(request, own_changes.get(name), current_versions[name])
        elif name in bump_requests:
            raised = _with_own_level(bump_requests[name], request, current_versions[name])
            if raised is not bump_requests[name]:
                yield name, raised


def request_group_members(
    groups: Iterable[VersionGroup],
    bumps: Sequence[VersionBump],
    current_versions: Mapping[str, Version],
    bump_requests: Mapping[str, BumpRequest],
    own_changes: Mapping[str, BumpRequest],
) -> Iterator[tuple[str, BumpRequest]]:
    """Yield a bump request for each package that is bumped with its group, if its own level is higher.

    The arguments are those of `request_dependents`.
    """
    by_name = {bump.package.name: bump for bump in bumps}
    for group in groups:
        requests = [bump_requests[package.name] for package in group.packages if package.name in bump_requests]
        levels = {request: level for request in requests if (level := _level_of(request)) is not None}
        if not levels or len(levels) < len(set(requests)):
            continue
        highest = min(levels, key=lambda request: LEVELS.index(levels[request]))
        for package in group.packages:
            name = package.name
            if name in by_name and name not in bump_requests and name in own_changes:
                request = BumpRequest(highest.bump, by_name[name].reason)
                raised = _with_own_level(request, own_changes[name], current_versions[name])
                if raised is not request:
                    yield name, raised


def _bump_of_dependent(current: Version, causes: Sequence[VersionBump], config: Config) -> Bump:
    """Return the bump of a dependent, given the bumps that change its requirements (`causes`).

    A dependent at a prerelease gets the next one. Otherwise, it is bumped by the level in the settings, which
    finishes a development version; if a cause starts a prerelease or a development version, so does the
    dependent. A dependent at a development version gets the next one if a cause is not final.
    """
    if current.pre is not None:
        return Bump(part="pre")
    new_prereleases = [
        cause.after
        for cause in causes
        if cause.before is not None and not cause.before.is_prerelease and cause.after.is_prerelease
    ]
    is_in_development = current.dev is not None and any(cause.after.is_prerelease for cause in causes)
    if is_in_development or any(after.pre is None for after in new_prereleases):
        return Bump(part="dev")
    level = "patch" if config.dependents == "none" else config.dependents
    return Bump(part=level, pre=versioning.phase_of(new_prereleases[0]) if new_prereleases else None)


def _with_own_level(request: BumpRequest, other: BumpRequest | None, current: Version) -> BumpRequest:
    """Return a request with the level of another one, if that is higher; a phase stays.

    Requests for a development version or for the current version have no level and stay as they are.
    """
    level = _level_of(request)
    other_level = _level_of(other) if other is not None else None
    if request.bump is None or other is None or level is None or other_level is None:
        return request
    if LEVELS.index(other_level) >= LEVELS.index(level):
        return request
    phase = versioning.phase_of(current) if request.bump.part == "pre" else request.bump.pre
    return BumpRequest(Bump(part=other_level, pre=phase), f"{other.reason}; {request.reason}")


def _level_of(request: BumpRequest) -> Level | None:
    """Return the level of a request, or None if it has none; the next prerelease has the lowest level."""
    match request.bump:
        case Bump(part="pre"):
            return "patch"
        case Bump(part="major" | "minor" | "patch" as level):
            return level
        case _:
            return None
