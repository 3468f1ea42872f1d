"""Upload, and the proof: a file is public when the index shows its name with our hash, and not before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox.building import archives
from relnox.errors import Conflict, Failed, RelnoxError, TryLater

if TYPE_CHECKING:
    from relnox.core.manifest import Distribution
    from relnox.core.steps import AwaitIndex, Upload
    from relnox.executor.run import Run

__all__ = ["Awaiting", "Uploading", "other_file"]

_PATIENCE = 30.0
_PAUSE = 0.2
_LONGEST_PAUSE = 15.0


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
        listed = self.run.indexes.files(self.step.index, self.step.file.package).get(self.step.file.filename)
        if listed is None:
            return None
        if listed.sha256 is None:
            return f"{self.step.index} lists it, without telling a hash"
        if listed.sha256 != self.step.file.sha256:
            raise other_file(self.step.index, self.step.file, listed.sha256)
        return f"{self.step.index} has it: sha256 {listed.sha256}"

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
        ends = time.monotonic() + _PATIENCE
        pause = _PAUSE
        while (reason := self.check()) is None:
            if time.monotonic() > ends:
                raise TryLater(
                    f"{self.step.index} took {self.step.file.filename}, but does not list it",
                    hint="type the same command again in a few minutes: what has arrived is not sent twice",
                )
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        return reason


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
        ends = time.monotonic() + self.step.patience
        pause = _PAUSE
        while missing := self._missing():
            if time.monotonic() > ends:
                raise TryLater(
                    f"{self.step.index} does not list {missing[0].filename} after {self.step.patience} s",
                    hint="has it been published there? if so, type the same command again later",
                )
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def prove(self) -> str:
        """Every file is listed."""
        if missing := self._missing():
            raise Failed(f"{self.step.index} no longer lists {missing[0].filename}", hint="was it removed there?")
        return f"{len(self.step.files)} files listed with our hashes"

    def _missing(self) -> list[Distribution]:
        listed = self.run.indexes.files(self.step.index, self.step.package)
        for file in self.step.files:
            present = listed.get(file.filename)
            if present is not None and present.sha256 not in (None, file.sha256):
                raise other_file(self.step.index, file, present.sha256 or "")
        return [file for file in self.step.files if file.filename not in listed]


def other_file(index: str, file: Distribution, sha256: str) -> Conflict:
    """The error for a name that is taken by other bytes."""
    return Conflict(
        f"{index} holds another {file.filename}:\n  there  sha256 {sha256}\n  built  sha256 {file.sha256}",
        hint="a file name is never given twice: bump the version (or find the build that was published)",
    )
