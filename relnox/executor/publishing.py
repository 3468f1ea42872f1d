"""Upload steps, and verification of what the index lists and serves.

A file is uploaded (the index accepted it), then listed (with the hash of the built file), then downloadable (the
built bytes are served). `Upload` ends with the first; `AwaitIndex` waits for the others, for all files of a
package with one listing. All is recorded in `run.observed` as it happens, for the exit code.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox import network, waits
from relnox.building import archives
from relnox.core.planning import fixes
from relnox.core.release.publication import Observation, State
from relnox.errors import Conflict, Failed, RelnoxError, TryLater
from relnox.executor.attesting import attestations_of
from relnox.indexes import client
from relnox.indexes.client import ContradictoryListing, ServedContent
from relnox.indexes.uploader import UPLOAD_WINDOW, AttestationsRejected, FileExists, conflict_hint
from relnox.network import Deadline, TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.release.manifest import Distribution
    from relnox.core.release.publication import PublishedFile
    from relnox.core.steps import AwaitIndex, ClearIndex, LogIn, Upload
    from relnox.executor.run import Run
    from relnox.indexes.client import IndexFile

__all__ = [
    "Awaiting",
    "ClearingIndex",
    "LoggingIn",
    "Uploading",
    "index_file_differs",
    "observe",
    "upload_deadline",
]

_CONCURRENT_LOGINS = 8
_RETRY_TIME = 1200.0
"""Seconds to retry an upload: half a release is worse than a late one."""
_MIN_RATE = 16 << 10
"""Bytes a second, for which large files get more time."""
_CHECK_TIME = 5.0
"""Seconds for checking before a retry whether the file has arrived."""
_MIN_POLL_INTERVAL = 0.2
_MAX_POLL_INTERVAL = 15.0
_CONCURRENT_DOWNLOADS = 8
"""Per package."""
_PROPOSED_WAIT = 600
"""Seconds for `--wait` in a fix, for a release that another job has just uploaded."""
_MISMATCH_TIME = 30.0
"""Seconds that an index may serve different bytes than it lists: a proxy may return an error page for a while."""


@dataclass
class ClearingIndex:
    """Removes all content of the embedded index before a release is tested on it."""

    step: ClearIndex
    run: Run

    def check(self) -> str | None:
        """Return why nothing is to do: it has only files of this release, as after an interrupted run."""
        files = {file.filename: file.sha256 for file in self.step.files}
        if self.run.indexes.embedded.holds_only(files):
            return "the index has only files of this release"
        return None

    def apply(self) -> None:
        """Remove everything, including files of this release."""
        self.run.indexes.clear_embedded()

    def verify(self) -> str:
        """Check that the index is empty."""
        if not self.run.indexes.embedded.holds_only({}):
            raise Failed(
                "index-not-cleared",
                f"{self.step.index} has files although it was cleared (another process uploads to it)",
                fix="end the other process, then rerun the command",
            )
        return "the index is empty"


@dataclass
class LoggingIn:
    """Gets an upload token for each project, so that errors come before any upload.

    Whether a project accepts this publisher is known only at its first file: an identity names no project.
    """

    step: LogIn
    run: Run

    def check(self) -> str | None:
        """Return None: tokens are valid for this run only."""
        return None

    def apply(self) -> None:
        """Get all tokens concurrently."""
        credentials = self.run.indexes.credentials(self.step.index)
        with ThreadPoolExecutor(_CONCURRENT_LOGINS, thread_name_prefix="log in") as pool:
            futures = [pool.submit(credentials.login, package) for package in self.step.packages]
        errors = [error for future in futures if (error := future.exception()) is not None]
        problems = [error for error in errors if isinstance(error, RelnoxError)]
        if len(problems) < len(errors):
            raise next(error for error in errors if error not in problems)
        if problems:
            messages = dict.fromkeys(error.message for error in problems)
            raise type(problems[0])(problems[0].code, "\n".join(messages), fix=problems[0].fix)

    def verify(self) -> str:
        """Count the tokens."""
        count = len(self.step.packages)
        return f"{count} token{'s' * (count > 1)}"


@dataclass
class Uploading:
    """Uploads a file, unless the index has it."""

    step: Upload
    run: Run

    def check(self) -> str | None:
        """Return why nothing is to do: the file is in the last listing, with the same hash.

        Raises:
            Conflict: The index lists it with another hash.
        """
        return self._check_listing(refresh=False)

    def apply(self) -> None:
        """Upload with retries; before each retry check the listing, since the response may have been lost."""
        deadline = Deadline(_RETRY_TIME + self.step.file.size / _MIN_RATE)
        self._attestations = attestations_of(self.step, self.run)
        tries = _UploadTries(self.run, self.step.index, [self.step.file])
        while True:
            path = self._unchanged_file()
            try:
                self._response = self.run.indexes.upload(
                    self.step.index, path, self.step.file, self._attestations, tries.begin
                )
            except AttestationsRejected as error:
                tries.fail(error)
                if self.step.attestations == "required":
                    raise
                self._attestations = ()
                self.run.on_line(self.step)(f"retrying without attestation: {error.message}")
            except RelnoxError as error:
                tries.fail(error)
                if self._has_arrived():
                    self._response = "no valid response, but the index lists it"
                    return
                if isinstance(error, FileExists):  # not listed yet: `AwaitIndex` compares its hash
                    self._response = error.message
                    return
                if not isinstance(error, TransientError):
                    raise
                deadline.back_off(error)
            else:
                return

    def verify(self) -> str:
        """Return the response of the index; `AwaitIndex` verifies the files of the package together."""
        unattested = self.step.attestations != "off" and not self._attestations
        return f"uploaded{' WITHOUT attestation' if unattested else ''}: {self._response}"

    def _unchanged_file(self) -> Path:
        """Return the path of the file, if it still is the one that was built."""
        path = self.run.root / self.step.folder / self.step.file.filename
        if archives.digests(path).sha256 != self.step.file.sha256:
            raise Conflict(
                "archive-changed",
                f"{path.name} differs from the file that was built (its SHA-256 is not that of the manifest)",
                fix=f"rebuild: {fixes.command('build-all')}",
            )
        return path

    def _has_arrived(self) -> bool:
        try:
            return self._check_listing(refresh=True) is not None
        except TryLater:
            return False

    def _check_listing(self, *, refresh: bool) -> str | None:
        if not _check_listing(self.run, self.step.index, [self.step.file], refresh=refresh):
            return None
        return f"already on {self.step.index}: sha256 {self.step.file.sha256}"


class _UploadTries:
    """Records the tries of uploading files.

    Args:
        run: The run.
        index: The index.
        files: The files of each try.
    """

    def __init__(self, run: Run, index: str, files: Sequence[Distribution]) -> None:
        self._run = run
        self._index = index
        self._files = files
        self._sent = False
        self._earlier_result_unknown = False

    def begin(self) -> None:
        """Record that a try sends its first byte."""
        self._earlier_result_unknown = self._earlier_result_unknown or self._sent
        self._sent = True
        self._run.observed.record_upload(self._index, self._files)

    def fail(self, error: RelnoxError) -> None:
        """Record that a try failed, which is a rejection only if the index cannot have stored the files."""
        rejected = error.rejected or getattr(error, "never_connected", False)
        if self._sent and rejected and not self._earlier_result_unknown:
            self._sent = False
            self._run.observed.record_rejection(self._index, self._files)


@dataclass
class Awaiting:
    """Waits until the index lists all files of a release with their hashes, and serves their bytes."""

    step: AwaitIndex
    run: Run

    def check(self) -> str | None:
        """Return None: the step itself is a check."""
        return None

    def apply(self) -> None:
        """Poll until all files are listed and downloadable.

        Raises:
            Conflict: The index lists a file with a different hash, or serves different bytes than it lists.
            TryLater: Not all files could be verified.
        """
        deadline = Deadline(self.step.deadline)
        pause = _MIN_POLL_INTERVAL
        self._served: dict[str, ServedContent] = {}
        mismatch_since: float | None = None
        while True:
            transient_error, names = "", set[str]()
            try:
                names = _check_listing(
                    self.run, self.step.index, self.step.files, deadline=deadline, uploaded=self._uploads
                )
                self._compare([file for file in self.step.files if file.filename in names], deadline)
            except TransientError as error:
                transient_error = f" ({error.message})"
            if len(self._verified) == len(self.step.files):
                return
            mismatches = [
                name for name, served in self._served.items() if served.observation is Observation.MISMATCH
            ]
            if mismatches:
                mismatch_since = network.CLOCK.now() if mismatch_since is None else mismatch_since
                if network.CLOCK.now() - mismatch_since >= _MISMATCH_TIME:
                    raise self._content_differs(mismatches)
            self._stop_if_quarantined(transient_error)
            if not (left := deadline.left()):
                raise self._not_verified(names, transient_error)
            deadline.wait(min(pause, left), f"{self.step.index} does not list and serve the whole release yet")
            pause = min(pause * 2, _MAX_POLL_INTERVAL)

    def verify(self) -> str:
        """Summarize what was verified."""
        count = len(self.step.files)
        listing = self.run.indexes.cached_listing(self.step.index, self.step.package)
        ends = sum("end" in served.detail for served in self._served.values())
        text = f"{count} file{'s' * (count > 1)} listed with the built hashes, and downloadable"
        if self.step.compare_limit is not None:
            text += ", with the built bytes"
        if ends:
            text += f" (of {ends} the length and the end were compared)"
        if yanked := [name for name in self._served if name in listing and listing[name].yanked]:
            text += f"; YANKED, ignored by installers: {', '.join(yanked)}"
        if listing.status != "active":
            text += f"; the project is {listing.status}{f' ({listing.reason})' if listing.reason else ''}"
        return text

    @property
    def _uploads(self) -> bool:
        """Whether this run uploads the files."""
        return bool(self.step.needs)

    @property
    def _verified(self) -> set[str]:
        return {name for name, served in self._served.items() if served.observation is Observation.MATCH}

    def _compare(self, files: Sequence[Distribution], deadline: Deadline) -> None:
        """Download and compare the files that are not verified yet, concurrently."""
        unverified = [file for file in files if file.filename not in self._verified]
        listing = self.run.indexes.cached_listing(self.step.index, self.step.package)

        def compare(file: Distribution) -> None:
            step, name = self.step, file.filename
            path = self.run.root / step.folder / name if step.folder else None
            served = _compare_served(self.run, listing[name], file, deadline, limit=step.compare_limit, path=path)
            self._served[name] = served
            self.run.observed.record_download(step.index, name, served.observation)

        if not unverified:
            return
        if len(unverified) == 1:
            compare(unverified[0])
            return
        threads = min(_CONCURRENT_DOWNLOADS, len(unverified)) - 1
        with ThreadPoolExecutor(threads, thread_name_prefix="download") as pool:
            rest = pool.map(compare, unverified[1:])
            compare(unverified[0])  # in this thread
            list(rest)

    def _stop_if_quarantined(self, transient_error: str) -> None:
        """Do not wait for files of a quarantined project, which cannot be downloaded (PEP 792)."""
        listing = self.run.indexes.cached_listing(self.step.index, self.step.package)
        if not transient_error and listing.status == "quarantined":
            raise TryLater(
                "project-quarantined",
                f"project {self.step.package} is quarantined on {self.step.index}, and cannot be installed"
                f"{f' ({listing.reason})' if listing.reason else ''}",
                fix="contact the index operator, and rerun the command when the quarantine has ended",
            )

    def _content_differs(self, names: Sequence[str]) -> Conflict:
        built = {file.filename: file.sha256 for file in self.step.files}
        lines = "".join(f"\n  {name} {self._served[name].detail}, built {built[name]}" for name in names)
        return Conflict(
            "served-content-differs",
            f"{self.step.index} lists {self.step.package} {self.step.version} with the built hashes, but serves "
            f"different content:{lines}",
            fix="report it to the index operator, or check for a proxy or login page in front of the index",
        )

    def _not_verified(self, listed_names: set[str], transient_error: str) -> TryLater:
        step = self.step
        unverified = [file.filename for file in step.files if file.filename not in self._verified]
        details = {name: served.detail for name, served in self._served.items()}
        states = {
            "not listed": [name for name in unverified if name not in listed_names],
            "listed, but not downloadable": [
                f"{name} ({details.get(name, 'no response')})" for name in unverified if name in listed_names
            ],
        }
        lines = "".join(f"\n  {state}: {', '.join(names)}" for state, names in states.items() if names)
        index = "" if step.index == "pypi" else f" --index {step.index}"
        return TryLater(
            "release-not-verified",
            f"{step.package} {step.version} could not be verified on {step.index} "
            f"within {waits.span(step.deadline)}{transient_error}:{lines}",
            fix="check the status page of the index, and rerun the command later (it uploads only missing files)"
            if self._uploads
            else f"publish it: {fixes.command('publish')}{index}; if another job has just uploaded it: "
            f"{fixes.command('verify-install')}{index} --wait {_PROPOSED_WAIT}",
        )


def observe(run: Run, index: str, files: Sequence[Distribution], *, download: bool, seconds: float) -> None:
    """Check files of one package on the index once, and record what is observed.

    Args:
        run: The run.
        index: The index.
        files: Files of one package.
        download: Whether listed files are also downloaded and compared.
        seconds: Approximate time limit of each request.

    Raises:
        RelnoxError: The index does not respond, or lists different files.
    """
    deadline = Deadline(seconds)
    names = _check_listing(run, index, files, deadline=deadline)
    listing = run.indexes.cached_listing(index, files[0].package)
    for file in (file for file in files if download and file.filename in names):
        served = _compare_served(run, listing[file.filename], file, deadline, limit=0)
        run.observed.record_download(index, file.filename, served.observation)


def _compare_served(  # noqa: PLR0913 - what is compared with what
    run: Run,
    index_file: IndexFile,
    built: Distribution,
    deadline: Deadline,
    *,
    limit: int | None,
    path: Path | None = None,
) -> ServedContent:
    """Compare what an index serves with a built file; without a limit check only that it can be downloaded."""
    if limit is None:
        if client.is_served(index_file, deadline):
            return ServedContent(Observation.MATCH, "")
        return ServedContent(Observation.ABSENT, "not served")
    local = path if path is not None and path.is_file() else None
    return run.indexes.compare_served(index_file, built, limit=limit, path=local, deadline=deadline)


def _check_listing(  # noqa: PLR0913 - parameters of the request
    run: Run,
    index: str,
    files: Sequence[Distribution],
    *,
    refresh: bool = True,
    deadline: Deadline | None = None,
    uploaded: bool = False,
) -> set[str]:
    """Return the names of files of a package that an index lists with the built hashes.

    Args:
        run: The run.
        index: The index.
        files: Files of one package.
        refresh: Whether the listing is requested again if it is recent.
        deadline: How long to try; by default a few seconds with `refresh`.
        uploaded: Whether this run has uploaded them.

    Raises:
        Conflict: It lists one of them with a different hash, or twice.
        TryLater: It does not respond.
    """
    built = {file.filename: file for file in files}
    deadline = deadline or (Deadline(_CHECK_TIME) if refresh else None)
    try:
        hashes = run.indexes.hashes(index, files[0].package, built, refresh=refresh, deadline=deadline)
    except ContradictoryListing as error:
        run.observed.record_listing(index, error.filename, Observation.MISMATCH)
        raise
    for name, file in built.items():
        if name not in hashes:
            observation = Observation.ABSENT
        else:
            observation = Observation.MATCH if hashes[name] == file.sha256 else Observation.MISMATCH
        run.observed.record_listing(index, name, observation)
    for name, sha256 in hashes.items():
        if sha256 != built[name].sha256:
            raise index_file_differs(index, built[name], sha256, uploaded=uploaded)
    return set(hashes)


def upload_deadline(files: Sequence[PublishedFile], run: Run) -> str | None:
    """Return when PyPI stops accepting the rest of a release (14 days after its first file), as a date in UTC.

    None if nothing is public, or everything is.
    """
    states = {file.state for file in files}
    public = [file for file in files if file.state in (State.VERIFIED, State.PUBLIC)]
    if not public or states <= {State.VERIFIED}:
        return None
    on_index = (run.indexes.cached_listing(file.index, file.package).get(file.filename) for file in public)
    times = [file.upload_time for file in on_index if file is not None and file.upload_time is not None]
    first = min(times) if times else network.CLOCK.today()
    return (first + UPLOAD_WINDOW).strftime("%Y-%m-%d %H:%M UTC")


def index_file_differs(index: str, file: Distribution, sha256: str, *, uploaded: bool = False) -> Conflict:
    """Return the error for a file that the index has with different content."""
    after = " (damaged during the upload, or uploaded by another job first)" if uploaded else ""
    return Conflict(
        "index-file-differs",
        f"{index} has a different {file.filename}{after}:\n"
        f"  index  sha256 {sha256}\n  built  sha256 {file.sha256}",
        fix=conflict_hint(file),
    )
