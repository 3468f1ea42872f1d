"""The results of many build jobs: conflicts between them, and the manifest that merges them."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from relnox.core import graph
from relnox.core.names import normalize_name
from relnox.core.records import Record, replace
from relnox.core.release.manifest import Distribution, Manifest


class Attestation(Record, kw_only=True):
    """An attestation file that is stored beside an archive (PEP 740).

    Attributes:
        archive: The name of the archive.
        sha256: The SHA-256 hex digest of the attestation file.
        attested_sha256: The SHA-256 hex digest of the archive that was signed, or None if it cannot be read.
    """

    filename: str
    archive: str
    sha256: str
    attested_sha256: str | None


class BuildJobOutput(Record, kw_only=True):
    """The output of one build job.

    Attributes:
        directory: The directory of the job's files: one passed to `--from`, or a subdirectory of it.
        files_in_directory: Maps each file in the manifest that exists to its size in bytes and its SHA-256.
        unlisted: The names of archives in the directory that the manifest does not list, and of their
            attestations.
        has_manifest: Whether the manifest is from the job, and not made from the wheels in its directory.
    """

    directory: str
    manifest: Manifest
    files_in_directory: Mapping[str, tuple[int, str]]
    attestations: tuple[Attestation, ...] = ()
    unlisted: tuple[str, ...] = ()
    has_manifest: bool = True


class FileConflict(Record, kw_only=True):
    """Two files with the same name but different content, each with the directory of the build job it is from."""

    first: Distribution | Attestation
    first_directory: str
    second: Distribution | Attestation
    second_directory: str


def file_sources(jobs: Sequence[BuildJobOutput]) -> dict[str, tuple[str, Distribution]]:
    """Map each file's name to the directory of the first job whose manifest lists it, and to its entry there."""
    sources: dict[str, tuple[str, Distribution]] = {}
    for job in jobs:
        for file in job.manifest.distributions:
            sources.setdefault(file.filename, (job.directory, file))
    return sources


def attestation_sources(jobs: Sequence[BuildJobOutput]) -> dict[str, tuple[str, Attestation]]:
    """Map each attested archive's name to the attestation and the directory of the first job that has it."""
    sources: dict[str, tuple[str, Attestation]] = {}
    for job in jobs:
        for attestation in job.attestations:
            sources.setdefault(attestation.archive, (job.directory, attestation))
    return sources


def attested_sha256(content: bytes) -> str | None:
    """Return the SHA-256 hex digest of the archive that an attestation is for.

    Return None if the content is not an attestation. The digest is read from the in-toto statement in its envelope
    (PEP 740); the signature is not verified.
    """
    try:
        (subject,) = json.loads(base64.b64decode(json.loads(content)["envelope"]["statement"]))["subject"]
        return str(subject["digest"]["sha256"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def find_conflicts(jobs: Sequence[BuildJobOutput]) -> Iterator[FileConflict]:
    """Yield the files that have the same name but different content in two jobs."""
    sources: dict[str, tuple[str, Distribution | Attestation]] = {}
    for job in jobs:
        files: list[Distribution | Attestation] = [*job.manifest.distributions, *job.attestations]
        for file in files:
            directory, first = sources.setdefault(file.filename, (job.directory, file))
            if file != first:
                yield FileConflict(
                    first=first, first_directory=directory, second=file, second_directory=job.directory
                )


def has_valid_filename(file: Distribution) -> bool:
    """Return whether the file name matches the package and the version in the entry (PEP 427, PEP 625)."""
    try:
        if file.kind == "wheel":
            return parse_wheel_filename(file.filename)[:2] == (file.package, file.version)
        return parse_sdist_filename(file.filename) == (file.package, file.version)
    except (InvalidSdistFilename, InvalidWheelFilename):
        return False


def required_names(requires: Iterable[str]) -> frozenset[str]:
    """Return the names of the distributions that `Requires-Dist` values require without any extra.

    Invalid requirements are ignored, since the checks of archives report them.
    """
    names = set()
    for text in requires:
        with contextlib.suppress(InvalidRequirement, RecursionError):
            requirement = Requirement(text)
            if requirement.marker is None or "extra" not in str(requirement.marker):
                names.add(normalize_name(requirement.name))
    return frozenset(names)


def merge_manifests(
    jobs: Sequence[BuildJobOutput], needs: Mapping[str, Iterable[str]], *, missing: Iterable[str]
) -> Manifest:
    """Merge the manifests of jobs without conflicts; the order of the jobs does not affect the result.

    Args:
        jobs: The output of the jobs.
        needs: Maps each package to those it needs: the manifest of a job may lack those that other jobs built.
        missing: The names of the packages that lack files of which no job has any.
    """
    files = [file for _, file in file_sources(jobs).values()]
    names = {file.package for file in files}
    merged_needs = {name: set(needs.get(name, ())) & names for name in names}
    for job in jobs:
        for name, needed_packages in job.manifest.needs:
            if name in names:
                merged_needs[name] |= set(needed_packages) & names
    order = {name: place for place, name in enumerate(name for wave in graph.waves(merged_needs) for name in wave)}
    latest = max(jobs, key=lambda job: job.manifest.time).manifest
    return replace(
        latest,
        distributions=tuple(sorted(files, key=lambda file: (order[file.package], file.kind, file.filename))),
        needs=tuple((name, tuple(sorted(graph.closure([name], merged_needs) - {name}))) for name in order),
        missing=tuple(sorted(missing)),
    )
