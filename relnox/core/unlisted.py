"""Messages about the packages in the checkout that do not belong to the project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from packaging.version import Version

from relnox.core import requirements
from relnox.core.bump.version_bumps import VersionBump
from relnox.core.packages import Dependency, Package
from relnox.core.settings.config import Config
from relnox.core.tag_proposals import as_toml, directory_globs
from relnox.core.workspace import Workspace
from relnox.errors import Blocked

_MAX_LISTED = 5


def describe_unlisted_packages(unlisted_packages: Sequence[Package], workspace: Workspace, config: Config) -> str:
    """Return a message that names these packages, and the settings that would include or exclude them."""
    names = [f"{package.name} ({package.pyproject})" for package in unlisted_packages[:_MAX_LISTED]]
    more = f" and {len(unlisted_packages) - _MAX_LISTED} more" if len(unlisted_packages) > _MAX_LISTED else ""
    inside = [package for package in unlisted_packages if package.directory.split("/")[0] != ".."]
    text = f"{', '.join(names)}{more}: not among the packages of this project, not released"
    if not inside:
        return text
    all_packages = (*workspace.packages, *inside)
    globs = directory_globs(inside, all_packages)
    packages = [*config.packages, *globs] if config.packages else directory_globs(all_packages, all_packages)
    # `exclude` does not support patterns that begin with `!`.
    exclude = [pattern for pattern in (*config.exclude, *globs) if not pattern.startswith("!")]
    return (
        f"{text}\nto release them: {as_toml({'packages': packages}, header=False)}\n"
        f"to exclude them: {as_toml({'exclude': exclude}, header=False)}"
    )


def outdated_pin_warnings(unlisted_packages: Iterable[Package], bumps: Iterable[VersionBump]) -> Iterator[str]:
    """Yield a message for each requirement of a package outside the project that does not allow a new version."""
    after = {bump.package.name: bump.after for bump in bumps}
    for package in unlisted_packages:
        for dependency in package.dependencies:
            if dependency.name in after and not _requirement_allows(dependency, after[dependency.name]):
                yield (
                    f"{package.pyproject}: {dependency.text!r} does not allow {dependency.name} "
                    f"{after[dependency.name]} and is not changed ({package.name} is not among the packages of "
                    "this project)"
                )


def _requirement_allows(dependency: Dependency, version: Version) -> bool:
    """Return whether a requirement is valid and allows a version."""
    try:
        rewrite = requirements.rewrite_poetry if dependency.is_poetry_syntax else requirements.rewrite_pep508
        return rewrite(dependency.text, version) is None
    except Blocked:
        return False
