"""The results of many build jobs: conflicts between them, and the manifest that merges them."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)

from relnox.core import graph
from relnox.core.names import normalized
from relnox.core.records import Record, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from relnox.core.release.manifest import Distribution, Manifest


class Attestation(Record, kw_only=True):
    """An attestation beside an archive (PEP 740).

    Attributes:
        filename: Its own name.
        archive: The name of the archive.
        sha256: Of its own bytes, hex.
        attested_sha256: SHA-256 of the archive that was signed, hex; None if it cannot be read.
    """

    filename: str
    archive: str
    sha256: str
    attested_sha256: str | None


class Job(Record, kw_only=True):
    """The output of one build job.

    Attributes:
        folder: Its folder, as passed to `--from`, or the folder below that.
        manifest: The manifest that the job wrote.
        present: Size in bytes and SHA-256 of the manifest's files that exist, by file name.
        attestations: Attestations of these files.
        unlisted: Archives in the folder that the manifest does not list, and attestations of such.
    """

    folder: str
    manifest: Manifest
    present: Mapping[str, tuple[int, str]]
    attestations: tuple[Attestation, ...] = ()
    unlisted: tuple[str, ...] = ()


class Conflict(Record, kw_only=True):
    """Two files with one name and different content, each with its job's folder."""

    first: Distribution | Attestation
    first_folder: str
    second: Distribution | Attestation
    second_folder: str


def file_sources(jobs: Sequence[Job]) -> dict[str, tuple[str, Distribution]]:
    """Map the files of all jobs by name to the first folder with the file, and its entry in the manifest there."""
    sources: dict[str, tuple[str, Distribution]] = {}
    for job in jobs:
        for file in job.manifest.distributions:
            sources.setdefault(file.filename, (job.folder, file))
    return sources


def attestation_sources(jobs: Sequence[Job]) -> dict[str, tuple[str, Attestation]]:
    """Map the attestations of all jobs by the archive's name, each with the first folder that has it."""
    sources: dict[str, tuple[str, Attestation]] = {}
    for job in jobs:
        for attestation in job.attestations:
            sources.setdefault(attestation.archive, (job.folder, attestation))
    return sources


def attested_sha256(content: bytes) -> str | None:
    """Read the SHA-256 (hex) of the archive that an attestation is for; None if it is not an attestation.

    The signature is not verified here (PEP 740: an in-toto statement inside of an envelope).
    """
    try:
        (subject,) = json.loads(base64.b64decode(json.loads(content)["envelope"]["statement"]))["subject"]
        return str(subject["digest"]["sha256"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def conflicts(jobs: Sequence[Job]) -> Iterator[Conflict]:
    """Find files of one name that differ between two jobs; identical bytes are no conflict."""
    sources: dict[str, tuple[str, Distribution | Attestation]] = {}
    for job in jobs:
        files: list[Distribution | Attestation] = [*job.manifest.distributions, *job.attestations]
        for file in files:
            folder, first = sources.setdefault(file.filename, (job.folder, file))
            if file != first:
                yield Conflict(first=first, first_folder=folder, second=file, second_folder=job.folder)


def has_valid_filename(file: Distribution) -> bool:
    """Return whether a file name agrees with package and version of the manifest entry (PEP 427, PEP 625)."""
    try:
        name_and_version = (
            parse_wheel_filename(file.filename)[:2]
            if file.kind == "wheel"
            else parse_sdist_filename(file.filename)
        )
    except (InvalidSdistFilename, InvalidWheelFilename):
        return False
    return name_and_version == (file.package, file.version)


def required_names(requires: Iterable[str]) -> frozenset[str]:
    """Return the distributions that `Requires-Dist` lines need without any extra.

    Invalid requirements are ignored: the checks of archives report them.
    """
    names = set()
    for text in requires:
        with contextlib.suppress(InvalidRequirement, RecursionError):
            requirement = Requirement(text)
            if requirement.marker is None or "extra" not in str(requirement.marker):
                names.add(normalized(requirement.name))
    return frozenset(names)


def merge(jobs: Sequence[Job], needs: Mapping[str, Iterable[str]]) -> Manifest:
    """Merge the manifests of jobs without conflicts, at least one: equal jobs give equal bytes, in any order.

    `needs` are the packages that each package needs: a job may not have seen those that other jobs built.
    """
    files = [file for _, file in file_sources(jobs).values()]
    names = {file.package for file in files}
    merged_needs = {name: set(needs.get(name, ())) & names for name in names}
    for job in jobs:
        for name, needed in job.manifest.needs:
            if name in names:
                merged_needs[name] |= set(needed) & names
    order = {name: place for place, name in enumerate(name for wave in graph.waves(merged_needs) for name in wave)}
    latest = max(jobs, key=lambda job: job.manifest.time).manifest
    return replace(
        latest,
        distributions=tuple(sorted(files, key=lambda file: (order[file.package], file.kind, file.filename))),
        needs=tuple((name, tuple(sorted(graph.closure([name], merged_needs) - {name}))) for name in order),
        inputs=(),  # digests of inputs hold on the job's machine only
    )
