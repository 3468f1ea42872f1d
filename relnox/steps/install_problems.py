"""How an installation differs from the release, and the errors for those that do not work."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from relnox import building
from relnox.core import fixes
from relnox.core.names import normalize_name, requirement_name
from relnox.core.records import Record
from relnox.core.text import join_names
from relnox.errors import Failed, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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

_WRONG_SCRIPT = re.compile(
    r"the script (\S+) \((.+?)\) fails: (?:AttributeError|ModuleNotFoundError)\b"
    r"|the script (\S+) calls (.+?), which"
)
"""Failures of scripts whose target is not a function."""


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
    """Return the error for all failures, with the last output, and a fix for the first failure that has one."""
    lines = [f"  {failure.message}{f' ({failure.location})' if failure.location else ''}" for failure in failures]
    if result.output:
        lines += ["  last output:", *(f"  | {line}" for line in result.output)]
    text = "\n".join(lines)
    return Failed(
        "install-broken",
        f"{installation.release} was installed on Python {installation.python}, but does not work:\n{text}",
        fix=_choose_fix(installation, failures, result),
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


def _choose_fix(installation: Installation, failures: Sequence[ProbeFailure], result: ProbeResult) -> str:
    package, archive = installation.package, installation.archive
    missing = next((failure.missing_module for failure in failures if failure.missing_module), None)
    if missing is None:
        return _choose_fix_for_error(installation, failures, result)
    top = missing.partition(".")[0]
    if any(f"{missing}.".startswith(f"{name}.") for name in installation.modules):
        return (
            f"{archive.path.name} lacks {missing}: have its build backend include it "
            "(files of the source tree that no archive has are not published)"
        )
    if not installation.has_requirements:
        return (
            f"{package} is installed without requirements (install-without-deps): list the modules to import, "
            f"[tool.relnox.verify] modules = {{ {package} = [] }}"
        )
    if top in sys.stdlib_module_names and top not in result.standard_library:
        return f"{top} is in the standard library of other Pythons only: correct requires-python of {package}"
    if providers := _find_packages_with_module(installation, missing):
        fix = f"{' and '.join(providers)} has {missing}: add it to the dependencies of {package}"
        if _is_required_by(installation, providers):  # a cycle
            skip = f'[tool.relnox.verify] skip = {{ {package} = "needs {" and ".join(providers)}" }}'
            fix += f"; if it is only installed with {' and '.join(providers)}: {skip}"
        return fix
    if fix := _fix_for_wrong_script(failures):
        return f"{fix}, or add the distribution that has {top} to the dependencies of {package}"
    if any(top == name.partition(".")[0] for name in installation.modules):
        return (
            f"distributions share the namespace {top}, and no requirement of {package} provides {missing}: "
            "add the distribution that has it to its dependencies; "
            f"if {package} itself has it, have its build backend include it"
        )
    return (
        f"no requirement of {package} provides {top}: add it to its dependencies; if an extra provides it: "
        f'[tool.relnox.verify] extras = {{ {package} = ["…"] }}'
    )


def _fix_for_wrong_script(failures: Iterable[ProbeFailure]) -> str:
    """Return the fix for the first script whose module or function does not exist, or "" if there is none."""
    for failure in failures:
        match = _WRONG_SCRIPT.match(failure.message)
        if match is not None and failure.location is None:  # with a location, it is an error inside the module
            name, target = filter(None, match.groups())
            return f'correct {name} = "{target}" in [project.scripts]'
    return ""


def _choose_fix_for_error(
    installation: Installation, failures: Sequence[ProbeFailure], result: ProbeResult
) -> str:
    """Return the fix for checks that failed, but not because a module could not be found."""
    package, archive = installation.package, installation.archive
    if fix := _fix_for_wrong_script(failures):
        return fix
    if any("does not end within" in failure.message for failure in failures):
        return f"if it needs longer: [tool.relnox.verify] time-limit = {{ {package} = … }}, in seconds"
    if extras := _find_extras_in_output(installation, failures, result):
        setting = f"[tool.relnox.verify] extras = {{ {package} = {json.dumps(extras)} }}"
        return f"if it needs {join_names(extras)}: {setting}"
    if failures[0].message.startswith("import ") and "FileNotFoundError" not in failures[0].message:
        setting = f"[tool.relnox.verify] modules = {{ {package} = [] }}"
        return f"correct the error; if the module cannot be imported alone, list those that can: {setting}"
    return f"list the content of {archive.path.name} (python -m zipfile -l, or tar -tf); see the output above"


def _find_extras_in_output(
    installation: Installation, failures: Sequence[ProbeFailure], result: ProbeResult
) -> list[str]:
    """Return the extras of the package that its errors or its output name, as in `pip install "demo[cli]"`."""
    text = "\n".join([*(failure.message for failure in failures), *result.output])
    names = re.findall(rf"\b{installation.package}\[([^]\n]+)\]", text, re.IGNORECASE)
    named = {normalize_name(name.strip()) for group in names for name in group.split(",")}
    extras = building.archives.parse_metadata(installation.archive.metadata)[0].get("provides_extra", [])
    return [extra for extra in extras if normalize_name(extra) in named]


def _find_packages_with_module(installation: Installation, module: str) -> list[str]:
    """Return the other packages of the release whose wheels contain a module or one of its parent packages."""
    return [
        name
        for name, downloads in installation.release_files.items()
        if name != installation.package
        if any(
            f"{module}.".startswith(f"{provided_module}.")
            for archive in downloads
            if archive.kind == "wheel"
            for provided_module in building.wheel_contents.import_names(archive)
        )
    ]


def _is_required_by(installation: Installation, packages: Iterable[str]) -> bool:
    """Return whether one of these packages of the release requires the package that is verified."""
    archives = [archive for name in packages for archive in installation.release_files[name]]
    return any(requirement_name(text) == installation.package for archive in archives for text in archive.requires)


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
