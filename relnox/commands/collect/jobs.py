"""Reading and checking the output of build jobs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from relnox.building import archives
from relnox.building.file_hashes import hash_file, is_file_inside
from relnox.commands.shared import archive_checks
from relnox.commands.shared.consistency import VersionComparison
from relnox.commands.shared.project import Project
from relnox.commands.shared.releases import read_manifest
from relnox.core import fixes
from relnox.core.packages import Package
from relnox.core.release import collection
from relnox.core.release.collection import Attestation, BuildJobOutput
from relnox.core.release.manifest import MANIFEST_JSON, Distribution, Manifest
from relnox.core.release.publishers import ATTESTATION_SUFFIX
from relnox.errors import Blocked, Problem

_ATTESTATION_LIMIT = 1 << 20
"""The maximum size of a file with attestations, in bytes; larger files are ignored."""


class Snapshot(NamedTuple):
    """The output of the jobs for the selected packages, and the state of the project.

    Attributes:
        packages: The packages to collect, in release order: the selected ones, or else those with a release tag at
            the current commit and those that were built, or else all.
        workspace_packages: The names of all packages of the project.
        needs: Maps each package to the other packages that it needs, according to its source files and wheels.
        head: The current commit of the checkout; None outside git.
        old_archives: The names of archives that are already in the output directory.
        findings: The errors found in the archives, each with the directory of its job.
    """

    jobs: tuple[BuildJobOutput, ...]
    packages: tuple[Package, ...]
    workspace_packages: frozenset[str]
    needs: Mapping[str, frozenset[str]]
    head: str | None
    wheels: Mapping[str, tuple[str, ...]]
    old_archives: tuple[str, ...]
    versions: VersionComparison
    findings: tuple[tuple[str, Problem], ...] = ()


def find_job_directories(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Return the directory of each job once, relative to `root`; the names are those given with `--from`.

    Raises:
        Blocked: A directory does not exist, or neither it nor a directory in it has a manifest.
    """
    if not names:
        raise Blocked(
            "option-missing",
            "--from is required (no directory of a build job was given)",
            fix=f"{fixes.task_command('collect', '--from', 'artifacts')} (with one directory per job)",
        )
    directories: dict[Path, str] = {}
    for name in names:
        directory = root / name
        if not directory.is_dir():
            raise Blocked(
                "file-not-writable",
                f"{name} is not a directory",
                fix="pass the directory with the output of a build job: --from DIR",
            )
        stripped = name.rstrip("/") or name
        inner = [f"{stripped}/{path.name}" for path in sorted(directory.iterdir())]
        jobs = [job for job in (stripped, *inner) if _is_output_of_job(root / job)]
        if not jobs:
            raise Blocked(
                "manifest-missing",
                f"neither {name} nor a directory in it has a {MANIFEST_JSON}, or only wheels",
                fix=f"upload all of dist/ in the job that runs {fixes.task_command('build-all')}",
            )
        for job in jobs[:1] if jobs[0] == stripped else jobs:
            directories.setdefault((root / job).resolve(), job)
    return tuple(directories.values())


def _is_output_of_job(directory: Path) -> bool:
    """Return whether a directory has a manifest, or only wheels: an sdist always comes with a manifest."""
    if (directory / MANIFEST_JSON).is_file():
        return True
    names = archive_names(directory) if directory.is_dir() else ()
    return bool(names) and all(name.endswith(".whl") for name in names)


def _describe_wheels(root: Path, directory: str, head: str | None) -> Manifest:
    """Return a manifest for the wheels in a directory without one, as if built from the current commit."""
    wheels = []
    for name in archive_names(root / directory):
        try:
            package, version, _, _ = parse_wheel_filename(name)
        except InvalidWheelFilename as error:
            raise Blocked(
                "archive-invalid",
                f"{directory}/{name} is not a valid file name of a wheel ({error})",
                fix="build it again instead of renaming it (PEP 427)",
            ) from error
        if is_file_inside(root / directory, root / directory / name):
            digests = hash_file(root / directory / name)
            wheels.append(
                Distribution(
                    package=package,
                    version=version,
                    filename=name,
                    kind="wheel",
                    size=digests.size,
                    sha256=digests.sha256,
                    blake2b_256=digests.blake2b_256,
                )
            )
    latest = max((root / directory / wheel.filename).stat().st_mtime for wheel in wheels) if wheels else 0
    time = datetime.fromtimestamp(latest, UTC).isoformat(timespec="seconds")
    return Manifest(distributions=tuple(wheels), commit=head, dirty=False, time=time)


def read_job(directory: str, selected: frozenset[str], project: Project) -> BuildJobOutput:
    """Read the manifest in a job's directory, hash its files, and find attestations and unlisted archives.

    If packages are selected, the files of others are left out.
    """
    root = project.root
    suffix = ATTESTATION_SUFFIX
    has_manifest = (root / directory / MANIFEST_JSON).is_file()
    head = project.state.head if project.state is not None else None
    manifest = read_manifest(root, directory) if has_manifest else _describe_wheels(root, directory, head)
    listed_names = {file.filename for file in manifest.distributions}
    manifest = manifest.restricted_to(selected) if selected else manifest
    paths = [root / directory / file.filename for file in manifest.distributions]
    hashes = {path.name: hash_file(path) for path in paths if is_file_inside(root / directory, path)}
    return BuildJobOutput(
        directory=directory,
        manifest=manifest,
        files_in_directory={name: (digest.size, digest.sha256) for name, digest in hashes.items()},
        attestations=tuple(_find_attestations(paths)),
        has_manifest=has_manifest,
        unlisted=tuple(
            name
            for name in archive_names(root / directory, suffix)
            if name.removesuffix(suffix) not in listed_names
        ),
    )


def _find_attestations(paths: Iterable[Path]) -> Iterator[Attestation]:
    """Yield the attestations that are stored next to the archives."""
    for archive in paths:
        path = archive.with_name(f"{archive.name}{ATTESTATION_SUFFIX}")
        if is_file_inside(archive.parent, path) and path.stat().st_size <= _ATTESTATION_LIMIT:
            content = path.read_bytes()
            yield Attestation(
                filename=path.name,
                archive=archive.name,
                sha256=sha256(content).hexdigest(),
                attested_sha256=collection.attested_sha256(content),
            )


def archive_names(directory: Path, *suffixes: str) -> tuple[str, ...]:
    """Return the sorted names of the archives in a directory, and of the files that end with one of `suffixes`."""
    return tuple(
        sorted(path.name for path in directory.iterdir() if path.name.endswith((".whl", ".tar.gz", *suffixes)))
    )


def check_archives(jobs: Sequence[BuildJobOutput], project: Project) -> Iterator[tuple[str, Problem]]:
    """Yield the errors found in the archives that match their manifests, each with the directory of its job."""
    unique_files: dict[tuple[str, str], tuple[str, Path]] = {}
    directory_of: dict[Path, str] = {}
    for job in jobs:
        for file in job.manifest.distributions:
            path = project.root / job.directory / file.filename
            directory_of[path] = job.directory
            if job.files_in_directory.get(file.filename) == (file.size, file.sha256):
                unique_files.setdefault((file.filename, file.sha256), (file.package, path))
    files = list(unique_files.values())
    errors = archive_checks.archive_errors(files, project.config, public=False)
    for path, finding in (*errors, *archive_checks.errors_against_sdist(files, project.config)):
        yield directory_of[path], finding


def needed_packages(
    jobs: Sequence[BuildJobOutput], project: Project, invalid_files: Collection[str]
) -> dict[str, frozenset[str]]:
    """Return the other packages that each package needs, according to its source files and its built wheels.

    The wheels are read because the manifest of a job only has needs between packages of this job. Archives with
    errors (`invalid_files`) are not read.
    """
    workspace = project.workspace
    needs = {package.name: workspace.needed_by(package) for package in workspace.packages}
    built_packages = {name for job in jobs for name in job.manifest.packages}
    for job in jobs:
        if built_packages == set(job.manifest.packages):
            continue
        for file in job.manifest.distributions:
            readable = file.filename in job.files_in_directory and file.filename not in invalid_files
            if file.kind == "wheel" and file.package in needs and readable:
                wheel = archives.read(project.root / job.directory / file.filename)
                needs[file.package] |= collection.required_names(wheel.requires) & built_packages - {file.package}
    return needs
