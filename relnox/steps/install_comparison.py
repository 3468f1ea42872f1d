"""Compare what an installer installed with the files of a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from relnox import building

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from relnox.building.archives import Archive
    from relnox.building.installed_distributions import InstalledDistribution


def find_wrong_origins(
    installed: Mapping[str, InstalledDistribution], archives: Mapping[str, Archive]
) -> Iterator[str]:
    """Yield a message for each package that was not installed from these archives (PEP 610)."""
    for name, archive in archives.items():
        distribution = installed.get(name)
        if distribution is None:
            yield f"{name} is not installed, although {archive.path.name} was passed to the installer"
        elif _path_of_url(distribution.direct_url.get("url", "")) != _path_of_url(archive.path.as_uri()):
            origin = distribution.direct_url.get("url") or "the trusted index"
            yield f"{name} {distribution.version} comes from {origin}, not from {archive.path.name}"


def find_changed_files(
    installed: Mapping[str, InstalledDistribution], archives: Mapping[str, Archive]
) -> Iterator[str]:
    """Yield a message for each installed file that differs from RECORD; archives are checked when opened."""
    for name, archive in archives.items():
        if name in installed:
            wheel_record = building.wheel_modules.read_record_hashes(archive) if archive.kind == "wheel" else {}
            for change in building.installed_distributions.find_changed_files(installed[name], wheel_record):
                yield f"{name}: {change}"


def find_wrong_versions(
    distribution: InstalledDistribution | None, module_versions: Mapping[str, str | None], release: Version
) -> Iterator[str]:
    """Yield a message for each wrong version, in the metadata or in `__version__` of a module."""
    if distribution is not None and not _matches_version(distribution.version, release):
        yield f"{distribution.version} is installed, but the release is {release}"
    for name, version in module_versions.items():
        if version is not None and not _matches_version(version, release):
            yield f"{name}.__version__ is {version!r}, but the release is {release}"


def _path_of_url(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path)


def _matches_version(text: str, version: Version) -> bool:
    """Return whether text is this version; true also for text that is no valid version, such as a commit id."""
    try:
        return Version(text) == version
    except InvalidVersion:
        return True
