"""Version bumps: which packages get a new version, which one, and why.

Packages are bumped alone, in lockstep, or in groups. All packages of a fixed group are bumped together; the bumped
packages of a linked group get the same version. A package whose published requirement would exclude the new
version of another package is bumped as well, until no published requirement has to change any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from relnox.core.settings import patterns
from relnox.core.versions import versioning
from relnox.core.versions.version_locations import parse_version
from relnox.core.versions.versioning import Bump
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from relnox.core.packages import Dependency, Package
    from relnox.core.settings.config import Config
    from relnox.core.workspace import Workspace

    DependencyUpdates = Mapping[str, list[tuple[Dependency, str]]]
    """By package: the requirements to rewrite, each with its new text."""

__all__ = [
    "ANY_TAG",
    "BumpRequest",
    "ResolvedBumps",
    "VersionBump",
    "VersionGroup",
    "check_locations_agree",
    "describe_disagreement",
    "locations_agree",
    "plan_bumps",
    "version_groups",
]

ANY_TAG = "any tag gives their versions"
"""The name of the group of packages whose backends read any tag."""
_PUBLISHED = ("runtime", "extra")
_MAX_LISTED = 3
"""Package names in a message."""


class VersionBump(NamedTuple):
    """The bump of one package.

    Attributes:
        package: The package.
        before: Its present version; None if it has none yet.
        after: Its new version; equal to `before` if the present version is released as it is.
        reason: Why it is bumped, in a few words.
    """

    package: Package
    before: Version | None
    after: Version
    reason: str


class BumpRequest(NamedTuple):
    """The bump requested for a package (None: release the present version as it is), with the reason."""

    bump: Bump | None
    reason: str


class ResolvedBumps(NamedTuple):
    """What a request comes to: the bumps of packages, and the updates of requirements on them."""

    bumps: tuple[VersionBump, ...]
    updates: DependencyUpdates


class VersionGroup(NamedTuple):
    """Packages whose versions belong together.

    Attributes:
        name: Its name in the settings, or that of its only package.
        kind: `fixed`: all are bumped together; `linked`: those that are bumped get one version; `alone`.
        packages: Its packages.
    """

    name: str
    kind: str
    packages: tuple[Package, ...]


def version_groups(workspace: Workspace, config: Config) -> tuple[VersionGroup, ...]:
    """Return one group in lockstep; otherwise the configured groups and every other package alone.

    Raises:
        Blocked: A group matches no package, or a package is in two groups.
    """
    if config.versions == "lockstep":
        return (VersionGroup("lockstep", "fixed", workspace.packages),)
    grouped: dict[str, str] = {}
    groups = []
    for name, group in config.groups.items():
        members = patterns.select(group.packages, workspace.packages)
        if not members:
            raise Blocked(
                "group-empty",
                f"group {name} matches no package of this workspace ({', '.join(group.packages)})",
                fix=f"correct packages in [tool.relnox.groups.{name}]",
            )
        for package in members:
            if package.name in grouped:
                raise Blocked(
                    "package-in-two-groups",
                    f"{package.name} is in two groups: {grouped[package.name]} and {name}",
                    fix="remove it from one of them in [tool.relnox.groups]",
                )
            grouped[package.name] = name
        groups.append(VersionGroup(name, group.kind, members))
    by_tags: dict[tuple[object, ...], list[Package]] = {}
    for package in workspace.packages:
        if package.name not in grouped and package.source.kind == "tags":
            by_tags.setdefault(package.source.key[:1], []).append(package)
    for key, members_by_tag in by_tags.items():
        if len(members_by_tag) > 1:  # their backends read the same tags, so one new tag bumps all of them
            name = f"tags {key[0]}*" if key else ANY_TAG
            groups.append(VersionGroup(name, "fixed", tuple(members_by_tag)))
            grouped |= dict.fromkeys((package.name for package in members_by_tag), name)
    alone = (
        VersionGroup(package.name, "alone", (package,))
        for package in workspace.packages
        if package.name not in grouped
    )
    return (*groups, *alone)


def plan_bumps(
    workspace: Workspace,
    bump_requests: Mapping[str, BumpRequest],
    *,
    released: Mapping[str, Version],
    config: Config,
    today: date,
) -> ResolvedBumps:
    """Resolve bump requests into the bumps of packages, sorted by name, and the updates of requirements.

    Args:
        workspace: The packages.
        bump_requests: The requested bumps, by package.
        released: The versions of the last tags, for packages whose versions come from tags.
        config: The project's settings.
        today: The date in UTC, for calendar versions.

    Raises:
        Blocked: A version cannot be bumped as requested, or the versions of a group differ.
    """
    present = {
        package.name: version
        for package in workspace.packages
        if (version := _current_version(package, released)) is not None
    }
    if own := sorted(config.dependency_updates.keys() & workspace.by_name.keys()):
        raise Blocked(
            "value-invalid",
            f"{own[0]} is a package of this workspace, but [tool.relnox] dependency-updates is for others",
            fix="remove it from dependency-updates; to bump packages together, add a group: [tool.relnox.groups]",
        )
    groups = version_groups(workspace, config)
    all_requests = dict(bump_requests)
    while True:
        bumps = tuple(
            sorted(
                (bump for group in groups for bump in _group_bumps(group, all_requests, present, config, today)),
                key=lambda bump: bump.package.name,
            )
        )
        updates = _dependency_updates(workspace, bumps, present, config)
        added = dict(_dependents(workspace, bumps, updates, _base_versions(groups, present), config))
        if not added:
            return ResolvedBumps(bumps, updates)
        all_requests |= added


def locations_agree(package: Package, version: Version | None) -> bool:
    """Whether every location of a package's version has this version."""
    return all(parse_version(location) == version for location in package.locations)


def check_locations_agree(bumps: Iterable[VersionBump]) -> None:
    """Check that every location of a bumped package has its present version.

    Raises:
        Blocked: They differ; the message lists the version at each location.
    """
    for package, before, _, _ in bumps:
        if package.other_locations and not locations_agree(package, before):
            raise Blocked(
                "version-locations-differ",
                describe_disagreement(package),
                fix="set one version everywhere: --to VERSION; for a file with a version of its own: "
                "[[tool.relnox.version-files]] file = … with count = 0",
            )


def describe_disagreement(package: Package) -> str:
    """List the version at each location of a package."""
    lines = "\n".join(f"  {location.text}: {location.file}" for location in package.locations)
    return f"{package.name} has different versions in different files\n{lines}"


# --- from requests to bumps ------------------------------------------------------------------------


def _group_bumps(
    group: VersionGroup,
    bump_requests: Mapping[str, BumpRequest],
    present: Mapping[str, Version],
    config: Config,
    today: date,
) -> Iterator[VersionBump]:
    """Yield the bumps of one group, if one of its packages has a request."""
    requested = [package for package in group.packages if package.name in bump_requests]
    if not requested:
        return
    kinds = list(dict.fromkeys(bump_requests[package.name].bump for package in requested))
    explicit = next((bump for bump in kinds if bump is not None and bump.to is not None), None)
    keeps_version = explicit is None and None in kinds  # a version that was set by hand takes precedence
    bumped = group.packages if group.kind == "fixed" and not keeps_version else tuple(requested)
    base = _base_version(group, bumped, present, explicit)
    candidates = [explicit] if explicit is not None else [None] if keeps_version else kinds
    try:
        after = max(_next(base, bump, config, today) for bump in candidates)
        for package in bumped:
            if explicit is not None and package.name in present:  # --allow-lower is checked for every package
                _next(present[package.name], explicit, config, today)
    except Blocked as error:
        if len(present) == 1:
            raise
        more = " …" if len(requested) > _MAX_LISTED else ""
        names = ", ".join(package.name for package in requested[:_MAX_LISTED]) + more
        raise Blocked(error.code, f"{names}: {error.message}", fix=error.fix) from None
    for package in bumped:
        request = bump_requests.get(package.name)
        reason = request.reason if request is not None else f"bumped with {requested[0].name} ({group.name})"
        yield VersionBump(package, present.get(package.name), after, reason)


def _current_version(package: Package, released: Mapping[str, Version]) -> Version | None:
    """Return the version in the package's files, or that of its last tag if the version comes from tags."""
    if package.version is None and package.source.kind == "tags":
        return released.get(package.name)
    return package.version


def _base_versions(groups: Iterable[VersionGroup], present: Mapping[str, Version]) -> dict[str, Version]:
    """Return the version that each package would be bumped from: the greatest one of its group."""
    bases: dict[str, Version] = {}
    for group in groups:
        names = [package.name for package in group.packages if package.name in present]
        if names:
            bases |= dict.fromkeys(names, max(present[name] for name in names))
    return bases


def _base_version(
    group: VersionGroup, bumped: Sequence[Package], present: Mapping[str, Version], explicit: Bump | None
) -> Version | None:
    """Return the version that a group is bumped from; None if it has none yet and the new one is given."""
    for package in bumped:
        if package.source.kind == "dynamic" or (explicit is None and package.name not in present):
            raise _without_version(package)
    versions = {package.name: present[package.name] for package in group.packages if package.name in present}
    if group.kind == "fixed" and explicit is None:
        _check_same_version(group, versions)
    return max(versions.values(), default=None)


def _next(base: Version | None, bump: Bump | None, config: Config, today: date) -> Version:
    if bump is None or base is None:
        if base is None and bump is not None and bump.to is not None:
            return versioning.parse(bump.to, where="--to")
        if base is not None:
            return base
        raise AssertionError("a package without a version has a request that gives one")
    return versioning.next_version(
        base,
        bump,
        scheme=config.scheme,
        prerelease_start=config.prerelease_start,
        calver_format=config.calver_format,
        today=today,
    )


def _without_version(package: Package) -> Blocked:
    if package.source.kind == "tags":
        return Blocked(
            "version-missing",
            f"{package.name} has no version yet ({package.source.text} reads tags, and none is reachable)",
            fix="give the first version: --to 0.1.0; in a shallow clone run first: git fetch --unshallow --tags",
        )
    return Blocked(
        "version-not-editable",
        f"{package.name} has no version in a file (it comes from {package.source.text})",
        fix="leave the package out, or set version in [project]",
    )


def _check_same_version(group: VersionGroup, versions: Mapping[str, Version]) -> None:
    by_version: dict[str, list[str]] = {}
    for package in group.packages:
        if package.name in versions:
            by_version.setdefault(str(versions[package.name]), []).append(package.pyproject)
    if len(by_version) > 1:
        lines = "\n".join(f"  {version}: {', '.join(files)}" for version, files in sorted(by_version.items()))
        what = "packages in lockstep" if group.name == "lockstep" else f"packages of group {group.name}"
        raise Blocked(
            "group-versions-differ",
            f"{what} have different versions\n{lines}",
            fix="give all of them one version: --to VERSION",
        )


# --- from bumps to requirements --------------------------------------------------------------------


def _dependency_updates(
    workspace: Workspace, bumps: Sequence[VersionBump], present: Mapping[str, Version], config: Config
) -> DependencyUpdates:
    """Return the requirements of each package that change with the bumped packages they name."""
    lowered = {bump.package.name for bump in bumps if bump.before is not None and bump.after < bump.before}
    after = {bump.package.name: bump.after for bump in bumps}
    after |= {name: after[package] for name, package in config.dependency_updates.items() if package in after}
    rewritten: dict[tuple[str, str, bool], str | None] = {}
    updates: dict[str, list[tuple[Dependency, str]]] = {}
    for package in workspace.packages:
        for need in package.dependencies:
            if need.name in after and need.key:
                cache_key = (need.name, need.text, need.poetry)
                is_first = cache_key not in rewritten
                if is_first:
                    rewritten[cache_key] = _rewrite(need, after[need.name], config)
                if (changed := rewritten[cache_key]) is None:
                    continue
                if config.update_requirements == "never":
                    _check_not_excluded(package, need, after[need.name])
                    continue
                if is_first and config.dependency_updates.get(need.name, need.name) not in lowered:
                    _check_not_ahead(package, need, after[need.name])
                updates.setdefault(package.name, []).append((need, changed))
    for name, need, changed in _sibling_bounds(workspace, bumps, dict(present) | after, config):
        updates.setdefault(name, []).append((need, changed))
    return updates


def _sibling_bounds(
    workspace: Workspace, bumps: Sequence[VersionBump], versions: Mapping[str, Version], config: Config
) -> Iterator[tuple[str, Dependency, str]]:
    """Yield the requirements of bumped packages on siblings that name no version, with the bound they get."""
    if config.sibling_bound in (None, "keep"):
        return
    from relnox.core.dependencies import requirements

    for package in (bump.package for bump in bumps):
        for need in package.dependencies:
            is_sibling = need.name in workspace.by_name and need.name != package.name
            if need.table in _PUBLISHED and need.key and is_sibling and need.name in versions:
                changed = requirements.add_bound(
                    need,
                    versions[need.name],
                    config.sibling_bound or "keep",
                    lambda version: versioning.format_version(version, config.scheme),
                )
                if changed is not None:
                    yield package.name, need, changed


def _check_not_ahead(package: Package, need: Dependency, new: Version) -> None:
    """Check that a requirement does not ask for a version later than the new one: it must not be lowered."""
    from relnox.core.dependencies import requirements

    bound = requirements.lower_bound(need)
    if bound is not None and Version(bound.base_version) > Version(new.base_version):
        raise Blocked(
            "requirement-ahead",
            f"{package.pyproject}: {need.text!r} is ahead of {need.name} {new} and would be lowered",
            fix=f"release {need.name} {bound.public} or higher, or lower the requirement by hand first",
        )


def _rewrite(need: Dependency, new: Version, config: Config) -> str | None:
    from relnox.core.dependencies import requirements

    policy = config.update_requirements if config.update_requirements != "never" else "out-of-range"
    if need.poetry:
        return requirements.rewrite_poetry(need.text, new, policy=policy)
    return requirements.rewrite(
        need.text,
        new,
        policy=policy,
        format_version=lambda version: versioning.format_version(version, config.scheme),
    )


def _check_not_excluded(package: Package, need: Dependency, new: Version) -> None:
    if need.table in _PUBLISHED:
        raise Blocked(
            "requirement-excludes-version",
            f"{package.pyproject}: {need.text!r} excludes {need.name} {new} "
            '([tool.relnox] update-requirements = "never")',
            fix='widen the requirement by hand, or set update-requirements = "out-of-range"',
        )


def _dependents(
    workspace: Workspace,
    bumps: Sequence[VersionBump],
    updates: DependencyUpdates,
    present: Mapping[str, Version],
    config: Config,
) -> Iterator[tuple[str, BumpRequest]]:
    """Yield requests for packages that are not bumped yet and publish a requirement that changes."""
    by_name = {bump.package.name: bump for bump in bumps}
    for name, needs in updates.items():
        if name in by_name:
            continue
        package = workspace.by_name[name]
        causes = [
            by_name[config.dependency_updates.get(need.name, need.name)]
            for need, _ in needs
            if need.table in _PUBLISHED
        ]
        if name not in present or package.private or not causes or config.dependents == "none":
            continue
        causing_names = ", ".join(dict.fromkeys(cause.package.name for cause in causes))
        bump = _dependents_bump(present[name], causes, config)
        yield name, BumpRequest(bump, f"its requirement on {causing_names} changes")


def _dependents_bump(present: Version, causes: Iterable[VersionBump], config: Config) -> Bump:
    """Return the bump of a dependent: to its next prerelease, a new prerelease, or by the configured level."""
    if present.pre is not None:
        return Bump(part="pre")
    new_prereleases = [
        cause.after
        for cause in causes
        if cause.before is not None and not cause.before.is_prerelease and cause.after.is_prerelease
    ]
    if present.dev is not None or any(after.pre is None for after in new_prereleases):
        return Bump(part="dev")
    level = "patch" if config.dependents == "none" else config.dependents
    return Bump(part=level, pre=versioning.phase_of(new_prereleases[0]) if new_prereleases else None)
