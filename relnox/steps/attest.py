"""Sign files, and verify the provenance that an index serves.

Files are signed before anything is uploaded, since an index accepts no attestations later. The signing service may
be unavailable for an hour; attestations are stored next to the files, so that a rerun reuses them, even on another
machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publishers import ATTESTATION_SUFFIX, AttestationPolicy, Publisher
from relnox.core.text import format_count, join_names
from relnox.errors import Conflict, Failed, RelnoxError, TryLater
from relnox.steps.action import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relnox.indexes.signing import Signatory
    from relnox.system.network import Deadline

_CONCURRENT_SIGNATURES = 4


class Attest(Step, kw_only=True):
    """Sign files as the job that publishes them (PEP 740), and store the attestations next to them.

    Attributes:
        files: Files that are not public yet: indexes accept no attestations later.
        policy: Whether the run fails if a file cannot be signed.
        publisher: The publisher that signs, or None if it is unknown; then existing attestations are used.
        deadline: Seconds to retry while the signing service is unavailable.
    """

    key = "attest"
    publishes = True
    index: str
    files: tuple[Distribution, ...]
    directory: str
    policy: AttestationPolicy
    publisher: Publisher | None
    deadline: int

    @property
    def title(self) -> str:
        by = f" as {self.publisher.description}" if self.publisher is not None else ""
        return f"sign {join_names([file.filename for file in self.files])}{by} ({self.policy})"


class AttestAction(Action[Attest]):
    _error = ""

    def check(self) -> str | None:
        directory = self.run.root / self.step.directory
        self._unsigned = [
            file for file in self.step.files if not has_valid_attestation(directory, file, self.step.publisher)
        ]
        if self._unsigned:
            return None
        return f"{format_count(len(self.step.files), 'file')} with valid attestations"

    def apply(self) -> None:
        """Sign files, and verify each attestation immediately; an error ends the run if they are required."""
        from relnox.indexes.concurrency import call_concurrently
        from relnox.system.network import Deadline

        self._signed: set[str] = set()
        deadline = Deadline(self.step.deadline)
        signatory = self.run.indexes.signatory(self.step.index)
        try:
            # The first file alone: its certificate is used for the others, and its failure prevents theirs.
            self._sign_file(self._unsigned[0], signatory, deadline)
            call_concurrently(
                lambda file: self._sign_file(file, signatory, deadline),
                self._unsigned[1:],
                threads=_CONCURRENT_SIGNATURES,
                fail_fast=True,
            )
        except RelnoxError as error:
            if self.step.policy == "required":
                raise
            self._error = error.message
            without = format_count(len(self._unsigned) - len(self._signed), "attestation")
            self.on_line(f"continuing without {without}: {error.message}")

    def verify(self) -> str:
        without = len(self._unsigned) - len(self._signed)
        summary = f"{format_count(len(self.step.files) - without, 'file')} signed, and verified offline"
        return f"{summary}; {without} WITHOUT attestation: {self._error}" if without else summary

    def _sign_file(self, file: Distribution, signatory: Signatory, deadline: Deadline) -> None:
        from relnox.indexes import attestations
        from relnox.system.files import replace_file

        content = _sign_with_retries(lambda: signatory.sign(file), file, deadline)
        try:
            attestations.verify_attestation(content, file, self.step.publisher)
        except attestations.Unverified as error:
            raise Failed(
                "attestation-invalid",
                f"the signing service returned an invalid attestation: {error.message}",
                fix="sign in the CI job that uploads, which has the identity of the trusted publisher",
            ) from error
        replace_file(attestation_path(self.run.root / self.step.directory, file), content)
        self._signed.add(file.filename)


def _sign_with_retries(sign: Callable[[], bytes], file: Distribution, deadline: Deadline) -> bytes:
    from relnox.system.network import TransientError

    while True:
        try:
            return sign()
        except TransientError as transient_error:
            transient_error.never_connected = False  # the URL of the service is correct: use the whole deadline
            try:
                deadline.back_off(transient_error)
            except TransientError as end:
                raise TryLater(
                    "signing-unavailable",
                    f"{file.filename} could not be signed: {end.message}",
                    fix="rerun the command later, or publish without attestations: --attestations off",
                ) from end


class CheckProvenance(Step, kw_only=True):
    """Verify the provenance that an index serves for files (PEP 740).

    Attributes:
        policy: Whether the run fails if a file has no provenance.
        publisher: The expected publisher, or None if it is unknown; then the one that the index names is accepted.
    """

    concurrent = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    policy: AttestationPolicy
    publisher: Publisher | None

    @property
    def key(self) -> str:
        return f"provenance {self.package}"

    @property
    def title(self) -> str:
        by = f" by {self.publisher.description}" if self.publisher is not None else ""
        return f"verify the provenance of {self.package} {self.version} on {self.index}{by}"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        return ((f"listings of {self.index}", 32),)


class CheckProvenanceAction(Action[CheckProvenance]):
    def apply(self) -> None:
        from relnox.indexes import attestations, client

        step, listing = self.step, self.run.indexes.cached_listing(self.step.index, self.step.package)
        self._publishers: list[str] = []
        self._without: list[str] = []
        for file in step.files:
            provenance = client.provenance(listing[file.filename])
            if provenance is None:
                self._without.append(file.filename)
            else:
                self._publishers.append(
                    attestations.verify_provenance(provenance, file, step.publisher, step.index)
                )
        if self._without and step.policy == "required":
            raise missing_provenance_error(step.index, self._without)

    def verify(self) -> str:
        by = f", by {' and '.join(dict.fromkeys(self._publishers))}" if self._publishers else ""
        without = f"; WITHOUT provenance: {', '.join(self._without)}" if self._without else ""
        return f"provenance of {format_count(len(self._publishers), 'file')} verified{by}{without}"


def has_valid_attestation(directory: Path, file: Distribution, publisher: Publisher | None) -> bool:
    """Return whether a valid attestation, signed by this publisher or (None) by any, is stored next to a file."""
    from relnox.indexes import attestations

    try:
        attestations.verify_attestation(attestation_path(directory, file).read_bytes(), file, publisher)
    except (FileNotFoundError, attestations.Unverified):
        return False
    return True


def missing_provenance_error(index: str, names: Sequence[str]) -> Conflict:
    """Return the error for public files without provenance, which cannot be added afterwards."""
    return Conflict(
        "attestation-invalid",
        f"{index} has no provenance of {', '.join(names)} (attestations cannot be added to public files)",
        fix="publish a new version, or continue without provenance: --attestations best-effort",
    )


def attestation_path(directory: Path, file: Distribution) -> Path:
    """Return the path of the attestation that is stored next to a file."""
    return directory / f"{file.filename}{ATTESTATION_SUFFIX}"
