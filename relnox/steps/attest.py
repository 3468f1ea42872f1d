"""Sign files before anything is uploaded, since an index accepts no attestations later.

Attestations are stored next to the files, so that a rerun reuses them, even on another machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publishers import ATTESTATION_SUFFIX, Publisher
from relnox.core.text import format_count, join_names
from relnox.errors import Failed, TryLater
from relnox.steps.action import Action

if TYPE_CHECKING:
    from pathlib import Path

_RETRY_TIME = 120.0
"""Seconds to retry while the signing service is unavailable; after that, a rerun continues."""


class Attest(Step, kw_only=True):
    """Sign files as the job that publishes them (PEP 740), and store the attestations next to them."""

    key = "attest"
    publishes = True
    index: str
    files: tuple[Distribution, ...]
    directory: str
    publisher: Publisher

    @property
    def title(self) -> str:
        return f"sign {join_names([file.filename for file in self.files])} as {self.publisher.description}"


class AttestAction(Action[Attest]):
    def check(self) -> str | None:
        self._unsigned = self._files_without_attestation()
        return None if self._unsigned else f"{format_count(len(self.step.files), 'file')} with valid attestations"

    def apply(self) -> None:
        from relnox.indexes import attestations
        from relnox.system import retries

        def sign() -> None:
            identity = self.run.indexes.signing_identity()
            if isinstance(identity, str):  # it had one when the run was planned
                raise retries.TransientError("identity-missing", identity)
            attestations.sign(self._files_without_attestation(), identity, self._store)

        try:
            retries.retry(sign, retries.Deadline(_RETRY_TIME))
        except retries.TransientError as error:
            raise TryLater(
                "signing-unavailable",
                f"{self._files_without_attestation()[0].filename} could not be signed: {error.message}",
                fix=f"rerun the command later, or {attestations.WITHOUT}",
            ) from error

    def verify(self) -> str:
        if invalid := self._files_without_attestation():
            raise Failed(
                "attestation-invalid",
                f"the signing service returned no valid attestation by {self.step.publisher.description} for "
                f"{join_names([file.filename for file in invalid])}",
                fix="sign in the CI job that uploads, which has the identity of the trusted publisher",
            )
        return f"{format_count(len(self._unsigned), 'file')} signed, and verified offline"

    def _files_without_attestation(self) -> list[Distribution]:
        from relnox.indexes import attestations

        unsigned = []
        for file in self.step.files:
            try:
                content = self._path(file).read_bytes()
                attestations.verify_attestation(content, file, self.step.publisher)
            except (FileNotFoundError, attestations.Unverified):
                unsigned.append(file)
        return unsigned

    def _store(self, file: Distribution, content: bytes) -> None:
        from relnox.system.files import replace_file

        replace_file(self._path(file), content)

    def _path(self, file: Distribution) -> Path:
        return attestation_path(self.run.root / self.step.directory, file)


def attestation_path(directory: Path, file: Distribution) -> Path:
    """Return the path of the attestation that is stored next to a file."""
    return directory / f"{file.filename}{ATTESTATION_SUFFIX}"
