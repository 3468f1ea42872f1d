"""Which releases `--public` verifies: the newest of each package on an index, or a version that the user names."""

from __future__ import annotations

from collections.abc import Sequence

from packaging.version import Version

from relnox.building.environments import RUNNING_PYTHON
from relnox.commands.options import VerifyOptions as Options
from relnox.core import fixes
from relnox.core.packages import is_valid_name, normalize_name
from relnox.core.release import public_index
from relnox.core.release.manifest import Distribution, DistributionKind, Manifest
from relnox.errors import Blocked, Failed, Problem
from relnox.indexes import attestations
from relnox.indexes.index import Index
from relnox.indexes.listings import IndexFile, Listing
from relnox.project import Project
from relnox.steps.fetch_release import LookUpRelease, select_file

_RETRY_TIME = 60
"""How long to retry the listings and the downloads of an index, in seconds, unless `--wait` says so."""


def find_public_releases(
    options: Options, project: Project, index: Index
) -> tuple[Manifest, list[LookUpRelease], list[str]]:
    """Find the releases on an index that `--package` selects, or those of all packages of the workspace.

    Returns:
        A manifest of the files to download; a step for each package that `--package` names or that is on the
        index, which looks up its release; and notes on packages without a release, and on provenance.

    Raises:
        Blocked: A name or a version in `--package` is invalid.
        Failed: No package of the workspace is on the index.
        TryLater: The index does not answer.
    """
    requested_versions = _parse_package_versions(options.package, project)
    selected_names = requested_versions or [
        package.name for package in project.workspace.packages if not package.is_private
    ]
    needs = {name: _workspace_dependencies(name, index, project) for name in selected_names}
    names = tuple(dict.fromkeys((*selected_names, *(needed for own in needs.values() for needed in own))))
    project.once(index.fetch_listings, names, seconds=retry_seconds(options))
    notes: list[str] = []
    steps: list[LookUpRelease] = []
    files: list[Distribution] = []
    pythons = options.python or (RUNNING_PYTHON,)
    for name in names:
        listing, version = index.cached_listing(name), requested_versions.get(name)
        if not (name in requested_versions or listing or listing.status != "active"):
            notes.append(f"{name} is not on {index.name}")
            continue
        is_requested = version is not None
        version = version or listing.newest_release()
        if version is not None and version.is_prerelease and not is_requested:
            notes.append(f"{name} has no final release on {index.name}")
        steps.append(
            LookUpRelease(
                index=index.name,
                package=name,
                version=version,
                is_requested=is_requested,
                pythons=pythons,
                storage_limit=public_index.storage_limit_in_bytes(project.config.check.storage_limit),
            )
        )
        if version is not None:
            files += project.once(_files_to_install, index, name, version, listing, pythons)
    if not steps:
        raise Failed(
            "nothing-verified",
            f"no package of this workspace is on {index.name}",
            fix=f"name a package that is: {fixes.task_command('verify-install', '--public', '--package', 'NAME')}",
        )
    if not attestations.is_attest_installed() and any(_has_provenance(step, index) for step in steps):
        notes.append(f"provenance is not verified (to verify it: {attestations.INSTALL_COMMAND})")
    manifest = Manifest(
        distributions=tuple(files), commit=None, dirty=False, time="", needs=tuple(sorted(needs.items()))
    )
    return manifest, steps, notes


def _parse_package_versions(words: Sequence[str], project: Project) -> dict[str, Version | None]:
    """Map the normalized name in each `NAME` or `NAME==VERSION` to its version, or to None if it has none.

    A name may also be that of a package's directory. Names of no package of the workspace are those of any
    projects on the index.

    Raises:
        Blocked: A name or a version is invalid, or a name has two versions.
    """
    versions: dict[str, Version | None] = {}
    for word in words:
        name, separator, version = word.partition("==")
        try:
            (package,) = project.workspace.select([name])
            name = package.name
        except Problem:
            name = normalize_name(name.strip())
        if not is_valid_name(name):
            raise Blocked(
                "value-invalid",
                f"--package {word}: package names have only letters, digits and . _ - between them",
                "pass a name, with or without a version: --package NAME==VERSION",
            )
        try:
            exact = Version(version) if separator else None
        except ValueError:  # InvalidVersion is one; so is a number of thousands of digits
            raise Blocked(
                "version-invalid",
                f"--package {word}: {version!r} is not a version (PEP 440)",
                f"pass a version: --package {name}==1.2.0",
            ) from None
        if versions.setdefault(name, exact) != exact:
            raise Blocked(
                "options-conflict",
                f"--package names two versions of {name}",
                f"pass one of them: --package {word}",
            )
    return versions


def _files_to_install(
    index: Index, name: str, version: Version, listing: Listing, pythons: Sequence[str]
) -> tuple[Distribution, ...]:
    """Return the files of a release that installers select on the Pythons, except yanked ones.

    If none fits, it is one file, so that installing it fails with the reason; if all are yanked, there is none.
    The hash of a file that the index lists without one is computed from a download.
    """
    files = {file.filename: file for file in listing.releases().get(version, ()) if not file.yanked}
    installed_names = {select_file(files, python) for python in pythons} - {None}
    selected_files = [file for file in files.values() if file.filename in installed_names] or list(files.values())[
        :1
    ]

    def sha256_of(file: IndexFile) -> str:
        return file.sha256 or index.hashes(name, [file.filename], refresh=False)[file.filename]

    return tuple(
        distribution_of_listed_file(name, version, file.filename, sha256_of(file), file.size or 0)
        for file in selected_files
    )


def distribution_of_listed_file(
    package: str, version: Version, filename: str, sha256: str, size: int = 0
) -> Distribution:
    """Return the entry that a manifest would have for a file on an index, without a BLAKE2 hash.

    The size is 0 if it is unknown; downloads do not need it.
    """
    kind: DistributionKind = "wheel" if filename.endswith(".whl") else "sdist"
    return Distribution(
        package=package,
        version=version,
        filename=filename,
        kind=kind,
        size=size,
        sha256=sha256,
        blake2b_256="",
    )


def _has_provenance(step: LookUpRelease, index: Index) -> bool:
    """Return whether the index has provenance (PEP 740) of a file of the release that the step looks up."""
    files = index.cached_listing(step.package).values()
    return any(file.provenance is not None for file in files if file.version == step.version)


def _workspace_dependencies(name: str, index: Index, project: Project) -> tuple[str, ...]:
    """Return the names of the workspace packages that a package needs, to install them from the same index.

    The result is empty for projects of other repositories, and on the index that requirements are installed from
    anyway (the setting `trusted-index`).
    """
    packages = project.workspace.by_name
    if name not in packages or index.simple_url == project.indexes.trusted_index.simple_url:
        return ()
    return tuple(sorted(project.workspace.runtime_dependencies(packages[name])))


def retry_seconds(options: Options) -> int:
    """Return how many seconds to repeat requests that the index does not answer: those of `--wait`, or 60."""
    return _RETRY_TIME if options.wait is None else options.wait
