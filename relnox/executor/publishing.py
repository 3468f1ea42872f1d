"""Upload, and the proof: a file is public when the index shows its name with our hash, and not before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from relnox.building import archives
from relnox.core.events import Status
from relnox.core.steps import Upload
from relnox.errors import Conflict, Failed, RelnoxError, TryLater

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from relnox.core.events import StepFinished
    from relnox.core.manifest import Distribution
    from relnox.core.steps import AwaitIndex
    from relnox.executor.run import Run

__all__ = ["Awaiting", "Uploading", "deadline", "other_file"]

_PATIENCE = 30.0
_PAUSE = 0.2
_LONGEST_PAUSE = 15.0
_WINDOW = timedelta(days=14)
"""How long the public index takes further files of a release (since July 2026)."""


@dataclass
class Uploading:
    """Sends one file, unless the index has it."""

    step: Upload
    run: Run

    def check(self) -> str | None:
        """Done when the index lists the file with our hash.

        Raises:
            Conflict: The index lists it with another.
        """
        file = self.step.file
        sha256 = self.run.indexes.hashes(self.step.index, file.package, [file.filename]).get(file.filename)
        if sha256 is None:
            return None
        if sha256 != file.sha256:
            raise other_file(self.step.index, file, sha256)
        return f"{self.step.index} has it: sha256 {sha256}"

    def do(self) -> None:
        """Send it. If the answer is lost or bad, the index may have it all the same: it is asked."""
        path = self.run.root / self.step.folder / self.step.file.filename
        if archives.digests(path).sha256 != self.step.file.sha256:
            raise Conflict(
                f"{path.name} is not the file that was built: its hash is not the manifest's",
                hint="build again: nox -s build-all",
            )
        try:
            self.run.indexes.upload(self.step.index, path)
        except RelnoxError:
            if self.check() is None:
                raise

    def prove(self) -> str:
        """The index lists it with our hash; a moment's delay is allowed."""
        for _ in _tries(_PATIENCE):
            if (reason := self.check()) is not None:
                return reason
        raise TryLater(
            f"{self.step.index} took {self.step.file.filename}, but does not list it",
            hint="type the same command again in a few minutes: what has arrived is not sent twice",
        )


@dataclass
class Awaiting:
    """Waits until the index lists a release, all of it, with our hashes."""

    step: AwaitIndex
    run: Run

    def check(self) -> str | None:
        """Looking is all there is to do."""
        return None

    def do(self) -> None:
        """Ask until everything is listed, with growing pauses."""
        for _ in _tries(self.step.patience):
            if not self._missing():
                return
        raise TryLater(
            f"{self.step.index} does not list all of {self.step.package} {self.step.version} "
            f"after {self.step.patience} s",
            hint="has it been published there? if so, type the same command again later",
        )

    def prove(self) -> str:
        """Every file is listed."""
        if missing := self._missing():
            raise Failed(f"{self.step.index} no longer lists {missing[0].filename}", hint="was it removed there?")
        return f"{len(self.step.files)} files listed with our hashes"

    def _missing(self) -> list[Distribution]:
        wanted = [file.filename for file in self.step.files]
        present = self.run.indexes.hashes(self.step.index, self.step.package, wanted)
        for file in self.step.files:
            if present.get(file.filename, file.sha256) != file.sha256:
                raise other_file(self.step.index, file, present[file.filename])
        return [file for file in self.step.files if file.filename not in present]


def _tries(seconds: float) -> Iterator[None]:
    """At once, then after growing pauses, as long as there is time."""
    ends = time.monotonic() + seconds
    pause = _PAUSE
    yield
    while time.monotonic() < ends:
        time.sleep(min(pause, max(0.0, ends - time.monotonic())))
        pause = min(pause * 2, _LONGEST_PAUSE)
        yield


def deadline(results: Sequence[StepFinished], run: Run) -> str | None:
    """Until when the public index takes the rest of a release: 14 days after its first file, as a date in UTC."""
    public = [
        result.step
        for result in results
        if isinstance(result.step, Upload) and result.status in (Status.SUCCESS, Status.SKIPPED)
    ]
    times = [
        listed.upload_time
        for step in public
        if (listed := run.indexes.files(step.index, step.file.package).get(step.file.filename))
        and listed.upload_time
    ]
    if not public:
        return None
    first = min(map(datetime.fromisoformat, times)) if times else datetime.now(UTC)
    return (first + _WINDOW).strftime("%Y-%m-%d %H:%M UTC")


def other_file(index: str, file: Distribution, sha256: str) -> Conflict:
    """The error for a name that is taken by other bytes."""
    return Conflict(
        f"{index} holds another {file.filename}:\n  there  sha256 {sha256}\n  built  sha256 {file.sha256}",
        hint="a file name is never given twice: bump the version (or find the build that was published)",
    )
