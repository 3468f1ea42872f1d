"""Sign files, get upload tokens, and upload files to an index.

Files are signed before anything is uploaded, since an index accepts no attestations later. Attestations are stored
next to the files, so that a rerun reuses them, even on another machine.

A file is uploaded (the index accepted it), then listed (with the hash of the built file), then downloadable (the
built bytes are served). `Upload` ends with the first; `AwaitIndex` waits for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from relnox.building import archives
from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import ATTESTATION_SUFFIX, Publisher, UploadStatus
from relnox.core.text import format_count, join_names
from relnox.errors import ExitCode, Failed, Problem, TryLater
from relnox.indexes import attestations
from relnox.indexes.uploads import FileExists, upload_file
from relnox.steps.built_archives import changed_archive_error
from relnox.steps.publication import PublicationState
from relnox.steps.run import Run
from relnox.system import retries
from relnox.system.files import replace_file
from relnox.system.retries import Deadline
from relnox.system.run_scope import call_concurrently

_CONCURRENT_LOGINS = 8
_RETRY_TIME = 1200.0
"""Seconds to retry an upload: half a release is worse than a late one."""
_SIGNING_TIME = 120.0
"""Seconds to retry while the signing service is unavailable; after that, a rerun continues."""
_MIN_RATE = 16 << 10
"""Bytes a second, for which large files get more time."""


class Attest(Step, key="attest"):
    """Sign files with the identity of this CI job (PEP 740), and store the attestations next to them.

    Attributes:
        index: The name of the index to which the files are uploaded later.
        directory: The directory of the files, relative to the root.
        publisher: The identity of this job, which the attestations must have.
    """

    publishes = True
    index: str
    files: tuple[Distribution, ...]
    directory: str
    publisher: Publisher

    @property
    def title(self) -> str:
        return f"sign {join_names([file.filename for file in self.files])} as {self.publisher.description}"

    def reason_to_skip(self, run: Run) -> str | None:
        if self._unsigned_files(run):
            return None
        return f"{format_count(len(self.files), 'file')} with valid attestations"

    def apply(self, run: Run) -> None:
        directory = run.root / self.directory

        def sign() -> None:
            identity = run.indexes.request_signing_identity()
            if isinstance(identity, str):  # it had one when the run was planned
                raise retries.TransientError("identity-missing", identity)
            attestations.sign_files(
                self._unsigned_files(run),
                identity,
                lambda file, content: replace_file(attestation_path(directory, file), content),
            )

        retries.retry(sign, retries.Deadline(_SIGNING_TIME))

    def verify(self, run: Run, result: None) -> str:
        del result
        if (detail := self.reason_to_skip(run)) is None:
            raise Failed(
                "attestation-invalid",
                f"the signing service returned no valid attestation by {self.publisher.description} for "
                f"{join_names([file.filename for file in self._unsigned_files(run)])}",
                fix="sign in the CI job that uploads, which has the identity of the trusted publisher",
            )
        return detail

    def _unsigned_files(self, run: Run) -> list[Distribution]:
        """Return the files without a stored attestation by the publisher that is valid (checked offline)."""
        unsigned = []
        for file in self.files:
            try:
                content = attestation_path(run.root / self.directory, file).read_bytes()
                attestations.verify_attestation(content, file, self.publisher)
            except (FileNotFoundError, attestations.InvalidAttestation):
                unsigned.append(file)
        return unsigned


def attestation_path(directory: Path, file: Distribution) -> Path:
    """Return the path of a file's attestation in `directory`: the name of the file with a suffix."""
    return directory / f"{file.filename}{ATTESTATION_SUFFIX}"


class LogIn(Step, key="log in"):
    """Get an upload token for each project from an index, before the first file is uploaded."""

    publishes = True
    index: str
    packages: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"get upload tokens for {join_names(self.packages)} from {self.index}"

    def apply(self, run: Run) -> str:
        """Get a token for each project, kept for the uploads; return the number of tokens as text.

        A token does not show that the CI job may publish the project: only the first upload does.

        Raises:
            Problem: There is no token for at least one project; the error has the messages for all such projects.
        """
        credentials = run.indexes[self.index].credentials

        def log_in(package: str) -> Problem | None:
            try:
                retries.retry(lambda: credentials.secret(package), Deadline(_RETRY_TIME))
            except Problem as error:
                return error
            return None

        results = call_concurrently(log_in, self.packages, threads=_CONCURRENT_LOGINS)
        if errors := [error for error in results if error is not None]:
            raise _combine_errors(errors)
        return format_count(len(self.packages), "token")


def _combine_errors(errors: Sequence[Problem]) -> Problem:
    """Return the first error with the worst exit code, changed to have the messages and fixes of all errors."""
    worst = ExitCode.worst([error.exit_code for error in errors])
    deciding_error = next(error for error in errors if error.exit_code is worst)
    deciding_error.message = "\n".join(dict.fromkeys(error.message for error in errors))
    deciding_error.fix = "\n".join(dict.fromkeys(error.fix for error in errors if error.fix))
    return deciding_error


class Upload(Step, key="upload {self.file.filename}"):
    """Upload a file to an index, unless the index has it.

    Attributes:
        directory: The directory of the file, relative to the root.
        attested: Whether the attestation next to the file is uploaded with it.
    """

    remote = True
    publishes = True
    concurrent = True
    quiet_if_done = True  # the wait for the listing says how many files are public
    index: str
    file: Distribution
    directory: str
    attested: bool = False

    @property
    def title(self) -> str:
        return f"upload {self.file.filename} ({format_count(self.file.size, 'byte')}) to {self.index}"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        # The public index locks all releases of a project for each of its files.
        return ((f"uploads to {self.index}", 8), (f"{self.file.package} on {self.index}", 2))

    @property
    def upload(self) -> tuple[str, Distribution]:
        return self.index, self.file

    def reason_to_skip(self, run: Run) -> str | None:
        return self._describe_if_listed(run, refresh=False)

    def apply(self, run: Run) -> str:
        """Upload the file with retries for 20 minutes, or longer if it is large; return a text with the response.

        After each failed try, the listing is checked, since the index may have the file, and only the response was
        lost.

        Raises:
            Problem: The index rejects the file, or the last try failed.
        """
        upload = _UploadAttempts(self, run)
        response = retries.retry(upload.upload_once, Deadline(_RETRY_TIME + self.file.size / _MIN_RATE))
        return f"uploaded: {response}"

    def is_listed_now(self, run: Run) -> bool:
        """Request the listing, and return whether it has the file; False if there is no usable response.

        Raises:
            Conflict: It lists the file with another hash.
        """
        try:
            return self._describe_if_listed(run, refresh=True) is not None
        except TryLater:
            return False

    def _describe_if_listed(self, run: Run, *, refresh: bool) -> str | None:
        """Describe the file if the index lists it with its hash; return None if it does not list it.

        With `refresh`, the listing is requested even if recent. A different hash is a `Conflict`.
        """
        if not run.service(PublicationState).check_listing(self.index, [self.file], refresh=refresh):
            return None
        return f"already on {self.index}: sha256 {self.file.sha256}"


class _UploadAttempts:
    """The attempts to upload one file, and whether one of them may have succeeded."""

    def __init__(self, step: Upload, run: Run) -> None:
        self._step = step
        self._run = run
        self._publication = run.service(PublicationState)
        self._was_sent = False
        self._earlier_result_unknown = False

    def upload_once(self) -> str:
        """Make one attempt; return the status of the response, or a text if the index has the file anyway.

        Raises:
            Problem: The attempt failed, and the index neither lists the file nor responds that it has it.
        """
        step, index = self._step, self._run.indexes[self._step.index]
        directory = self._run.root / step.directory
        signed = (attestation_path(directory, step.file),) if step.attested else ()
        path = self._path_of_unchanged_file(directory)
        try:
            return upload_file(path, step.file, index, index.credentials, signed, self._record_attempt)
        except Problem as error:
            self._record_failure(error)
            if step.is_listed_now(self._run):
                return "no valid response, but the index lists it"
            if isinstance(error, FileExists):  # not listed yet: `AwaitIndex` compares its hash
                return error.message
            raise

    def _path_of_unchanged_file(self, directory: Path) -> Path:
        """Return the path of the file in `directory`; raise an error if it is missing or is not what was built."""
        file = self._step.file
        path = directory / file.filename
        if (sha256 := archives.hash_of_file_inside(directory, path)) != file.sha256:
            rebuild = f"rebuild: {fixes.task_command('build-all')}"
            fix = f"restore the built file, then rerun the command; or, if no file is public, {rebuild}"
            raise changed_archive_error(f"{self._step.directory}/{path.name}", file.sha256, sha256, fix)
        return path

    def _record_attempt(self) -> None:
        """Record that an attempt sends its first byte: the index may have the file now."""
        self._earlier_result_unknown = self._earlier_result_unknown or self._was_sent
        self._was_sent = True
        self._publication.record_upload(self._step.index, self._step.file.filename)

    def _record_failure(self, error: Problem) -> None:
        """Record a failed attempt: as a rejection only if the index cannot have stored the file."""
        is_rejected = error.rejected or getattr(error, "never_connected", False)
        if self._was_sent and is_rejected and not self._earlier_result_unknown:
            self._was_sent = False
            self._publication.update_published_file(
                self._step.index, self._step.file.filename, upload=UploadStatus.REJECTED
            )
