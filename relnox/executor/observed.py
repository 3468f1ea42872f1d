"""The files of a release as a run observes them on the index, and the exit code that follows from that."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from relnox.core.records import replace
from relnox.core.release import publication
from relnox.core.release.publication import Observation, PublishedFile, State, UploadStatus
from relnox.core.steps import Attest, AwaitIndex, LogIn, Upload
from relnox.errors import ExitCode
from relnox.executor.progress import BAD
from relnox.executor.signals import Interruption

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relnox.core.planning.events import StepFinished
    from relnox.core.planning.plan import Plan
    from relnox.core.release.manifest import Distribution
    from relnox.executor.run import Run
    from relnox.executor.signals import Signals

__all__ = ["ObservedFiles", "check_index_again", "exit_code"]

_CHECK_TIME = 10.0
"""Seconds for checking the index again after a failed run."""
_CHECK_TIME_AFTER_SIGNAL = 0.8
_POLL_INTERVAL = 0.05
_CANCEL_TIME = 0.5
"""Seconds for canceled requests to end."""
_CONNECTIONS = 8


class ObservedFiles:
    """The files of a release, with what steps did and observed.

    Args:
        plan: The plan of the run; without uploads there are no files.
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
                listing=Observation.MATCH if name in plan.public else Observation.ABSENT,  # when it was planned
            )
            for (index, name), file in self._built.items()
        }

    @property
    def files(self) -> tuple[PublishedFile, ...]:
        """The files, in the order of the plan."""
        return tuple(self._files.values())

    @property
    def may_be_public(self) -> bool:
        """Whether any file is public, or was uploaded and may be."""
        return any(file.state not in (State.NOT_UPLOADED, State.REJECTED) for file in self.files)

    def record_upload(self, index: str, files: Sequence[Distribution]) -> None:
        """Record that an upload of files begins, which makes earlier observations obsolete."""
        for file in files:
            self._change(
                index,
                file.filename,
                upload=UploadStatus.UPLOADED,
                listing=Observation.UNKNOWN,
                download=Observation.UNKNOWN,
            )

    def record_rejection(self, index: str, files: Sequence[Distribution]) -> None:
        """Record that the index rejected files, when the result of every earlier try is known."""
        for file in files:
            self._change(index, file.filename, upload=UploadStatus.REJECTED)

    def record_listing(self, index: str, name: str, observation: Observation) -> None:
        """Record whether the listing has a file; after a match, a page without it is taken for an outdated one."""
        before = self._files.get((index, name))
        if before is None:
            return
        if observation is not Observation.ABSENT or before.listing is not Observation.MATCH:
            self._change(index, name, listing=observation)

    def record_download(self, index: str, name: str, observation: Observation) -> None:
        """Record whether the index serves the built bytes of a file."""
        self._change(index, name, download=observation)

    def unverified(self) -> dict[tuple[str, str], list[Distribution]]:
        """Return the files that were uploaded and not verified, by index and package."""
        files: dict[tuple[str, str], list[Distribution]] = {}
        for key, file in self._files.items():
            if file.upload is not UploadStatus.NOT_UPLOADED and file.state is not State.VERIFIED:
                files.setdefault((file.index, file.package), []).append(self._built[key])
        return files

    def _change(self, index: str, name: str, **changes: UploadStatus | Observation) -> None:
        if (before := self._files.get((index, name))) is not None:
            self._files[index, name] = replace(before, **changes)


def exit_code(results: Sequence[StepFinished], files: Sequence[PublishedFile]) -> ExitCode:
    """Return the exit code of a run: by what is public if it publishes, otherwise by its errors."""
    errors = [result.error.exit_code for result in results if result.error is not None]
    if not files:
        return ExitCode.worst(errors)
    code = publication.exit_code(files, errors)
    if code is not ExitCode.DONE:
        return code
    publishing = (Attest, LogIn, Upload, AwaitIndex)  # their errors do not matter once all files are verified
    later = [
        ExitCode.TRY_LATER if result.error is None else result.error.exit_code
        for result in results
        if result.status in BAD and not isinstance(result.step, publishing)
    ]
    if _is_embedded(files):
        return ExitCode.worst(later)  # a folder on this machine, which is not public
    return publication.after_publication(later)


def check_index_again(run: Run, watched: Signals, *, after_signal: ExitCode | None) -> ExitCode | None:
    """Check uploaded, unverified files on the index again, for a short time; errors are ignored.

    Args:
        run: The run that uploaded them.
        watched: A signal ends the check at once.
        after_signal: The exit code of a signal that has ended the run. The check is short then, and downloads
            nothing.

    Returns:
        The exit code of that signal, or of one received meanwhile.
    """
    from relnox.executor import publishing

    work = [(index, files) for (index, _), files in run.observed.unverified().items()]
    if not work:
        return after_signal
    seconds = _CHECK_TIME if after_signal is None else _CHECK_TIME_AFTER_SIGNAL
    ends = time.monotonic() + seconds

    def check() -> None:
        while work and time.monotonic() < ends:
            try:
                index, files = work.pop()
                publishing.observe(run, index, files, download=after_signal is None, seconds=seconds)
            except BaseException:  # noqa: BLE001, S112 - SystemExit too, in this thread: keep the last observation
                continue

    threads = [
        threading.Thread(target=check, name="check index", daemon=True)
        for _ in range(min(_CONNECTIONS, len(work)))
    ]
    interrupted = after_signal
    try:
        with watched.during(atomic=False):
            for thread in threads:
                thread.start()
            while any(thread.is_alive() for thread in threads) and time.monotonic() < ends:
                time.sleep(_POLL_INTERVAL / 10)
                watched.check()
    except Interruption as signal:
        interrupted = signal.exit_code
    ends = min(ends, time.monotonic())
    from relnox import network

    while any(thread.is_alive() for thread in threads) and time.monotonic() < ends + _CANCEL_TIME:
        network.cancel_all()
        time.sleep(_POLL_INTERVAL)
    return interrupted


def _is_embedded(files: Sequence[PublishedFile]) -> bool:
    """Return whether all files are published to the embedded index."""
    if not files:
        return True
    from relnox.indexes import targets  # slow to import, and most tasks publish nothing

    return all(file.index == targets.EMBEDDED for file in files)
