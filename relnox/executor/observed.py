"""What a run sends of a release, what it sees of it on the index, and the exit code that follows from that."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from relnox.core import publication
from relnox.core.publication import PublishedFile, Seen, Sent, State
from relnox.core.records import replace
from relnox.core.steps import Attest, AwaitIndex, LogIn, Upload
from relnox.errors import ExitCode
from relnox.executor.progress import BAD
from relnox.executor.signals import Interruption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.events import StepFinished
    from relnox.core.manifest import Distribution
    from relnox.core.plan import Plan
    from relnox.executor.run import Run
    from relnox.executor.signals import Signals

__all__ = ["ObservedFiles", "exit_code", "look_again"]

_LOOK = 10.0
"""Seconds for the look at the index after a run that did not end well."""
_LOOK_AFTER_SIGNAL = 0.8
_POLL = 0.05
_GRACE = 0.5
"""Seconds that requests have to end when they are told to."""
_CONNECTIONS = 8


class ObservedFiles:
    """The files of a release, and what this run did and saw; steps write it down as it happens.

    Args:
        plan: What is carried out; without uploads there is nothing to observe.
    """

    def __init__(self, plan: Plan) -> None:
        self._built = {
            (step.index, step.file.filename): step.file for step in plan.steps if isinstance(step, Upload)
        }
        self._files = {
            (index, name): PublishedFile(
                index=index,
                package=file.package,
                filename=name,
                listed=Seen.OURS if name in plan.public else Seen.ABSENT,  # when the plan was made
            )
            for (index, name), file in self._built.items()
        }

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        """What is known of each file, in the order of the plan."""
        return tuple(self._files.values())

    @property
    def may_be_public(self) -> bool:
        """Whether something is public, or was sent and may be."""
        return any(file.state not in (State.NOT_SENT, State.BLOCKED) for file in self.files)

    def sending(self, index: str, files: Sequence[Distribution]) -> None:
        """Files are about to be sent: from now on what was seen of them before counts for nothing."""
        for file in files:
            self._change(index, file.filename, sent=Sent.YES, listed=Seen.UNKNOWN, served=Seen.UNKNOWN)

    def rejected(self, index: str, files: Sequence[Distribution]) -> None:
        """The index answered that it did not take files, and no earlier attempt is in doubt."""
        for file in files:
            self._change(index, file.filename, sent=Sent.BLOCKED)

    def listed(self, index: str, name: str, seen: Seen) -> None:
        """A file was looked for in the listing; where it was seen once, a page that lacks it is an old one."""
        before = self._files.get((index, name))
        if before is not None and (seen is not Seen.ABSENT or before.listed is not Seen.OURS):
            self._change(index, name, listed=seen)

    def served(self, index: str, name: str, seen: Seen) -> None:
        """A file was fetched, or was not to be had."""
        self._change(index, name, served=seen)

    def in_doubt(self) -> dict[tuple[str, str], list[Distribution]]:
        """Files that were sent and are not proven, by index and package."""
        found: dict[tuple[str, str], list[Distribution]] = {}
        for key, file in self._files.items():
            if file.sent is not Sent.NO and file.state is not State.PROVEN:
                found.setdefault((file.index, file.package), []).append(self._built[key])
        return found

    def _change(self, index: str, name: str, **changes: Sent | Seen) -> None:
        if (before := self._files.get((index, name))) is not None:
            self._files[index, name] = replace(before, **changes)


def exit_code(results: Sequence[StepFinished], files: Sequence[PublishedFile]) -> ExitCode:
    """The code that speaks for a run: by what is public where it publishes, else by what failed."""
    errors = [result.error.exit_code for result in results if result.error is not None]
    if not files:
        return ExitCode.worst(errors)
    code = publication.exit_code(files, errors)
    if code is not ExitCode.DONE:
        return code
    publishing = (Attest, LogIn, Upload, AwaitIndex)  # all of it is there, whatever they met
    later = [
        ExitCode.TRY_LATER if result.error is None else result.error.exit_code
        for result in results
        if result.status in BAD and not isinstance(result.step, publishing)
    ]
    if _is_embedded(files):
        return ExitCode.worst(later)  # a folder on this machine: nothing of it is public
    return publication.after_publication(later)


def look_again(run: Run, watched: Signals, *, after_signal: ExitCode | None) -> ExitCode | None:
    """Ask the index about files that were sent and not seen, for a short while; whatever fails changes nothing.

    Args:
        run: The run that sent them.
        watched: A signal ends the look at once.
        after_signal: The exit code of a signal that has ended the run: somebody waits for it to end, so that only
            the listing is looked at, for a second.

    Returns:
        The exit code of that signal, or of one that came meanwhile.
    """
    from relnox.executor import publishing

    work = [(index, of) for (index, _), of in run.observed.in_doubt().items()]
    if not work:
        return after_signal
    seconds = _LOOK if after_signal is None else _LOOK_AFTER_SIGNAL
    ends = time.monotonic() + seconds

    def look() -> None:
        while work and time.monotonic() < ends:
            try:
                index, of = work.pop()
                publishing.observe(run, index, of, serving=after_signal is None, seconds=seconds)
            except BaseException:  # noqa: BLE001, S112 - SystemExit too, in this thread: it stays as it was seen last
                continue

    threads = [
        threading.Thread(target=look, name="look again", daemon=True) for _ in range(min(_CONNECTIONS, len(work)))
    ]
    interrupted = after_signal
    try:
        with watched.during(atomic=False):
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
                time.sleep(_POLL / 10)
                watched.check()
    except Interruption as signal:
        interrupted = signal.exit_code
    ends = min(ends, time.monotonic())
    from relnox import network

    while any(thread.is_alive() for thread in threads) and time.monotonic() < ends + _GRACE:
        network.cancel_all()
        time.sleep(_POLL)
    return interrupted


def _is_embedded(files: Sequence[PublishedFile]) -> bool:
    """Whether all files go to the embedded index."""
    if not files:
        return True
    from relnox.indexes import targets  # not quick to import, and most tasks publish nothing

    return all(file.index == targets.EMBEDDED for file in files)
