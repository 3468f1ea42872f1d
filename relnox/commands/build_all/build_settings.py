"""The build settings of packages, from uv's settings in the project and from environment variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from relnox.commands.shared.project import Project
from relnox.core import records
from relnox.core.packages import Package
from relnox.core.settings.build_settings import BuildSettings
from relnox.core.text import join_names
from relnox.errors import Blocked
from relnox.indexes import targets
from relnox.source import uv_settings

_IGNORED_VARIABLES = {
    "UV_CONSTRAINT": "uv build ignores it too",
    "UV_OVERRIDE": "uv build ignores it too",
    "UV_NO_BUILD_ISOLATION": "relnox builds in isolated environments",
    "PIP_NO_BUILD_ISOLATION": "relnox builds in isolated environments",
    "PIP_CONSTRAINT": "uv installs build requirements: set UV_BUILD_CONSTRAINT",
    "PIP_BUILD_CONSTRAINT": "uv installs build requirements: set UV_BUILD_CONSTRAINT",
    "PIP_INDEX_URL": "uv installs build requirements: set UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "uv installs build requirements: set UV_INDEX",
}
"""Maps environment variables that builds do not honor to the reason."""
_EXTERNAL_CONSTRAINT = re.compile(r"\S\s*@\s*\w|://|^-(?!-hash=)")
"""A constraint that names a URL, or a line of a constraint file with an option other than `--hash`."""


def _read_uv_settings(root: Path, package: Package) -> uv_settings.UvBuildSettings:
    return uv_settings.read_build_settings(root, package, os.environ)


def read_build_settings(
    packages: tuple[Package, ...], project: Project
) -> tuple[dict[str, BuildSettings], list[str]]:
    """Read the build settings of packages from uv's settings in the project and from environment variables.

    Return the settings of each package, and notes on those that are honored or not.

    Raises:
        Blocked: Constraints name URLs or paths, although builds may only use one index.
    """
    files = os.environ.get("UV_BUILD_CONSTRAINT", "").split()
    files = [file if "://" in file else str(Path.cwd() / file) for file in files]
    by_package: dict[str, BuildSettings] = {}
    honored_settings: dict[str, None] = {}
    not_honored: dict[str, list[str]] = {}
    for package in packages:
        uv = project.once(_read_uv_settings, project.root, package)
        constraints = records.replace(uv.build.constraints, files=tuple(files))
        by_package[package.name] = records.replace(uv.build, constraints=constraints)
        honored_settings |= dict.fromkeys(uv.applied_settings)
        for setting in uv.ignored_settings:
            not_honored.setdefault(setting, []).append(package.name)
    honored_settings |= {"UV_BUILD_CONSTRAINT": None} if files else {}
    if targets.build_simple_url(project.config) is not None:
        bounds = {bound for build in by_package.values() for bound in build.constraints.requirements}
        if addresses := list(_find_external_constraints(files, sorted(bounds))):
            raise Blocked(
                "setting-invalid",
                "constraints name addresses, but builds may use only one index (trusted-index): "
                f"{join_names(addresses)}",
                fix=f"remove the addresses from {join_names(list(honored_settings))}",
            )
    notes = [f"builds follow {', '.join(honored_settings)}"] if honored_settings else []
    notes += [f"not honored: {setting}, for {join_names(names)}" for setting, names in not_honored.items()]
    notes += [f"not honored: {name} ({why})" for name, why in _IGNORED_VARIABLES.items() if os.environ.get(name)]
    return by_package, notes


def _find_external_constraints(files: Iterable[str], requirements: Iterable[str]) -> Iterator[str]:
    """Yield the constraints in `files` and `requirements` that refer to a location other than the index.

    A constraint file that is itself a URL is yielded, since its content is not known.
    """
    yield from (requirement for requirement in requirements if "@" in requirement)
    for file in files:
        try:
            text = "" if "://" in file else Path(file).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # uv reports the problem
        lines = (line.partition(" #")[0].strip() for line in text.splitlines())
        if "://" in file:
            yield file
        yield from (line for line in lines if not line.startswith("#") and _EXTERNAL_CONSTRAINT.search(line))
