"""Which packages move, to which versions, and why.

Packages move alone, in lockstep, or in groups: a fixed group moves as one, of a linked one those that move get one
version. A package whose published requirement would exclude what another one moves to is moved as well, until
nothing more has to follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from packaging.version import Version

from relnox.core import patterns, versioning
from relnox.core.version_locations import parse_version
from relnox.core.versioning import Bump
from relnox.errors import Blocked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date

    from relnox.core.config import Config
    from relnox.core.packages import Dependency, Package
    from relnox.core.workspace import Workspace

    DependencyUpdates = Mapping[str, list[tuple[Dependency, str]]]
    """By package: requirements that move, and what they become."""

__all__ = [
    "ANY_TAG",
    "BumpRequest",
    "VersionBump",
    "VersionGroup",
    "check_locations_agree",
    "describe_disagreement",
    "locations_agree",
    "plan_bumps",
    "version_groups",
]

ANY_TAG = "any tag gives their versions"
"""The name of the track of packages whose backends look at any tag."""
_PUBLISHED = ("runtime", "extra")


class VersionBump(NamedTuple):
    """A package, its versions before and after (equal where the present one is released), and why it moves."""

    package: Package
    before: Version | None
    after: Version
    reason: str


class BumpRequest(NamedTuple):
    """What is asked for a package, None for its version as it stands; and the reason, in a few words."""

    bump: Bump | None
    reason: str


class VersionGroup(NamedTuple):
    """Packages whose versions belong together."""

    name: str
    kind: str
    packages: tuple[Package, ...]


def version_groups(workspace: Workspace, config: Config) -> tuple[VersionGroup, ...]:
    """The packages in lockstep, the configured groups, and every other package alone.

    Raises:
        Blocked: A group means no package, or a package is in two.
    """
    if config.versions == "lockstep":
        return (VersionGroup("lockstep", "fixed", workspace.packages),)
    grouped: dict[str, str] = {}
    found = []
    for name, group in config.groups.items():
        members = patterns.select(group.packages, workspace.packages)
        if not members:
            raise Blocked(
                "todo",
                f"the group {name} means no package of this workspace: {', '.join(group.packages)}",
                fix=f"mend packages in [tool.relnox.groups.{name}]",
            )
        for package in members:
            if package.name in grouped:
                raise Blocked(
                    "todo",
                    f"{package.name} is in two groups, {grouped[package.name]} and {name}",
                    fix="take it out of one of them in [tool.relnox.groups]",
                )
            grouped[package.name] = name
        found.append(VersionGroup(name, group.kind, members))
    by_tags: dict[tuple[object, ...], list[Package]] = {}
    for package in workspace.packages:
        if package.name not in grouped and package.source.kind == "tags":
            by_tags.setdefault(package.source.key[:1], []).append(package)
    for key, together in by_tags.items():
        if len(together) > 1:  # their backends look at the same tags, so that one moves all
            name = f"tags {key[0]}*" if key else ANY_TAG
            found.append(VersionGroup(name, "fixed", tuple(together)))
            grouped |= dict.fromkeys((package.name for package in together), name)
    alone = (VersionGroup(each.name, "alone", (each,)) for each in workspace.packages if each.name not in grouped)
    return (*found, *alone)


def plan_bumps(
    workspace: Workspace,
    bump_requests: Mapping[str, BumpRequest],
    *,
    released: Mapping[str, Version],
    config: Config,
    today: date,
) -> tuple[tuple[VersionBump, ...], DependencyUpdates]:
    """Every package that moves, in the workspace's order, and the requirements that follow.

    Args:
        workspace: The packages.
        bump_requests: What is asked, by package.
        released: The versions of last tags, for packages whose versions are nowhere else.
        config: The project's settings.
        today: The date in UTC, for calendar versions.

    Raises:
        Blocked: A version cannot be moved, cannot move so, or packages that move as one are apart.
    """
    present = {
        package.name: version
        for package in workspace.packages
        if (version := _present(package, released)) is not None
    }
    if own := sorted(config.dependency_updates.keys() & workspace.by_name.keys()):
        raise Blocked(
            "todo",
            f"{own[0]} is a package of this workspace, but [tool.relnox] dependency-updates names others",
            fix="remove it from dependency-updates; to bump packages together, add a group: [tool.relnox.groups]",
        )
    belonging = version_groups(workspace, config)
    asked = dict(bump_requests)
    while True:
        moved = tuple(
            sorted(
                (move for track in belonging for move in _moved(track, asked, present, config, today)),
                key=lambda move: move.package.name,
            )
        )
        follow = _following(workspace, moved, present, config)
        more = dict(_dependents(workspace, moved, follow, _bases(belonging, present), config))
        if not more:
            return moved, follow
        asked |= more


def locations_agree(package: Package, version: Version | None) -> bool:
    """Whether every place of a package states its version."""
    return all(parse_version(place) == version for place in package.locations)


def check_locations_agree(moved: Iterable[VersionBump]) -> None:
    """See that every place of each package states the version that it moves from.

    Raises:
        Blocked: They differ; each place is named with what it says.
    """
    for package, before, _, _ in moved:
        if package.other_locations and not locations_agree(package, before):
            raise Blocked(
                "todo",
                describe_disagreement(package),
                fix="give all of them one version: --to VERSION; for a file that has a version of its own: "
                "[[tool.relnox.version-files]] file = … with count = 0",
            )


def describe_disagreement(package: Package) -> str:
    """What each place that states a package's version says."""
    listed = "\n".join(f"  {place.text}: {place.file}" for place in package.locations)
    return f"the places that state the version of {package.name} do not locations_agree:\n{listed}"


# --- from wishes to moves --------------------------------------------------------------------------


def _moved(
    track: VersionGroup,
    bump_requests: Mapping[str, BumpRequest],
    present: Mapping[str, Version],
    config: Config,
    today: date,
) -> Iterator[VersionBump]:
    """The moves of one track, if one of its packages is asked for."""
    asked = [package for package in track.packages if package.name in bump_requests]
    if not asked:
        return
    wanted = list(dict.fromkeys(bump_requests[package.name].bump for package in asked))
    named = next((bump for bump in wanted if bump is not None and bump.to is not None), None)
    stands = named is None and None in wanted  # somebody has written the version down: that decides
    moving = track.packages if track.kind == "fixed" and not stands else tuple(asked)
    base = _base(track, moving, present, named)
    counting = [named] if named is not None else [None] if stands else wanted
    try:
        after = max(_next(base, bump, config, today) for bump in counting)
        for package in moving:
            if named is not None and package.name in present:  # going down is allowed by name, package by package
                _next(present[package.name], named, config, today)
    except Blocked as error:
        names = ", ".join(package.name for package in asked[:3]) + (" …" if len(asked) > 3 else "")  # noqa: PLR2004
        raise error if len(present) == 1 else Blocked("todo", f"{names}: {error.message}", fix=error.fix) from None
    for package in moving:
        bump_request = bump_requests.get(package.name)
        reason = bump_request.reason if bump_request is not None else f"moves with {asked[0].name} ({track.name})"
        yield VersionBump(package, present.get(package.name), after, reason)


def _present(package: Package, released: Mapping[str, Version]) -> Version | None:
    """The version that a package has: the one it states, or the one of its last tag if it comes from tags."""
    if package.version is None and package.source.kind == "tags":
        return released.get(package.name)
    return package.version


def _bases(belonging: Iterable[VersionGroup], present: Mapping[str, Version]) -> dict[str, Version]:
    """The version that each package would move from: in a group the greatest of the group."""
    bases: dict[str, Version] = {}
    for track in belonging:
        names = [package.name for package in track.packages if package.name in present]
        if names:
            bases |= dict.fromkeys(names, max(present[name] for name in names))
    return bases


def _base(
    track: VersionGroup, moving: Sequence[Package], present: Mapping[str, Version], named: Bump | None
) -> Version | None:
    """The version that a track moves from; None where there is none yet and the new one is named."""
    for package in moving:
        if package.source.kind == "dynamic" or (named is None and package.name not in present):
            raise _without_version(package)
    stated = {package.name: present[package.name] for package in track.packages if package.name in present}
    if track.kind == "fixed" and named is None:
        _check_together(track, stated)
    return max(stated.values(), default=None)


def _next(base: Version | None, bump: Bump | None, config: Config, today: date) -> Version:
    if bump is None or base is None:
        if base is None and bump is not None and bump.to is not None:
            return versioning.parse(bump.to, where="--to")
        if base is not None:
            return base
        raise AssertionError("a package without a version has a wish that names one")
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
            "todo",
            f"{package.name} has no version yet: {package.source.text} takes it from tags, and none is reachable",
            fix="name the first one: --to 0.1.0; in a shallow clone first: git fetch --unshallow --tags",
        )
    return Blocked(
        "todo",
        f"{package.name} has no version that can be edited: it comes from {package.source.text}",
        fix="leave the package out, or state its version in [project] version",
    )


def _check_together(track: VersionGroup, stated: Mapping[str, Version]) -> None:
    by_version: dict[str, list[str]] = {}
    for package in track.packages:
        if package.name in stated:
            by_version.setdefault(str(stated[package.name]), []).append(package.pyproject)
    if len(by_version) > 1:
        listed = "\n".join(f"  {version}: {', '.join(files)}" for version, files in sorted(by_version.items()))
        what = (
            "packages should move in lockstep" if track.name == "lockstep" else f"group {track.name} moves as one"
        )
        raise Blocked(
            "todo",
            f"the {what}, but their versions differ:\n{listed}",
            fix="give all of them one version: --to VERSION",
        )


# --- from moves to what follows --------------------------------------------------------------------


def _following(
    workspace: Workspace, moved: Sequence[VersionBump], present: Mapping[str, Version], config: Config
) -> DependencyUpdates:
    """For each package its requirements that move with the packages they name, and what they become."""
    lowered = {move.package.name for move in moved if move.before is not None and move.after < move.before}
    after = {move.package.name: move.after for move in moved}
    after |= {name: after[of] for name, of in config.dependency_updates.items() if of in after}
    rewritten: dict[tuple[str, str, bool], str | None] = {}
    found: dict[str, list[tuple[Dependency, str]]] = {}
    for package in workspace.packages:
        for need in package.dependencies:
            if need.name in after and need.key:
                same = (need.name, need.text, need.poetry)
                if same not in rewritten:
                    rewritten[same] = _rewritten(need, after[need.name], config)
                if (changed := rewritten[same]) is None:
                    continue
                if config.update_requirements == "never":
                    _check_not_excluded(package, need, after[need.name])
                    continue
                if config.dependency_updates.get(need.name, need.name) not in lowered:
                    _check_not_ahead(package, need, after[need.name])
                found.setdefault(package.name, []).append((need, changed))
    for name, need, changed in _bounds(workspace, moved, dict(present) | after, config):
        found.setdefault(name, []).append((need, changed))
    return found


def _bounds(
    workspace: Workspace, moved: Sequence[VersionBump], versions: Mapping[str, Version], config: Config
) -> Iterator[tuple[str, Dependency, str]]:
    """Bare requirements on packages of the workspace, of packages that move, with the bound they get."""
    if config.sibling_bound in (None, "keep"):
        return
    from relnox.core import requirements

    for package in (move.package for move in moved):
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
    """See that a requirement is not lowered: it asks for what the new version does not have yet."""
    from relnox.core import requirements

    floor = requirements.lower_bound(need)
    if floor is not None and Version(floor.base_version) > Version(new.base_version):
        raise Blocked(
            "todo",
            f"{package.pyproject}: {need.text!r} is ahead of {need.name} {new}, and would be lowered",
            fix=f"release {need.name} {floor.public} or higher, or lower the requirement by hand first",
        )


def _rewritten(need: Dependency, new: Version, config: Config) -> str | None:
    from relnox.core import requirements

    policy = config.update_requirements if config.update_requirements != "never" else "out-of-range"
    if need.poetry:
        return requirements.rewrite_poetry(need.text, new, policy=policy)
    return requirements.rewrite(
        need.text,
        new,
        policy=policy,
        scheme_spelling=lambda version: versioning.format_version(version, config.scheme),
    )


def _check_not_excluded(package: Package, need: Dependency, new: Version) -> None:
    if need.table in _PUBLISHED:
        raise Blocked(
            "todo",
            f"{package.pyproject}: {need.text!r} excludes {need.name} {new}, and [tool.relnox] constraints "
            'is "never"',
            fix='widen it by hand first, or let it follow: update-requirements = "out-of-range"',
        )


def _dependents(
    workspace: Workspace,
    moved: Sequence[VersionBump],
    follow: DependencyUpdates,
    present: Mapping[str, Version],
    config: Config,
) -> Iterator[tuple[str, BumpRequest]]:
    """Packages that do not move yet and must, since a requirement that they publish changes."""
    moving = {move.package.name: move for move in moved}
    for name, needs in follow.items():
        if name in moving:
            continue
        package = workspace.by_name[name]
        causes = [
            moving[config.dependency_updates.get(need.name, need.name)]
            for need, _ in needs
            if need.table in _PUBLISHED
        ]
        if name not in present or package.private or not causes or config.dependents == "none":
            continue
        listed = ", ".join(dict.fromkeys(cause.package.name for cause in causes))
        yield (
            name,
            BumpRequest(_dependents_bump(present[name], causes, config), f"its requirement on {listed} moves"),
        )


def _dependents_bump(present: Version, causes: Iterable[VersionBump], config: Config) -> Bump:
    """How a dependent moves: on in its own prerelease, or with a package that begins one, or by the set level."""
    if present.pre is not None:
        return Bump(part="pre")
    begun = [
        cause.after
        for cause in causes
        if cause.before is not None and not cause.before.is_prerelease and cause.after.is_prerelease
    ]
    if present.dev is not None or any(after.pre is None for after in begun):
        return Bump(part="dev")
    level = "patch" if config.dependents == "none" else config.dependents
    return Bump(part=level, pre=versioning.phase_of(begun[0]) if begun else None)
