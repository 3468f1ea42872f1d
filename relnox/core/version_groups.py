"""Version groups: packages that are bumped together, or that share a version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from packaging.version import Version

from relnox.core import fixes
from relnox.core.packages import Package
from relnox.core.records import Record
from relnox.core.settings import patterns
from relnox.core.settings.config import Config
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

ANY_TAG_GROUP = "any tag gives their versions"
"""The name of the group of packages whose build backends read any tag."""


class VersionGroup(Record):
    """Packages that are bumped together, or that share a version.

    Attributes:
        name: For a group in the settings, its name there; for a package in no group, the package's name; for all
            packages in lockstep, `lockstep`; for packages whose build backends read the same tags, `tags PREFIX*`,
            or `ANY_TAG_GROUP` if they read any tag.
        kind: `fixed` if all packages are bumped together; `linked` if those that are bumped get the same version;
            `alone` for a package in no group.
    """

    name: str
    kind: Literal["fixed", "linked", "alone"]
    packages: tuple[Package, ...]


def find_version_groups(workspace: Workspace, config: Config) -> tuple[VersionGroup, ...]:
    """Return the version groups of a workspace.

    In lockstep, there is one group with all packages. Otherwise, there are the configured groups, a group for
    packages whose build backends read the same tags, and a group for each other package alone.

    Raises:
        Blocked: A group matches no package, or a package is in two groups.
    """
    if config.versions == "lockstep":
        return (VersionGroup("lockstep", "fixed", workspace.packages),)
    group_by_package: dict[str, str] = {}
    groups = []
    for name, group in config.groups.items():
        members = patterns.select_packages(group.packages, workspace.packages)
        if not members:
            raise Blocked(
                "setting-invalid",
                f"group {name} has no package of this workspace (packages is set to {', '.join(group.packages)})",
                fix=f"set packages in [tool.relnox.groups.{name}] to names or directories of packages",
            )
        for package in members:
            if package.name in group_by_package:
                raise Blocked(
                    "setting-invalid",
                    f"{package.name} is in two groups: {group_by_package[package.name]} and {name}",
                    fix=f"remove it from packages in [tool.relnox.groups.{name}]",
                )
            group_by_package[package.name] = name
        groups.append(VersionGroup(name, group.kind, members))
    by_tags: dict[tuple[object, ...], list[Package]] = {}
    for package in workspace.packages:
        if package.name not in group_by_package and package.source.kind == "tags":
            by_tags.setdefault(package.source.key[:1], []).append(package)
    for key, members_by_tag in by_tags.items():
        if len(members_by_tag) > 1:  # their backends read the same tags, so one new tag bumps all of them
            name = f"tags {key[0]}*" if key else ANY_TAG_GROUP
            groups.append(VersionGroup(name, "fixed", tuple(members_by_tag)))
            group_by_package |= dict.fromkeys((package.name for package in members_by_tag), name)
    alone = (
        VersionGroup(package.name, "alone", (package,))
        for package in workspace.packages
        if package.name not in group_by_package
    )
    return (*groups, *alone)


def check_group_has_one_version(group: VersionGroup, versions: Mapping[str, Version]) -> None:
    """Check that all packages of a group that are in `versions` have the same version.

    Raises:
        Blocked: The versions differ; the message lists the files with each version.
    """
    by_version: dict[str, list[str]] = {}
    for package in group.packages:
        if package.name in versions:
            by_version.setdefault(str(versions[package.name]), []).append(package.pyproject)
    if len(by_version) > 1:
        lines = "\n".join(f"  {version}: {', '.join(files)}" for version, files in sorted(by_version.items()))
        what = "packages in lockstep" if group.name == "lockstep" else f"packages of group {group.name}"
        selected = () if group.name == "lockstep" else ("--package", group.packages[0].name)
        raise Blocked(
            "version-locations-differ",
            f"{what} have different versions\n{lines}",
            fix=f"set one version: {fixes.task_command('bump', '--to', 'VERSION', *selected)}",
        )
