"""Wait until an index lists the files of a package with their hashes, and serves their bytes."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.version import Version

from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.text import format_count
from relnox.errors import Conflict, TryLater
from relnox.indexes.embedded import CLEAR_FIX
from relnox.indexes.index import ServedContent
from relnox.indexes.targets import EMBEDDED
from relnox.steps.published_files import Publication
from relnox.steps.run import Run
from relnox.system import retries
from relnox.system.retries import Deadline, TransientError
from relnox.system.run_scope import call_concurrently

_MIN_POLL_INTERVAL = 0.2
_MAX_POLL_INTERVAL = 15.0
_CONCURRENT_DOWNLOADS = 8
"""Per package."""
_SUGGESTED_WAIT = 600
"""Seconds for `--wait` in a fix, for a release that another job has just uploaded."""
_MAX_MISMATCH_TIME = 30.0
"""Seconds that an index may serve different bytes than it lists: a proxy may return an error page for a while."""


class AwaitIndex(Step, kw_only=True):
    """Wait until an index lists files with the hashes of the manifest, and serves them.

    Attributes:
        deadline: How long to wait, in seconds.
        download: Whether the files are also downloaded and hashed; otherwise only the listing is compared.
    """

    concurrent = True
    publishes = True
    index: str
    package: str
    version: Version
    files: tuple[Distribution, ...]
    deadline: int
    download: bool = True

    @property
    def key(self) -> str:
        return f"await {self.package}"

    @property
    def title(self) -> str:
        verbs = "lists and serves" if self.download else "lists"
        return f"wait until {self.index} {verbs} {self.package} {self.version} with the built hashes"

    @property
    def resources(self) -> tuple[tuple[str, int | None], ...]:
        # A waiting step must not block uploads, nor other waiting steps.
        return ((f"listings of {self.index}", 32),)

    def apply(self, run: Run) -> None:
        deadline, pause = Deadline(self.deadline), _MIN_POLL_INTERVAL
        checks = {file.filename: ServedContent(FileCheck.ABSENT, "not listed") for file in self.files}
        mismatch_since: float | None = None
        while True:
            transient_error = ""
            try:
                self._check(run, checks, deadline)
            except TransientError as error:
                transient_error = f" ({error.message})"
            observations = {check.observation for check in checks.values()}
            if observations == {FileCheck.MATCH}:
                return
            if FileCheck.MISMATCH in observations:
                now = retries.CLOCK.now()
                mismatch_since = now if mismatch_since is None else mismatch_since
                if now - mismatch_since >= _MAX_MISMATCH_TIME:
                    raise self._content_error(checks)
            if not (seconds_left := deadline.left()):
                raise self._timeout_error(checks, transient_error)
            deadline.wait(min(pause, seconds_left), f"{self.index} does not list and serve the whole release yet")
            pause = min(pause * 2, _MAX_POLL_INTERVAL)

    def verify(self, run: Run, result: None) -> str:
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

    def _check(self, run: Run, checks: dict[str, ServedContent], deadline: Deadline) -> None:
        """Check the listing, and compare the files that are not verified yet, concurrently."""
        publication = run.service(Publication)
        names = publication.check_listing(self.index, self.files, deadline=deadline, uploaded=bool(self.needs))

        def compare(file: Distribution) -> None:
            checks[file.filename] = ServedContent(FileCheck.ABSENT, "listed, but its download had no response")
            checks[file.filename] = (
                publication.compare_served(self.index, file, deadline)
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
        return Conflict(
            "served-content-differs",
            f"{self.index} lists {self.package} {self.version} with the built hashes, but serves "
            f"different content:{lines}",
            fix=CLEAR_FIX
            if self.index == EMBEDDED
            else "report it to the index operator, or check for a proxy or login page in front of the index",
        )

    def _timeout_error(self, checks: Mapping[str, ServedContent], transient_error: str) -> TryLater:
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
