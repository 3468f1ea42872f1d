"""The start of the next development versions: their requests, and the workspace as released."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relnox.core.bump.editing import format_version_for
from relnox.core.bump.version_bumps import BumpRequest, VersionBump
from relnox.core.packages import Package
from relnox.core.records import replace
from relnox.core.settings.config import Config
from relnox.core.versions.requested_bump import Bump
from relnox.core.workspace import Workspace

if TYPE_CHECKING:
    from relnox.core.bump.dependency_updates import DependencyUpdates


def request_development_versions(bumps: Sequence[VersionBump]) -> dict[str, BumpRequest]:
    """Return the requests that start the next development versions after the given bumps, by package.

    Packages whose versions are not written in files, or whose new version is a development version, have none.
    """
    return {
        bump.package.name: BumpRequest(Bump(part="dev"), f"after {bump.after}")
        for bump in bumps
        if bump.package.source.is_in_file and not bump.after.is_devrelease
    }


def workspace_after_release(
    workspace: Workspace, bumps: Sequence[VersionBump], updates: DependencyUpdates, config: Config
) -> Workspace:
    """Return the workspace with the versions and requirements that its packages have in the release commit."""
    by_name = {bump.package.name: bump for bump in bumps}
    packages = []
    for package in workspace.packages:
        texts = {dependency.key: text for dependency, text in updates.get(package.name, ())}
        released_package = replace(
            package,
            dependencies=tuple(
                replace(dependency, text=texts[dependency.key]) if dependency.key in texts else dependency
                for dependency in package.dependencies
            ),
        )
        bump = by_name.get(package.name)
        packages.append(
            released_package if bump is None else _package_with_new_version(released_package, bump, config)
        )
    return replace(workspace, packages=tuple(packages))


def _package_with_new_version(package: Package, bump: VersionBump, config: Config) -> Package:
    """Return a package with its new version at every location in a file."""
    source, *others = (
        replace(location, text=format_version_for(bump.after, location, config))
        if location.is_in_file
        else location
        for location in (package.source, *package.other_locations)
    )
    version = bump.after if package.source.is_in_file else package.version
    return replace(package, version=version, source=source, other_locations=tuple(others))
