"""Sign before anything is sent, since an index takes no attestation later; verify afterwards what it serves.

Signing asks a public service, which may be away for an hour. What was signed lies beside the files, so that a
rerun goes on with it, on another machine too if the folder is carried there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from relnox import network
from relnox.core.publishers import SUFFIX
from relnox.errors import Conflict, Failed, RelnoxError, TryLater
from relnox.network import Deadline, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from relnox.core.manifest import Distribution
    from relnox.core.publishers import Publisher
    from relnox.core.steps import Attest, CheckProvenance, Upload
    from relnox.executor.run import Run
    from relnox.indexes.attestations import Signatory

__all__ = ["Attesting", "CheckingProvenance", "attestations_of", "is_attested", "without_provenance"]

_AT_ONCE = 4
"""How many signatures are asked for at once."""
_GLANCE = 0.05
_WAY_OUT = (
    "type the same command again later: nothing was sent. Without attestations it goes on now: --attestations off"
)


@dataclass
class Attesting:
    """Signs what is to be published, unless that is done already."""

    step: Attest
    run: Run
    _signed: set[str] = field(default_factory=set)
    _trouble: str = ""

    def check(self) -> str | None:
        """Done when beside each file lies an attestation that is good."""
        folder = self.run.root / self.step.folder
        self._unsigned = [file for file in self.step.files if not is_attested(folder, file, self.step.publisher)]
        if self._unsigned:
            return None
        return f"{len(self.step.files)} files have attestations that are good"

    def apply(self) -> None:
        """Sign what is not signed, and verify it at once.

        Raises:
            TryLater: The signing service is away, and attestations are required.
            RelnoxError: It does not sign.
        """
        deadline = Deadline(self.step.deadline)
        signatory = self.run.indexes.signatory(self.step.index)
        try:
            # The first one alone: its certificate serves the others, and without it there is no asking for more.
            self._sign(self._unsigned[0], signatory, deadline)
            self._sign_all(self._unsigned[1:], signatory, deadline)
        except RelnoxError as error:
            if self.step.policy == "required":
                raise
            self._trouble = error.message
            self.run.on_line(self.step)(
                f"goes on without {len(self._unsigned) - len(self._signed)} attestations: {error.message}"
            )

    def verify(self) -> str:
        """Everything was verified when it was signed."""
        without = len(self._unsigned) - len(self._signed)
        signed = f"{len(self.step.files) - without} files signed, and verified offline"
        return f"{signed}; {without} go WITHOUT: {self._trouble}" if without else signed

    def _sign_all(self, files: list[Distribution], signatory: Signatory, deadline: Deadline) -> None:
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sign") as pool:
            asked = [pool.submit(self._sign, file, signatory, deadline) for file in files]
            try:
                wait(asked, return_when=FIRST_EXCEPTION)
            except BaseException:  # an interruption too ends the requests: leaving the pool waits for them
                pool.shutdown(wait=False, cancel_futures=True)
                while wait(asked, timeout=_GLANCE).not_done:
                    network.cancel_all()
                raise
            pool.shutdown(cancel_futures=True)
        for each in asked:
            if not each.cancelled():
                each.result()

    def _sign(self, file: Distribution, signatory: Signatory, deadline: Deadline) -> None:
        from relnox.files import replace_file
        from relnox.indexes import attestations

        content = _retrying(lambda: signatory.sign(file), file, deadline)
        try:
            attestations.verify(content, file, self.step.publisher)
        except attestations.Unverified as error:
            raise Failed(
                "todo",
                f"what was signed is not what was asked for: {error.message}",
                fix="is the job that signs the trusted publisher that uploads? no file was sent",
            ) from error
        replace_file(_path(self.run.root / self.step.folder, file), content)
        self._signed.add(file.filename)


def _retrying(sign: Callable[[], bytes], file: Distribution, deadline: Deadline) -> bytes:
    while True:
        try:
            return sign()
        except TransientError as transient_error:
            transient_error.never_connected = (
                False  # it may never have answered in this process, and is known all the same
            )
            try:
                deadline.back_off(transient_error)
            except TransientError as end:
                raise TryLater("todo", f"{file.filename} cannot be signed: {end.message}", fix=_WAY_OUT) from end


@dataclass
class CheckingProvenance:
    """Reads the provenance of published files, and verifies it without asking anybody else."""

    step: CheckProvenance
    run: Run

    def check(self) -> str | None:
        """Looking is all there is to do."""
        return None

    def apply(self) -> None:
        """Verify what is served of each file.

        Raises:
            Conflict: A file has none and cannot get any, or what is served proves nothing.
            TryLater: The index does not answer.
        """
        from relnox.indexes import attestations

        step, listed = self.step, self.run.indexes.seen(self.step.index, self.step.package)
        self._told: list[str] = []
        without = []
        for file in step.files:
            served = self.run.indexes.provenance(listed[file.filename])
            if served is None:
                without.append(file.filename)
            else:
                self._told.append(attestations.prove_provenance(served, file, step.publisher, step.index))
        self._without = without
        if without and step.policy == "required":
            raise without_provenance(step.index, without)

    def verify(self) -> str:
        """Who published, and what is not proven."""
        by = f", by {' and '.join(dict.fromkeys(self._told))}" if self._told else ""
        without = f"; WITHOUT provenance: {', '.join(self._without)}" if self._without else ""
        return f"provenance of {len(self._told)} files verified{by}{without}"


def attestations_of(step: Upload, run: Run) -> tuple[Path, ...]:
    """What goes with a file: its attestation, if it is a good one.

    Raises:
        Failed: There is none, and the file must not go without.
    """
    if step.attestations == "off":
        return ()
    folder = run.root / step.folder
    if is_attested(folder, step.file, step.publisher):
        return (_path(folder, step.file),)
    if step.attestations == "required":
        raise Failed(
            "todo",
            f"{step.file.filename} has no attestation that is good, and must not go without",
            fix="who changed it since it was signed? type the same command again",
        )
    return ()


def is_attested(folder: Path, file: Distribution, publisher: Publisher | None) -> bool:
    """Whether beside a file lies an attestation of it that is good.

    Args:
        folder: Where the file is.
        file: What it is.
        publisher: Who must have signed; None: anybody may have.
    """
    from relnox.indexes import attestations

    try:
        attestations.verify(_path(folder, file).read_bytes(), file, publisher)
    except (FileNotFoundError, attestations.Unverified):
        return False
    return True


def without_provenance(index: str, names: Sequence[str]) -> Conflict:
    """The error for files that are public, and will never have an attestation."""
    return Conflict(
        "todo",
        f"{index} has no provenance of {', '.join(names)}, and takes no attestation for a file that is public",
        fix="publish a new version, or do without: --attestations best-effort",
    )


def _path(folder: Path, file: Distribution) -> Path:
    return folder / f"{file.filename}{SUFFIX}"
