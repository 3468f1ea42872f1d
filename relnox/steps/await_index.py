"""Wait until an index lists the files of a package with their hashes, and serves their bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.version import Version

from relnox.core import fixes
from relnox.core.planning.step import Step
from relnox.core.release.manifest import Distribution
from relnox.core.release.publication import FileCheck
from relnox.core.text import format_count
from relnox.errors import Conflict, TryLater
from relnox.indexes.client import ServedContent
from relnox.steps.action import Action
from relnox.steps.published_files import Publication
from relnox.system import retries

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.system.retries import Deadline

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


class AwaitIndexAction(Action[AwaitIndex]):
    def apply(self) -> None:
        from relnox.system import retries
        from relnox.system.retries import Deadline, TransientError

        deadline = Deadline(self.step.deadline)
        pause = _MIN_POLL_INTERVAL
        self._served: dict[str, ServedContent] = {}
        mismatch_since: float | None = None
        while True:
            transient_error, names = "", set[str]()
            try:
                names = self._publication.check_listing(
                    self.step.index, self.step.files, deadline=deadline, uploaded=self._run_uploads_files
                )
                self._compare_downloads([file for file in self.step.files if file.filename in names], deadline)
            except TransientError as error:
                transient_error = f" ({error.message})"
            if len(self._verified_names) == len(self.step.files):
                return
            mismatches = [
                name for name, comparison in self._served.items() if comparison.observation is FileCheck.MISMATCH
            ]
            if mismatches:
                mismatch_since = retries.CLOCK.now() if mismatch_since is None else mismatch_since
                if retries.CLOCK.now() - mismatch_since >= _MAX_MISMATCH_TIME:
                    raise self._content_error(mismatches)
            if not (seconds_left := deadline.left()):
                raise self._timeout_error(names, transient_error)
            deadline.wait(
                min(pause, seconds_left), f"{self.step.index} does not list and serve the whole release yet"
            )
            pause = min(pause * 2, _MAX_POLL_INTERVAL)

    def verify(self) -> str:
        count = len(self.step.files)
        listing = self.run.indexes.cached_listing(self.step.index, self.step.package)
        text = f"{format_count(count, 'file')} listed{' and served' * self.step.download} with the built hashes"
        if yanked_files := [name for name in self._served if name in listing and listing[name].yanked]:
            text += f"; YANKED, ignored by installers: {', '.join(yanked_files)}"
        if listing.status != "active":
            text += f"; the project is {listing.status}{f' ({listing.reason})' if listing.reason else ''}"
        return text

    @property
    def _publication(self) -> Publication:
        return self.run.service(Publication)

    @property
    def _run_uploads_files(self) -> bool:
        return bool(self.step.needs)

    @property
    def _verified_names(self) -> set[str]:
        return {name for name, comparison in self._served.items() if comparison.observation is FileCheck.MATCH}

    def _compare_downloads(self, files: Sequence[Distribution], deadline: Deadline) -> None:
        """Download and compare the files that are not verified yet, concurrently."""
        from relnox.indexes.concurrency import call_concurrently

        unverified_files = [file for file in files if file.filename not in self._verified_names]

        def compare(file: Distribution) -> None:
            self._served[file.filename] = self._publication.compare_served(self.step.index, file, deadline)

        if self.step.download:
            call_concurrently(compare, unverified_files, threads=_CONCURRENT_DOWNLOADS)
        else:
            match = ServedContent(FileCheck.MATCH, "")
            self._served.update((file.filename, match) for file in unverified_files)

    def _content_error(self, names: Sequence[str]) -> Conflict:
        from relnox.indexes.embedded_store import CLEAR_FIX
        from relnox.indexes.targets import EMBEDDED

        built_hashes = {file.filename: file.sha256 for file in self.step.files}
        lines = "".join(f"\n  {name} {self._served[name].detail}, built {built_hashes[name]}" for name in names)
        return Conflict(
            "served-content-differs",
            f"{self.step.index} lists {self.step.package} {self.step.version} with the built hashes, but serves "
            f"different content:{lines}",
            fix=CLEAR_FIX
            if self.step.index == EMBEDDED
            else "report it to the index operator, or check for a proxy or login page in front of the index",
        )

    def _timeout_error(self, listed_names: set[str], transient_error: str) -> TryLater:
        step = self.step
        unverified_files = [file.filename for file in step.files if file.filename not in self._verified_names]
        details = {name: comparison.detail for name, comparison in self._served.items()}
        states = {
            "not listed": [name for name in unverified_files if name not in listed_names],
            "listed, but not downloadable": [
                f"{name} ({details.get(name, 'no response')})" for name in unverified_files if name in listed_names
            ],
        }
        lines = "".join(f"\n  {state}: {', '.join(names)}" for state, names in states.items() if names)
        index = "" if step.index == "pypi" else f" --index {step.index}"
        return TryLater(
            "release-not-verified",
            f"{step.package} {step.version} could not be verified on {step.index} "
            f"within {retries.format_duration(step.deadline)}{transient_error}:{lines}",
            fix="check the status page of the index, and rerun the command later (it uploads only missing files)"
            if self._run_uploads_files
            else f"publish it: {fixes.task_command('publish')}{index}; if another job has just uploaded it: "
            f"{fixes.task_command('verify-install')}{index} --wait {_SUGGESTED_WAIT}",
        )
