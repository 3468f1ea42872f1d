"""Get upload tokens, and upload files to an index.

A file is uploaded (the index accepted it), then listed (with the hash of the built file), then downloadable (the
built bytes are served). `Upload` ends with the first; `AwaitIndex` waits for the others, for all files of a
package with one listing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import building
from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import UploadStatus
from relnox.core.text import format_count, join_names
from relnox.errors import Conflict, ExitCode, RelnoxError, TryLater
from relnox.steps.action import Action
from relnox.steps.attest import attestation_path
from relnox.steps.published_files import Publication

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CONCURRENT_LOGINS = 8
_RETRY_TIME = 1200.0
"""Seconds to retry an upload: half a release is worse than a late one."""
_MIN_RATE = 16 << 10
"""Bytes a second, for which large files get more time."""


class LogIn(Step, kw_only=True):
    """Get the upload token of every project from an index, before the first file is uploaded."""

    key = "log in"
    publishes = True
    index: str
    packages: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"get upload tokens for {join_names(self.packages)} from {self.index}"


class LogInAction(Action[LogIn]):
    """Gets an upload token for each project, so that errors come before any upload.

    Tokens are valid for this run only. The identity of a CI job names no project, so only the upload of the first
    file of a project shows whether the project accepts this publisher.
    """

    def apply(self) -> None:
        from relnox.indexes.concurrency import call_concurrently

        results = call_concurrently(self._log_in, self.step.packages, threads=_CONCURRENT_LOGINS)
        if errors := [error for error in results if error is not None]:
            raise _combine_errors(errors)

    def verify(self) -> str:
        return format_count(len(self.step.packages), "token")

    def _log_in(self, package: str) -> RelnoxError | None:
        """Get the upload token of a package, with retries; return the error if there is none."""
        from relnox.system.retries import Deadline, TransientError

        credentials, deadline = self.run.indexes.credentials(self.step.index), Deadline(_RETRY_TIME)
        try:
            while True:
                try:
                    credentials.secret(package)
                except TransientError as error:
                    deadline.back_off(error)
                else:
                    return None
        except RelnoxError as error:
            return error


def _combine_errors(errors: Sequence[RelnoxError]) -> RelnoxError:
    """Merge errors into the one with the worst exit code, which gets the messages and fixes of the others."""
    worst = ExitCode.worst([error.exit_code for error in errors])
    deciding_error = next(error for error in errors if error.exit_code is worst)
    deciding_error.message = "\n".join(dict.fromkeys(error.message for error in errors))
    deciding_error.fix = "\n".join(dict.fromkeys(error.fix for error in errors if error.fix))
    return deciding_error


class Upload(Step, kw_only=True):
    """Upload a file to an index, unless the index has it.

    Attributes:
        attested: Whether the attestation next to the file is uploaded with it.
    """

    remote = True
    publishes = True
    concurrent = True
    index: str
    file: Distribution
    directory: str
    attested: bool = False

    @property
    def key(self) -> str:
        return f"upload {self.file.filename}"

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


class UploadAction(Action[Upload]):
    run_extension = Publication
    _was_sent = False
    _earlier_result_unknown = False

    def check(self) -> str | None:
        return self._check_listing(refresh=False)

    def apply(self) -> None:
        """Upload with retries; before each retry check the listing, since the response may have been lost."""
        from relnox.indexes.uploads import FileExists
        from relnox.system.retries import Deadline, TransientError

        step, deadline = self.step, Deadline(_RETRY_TIME + self.step.file.size / _MIN_RATE)
        attestation = attestation_path(self.run.root / step.directory, step.file)
        while True:
            path = self._path_of_unchanged_file()
            try:
                attestations = (attestation,) if step.attested else ()
                self._response = self.run.indexes.upload(
                    step.index, path, step.file, attestations, self._record_attempt
                )
            except RelnoxError as error:
                self._record_failure(error)
                if self._has_arrived():
                    self._response = "no valid response, but the index lists it"
                    return
                if isinstance(error, FileExists):  # not listed yet: `AwaitIndex` compares its hash
                    self._response = error.message
                    return
                if isinstance(error, TransientError):
                    deadline.back_off(error)
                else:
                    raise
            else:
                return

    def verify(self) -> str:
        """Return the response of the index; `AwaitIndex` verifies the files of the package together."""
        return f"uploaded: {self._response}"

    def _path_of_unchanged_file(self) -> Path:
        """Return the path of the file, if it still is the one that was built."""
        file = self.step.file
        path = self.run.root / self.step.directory / file.filename
        if not building.file_hashes.file_matches(path, file.size, file.sha256):
            raise Conflict(
                "archive-changed",
                f"{path.name} is not the file that was built (it was removed, or differs from the manifest)",
                fix=f"rebuild: {fixes.task_command('build-all')}",
            )
        return path

    @property
    def _publication(self) -> Publication:
        return self.run.service(Publication)

    def _record_attempt(self) -> None:
        """Record that an attempt sends its first byte."""
        self._earlier_result_unknown = self._earlier_result_unknown or self._was_sent
        self._was_sent = True
        self._publication.record_upload(self.step.index, self.step.file.filename)

    def _record_failure(self, error: RelnoxError) -> None:
        """Record that an attempt failed, which is a rejection only if the index cannot have stored the file."""
        is_rejected = error.rejected or getattr(error, "never_connected", False)
        if self._was_sent and is_rejected and not self._earlier_result_unknown:
            self._was_sent = False
            self._publication.record(self.step.index, self.step.file.filename, upload=UploadStatus.REJECTED)

    def _has_arrived(self) -> bool:
        try:
            return self._check_listing(refresh=True) is not None
        except TryLater:
            return False

    def _check_listing(self, *, refresh: bool) -> str | None:
        if not self._publication.check_listing(self.step.index, [self.step.file], refresh=refresh):
            return None
        return f"already on {self.step.index}: sha256 {self.step.file.sha256}"
