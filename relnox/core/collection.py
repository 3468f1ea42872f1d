"""What many build jobs made, as one: what contradicts, what is not whole, and the manifest of it all."""

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

    from relnox.core.manifest import Distribution, Manifest

__all__ = [
    "Attestation",
    "Conflict",
    "Job",
    "attested",
    "conflicts",
    "is_named_rightly",
    "merged",
    "required",
    "signed",
    "sources",
]


class Attestation(Record, kw_only=True):
    """What lies beside an archive and says who made it (PEP 740).

    Attributes:
        filename: Its own name.
        of: The name of the archive.
        sha256: Of its own bytes, hex.
        about: SHA-256 of the archive that was signed, hex; None where it cannot be read.
    """

    filename: str
    of: str
    sha256: str
    about: str | None


class Job(Record, kw_only=True):
    """What one build job left behind.

    Attributes:
        folder: Where, as it was named, or the folder in there.
        manifest: What the job says it made.
        present: Size in bytes and SHA-256 of those of the manifest's files that are there, by file name.
        attestations: What lies beside those files.
        untold: Archives in the folder that the manifest does not tell of, and attestations of such.
    """

    folder: str
    manifest: Manifest
    present: Mapping[str, tuple[int, str]]
    attestations: tuple[Attestation, ...] = ()
    untold: tuple[str, ...] = ()


class Conflict(Record, kw_only=True):
    """Two files of one name that are not the same file, each with the job's folder."""

    one: Distribution | Attestation
    one_folder: str
    other: Distribution | Attestation
    other_folder: str


def sources(jobs: Sequence[Job]) -> dict[str, tuple[str, Distribution]]:
    """Every file of the jobs by its name: the first folder that has it, and what its job says of it."""
    found: dict[str, tuple[str, Distribution]] = {}
    for job in jobs:
        for file in job.manifest.distributions:
            found.setdefault(file.filename, (job.folder, file))
    return found


def signed(jobs: Sequence[Job]) -> dict[str, tuple[str, Attestation]]:
    """Every attestation by the archive that it lies beside, with the first folder that has it."""
    found: dict[str, tuple[str, Attestation]] = {}
    for job in jobs:
        for each in job.attestations:
            found.setdefault(each.of, (job.folder, each))
    return found


def attested(content: bytes) -> str | None:
    """SHA-256 (hex) of the archive that an attestation is about, as it says itself; None where it is none.

    Whether the signature is good is not looked at (PEP 740: an in-toto statement inside of an envelope).
    """
    try:
        (subject,) = json.loads(base64.b64decode(json.loads(content)["envelope"]["statement"]))["subject"]
        return str(subject["digest"]["sha256"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def conflicts(jobs: Sequence[Job]) -> Iterator[Conflict]:
    """Files that two jobs made differently; the same bytes twice are no harm."""
    first: dict[str, tuple[str, Distribution | Attestation]] = {}
    for job in jobs:
        made: list[Distribution | Attestation] = [*job.manifest.distributions, *job.attestations]
        for file in made:
            folder, one = first.setdefault(file.filename, (job.folder, file))
            if file != one:
                yield Conflict(one=one, one_folder=folder, other=file, other_folder=job.folder)


def is_named_rightly(file: Distribution) -> bool:
    """Whether the file's name is of the package and the version that its manifest gives it (PEP 427, PEP 625)."""
    try:
        named = (
            parse_wheel_filename(file.filename)[:2]
            if file.kind == "wheel"
            else parse_sdist_filename(file.filename)
        )
    except (InvalidSdistFilename, InvalidWheelFilename):
        return False
    return named == (file.package, file.version)


def required(requires: Iterable[str]) -> frozenset[str]:
    """Names that a wheel's `Requires-Dist` needs wherever it is installed: extras do not count.

    What is no requirement names nothing; that the metadata has such a thing is told by the checks of archives.
    """
    found = set()
    for text in requires:
        with contextlib.suppress(InvalidRequirement, RecursionError):
            requirement = Requirement(text)
            if requirement.marker is None or "extra" not in str(requirement.marker):
                found.add(normalized(requirement.name))
    return frozenset(found)


def merged(jobs: Sequence[Job], needs: Mapping[str, Iterable[str]]) -> Manifest:
    """The one manifest: equal jobs give equal bytes, in whatever order they are named.

    Args:
        jobs: The jobs, without conflicts; at least one.
        needs: What each package needs of the others beyond what a job knew, which saw its own packages alone.
    """
    files = [file for _, file in sources(jobs).values()]
    names = {file.package for file in files}
    together = {name: set(needs.get(name, ())) & names for name in names}
    for job in jobs:
        for name, of in job.manifest.needs:
            if name in names:
                together[name] |= set(of) & names
    order = {name: place for place, name in enumerate(name for wave in graph.waves(together) for name in wave)}
    latest = max(jobs, key=lambda job: job.manifest.time).manifest
    return replace(
        latest,
        distributions=tuple(sorted(files, key=lambda file: (order[file.package], file.kind, file.filename))),
        needs=tuple((name, tuple(sorted(graph.closure([name], together) - {name}))) for name in order),
        inputs=(),  # each job has its own machine, and builds on
    )
