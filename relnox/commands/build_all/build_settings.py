"""The build settings of packages, from uv's settings in the project and from environment variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from relnox import core
from relnox.core.text import join_names
from relnox.errors import Blocked

if TYPE_CHECKING:
    from relnox.commands.shared.project import Project
    from relnox.core.packages import Package
    from relnox.core.settings.build_settings import BuildSettings

_IGNORED_VARIABLES = {
    "UV_CONSTRAINT": "uv build ignores it too",
    "UV_OVERRIDE": "uv build ignores it too",
    "UV_NO_BUILD_ISOLATION": "relnox builds in isolated environments",
    "PIP_NO_BUILD_ISOLATION": "relnox builds in isolated environments",
}
"""Maps environment variables that builds do not honor to the reason."""


def read_build_settings(
    packages: tuple[Package, ...], project: Project, installer: str
) -> tuple[dict[str, BuildSettings], list[str]]:
    """Read the build settings of packages from uv's settings in the project and from environment variables.

    Return the settings of each package, and notes on those that are honored or not.

    Raises:
        Blocked: Constraints name URLs or paths, although builds may only use one index.
    """
    from relnox.building.environments import find_installer
    from relnox.building.installer_settings import find_constraint_files, find_external_constraints
    from relnox.indexes import targets
    from relnox.source import uv_settings

    files = find_constraint_files(os.environ, Path.cwd())
    paths = tuple(dict.fromkeys(name for name, _ in files))
    by_package: dict[str, BuildSettings] = {}
    honored_settings: dict[str, None] = {}
    not_honored: dict[str, list[str]] = {}
    for package in packages:
        uv = uv_settings.read_build_settings(project.root, package, os.environ)
        constraints = core.records.replace(uv.build.constraints, files=paths)
        by_package[package.name] = core.records.replace(uv.build, constraints=constraints)
        honored_settings |= dict.fromkeys(uv.applied_settings)
        for setting in (*uv.ignored_settings, *find_installer(installer).unsupported_constraints(constraints)):
            not_honored.setdefault(setting, []).append(package.name)
    if installer == "pip" and any(build.constraints.require_hashes for build in by_package.values()):
        raise Blocked("options-conflict", "pip cannot require hashes", fix="remove --installer pip")
    honored_settings |= dict.fromkeys(setting for _, setting in files)
    if targets.build_simple_url(project.config) is not None:
        bounds = {bound for build in by_package.values() for bound in build.constraints.requirements}
        if addresses := list(find_external_constraints([name for name, _ in files], sorted(bounds))):
            raise Blocked(
                "constraint-names-address",
                "constraints name addresses, but builds may use only one index (build-index or trusted-index): "
                f"{join_names(addresses)}",
                fix=f"remove the addresses from {join_names(list(honored_settings))}",
            )
    notes = [f"builds follow {', '.join(honored_settings)}"] if honored_settings else []
    notes += [f"not honored: {setting}, for {join_names(names)}" for setting, names in not_honored.items()]
    notes += [f"not honored: {name} ({why})" for name, why in _IGNORED_VARIABLES.items() if os.environ.get(name)]
    return by_package, notes
