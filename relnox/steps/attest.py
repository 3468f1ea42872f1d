"""Sign files before anything is uploaded, since an index accepts no attestations later.

Attestations are stored next to the files, so that a rerun reuses them, even on another machine.
"""

from __future__ import annotations

from pathlib import Path

from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publishers import ATTESTATION_SUFFIX, Publisher
from relnox.core.text import format_count, join_names
from relnox.errors import Failed
from relnox.indexes import attestations
from relnox.steps.run import Run
from relnox.system import retries
from relnox.system.files import replace_file

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

    def done(self, run: Run) -> str | None:
        if self._unsigned_files(run):
            return None
        return f"{format_count(len(self.files), 'file')} with valid attestations"

    def apply(self, run: Run) -> None:
        directory = run.root / self.directory

        def sign() -> None:
            identity = run.indexes.signing_identity()
            if isinstance(identity, str):  # it had one when the run was planned
                raise retries.TransientError("identity-missing", identity)
            attestations.sign(
                self._unsigned_files(run),
                identity,
                lambda file, content: replace_file(attestation_path(directory, file), content),
            )

        retries.retry(sign, retries.Deadline(_RETRY_TIME))

    def verify(self, run: Run, result: None) -> str:
        del result
        if (detail := self.done(run)) is None:
            raise Failed(
                "attestation-invalid",
                f"the signing service returned no valid attestation by {self.publisher.description} for "
                f"{join_names([file.filename for file in self._unsigned_files(run)])}",
                fix="sign in the CI job that uploads, which has the identity of the trusted publisher",
            )
        return detail

    def _unsigned_files(self, run: Run) -> list[Distribution]:
        """Return the files without a valid attestation by the publisher, verified offline."""
        unsigned = []
        for file in self.files:
            try:
                content = attestation_path(run.root / self.directory, file).read_bytes()
                attestations.verify_attestation(content, file, self.publisher)
            except (FileNotFoundError, attestations.Unverified):
                unsigned.append(file)
        return unsigned


def attestation_path(directory: Path, file: Distribution) -> Path:
    """Return the path of the attestation that is stored next to a file."""
    return directory / f"{file.filename}{ATTESTATION_SUFFIX}"
