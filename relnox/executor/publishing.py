"""Upload, and the proof: a file is public when the index shows its name with our hash, and not before.

Three states are told apart: uploaded (the index took it), listed (with our hash), downloadable. An upload ends in
the first one; waiting for the index ends in the other two, for all files of a package with one look.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox import network
from relnox.building import archives
from relnox.core import waits
from relnox.core.events import Status
from relnox.core.steps import Upload
from relnox.errors import Conflict, PartlyPublic, RelnoxError, TryLater
from relnox.executor.attesting import attestations_of
from relnox.indexes.uploader import WINDOW, AttestationsRefused, Taken, ways_out
from relnox.network import PassingTrouble, Patience

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.events import StepFinished
    from relnox.core.manifest import Distribution
    from relnox.core.steps import AwaitIndex, LogIn, PublishStage
    from relnox.executor.run import Run

__all__ = ["Awaiting", "LoggingIn", "PublishingStage", "Uploading", "deadline", "other_file"]

_LOGINS = 8
_OUTAGE = 1200.0
"""Seconds of trouble that an upload outlasts: half a release is worse than a late one."""
_SLOWEST = 16 << 10
"""Bytes a second of a connection that still gets its file through."""
_LOOK = 5.0
"""Seconds for a look at the index that at best spares a try."""
_PAUSE = 0.2
_LONGEST_PAUSE = 15.0


@dataclass
class LoggingIn:
    """Has the index mint a token for each project: what keeps it from that is told before any upload.

    An identity names no project: whether the publisher it belongs to is one of a project's own, the index says at
    the first file of each.
    """

    step: LogIn
    run: Run

    def check(self) -> str | None:
        """Tokens are of this run alone."""
        return None

    def do(self) -> None:
        """Ask for all of them, side by side."""
        credentials = self.run.indexes.credentials(self.step.index)
        with ThreadPoolExecutor(_LOGINS, thread_name_prefix="log in") as pool:
            asked = [pool.submit(credentials.login, package) for package in self.step.packages]
        troubles = [error for each in asked if (error := each.exception()) is not None]
        known = [error for error in troubles if isinstance(error, RelnoxError)]
        if len(known) < len(troubles):
            raise next(error for error in troubles if error not in known)
        if known:
            told = dict.fromkeys(error.message for error in known)
            raise type(known[0])("\n".join(told), hint=known[0].hint)

    def prove(self) -> str:
        """Each has one."""
        number = len(self.step.packages)
        return f"{number} token{'s' * (number > 1)}"


@dataclass
class Uploading:
    """Sends one file, unless the index has it."""

    step: Upload
    run: Run

    def check(self) -> str | None:
        """Done when the index listed the file with our hash, when it was last asked, a moment ago.

        Raises:
            Conflict: The index lists it with another.
        """
        return self._listed(anew=False)

    def do(self) -> None:
        """Send it, again after passing trouble; an answer may have been lost, so the index is asked before."""
        patience = Patience(_OUTAGE + self.step.file.size / _SLOWEST)
        self._attested = attestations_of(self.step, self.run)
        while True:
            path = self._as_built()
            try:
                self._answer = self.run.indexes.upload(self.step.index, path, self.step.file, self._attested)
            except AttestationsRefused as error:
                if self.step.attestations == "required":
                    raise
                self._attested = ()
                self.run.tell(self.step)(f"goes on without attestation: {error.message}")
            except RelnoxError as error:
                if self._arrived():
                    self._answer = "the answer was lost or bad, but it is there"
                    return
                if isinstance(error, Taken):  # and not listed yet: who waits for it will see its hash
                    self._answer = error.message
                    return
                if not isinstance(error, PassingTrouble):
                    raise
                patience.outlast(error)
            else:
                return

    def prove(self) -> str:
        """What the index said. That it is there is proven for all files of the package together."""
        alone = self.step.attestations != "off" and not self._attested
        return f"uploaded{' WITHOUT attestation' if alone else ''}: {self._answer}"

    def _as_built(self) -> Path:
        """The file on disk, if it still is the one that was built."""
        path = self.run.root / self.step.folder / self.step.file.filename
        if archives.digests(path).sha256 != self.step.file.sha256:
            raise Conflict(
                f"{path.name} is not the file that was built: its hash is not the manifest's",
                hint="build again: nox -s build-all",
            )
        return path

    def _arrived(self) -> bool:
        try:
            return self._listed(anew=True) is not None
        except TryLater:
            return False  # nobody can say at present

    def _listed(self, *, anew: bool) -> str | None:
        listed = _listed(self.run, self.step.index, [self.step.file], anew=anew)
        return f"{self.step.index} has it: sha256 {self.step.file.sha256}" if listed else None


@dataclass
class PublishingStage:
    """Makes the files of a session public, all or none."""

    step: PublishStage
    run: Run

    def check(self) -> str | None:
        """Done when the index listed all of them with our hashes when it was last asked in this run.

        Raises:
            Conflict: It lists one with another.
        """
        return f"{self.step.index} has all of it" if self._is_listed(anew=False) else None

    def do(self) -> None:
        """Ask the index to, again after passing trouble; an answer may have been lost, so it is looked at."""
        patience = Patience(_OUTAGE)
        while True:
            try:
                public = _listed(self.run, self.step.index, self.step.files, anew=False)
                self._answer = self.run.indexes.publish_stage(self.step.index, self.step.files, public)
            except RelnoxError as error:
                if self._arrived():
                    self._answer = "the answer was lost or bad, but all of it is there"
                    return
                if not isinstance(error, PassingTrouble):
                    raise
                patience.outlast(error)
            else:
                return

    def prove(self) -> str:
        """What the index said. That the files are there is proven next."""
        return self._answer

    def _arrived(self) -> bool:
        try:
            return self._is_listed(anew=True)
        except TryLater:
            return False  # nobody can say at present

    def _is_listed(self, *, anew: bool) -> bool:
        return len(_listed(self.run, self.step.index, self.step.files, anew=anew)) == len(self.step.files)


@dataclass
class Awaiting:
    """Waits until the index lists a release, all of it, with our hashes, and serves it."""

    step: AwaitIndex
    run: Run

    def check(self) -> str | None:
        """Looking is all there is to do."""
        return None

    def do(self) -> None:
        """Ask until everything is listed and downloadable, with growing pauses.

        Raises:
            Conflict: The index lists another file of one of the names.
            PartlyPublic: It lists, or serves, some of the files.
            TryLater: It lists none of them, or serves none yet.
        """
        patience = Patience(self.step.patience)
        pause = _PAUSE
        served: set[str] = set()
        while True:
            trouble, listed = "", set[str]()
            try:
                listed = _listed(self.run, self.step.index, self.step.files, patience=patience, sent=self._sent)
                for name in listed - served:
                    if self._is_served(name, patience):
                        served.add(name)
            except PassingTrouble as error:
                trouble = f" ({error.message})"
            if len(served) == len(self.step.files):
                return
            if not (left := patience.left()):
                raise self._not_proven(listed, served, trouble)
            patience.wait(min(pause, left), f"{self.step.index} does not show all of the release yet")
            pause = min(pause * 2, _LONGEST_PAUSE)

    def prove(self) -> str:
        """Every file was seen."""
        number = len(self.step.files)
        return f"{number} file{'s' * (number > 1)} listed with our hashes, and downloadable"

    @property
    def _sent(self) -> bool:
        """Whether this run sends what it waits for."""
        return bool(self.step.needs)

    def _is_served(self, name: str, patience: Patience) -> bool:
        file = self.run.indexes.seen(self.step.index, self.step.package)[name]
        return self.run.indexes.is_served(file, patience)

    def _not_proven(self, listed: set[str], served: set[str], trouble: str) -> RelnoxError:
        step = self.step
        names = [file.filename for file in step.files]
        states = {
            "not listed": [name for name in names if name not in listed | served],
            "listed, but not downloadable": [name for name in names if name in listed - served],
        }
        told = "".join(f"\n  {state}: {', '.join(of)}" for state, of in states.items() if of)
        half = served or (listed and len(listed) < len(names))
        kind: type[RelnoxError] = PartlyPublic if half else TryLater
        again = "type the same command again later"
        return kind(
            f"{step.package} {step.version} is not proven to be on {step.index} "
            f"after {waits.span(step.patience)}{trouble}:{told}",
            hint=f"look at the index's status page, and {again}: what is there is not sent twice"
            if self._sent
            else f"has it been published there? then {again}",
        )


def _listed(  # noqa: PLR0913 - how it is asked, and about what
    run: Run,
    index: str,
    files: Sequence[Distribution],
    *,
    anew: bool = True,
    patience: Patience | None = None,
    sent: bool = False,
) -> set[str]:
    """Names of those of a package's files that an index lists with our hashes.

    Args:
        run: Whose indexes are asked.
        index: The index.
        files: Files of one package.
        anew: Whether the index is asked again if it was a moment ago.
        patience: How long to try; without it a moment where it is asked anew.
        sent: Whether this run has sent them.

    Raises:
        Conflict: It lists one of them with another.
        TryLater: It does not answer.
    """
    wanted = {file.filename: file for file in files}
    patience = patience or (Patience(_LOOK) if anew else None)
    found = run.indexes.hashes(index, files[0].package, wanted, anew=anew, patience=patience)
    for name, sha256 in found.items():
        if sha256 != wanted[name].sha256:
            raise other_file(index, wanted[name], sha256, sent=sent)
    return set(found)


def deadline(results: Sequence[StepFinished], run: Run) -> str | None:
    """Until when the public index takes the rest of a release: 14 days after its first file, as a date in UTC."""
    public = [
        result.step
        for result in results
        if isinstance(result.step, Upload) and result.status in (Status.SUCCESS, Status.SKIPPED)
    ]
    if not public:
        return None
    times = [
        listed.upload_time
        for step in public
        if (listed := run.indexes.seen(step.index, step.file.package).get(step.file.filename))
        and listed.upload_time
    ]
    first = min(times) if times else network.CLOCK.today()
    return (first + WINDOW).strftime("%Y-%m-%d %H:%M UTC")


def other_file(index: str, file: Distribution, sha256: str, *, sent: bool = False) -> Conflict:
    """The error for a name that is taken by other bytes, although ours may have been sent."""
    than = " than the one that was sent" if sent else ""
    why = "it was damaged on its way, or somebody else's came first; " if sent else ""
    return Conflict(
        f"{index} holds another {file.filename}{than}:\n  there  sha256 {sha256}\n  built  sha256 {file.sha256}",
        hint=why + ways_out(file),
    )
