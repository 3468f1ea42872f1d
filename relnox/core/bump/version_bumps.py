"""Version bumps: which packages get a new version, which one, why, and which requirements change with it.

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
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from packaging.version import Version

from relnox.core import requirements
from relnox.core.packages import Dependency, Package
from relnox.core.records import Record, replace
from relnox.core.settings.config import Config
from relnox.core.text import join_names
from relnox.core.version_groups import VersionGroup, check_group_has_one_version, find_version_groups
from relnox.core.versions import semver_compat, versioning
from relnox.core.versions.version_locations import all_locations_have_version, inconsistent_version_error
from relnox.core.versions.versioning import LEVELS, Bump, Level
from relnox.core.workspace import Workspace
from relnox.errors import Blocked, Problem

PUBLISHED_TABLES = ("runtime", "extra")
"""The kinds of requirements that are part of the published metadata of a package."""
_MAX_LISTED = 3
"""The maximum number of packages named in a message."""

DependencyUpdates: TypeAlias = Mapping[str, list[tuple[Dependency, str]]]
"""By package: the requirements to rewrite, each with its new text."""


class VersionBump(Record):
    """The bump of one package.

    Attributes:
        before: The current version, or None if the package has none yet.
        after: The new version; equal to `before` if the current version is released unchanged.
        reason: Why the package is bumped, as text for users.
    """

    package: Package
    before: Version | None
    after: Version
    reason: str


class BumpRequest(Record):
    """The bump that is requested for a package.

    Attributes:
        bump: The bump, or None to release the current version unchanged.
        reason: Why it is requested, as text for users.
    """

    bump: Bump | None
    reason: str


class ResolvedBumps(NamedTuple):
    """The bumps, sorted by package name, and by package the requirements to rewrite, each with its new text."""

    bumps: tuple[VersionBump, ...]
    updates: DependencyUpdates


def resolve_bumps(  # noqa: PLR0913 - what versions follow from
    workspace: Workspace,
    bump_requests: Mapping[str, BumpRequest],
    *,
    current_versions: Mapping[str, Version],
    config: Config,
    today: date,
    dev_number: int | None = None,
    own_changes: Mapping[str, BumpRequest] = MappingProxyType({}),
) -> ResolvedBumps:
    """Resolve bump requests into the bumps of packages and the updates of requirements.

    The mappings are by package name; `current_versions` has no packages without a version. `today` is in UTC, for
    calendar versions. `dev_number` is the number of the development versions that dependents get, or None for
    other versions. `own_changes` has what the changes of each package ask for, in case others make it be bumped.

    Raises:
        Blocked: A version or requirement cannot be changed, the versions of a group differ, or the setting
            `dependency-updates` names a package of the workspace.
    """
    if own := sorted(config.dependency_updates.keys() & workspace.by_name.keys()):
        raise Blocked(
            "value-invalid",
            f"[tool.relnox] dependency-updates has {own[0]}, a package of this workspace (it is for others)",
            fix=f"remove {own[0]} there; or, to bump packages together, add [tool.relnox.groups.NAME]",
        )
    groups = find_version_groups(workspace, config)
    bases = {  # the version that each package would be bumped from
        name: max(current_versions[member] for member in names)
        for group in groups
        if (names := [package.name for package in group.packages if package.name in current_versions])
        for name in names
    }
    requests = dict(bump_requests)
    while True:
        group_bumps = (_bump_group(group, requests, current_versions, config, today) for group in groups)
        bumps = tuple(sorted(itertools.chain.from_iterable(group_bumps), key=lambda bump: bump.package.name))
        updates = _requirements_to_rewrite(workspace, bumps, config)
        further = dict(_raised_requests_of_group_members(groups, bumps, bases, requests, own_changes))
        for name, causes in _causes_by_dependent(workspace, bumps, updates, bases, config).items():
            causing_names = ", ".join(dict.fromkeys(cause.package.name for cause in causes))
            request = BumpRequest(
                _bump_of_dependent(bases[name], causes, config)
                if dev_number is None
                else Bump(part="dev", number=dev_number),
                f"its requirement on {causing_names} changes",
            )
            if all(bump.package.name != name for bump in bumps):
                further[name] = _raise_level_of_request(request, own_changes.get(name), bases[name])
            elif name in own_changes and name in requests:
                raised = _raise_level_of_request(requests[name], request, bases[name])
                if raised is not requests[name]:
                    further[name] = raised
        if not further:
            return ResolvedBumps(bumps, updates)
        requests |= further


def inconsistent_version_problems(packages: Iterable[tuple[Package, Version | None]]) -> Iterator[Problem]:
    """Yield a problem for each package whose version locations do not all contain the version given with it."""
    for package, version in packages:
        if package.other_locations and not all_locations_have_version(package, version):
            yield inconsistent_version_error(package, version, "--to VERSION")


def _bump_group(
    group: VersionGroup,
    bump_requests: Mapping[str, BumpRequest],
    current_versions: Mapping[str, Version],
    config: Config,
    today: date,
) -> Iterator[VersionBump]:
    """Yield the bumps of one group; none if no package of the group has a request.

    Raises:
        Blocked: A version cannot be bumped as requested, or the versions of a fixed group differ.
    """
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
        names = join_names((package.name for package in requested_packages), _MAX_LISTED)
        raise Blocked(error.code, f"{names}: {error.message}", fix=error.fix) from None
    for package in bumped_packages:
        request = bump_requests.get(package.name)
        reason = (
            request.reason if request is not None else f"bumped with {requested_packages[0].name} ({group.name})"
        )
        yield VersionBump(package, current_versions.get(package.name), after, reason)


def _base_version_of_group(
    group: VersionGroup, bumped_packages: Sequence[Package], versions: Mapping[str, Version], explicit: Bump | None
) -> Version | None:
    """Return the version that a group is bumped from: the highest current one among its packages.

    `versions` has the current versions by package. `explicit` is a bump to a given version (`--to`), or None; with
    it, packages need no version, and the result is None if none has one.

    Raises:
        Blocked: One of `bumped_packages` has no version that can be bumped, or the versions of a fixed group
            differ.
    """
    for package in bumped_packages:
        if package.source.kind == "dynamic":
            raise Blocked(
                "bump-not-possible",
                f"{package.name} has no version in a file (it comes from {package.source.text})",
                fix="name the file that contains it in [[tool.relnox.version-files]] (file, pattern); or set "
                f'version in [project]; or leave the package out: [tool.relnox] exclude = ["{package.directory}"]',
            )
        if explicit is None and package.name not in versions:
            raise Blocked(
                "version-missing",
                f"{package.name} has no version yet ({package.source.text} reads tags, and none is reachable)",
                fix="give the first version: --to 0.1.0",
            )
    names = [package.name for package in group.packages]
    group_versions = {name: versions[name] for name in names if name in versions}
    if group.kind == "fixed" and explicit is None:
        check_group_has_one_version(group, group_versions)
    return max(group_versions.values(), default=None)


def _next_version(base: Version | None, bump: Bump | None, config: Config, today: date) -> Version:
    """Return the version after `base`, or `base` itself if `bump` is None.

    If `base` is None, `bump.to` must be set and is returned.

    Raises:
        Blocked: The version cannot be bumped in this way.
    """
    if base is None:
        if bump is None or bump.to is None:
            raise AssertionError("a package without a version has a request that gives one")
        return versioning.parse_version(bump.to, where="--to")
    if bump is None:
        return base
    return versioning.next_version(
        base,
        bump,
        scheme=config.scheme,
        prerelease_start=config.prerelease_start,
        today=today,
    )


def _causes_by_dependent(
    workspace: Workspace,
    bumps: Sequence[VersionBump],
    updates: DependencyUpdates,
    current_versions: Mapping[str, Version],
    config: Config,
) -> dict[str, list[VersionBump]]:
    """Map each package whose published requirements change to the bumps of the packages that it requires.

    Private packages and packages without a version are left out. With the setting `dependents = "none"`, the
    result is empty.
    """
    if config.dependents == "none":
        return {}
    by_name = {bump.package.name: bump for bump in bumps}
    causes = {
        name: [
            by_name[config.dependency_updates.get(dependency.name, dependency.name)]
            for dependency, _ in needs
            if dependency.table in PUBLISHED_TABLES
        ]
        for name, needs in updates.items()
        if name in current_versions and not workspace.by_name[name].is_private
    }
    return {name: own for name, own in causes.items() if own}


def _raised_requests_of_group_members(
    groups: Iterable[VersionGroup],
    bumps: Sequence[VersionBump],
    current_versions: Mapping[str, Version],
    bump_requests: Mapping[str, BumpRequest],
    own_changes: Mapping[str, BumpRequest],
) -> Iterator[tuple[str, BumpRequest]]:
    """Yield the name and the request of each package whose own commits ask for a higher level than its group.

    Only packages without a request count, which are bumped because others of the group are.
    """
    by_name = {bump.package.name: bump for bump in bumps}
    for group in groups:
        requests = [bump_requests[package.name] for package in group.packages if package.name in bump_requests]
        levels = {request: level for request in requests if (level := _requested_level(request)) is not None}
        if not levels or len(levels) < len(set(requests)):
            continue
        highest = min(levels, key=lambda request: LEVELS.index(levels[request]))
        for package in group.packages:
            name = package.name
            if name in by_name and name not in bump_requests and name in own_changes:
                request = BumpRequest(highest.bump, by_name[name].reason)
                raised = _raise_level_of_request(request, own_changes[name], current_versions[name])
                if raised is not request:
                    yield name, raised


def _bump_of_dependent(current: Version, causes: Sequence[VersionBump], config: Config) -> Bump:
    """Return the bump of a package at version `current`; `causes` are bumps that change its requirements.

    From a prerelease, it goes to the next prerelease. From a development version, it goes to the next one if a
    cause is not final. If a cause goes from a final version to a prerelease or development version, the package
    gets a version of that kind too. Otherwise, `[tool.relnox] dependents` names the level.
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
    level = "patch" if config.dependents == "none" else config.dependents  # for the type checker
    return Bump(part=level, pre=versioning.phase_of(new_prereleases[0]) if new_prereleases else None)


def _raise_level_of_request(request: BumpRequest, other: BumpRequest | None, current: Version) -> BumpRequest:
    """Return `request` with the level of `other`, if that is higher, else `request` itself; its phase stays.

    Requests for a development version or for the current version have no level and stay as they are. In a request
    for the next prerelease, the phase is that of the `current` version.
    """
    level = _requested_level(request)
    other_level = _requested_level(other) if other is not None else None
    if request.bump is None or other is None or level is None or other_level is None:
        return request
    if LEVELS.index(other_level) >= LEVELS.index(level):
        return request
    phase = versioning.phase_of(current) if request.bump.part == "pre" else request.bump.pre
    return BumpRequest(Bump(part=other_level, pre=phase), f"{other.reason}; {request.reason}")


def _requested_level(request: BumpRequest) -> Level | None:
    """Return the level (major, minor, patch) of a request, or None if it has none, such as a given version.

    A request for the next prerelease counts as `patch`.
    """
    match request.bump:
        case Bump(part="pre"):
            return "patch"
        case Bump(part="major" | "minor" | "patch" as level):
            return level
        case _:
            return None


def _requirements_to_rewrite(
    workspace: Workspace, bumps: Sequence[VersionBump], config: Config
) -> DependencyUpdates:
    """Return the requirements to rewrite because the packages that they name are bumped.

    Raises:
        Blocked: A requirement must change, but the settings forbid it; or a requirement would be lowered.
    """
    by_name = {bump.package.name: bump for bump in bumps}
    by_name |= {name: by_name[own] for name, own in config.dependency_updates.items() if own in by_name}
    ahead: list[str] = []
    rewritten: dict[tuple[Dependency, VersionBump], str | None] = {}
    updates: dict[str, list[tuple[Dependency, str]]] = {}
    for package in workspace.packages:
        for dependency in package.dependencies:
            if (bump := by_name.get(dependency.name)) is None or not dependency.key:
                continue
            requirement = replace(dependency, key=(), file="")  # many packages have the same one
            is_first = (requirement, bump) not in rewritten
            if is_first:
                rewritten[requirement, bump] = _new_requirement_text(dependency, bump, config)
            if (new_text := rewritten[requirement, bump]) is None:
                continue
            name, new = dependency.name, bump.after
            if config.update_requirements == "never" and dependency.syntax != "cargo":
                if dependency.table in PUBLISHED_TABLES:
                    raise Blocked(
                        "requirement-excludes-version",
                        f"{package.pyproject}: {dependency.text!r} excludes {name} {new} "
                        '([tool.relnox] update-requirements = "never")',
                        fix='widen the requirement by hand; or [tool.relnox] update-requirements = "out-of-range"',
                    )
                continue
            is_lowered = bump.before is not None and new < bump.before
            if is_first and not is_lowered and requirements.requires_later_release(dependency, new):
                ahead.append(
                    f"{package.pyproject}: {dependency.text!r} requires a newer version than {name} {new}, and "
                    "would be lowered"
                )
            updates.setdefault(package.name, []).append((dependency, new_text))
    if ahead:
        raise Blocked(
            "requirement-ahead",
            "\n".join(ahead),
            fix="release a version that they allow: --to VERSION; or lower the requirements by hand first",
        )
    return updates


def _new_requirement_text(dependency: Dependency, bump: VersionBump, config: Config) -> str | None:
    """Return the text of a requirement after the package it names is bumped, or None if it stays.

    With `update-requirements = "never"`, the result is that of `out-of-range`, so a text means that the
    requirement excludes the new version. A requirement in a table of another tool stays if it does not allow the
    current version. One in Cargo.toml on exactly the current version always gets the new one.
    """
    policy = config.update_requirements if config.update_requirements != "never" else "out-of-range"
    if dependency.syntax == "cargo":
        is_current = dependency.text.lstrip("=^~ ") in {place.text for place in bump.package.locations}
        policy, format_version = "always" if is_current else "out-of-range", semver_compat.to_semver
        return requirements.rewrite_requirement(
            dependency, bump.after, policy=policy, format_version=format_version
        )
    is_about_package = bump.before is not None and requirements.is_satisfied_by(dependency, bump.before)
    if dependency.table == "tool" and not is_about_package:
        return None
    scheme = config.scheme if dependency.syntax == "pep508" else "pep440"
    format_version = partial(semver_compat.format_version, scheme=scheme)
    return requirements.rewrite_requirement(dependency, bump.after, policy=policy, format_version=format_version)
