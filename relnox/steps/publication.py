"""The files of a release as a run observes them on the index: waiting for them, and the resulting exit code.

Steps record in `PublicationState` what they send and see; what is public decides the exit code, not which step
failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from packaging.version import Version

from relnox.core import fixes
from relnox.core.planning.events import Status, StepFinished
from relnox.core.planning.step import Step
from relnox.core.records import replace
from relnox.core.release import public_index, publication
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck, FileState, PublishedFile, UploadStatus
from relnox.core.text import format_count
from relnox.errors import Conflict, ExitCode, TryLater
from relnox.indexes.embedded import CLEAR_FIX
from relnox.indexes.index import ServedContent
from relnox.indexes.targets import EMBEDDED, Target
from relnox.indexes.uploads import different_file_hint
from relnox.steps.run import Run, SharedService
from relnox.system import retries
from relnox.system.retries import Deadline, TransientError
from relnox.system.run_scope import call_concurrently

_LISTING_TIMEOUT = 5.0
"""Seconds for checking a listing again."""
_RECHECK_TIMEOUT = 10.0
"""Seconds for checking the index again, after a run that failed."""
_RECHECK_TIMEOUT_AFTER_SIGNAL = 0.8
_MIN_POLL_INTERVAL = 0.2
_MAX_POLL_INTERVAL = 15.0
_CONCURRENT_DOWNLOADS = 8
"""Per package."""
_SUGGESTED_WAIT = 600
"""Seconds for `--wait` in a fix, for a release that another job has just uploaded."""
_MAX_MISMATCH_TIME = 30.0
"""Seconds that an index may serve different bytes than it lists: a proxy may return an error page for a while."""


class PublicationState(SharedService):
    """What this run knows about each file that its plan uploads: whether it was sent, listed and served."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        uploads = [step.upload for step in run.plan.steps if step.upload is not None]
        self._built = {(index, file.filename): file for index, file in uploads}
        self._files = {
            (index, name): PublishedFile(
                index=index,
                package=file.package,
                filename=name,
                listing=FileCheck.MATCH if name in run.plan.public else FileCheck.ABSENT,  # when it was planned
            )
            for (index, name), file in self._built.items()
        }

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        """What is known about each file that the plan uploads, in the order of the plan."""
        return tuple(self._files.values())

    @property
    def may_have_public_files(self) -> bool:
        """Whether any file is public or may be: only those not uploaded, and those rejected, are certainly not."""
        return any(file.state not in (FileState.NOT_UPLOADED, FileState.REJECTED) for file in self.files)

    def update_published_file(self, index: str, name: str, **changes: UploadStatus | FileCheck) -> None:
        """Set fields of the `PublishedFile` of a file on an index, such as `download`, to the values in `changes`.

        A file that this plan does not upload there is ignored.
        """
        if (before := self._files.get((index, name))) is not None:
            self._files[index, name] = replace(before, **changes)

    def record_upload(self, index: str, name: str) -> None:
        """Record that the upload of a file begins: it counts as uploaded, and earlier checks are discarded."""
        unknown = FileCheck.UNKNOWN
        self.update_published_file(index, name, upload=UploadStatus.UPLOADED, listing=unknown, download=unknown)

    def record_listing(self, index: str, name: str, observation: FileCheck) -> None:
        """Record what a check of the index's listing showed for a file.

        `ABSENT` is ignored if the last check found the file with the built hash.
        """
        file = self._files.get((index, name))
        if file is not None and (observation is not FileCheck.ABSENT or file.listing is not FileCheck.MATCH):
            self.update_published_file(index, name, listing=observation)

    def check_listing(
        self,
        index: str,
        files: Sequence[Distribution],
        *,
        refresh: bool = True,
        deadline: Deadline | None = None,
        uploaded: bool = False,
    ) -> set[str]:
        """Compare an index's listing with `files`, all of one package; return the names of those that it lists.

        Their hashes there are those of the built files. What the listing shows for each file is recorded. `files`
        must not be empty. Without `refresh`, a recent cached listing is used. `deadline` ends the retries; None
        stands for five seconds, or without `refresh` for ten minutes. With `uploaded`, the error for a different
        hash says that this run has sent the files.

        Raises:
            Conflict: It lists one of them with a different hash.
            TryLater: It does not respond, or the project is in quarantine (PEP 792).
        """
        built_files = {file.filename: file for file in files}
        deadline = deadline or (Deadline(_LISTING_TIMEOUT) if refresh else None)
        hashes = self._run.indexes[index].hashes(files[0].package, built_files, refresh=refresh, deadline=deadline)
        for name, file in built_files.items():
            if name not in hashes:
                observation = FileCheck.ABSENT
            else:
                observation = FileCheck.MATCH if hashes[name] == file.sha256 else FileCheck.MISMATCH
            self.record_listing(index, name, observation)
        different = [
            (file, hashes[name])
            for name, file in built_files.items()
            if hashes.get(name, file.sha256) != file.sha256
        ]
        if different:
            raise different_files_error(self._run.indexes[index], different, uploaded=uploaded)
        self._check_quarantine(index, files)
        return set(hashes)

    def _check_quarantine(self, index: str, files: Sequence[Distribution]) -> None:
        """Raise `TryLater`, and record the files as unknown, if the project is in quarantine, even if listed."""
        package = files[0].package
        listing = self._run.indexes[index].cached_listing(package)
        if listing.status != "quarantined":
            return
        for file in files:
            self.update_published_file(index, file.filename, listing=FileCheck.UNKNOWN, download=FileCheck.UNKNOWN)
        raise TryLater(
            "project-quarantined",
            f"project {package} is quarantined on {index}, and cannot be installed"
            f"{f' ({listing.reason})' if listing.reason else ''}",
            fix="contact the index operator, and rerun the command when the quarantine has ended",
        )

    def compare_download(self, index: str, built_file: Distribution, deadline: Deadline) -> ServedContent:
        """Download a listed file, compare its hash with that of the built file, and record and return the result.

        A response such as 404 is a result too: `ABSENT`.

        Raises:
            TryLater: The index does not respond until the deadline.
        """
        comparison = self._run.indexes[index].compare_download(built_file, deadline)
        self.update_published_file(index, built_file.filename, download=comparison.observation)
        return comparison

    def unverified_uploads(self) -> dict[tuple[str, str], list[Distribution]]:
        """Return the files that this run tried to upload, but has not verified, by index and package name."""
        files: dict[tuple[str, str], list[Distribution]] = {}
        for key, file in self._files.items():
            if file.upload is not UploadStatus.NOT_UPLOADED and file.state is not FileState.VERIFIED:
                files.setdefault((file.index, file.package), []).append(self._built[key])
        return files

    def recheck_uploads(self, files: Mapping[tuple[str, str], Sequence[Distribution]], *, briefly: bool) -> None:
        """Check files on their indexes again for at most ten seconds, and record the results; errors are ignored.

        `files` is a result of `unverified_uploads`. With `briefly`, for runs that a signal ended, nothing is
        downloaded, and the limit is less than a second.
        """
        seconds = _RECHECK_TIMEOUT_AFTER_SIGNAL if briefly else _RECHECK_TIMEOUT
        deadline = Deadline(seconds)

        def check_package(key: tuple[str, str]) -> None:
            with suppress(BaseException):  # the last observation is kept
                names = self.check_listing(key[0], files[key], deadline=deadline)
                for file in files[key]:
                    if not briefly and file.filename in names:
                        self.compare_download(key[0], file, deadline)

        with suppress(TimeoutError):
            call_concurrently(check_package, files, seconds=seconds)

    def exit_code(self, results: Sequence[StepFinished]) -> ExitCode:
        """Return the exit code of a run that was not interrupted, from the states of files and step results.

        Unless all files are verified, `exit_code_of_publishing` determines it. If all are, failures of steps that
        only serve to publish do not count.
        """
        code = publication.exit_code_of_publishing(
            self.files, [result.error.exit_code for result in results if result.error is not None]
        )
        if code is not ExitCode.DONE:
            return code
        later = [
            ExitCode.TRY_LATER if result.error is None else result.error.exit_code
            for result in results
            if result.status in (Status.FAILED, Status.ABORTED) and not result.step.publishes
        ]
        if all(file.index == EMBEDDED for file in self.files):
            return ExitCode.worst(later)  # a directory on this machine, which is not public
        return publication.exit_code_after_publication(later)

    def upload_deadline(self) -> str | None:
        """Return until when the public index accepts further files of a release, or None.

        The time has the form `2026-01-31 12:00 UTC`. It is None if nothing is public, or all files are verified,
        or the index has no such rule.
        """
        public = [
            file
            for file in self.files
            if file.state in (FileState.VERIFIED, FileState.PUBLIC)
            and self._run.indexes[file.index].has_public_rules
        ]
        if not public or publication.are_all_verified(self.files):
            return None
        on_index = (
            self._run.indexes[file.index].cached_listing(file.package).get(file.filename) for file in public
        )
        times = [file.upload_time for file in on_index if file is not None and file.upload_time is not None]
        first = min(times) if times else retries.CLOCK.utc_now()
        return (first + public_index.UPLOAD_WINDOW).strftime("%Y-%m-%d %H:%M UTC")


def different_files_error(
    index: Target, files: Sequence[tuple[Distribution, str]], *, uploaded: bool = False
) -> Conflict:
    """Return the error for files whose content on an index differs from what was built.

    `files` has pairs of a built file and the SHA-256 (hex) of the one on the index. With `uploaded`, this run sent
    them, and the error says that they may be damaged.
    """
    after = " (damaged during the upload, or uploaded by another job first)" if uploaded else ""
    return Conflict(
        "index-file-differs",
        "\n".join(
            f"{index.name} has a different {file.filename}{after}:\n"
            f"  index  sha256 {sha256}\n  built  sha256 {file.sha256}"
            for file, sha256 in files
        ),
        fix=different_file_hint(files[0][0], index),
    )


def served_content_error(index: str, release: str, lines: str) -> Conflict:
    """Return the error for an index that serves other bytes than it lists, by name; `lines` has those files."""
    return Conflict(
        "served-content-differs",
        f"{index} lists {release} with the built hashes, but serves different content:{lines}",
        fix=CLEAR_FIX
        if index == EMBEDDED
        else "report it to the index operator, or check for a proxy or login page in front of the index",
    )


class AwaitIndex(Step, key="await {self.package}"):
    """Wait until an index lists files with the hashes of the manifest, and serves them.

    Attributes:
        deadline: How long to wait at most, in seconds.
        download: Whether the files are also downloaded and hashed; otherwise only the listing is compared.
        page: The URL of the web page of the release, for the user; empty if there is none.
    """

    concurrent = True
    publishes = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    deadline: int
    download: bool = True
    page: str = ""

    @property
    def title(self) -> str:
        verbs = "lists and serves" if self.download else "lists"
        return f"wait until {self.index} {verbs} {self.package} {self.version} with the built hashes"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        # A waiting step must not block uploads, nor other waiting steps.
        return ((f"listings of {self.index}", 32),)

    def apply(self, run: Run) -> None:
        """Check the listing and, with `download`, the downloads of all files until they have the built hashes.

        Raises:
            Conflict: The index lists a different hash, or serves different content for half a minute.
            TryLater: The deadline is over, or the project is in quarantine (PEP 792).
        """
        deadline, pause = Deadline(self.deadline), _MIN_POLL_INTERVAL
        checks = {file.filename: ServedContent(FileCheck.ABSENT, "not listed") for file in self.files}
        mismatch_since: float | None = None
        while True:
            transient_error = ""
            try:
                self._update_checks(run, checks, deadline)
            except TransientError as error:
                transient_error = f" ({error.message})"
            observations = {check.observation for check in checks.values()}
            if observations == {FileCheck.MATCH}:
                return
            if FileCheck.MISMATCH in observations:
                now = retries.CLOCK.monotonic()
                mismatch_since = now if mismatch_since is None else mismatch_since
                if now - mismatch_since >= _MAX_MISMATCH_TIME:
                    raise self._content_error(checks)
            else:
                mismatch_since = None
            if not (seconds_left := deadline.seconds_left()):
                raise self._timeout_error(checks, transient_error)
            deadline.wait(min(pause, seconds_left), f"{self.index} does not list and serve the whole release yet")
            pause = min(pause * 2, _MAX_POLL_INTERVAL)

    def verify(self, run: Run, result: None) -> str:
        """Return how many files the index has, which are yanked, and the project's status unless active."""
        del result
        listing = run.indexes[self.index].cached_listing(self.package)
        verbs = "listed and served" if self.download else "listed"
        text = f"{format_count(len(self.files), 'file')} {verbs} with the built hashes"
        names = (file.filename for file in self.files)
        if yanked_files := [name for name in names if name in listing and listing[name].yanked]:
            text += f"; YANKED, ignored by installers: {', '.join(yanked_files)}"
        if listing.status != "active":
            text += f"; the project is {listing.status}{f' ({listing.reason})' if listing.reason else ''}"
        return text

    def _update_checks(self, run: Run, checks: dict[str, ServedContent], deadline: Deadline) -> None:
        """Update `checks` (by file name) with the listing, and with downloads of files that did not match yet.

        Raises:
            Conflict: The index lists a file with a different hash.
        """
        publication = run.service(PublicationState)
        names = publication.check_listing(self.index, self.files, deadline=deadline, uploaded=bool(self.needs))

        def compare(file: Distribution) -> None:
            checks[file.filename] = ServedContent(FileCheck.ABSENT, "listed, but its download had no response")
            checks[file.filename] = (
                publication.compare_download(self.index, file, deadline)
                if self.download
                else ServedContent(FileCheck.MATCH, "")
            )

        unverified_files = [
            file
            for file in self.files
            if file.filename in names and checks[file.filename].observation is not FileCheck.MATCH
        ]
        call_concurrently(compare, unverified_files, threads=_CONCURRENT_DOWNLOADS)

    def _content_error(self, checks: Mapping[str, ServedContent]) -> Conflict:
        lines = "".join(
            f"\n  {file.filename} {checks[file.filename].detail}, built {file.sha256}"
            for file in self.files
            if checks[file.filename].observation is FileCheck.MISMATCH
        )
        return served_content_error(self.index, f"{self.package} {self.version}", lines)

    def _timeout_error(self, checks: Mapping[str, ServedContent], transient_error: str) -> TryLater:
        """Return the error for files that do not match in time; `transient_error` is the last one, or empty."""
        problems: dict[str, list[str]] = {}
        for name, check in checks.items():
            if check.observation is not FileCheck.MATCH:
                problems.setdefault(check.detail, []).append(name)
        lines = "".join(f"\n  {detail}: {', '.join(names)}" for detail, names in problems.items())
        index = "" if self.index == "pypi" else f" --index {self.index}"
        return TryLater(
            "release-not-verified",
            f"{self.package} {self.version} could not be verified on {self.index} "
            f"within {retries.format_duration(self.deadline)}{transient_error}:{lines}",
            fix="check the status page of the index, and rerun the command later (it uploads only missing files)"
            if self.needs
            else f"publish it: {fixes.task_command('publish')}{index}; if another job has just uploaded it: "
            f"{fixes.task_command('verify-install')}{index} --wait {_SUGGESTED_WAIT}",
        )


class ClearIndex(Step, key="clear index", title="remove all content of index {self.index}"):
    """Remove all files from the embedded index, a directory on this machine, unless all belong to this release.

    Attributes:
        files: The files of the release, which an interrupted run may have uploaded.
    """

    index: str
    files: tuple[Distribution, ...]

    def reason_to_skip(self, run: Run) -> str | None:
        files = {file.filename: file.sha256 for file in self.files}
        return "the index has no other files" if run.indexes.embedded_index.store.holds_only(files) else None

    def apply(self, run: Run) -> None:
        run.indexes.embedded_index.store.clear()
        run.indexes[self.index].forget_listings()
