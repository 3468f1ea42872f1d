"""How an installation differs from the release, and the errors for those that do not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from relnox import building
from relnox.core import fixes
from relnox.core.records import Record
from relnox.errors import Failed, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from relnox.building.archives import Archive
    from relnox.building.installation_checks import ProbeFailure, ProbeResult
    from relnox.building.installed_distributions import InstalledDistribution
    from relnox.errors import RelnoxError
    from relnox.system.process import Completed

_CONNECTION_ERRORS = (
    *("error sending request", "request failed after", "dns error", "connection refused", "operation timed out"),
    *("temporary failure in name resolution", "connection aborted"),
)
"""Output of uv when an index does not respond."""
_RESOLUTION_ERRORS = ("no solution found", "was not found in")
"""Output of uv when an index does not have a requirement."""


class Installation(Record):
    """A package of the release, installed in a fresh environment.

    Attributes:
        package: The package.
        release: The package with its version, for messages.
        python: The version of the environment's Python.
        archive: The archive that was installed.
        modules: The modules to import.
        has_requirements: Whether the requirements were installed, too.
        release_files: The files of the release, by package.
    """

    package: str
    release: str
    python: str
    archive: Archive
    modules: tuple[str, ...]
    has_requirements: bool
    release_files: Mapping[str, tuple[Archive, ...]]


def broken_install_error(
    installation: Installation, failures: Sequence[ProbeFailure], result: ProbeResult
) -> Failed:
    """Return the error for all failures, with the last output."""
    lines = [f"  {failure.message}{f' ({failure.location})' if failure.location else ''}" for failure in failures]
    if result.output:
        lines += ["  last output:", *(f"  | {line}" for line in result.output)]
    text = "\n".join(lines)
    return Failed(
        "install-broken",
        f"{installation.release} was installed on Python {installation.python}, but does not work:\n{text}",
        fix=_choose_fix(installation, failures),
    )


def empty_install_error(installation: Installation, distribution: InstalledDistribution) -> Failed:
    """Return the error for a package that was installed, but has nothing to import or run."""
    package, archive = installation.package, installation.archive
    if any(
        not name.startswith(f"{distribution.dist_info_directory.name}/") for name in distribution.record_hashes
    ):
        content = "has files, but no module and no script"
        fix = (
            f'add a smoke test: [tool.relnox.verify] smoke = {{ {package} = ["…"] }}; or, if there is nothing '
            f"to check: modules = {{ {package} = [] }}"
        )
    else:
        content = "has no module, no script and no data"
        fix = (
            f"have the build backend include the modules, then: {fixes.task_command('build-all')}; "
            f"if the package has none on purpose: "
            f'[tool.relnox] metadata-only = ["{package}"]'
        )
    return Failed(
        "install-empty",
        f"{installation.release} on Python {installation.python} is installed, but there is nothing to "
        f"import: {archive.path.name} {content}",
        fix=fix,
    )


def _choose_fix(installation: Installation, failures: Sequence[ProbeFailure]) -> str:
    package, archive = installation.package, installation.archive
    missing = next((failure.missing_module for failure in failures if failure.missing_module), None)
    if missing is not None and any(f"{missing}.".startswith(f"{name}.") for name in installation.modules):
        return (
            f"{archive.path.name} lacks {missing}: have its build backend include it "
            "(files of the source tree that no archive has are not published)"
        )
    modules = f"[tool.relnox.verify] modules = {{ {package} = [] }}"
    if missing is not None and not installation.has_requirements:
        return f"{package} is installed without requirements (install-without-deps): list the modules, {modules}"
    if missing is not None:
        return (
            f"add the distribution that has {missing} to the dependencies of {package}; if an extra requires it: "
            f'[tool.relnox.verify] extras = {{ {package} = ["…"] }}'
        )
    if any("does not end within" in failure.message for failure in failures):
        return f"if it needs longer: [tool.relnox.verify] time-limit = {{ {package} = … }}, in seconds"
    return f"correct the error; to import other modules: {modules}"


def installer_error(release: str, python: str, completed: Completed) -> RelnoxError:
    """Return the error for an installer that failed, with the cause found in its output."""
    action = f"{release} on Python {python}: installing it"
    output = " ".join(completed.output.lower().split())
    fix = building.environments.choose_installer_fix(completed, "see the installer's last lines above")
    if any(text in output for text in _RESOLUTION_ERRORS):
        fix = "the trusted index has no matching release: correct the requirement, or publish that one first"
    try:
        completed.check(action, fix=fix)
    except Failed as error:
        if any(text in output for text in _CONNECTION_ERRORS):
            return TryLater(
                "index-unavailable",
                error.message,
                fix="rerun the command later (the trusted index does not respond)",
            )
        return error
    raise AssertionError(action)


def find_wrong_origins(
    installed_distributions: Mapping[str, InstalledDistribution], archives: Mapping[str, Archive]
) -> Iterator[str]:
    """Yield a message for each package that was not installed from these archives (PEP 610)."""
    for name, archive in archives.items():
        distribution = installed_distributions.get(name)
        if distribution is None:
            yield f"{name} is not installed, although {archive.path.name} was passed to the installer"
        elif _path_of_url(distribution.direct_url.get("url", "")) != _path_of_url(archive.path.as_uri()):
            origin = distribution.direct_url.get("url") or "the trusted index"
            yield f"{name} {distribution.version} comes from {origin}, not from {archive.path.name}"


def find_changed_files(
    installed_distributions: Mapping[str, InstalledDistribution], archives: Mapping[str, Archive]
) -> Iterator[str]:
    """Yield a message for each installed file that differs from RECORD; archives are checked when opened."""
    for name, archive in archives.items():
        if name in installed_distributions:
            wheel_record = building.wheel_contents.read_record_hashes(archive) if archive.kind == "wheel" else {}
            for change in building.installed_distributions.find_changed_files(
                installed_distributions[name], wheel_record
            ):
                yield f"{name}: {change}"


def find_wrong_versions(
    distribution: InstalledDistribution, module_versions: Mapping[str, str | None], release: Version
) -> Iterator[str]:
    """Yield a message for each wrong version, in the metadata or in `__version__` of a module."""
    if not _matches_version(distribution.version, release):
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
