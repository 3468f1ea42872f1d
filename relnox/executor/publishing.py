"""Upload, and the proof: a file is public when the index shows its name with our hash, and not before.

Three states are told apart: uploaded (the index took it), listed (with our hash), downloadable (our bytes are
served). An upload ends in the first one; waiting for the index ends in the other two, for all files of a package
with one look. What is sent and seen is written down in `run.observed` as it happens, for the exit code.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from relnox import network, waits
from relnox.building import archives
from relnox.core import fixes
from relnox.core.publication import Seen, State
from relnox.errors import Conflict, Failed, RelnoxError, TryLater
from relnox.executor.attesting import attestations_of
from relnox.indexes.client import ContradictoryListing, Served
from relnox.indexes.uploader import WINDOW, AttestationsRefused, Taken, ways_out
from relnox.network import Deadline, TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from relnox.core.manifest import Distribution
    from relnox.core.publication import PublishedFile
    from relnox.core.steps import AwaitIndex, ClearIndex, LogIn, Upload
    from relnox.executor.run import Run
    from relnox.indexes.client import IndexFile

__all__ = ["Awaiting", "ClearingIndex", "LoggingIn", "Uploading", "deadline", "observe", "other_file"]

_LOGINS = 8
_OUTAGE = 1200.0
"""Seconds of trouble that an upload outlasts: half a release is worse than a late one."""
_SLOWEST = 16 << 10
"""Bytes a second of a connection that still gets its file through."""
_LOOK = 5.0
"""Seconds for a look at the index that at best spares a try."""
_PAUSE = 0.2
_LONGEST_PAUSE = 15.0
_DOWNLOADS = 8
"""How many files of a package are fetched at once."""
_LONG_WAIT = 600
"""Seconds that a message proposes to wait for a release that has just been sent."""
_OTHER_BYTES = 30.0
"""Seconds that an index may serve other bytes than it lists: an error page of something before it may pass."""


@dataclass
class ClearingIndex:
    """Removes everything from the embedded index before a release is tried on it."""

    step: ClearIndex
    run: Run

    def check(self) -> str | None:
        """Done when the index holds nothing but files of this release, as after a run that was interrupted."""
        if self.run.indexes.embedded_holds_only(self.step.files):
            return "it holds nothing but files of this release"
        return None

    def apply(self) -> None:
        """Remove everything, files of this release included: they may have been yanked."""
        self.run.indexes.clear_embedded()

    def verify(self) -> str:
        """Look again."""
        if not self.run.indexes.embedded_holds_only(()):
            raise Failed(
                "index-not-cleared",
                f"{self.step.index} holds files although it was cleared (another process uploads to it)",
                fix="end the other process; then rerun the command",
            )
        return "it is empty"


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

    def apply(self) -> None:
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
            raise type(known[0])(known[0].code, "\n".join(told), fix=known[0].fix)

    def verify(self) -> str:
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
        return self._listed(refresh=False)

    def apply(self) -> None:
        """Send it, again after passing trouble; an answer may have been lost, so the index is asked before."""
        deadline = Deadline(_OUTAGE + self.step.file.size / _SLOWEST)
        self._attested = attestations_of(self.step, self.run)
        attempts = _Attempts(self.run, self.step.index, [self.step.file])
        while True:
            path = self._as_built()
            try:
                self._answer = self.run.indexes.upload(
                    self.step.index, path, self.step.file, self._attested, attempts.sending
                )
            except AttestationsRefused as error:
                attempts.failed(error)
                if self.step.attestations == "required":
                    raise
                self._attested = ()
                self.run.on_line(self.step)(f"goes on without attestation: {error.message}")
            except RelnoxError as error:
                attempts.failed(error)
                if self._arrived():
                    self._answer = "the answer was lost or bad, but it is there"
                    return
                if isinstance(error, Taken):  # and not listed yet: who waits for it will see its hash
                    self._answer = error.message
                    return
                if not isinstance(error, TransientError):
                    raise
                deadline.back_off(error)
            else:
                return

    def verify(self) -> str:
        """What the index said. That it is there is proven for all files of the package together."""
        alone = self.step.attestations != "off" and not self._attested
        return f"uploaded{' WITHOUT attestation' if alone else ''}: {self._answer}"

    def _as_built(self) -> Path:
        """The file on disk, if it still is the one that was built."""
        path = self.run.root / self.step.folder / self.step.file.filename
        if archives.digests(path).sha256 != self.step.file.sha256:
            raise Conflict(
                "todo",
                f"{path.name} is not the file that was built: its hash is not the manifest's",
                fix=f"build again: {fixes.command('build-all')}",
            )
        return path

    def _arrived(self) -> bool:
        try:
            return self._listed(refresh=True) is not None
        except TryLater:
            return False  # nobody can say at present

    def _listed(self, *, refresh: bool) -> str | None:
        listed = _listed(self.run, self.step.index, [self.step.file], refresh=refresh)
        return f"{self.step.index} has it: sha256 {self.step.file.sha256}" if listed else None


class _Attempts:
    """Writes down what becomes of attempts to make files public.

    Args:
        run: Whose files they are.
        index: Where they go.
        files: Those that each attempt sends.
    """

    def __init__(self, run: Run, index: str, files: Sequence[Distribution]) -> None:
        self._run = run
        self._index = index
        self._files = files
        self._sent = False
        self._in_doubt = False

    def sending(self) -> None:
        """The first byte of an attempt is about to go."""
        self._in_doubt = self._in_doubt or self._sent
        self._sent = True
        self._run.observed.sending(self._index, self._files)

    def failed(self, error: RelnoxError) -> None:
        """An attempt ended with an error, of which the index may have told that it did not take the files."""
        refused = error.rejected or getattr(error, "never_connected", False)  # nobody was there to take them
        if self._sent and refused and not self._in_doubt:
            self._sent = False
            self._run.observed.rejected(self._index, self._files)


@dataclass
class Awaiting:
    """Waits until the index lists a release, all of it, with our hashes, and serves our bytes."""

    step: AwaitIndex
    run: Run

    def check(self) -> str | None:
        """Looking is all there is to do."""
        return None

    def apply(self) -> None:
        """Ask until everything is listed and downloadable, with growing pauses.

        Raises:
            Conflict: The index lists another file of one of the names, or serves other bytes than it lists.
            TryLater: Not all of them are proven to be there.
        """
        deadline = Deadline(self.step.deadline)
        pause = _PAUSE
        self._served: dict[str, Served] = {}
        other_since: float | None = None
        while True:
            transient_error, listed = "", set[str]()
            try:
                listed = _listed(self.run, self.step.index, self.step.files, deadline=deadline, sent=self._sent)
                self._look_at([file for file in self.step.files if file.filename in listed], deadline)
            except TransientError as error:
                transient_error = f" ({error.message})"
            if len(self._proven) == len(self.step.files):
                return
            if other := [name for name, served in self._served.items() if served.seen is Seen.OTHER]:
                other_since = network.CLOCK.now() if other_since is None else other_since
                if network.CLOCK.now() - other_since >= _OTHER_BYTES:
                    raise self._other_bytes(other)
            self._stop_if_quarantined(transient_error)
            if not (left := deadline.left()):
                raise self._not_proven(listed, transient_error)
            deadline.wait(min(pause, left), f"{self.step.index} does not show all of the release yet")
            pause = min(pause * 2, _LONGEST_PAUSE)

    def verify(self) -> str:
        """Every file was seen."""
        number = len(self.step.files)
        files = f"{number} file{'s' * (number > 1)}"
        listing = self.run.indexes.seen(self.step.index, self.step.package)
        ends = sum("end" in served.detail for served in self._served.values())
        told = f"{files} listed with our hashes, and downloadable"
        if self.step.compare_limit is not None:
            told += ": the served bytes are the built ones"
        if ends:
            told += f" (of {ends} the length and the end were compared)"
        if yanked := [name for name in self._served if name in listing and listing[name].yanked]:
            told += f"; YANKED, so that installers pass them over: {', '.join(yanked)}"
        if listing.status != "active":
            told += f"; the project is {listing.status}{f' ({listing.reason})' if listing.reason else ''}"
        return told

    @property
    def _sent(self) -> bool:
        """Whether this run sends what it waits for."""
        return bool(self.step.needs)

    @property
    def _proven(self) -> set[str]:
        return {name for name, served in self._served.items() if served.seen is Seen.OURS}

    def _look_at(self, files: Sequence[Distribution], deadline: Deadline) -> None:
        """Fetch the files of which our bytes were not seen yet, side by side."""
        missing = [file for file in files if file.filename not in self._proven]
        listing = self.run.indexes.seen(self.step.index, self.step.package)

        def fetch(file: Distribution) -> None:
            step, name = self.step, file.filename
            path = self.run.root / step.folder / name if step.folder else None
            served = _fetched(self.run, listing[name], file, deadline, limit=step.compare_limit, path=path)
            self._served[name] = served
            self.run.observed.served(step.index, name, served.seen)

        if not missing:
            return
        if len(missing) == 1:
            fetch(missing[0])
            return
        with ThreadPoolExecutor(min(_DOWNLOADS, len(missing)) - 1, thread_name_prefix="fetch") as pool:
            rest = pool.map(fetch, missing[1:])
            fetch(missing[0])  # this thread does its share
            list(rest)

    def _stop_if_quarantined(self, transient_error: str) -> None:
        """Do not wait for files that nobody can have before somebody ends the quarantine (PEP 792)."""
        listing = self.run.indexes.seen(self.step.index, self.step.package)
        if not transient_error and listing.status == "quarantined":
            why = f": {listing.reason}" if listing.reason else ""
            raise TryLater(
                "todo",
                f"{self.step.index} has put {self.step.package} into quarantine: nobody can install it{why}",
                fix="ask those who run the index; rerun the command when it is over",
            )

    def _other_bytes(self, names: Sequence[str]) -> Conflict:
        built = {file.filename: file.sha256 for file in self.step.files}
        told = "".join(f"\n  {name} {self._served[name].detail}, built {built[name]}" for name in names)
        return Conflict(
            "todo",
            f"{self.step.index} lists {self.step.package} {self.step.version} with our hashes, and serves "
            f"something else:{told}",
            fix="report it to those who run the index (a proxy or a login page before it does the same); "
            "installers that compare hashes cannot install it",
        )

    def _not_proven(self, listed: set[str], transient_error: str) -> TryLater:
        step = self.step
        names = [file.filename for file in step.files]
        seen = {name: served.detail for name, served in self._served.items()}
        states = {
            "not listed": [name for name in names if name not in listed and name not in self._proven],
            "listed, but not downloadable": [
                f"{name} ({seen.get(name, 'not answered')})"
                for name in names
                if name in listed and name not in self._proven
            ],
        }
        told = "".join(f"\n  {state}: {', '.join(of)}" for state, of in states.items() if of)
        which = "" if step.index == "pypi" else f" --index {step.index}"
        return TryLater(
            "todo",
            f"{step.package} {step.version} is not proven to be on {step.index} "
            f"after {waits.span(step.deadline)}{transient_error}:{told}",
            fix="look at the index's status page, and rerun the command later: what is there is not sent twice"
            if self._sent
            else f"publish it: {fixes.command('publish')}{which}; if another job has just sent it: "
            f"{fixes.command('verify-install')}{which} --wait {_LONG_WAIT}",
        )


def observe(run: Run, index: str, files: Sequence[Distribution], *, serving: bool, seconds: float) -> None:
    """Look once at files of one package, and write down what is seen.

    Args:
        run: Whose files they are.
        index: The index.
        files: Files of one package.
        serving: Whether files that are listed are fetched and compared, too.
        seconds: How long each request may take, roughly.

    Raises:
        RelnoxError: The index does not answer, or lists other files.
    """
    deadline = Deadline(seconds)
    found = _listed(run, index, files, deadline=deadline)
    listing = run.indexes.seen(index, files[0].package)
    for file in (file for file in files if serving and file.filename in found):
        served = _fetched(run, listing[file.filename], file, deadline, limit=0)
        run.observed.served(index, file.filename, served.seen)


def _fetched(  # noqa: PLR0913 - what is compared with what
    run: Run,
    listed: IndexFile,
    built: Distribution,
    deadline: Deadline,
    *,
    limit: int | None,
    path: Path | None = None,
) -> Served:
    """What an index serves of a file; without a limit it is only seen that there is something."""
    if limit is None:
        there = run.indexes.is_served(listed, deadline)
        return Served(Seen.OURS, "") if there else Served(Seen.ABSENT, "it is not served")
    there = path is not None and path.is_file()
    return run.indexes.compare_served(listed, built, limit=limit, path=path if there else None, deadline=deadline)


def _listed(  # noqa: PLR0913 - how it is asked, and about what
    run: Run,
    index: str,
    files: Sequence[Distribution],
    *,
    refresh: bool = True,
    deadline: Deadline | None = None,
    sent: bool = False,
) -> set[str]:
    """Names of those of a package's files that an index lists with our hashes.

    Args:
        run: Whose indexes are asked.
        index: The index.
        files: Files of one package.
        refresh: Whether the index is asked again if it was a moment ago.
        deadline: How long to try; without it a moment where it is asked anew.
        sent: Whether this run has sent them.

    Raises:
        Conflict: It lists one of them with another, or twice.
        TryLater: It does not answer.
    """
    wanted = {file.filename: file for file in files}
    deadline = deadline or (Deadline(_LOOK) if refresh else None)
    try:
        found = run.indexes.hashes(index, files[0].package, wanted, refresh=refresh, deadline=deadline)
    except ContradictoryListing as error:
        run.observed.listed(index, error.filename, Seen.OTHER)
        raise
    for name, file in wanted.items():
        seen = Seen.ABSENT if name not in found else Seen.OURS if found[name] == file.sha256 else Seen.OTHER
        run.observed.listed(index, name, seen)
    for name, sha256 in found.items():
        if sha256 != wanted[name].sha256:
            raise other_file(index, wanted[name], sha256, sent=sent)
    return set(found)


def deadline(files: Sequence[PublishedFile], run: Run) -> str | None:
    """Until when the public index takes the rest of a release: 14 days after its first file, as a date in UTC.

    None where nothing is public, or all of it is.
    """
    states = {file.state for file in files}
    public = [file for file in files if file.state in (State.PROVEN, State.PUBLIC)]
    if not public or states <= {State.PROVEN}:
        return None
    times = [
        listed.upload_time
        for file in public
        if (listed := run.indexes.seen(file.index, file.package).get(file.filename)) and listed.upload_time
    ]
    first = min(times) if times else network.CLOCK.today()
    return (first + WINDOW).strftime("%Y-%m-%d %H:%M UTC")


def other_file(index: str, file: Distribution, sha256: str, *, sent: bool = False) -> Conflict:
    """The error for a name that is taken by other bytes, although ours may have been sent."""
    than = " than the one that was sent" if sent else ""
    why = "it was damaged on its way, or somebody else's came first; " if sent else ""
    return Conflict(
        "todo",
        f"{index} holds another {file.filename}{than}:\n  there  sha256 {sha256}\n  built  sha256 {file.sha256}",
        fix=why + ways_out(file),
    )
