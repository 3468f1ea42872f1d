"""Updates of the requirements on bumped packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.bump.version_bumps import VersionBump
from relnox.core.dependencies import requirements
from relnox.core.packages import Dependency, Package
from relnox.core.settings.config import Config
from relnox.core.versions import semver_compat
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

if TYPE_CHECKING:
    DependencyUpdates = Mapping[str, list[tuple[Dependency, str]]]
    """By package: the requirements to rewrite, each with its new text."""

PUBLISHED_TABLES = ("runtime", "extra")
"""The kinds of requirements that are part of the published metadata of a package."""


def find_dependency_updates(
    workspace: Workspace, bumps: Sequence[VersionBump], config: Config
) -> DependencyUpdates:
    """Return the requirements to rewrite because the packages that they name are bumped.

    Args:
        workspace: The packages.
        bumps: The bumps.
        config: The settings of the project.

    Raises:
        Blocked: A requirement must change, but the settings forbid it; or a requirement would be lowered.
    """
    lowered_packages = {
        bump.package.name for bump in bumps if bump.before is not None and bump.after < bump.before
    }
    after = {bump.package.name: bump.after for bump in bumps}
    after |= {name: after[package] for name, package in config.dependency_updates.items() if package in after}
    rewritten: dict[tuple[str, str, bool], str | None] = {}
    updates: dict[str, list[tuple[Dependency, str]]] = {}
    for package in workspace.packages:
        for dependency in package.dependencies:
            if dependency.name in after and dependency.key:
                cache_key = (dependency.name, dependency.text, dependency.is_poetry_syntax)
                is_first = cache_key not in rewritten
                if is_first:
                    rewritten[cache_key] = _rewrite_requirement(dependency, after[dependency.name], config)
                if (new_text := rewritten[cache_key]) is None:
                    continue
                if config.update_requirements == "never":
                    _check_not_published(package, dependency, after[dependency.name])
                    continue
                source = config.dependency_updates.get(dependency.name, dependency.name)
                if is_first and source not in lowered_packages:
                    _check_lower_bound_not_above(package, dependency, after[dependency.name])
                updates.setdefault(package.name, []).append((dependency, new_text))
    return updates


def _check_lower_bound_not_above(package: Package, dependency: Dependency, new: Version) -> None:
    """Check that the lower bound of a requirement is not greater than the new version.

    Raises:
        Blocked: It is greater, so the requirement would be lowered.
    """
    bound = requirements.highest_lower_bound(dependency)
    if bound is not None and Version(bound.base_version) > Version(new.base_version):
        raise Blocked(
            "requirement-ahead",
            f"{package.pyproject}: {dependency.text!r} requires a newer version than {dependency.name} {new}, "
            "and would be lowered",
            fix=f"release {dependency.name} {bound.public} or higher, or lower the requirement by hand first",
        )


def _rewrite_requirement(dependency: Dependency, new: Version, config: Config) -> str | None:
    """Return the text of a requirement after the package it names gets a new version, or None if it is unchanged.

    With `update-requirements = "never"`, the result is the one of `out-of-range`: a text means that the
    requirement excludes the new version.
    """
    policy = config.update_requirements if config.update_requirements != "never" else "out-of-range"
    if dependency.is_poetry_syntax:
        return requirements.rewrite_poetry(dependency.text, new, policy=policy)
    format_version = partial(semver_compat.format_version, scheme=config.scheme)
    return requirements.rewrite_pep508(dependency.text, new, policy=policy, format_version=format_version)


def _check_not_published(package: Package, dependency: Dependency, new: Version) -> None:
    """Check that a requirement that excludes the new version, and must not be rewritten, is not published.

    Raises:
        Blocked: It is published.
    """
    if dependency.table in PUBLISHED_TABLES:
        raise Blocked(
            "requirement-excludes-version",
            f"{package.pyproject}: {dependency.text!r} excludes {dependency.name} {new} "
            '([tool.relnox] update-requirements = "never")',
            fix='widen the requirement by hand, or set update-requirements = "out-of-range"',
        )
