"""A check of what is public, after a run that failed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relnox.core.release.manifest import Distribution
    from relnox.steps.published_files import Publication

_TIMEOUT = 10.0
"""Seconds for checking the index again."""
_TIMEOUT_AFTER_SIGNAL = 0.8
_POLL_INTERVAL = 0.05
_CANCEL_TIMEOUT = 0.5
"""Seconds for canceled requests to end."""
_MAX_CONNECTIONS = 8


class UploadRecheck:
    """Checks uploaded files that are not verified once more on the index, and ignores errors.

    Args:
        publication: The object that records what is observed.
        files: The files of each package, by index and package.
        shortly: Whether a signal ended the run; then the check is short and downloads nothing.
    """

    def __init__(
        self, publication: Publication, files: list[tuple[str, list[Distribution]]], *, shortly: bool
    ) -> None:
        from relnox.system.threads import new_thread  # most runs need none

        self._publication = publication
        self._files = files
        self._seconds = _TIMEOUT_AFTER_SIGNAL if shortly else _TIMEOUT
        self._download = not shortly
        self._ends = time.monotonic() + self._seconds
        self._threads = [new_thread(self._check, "check index") for _ in range(min(_MAX_CONNECTIONS, len(files)))]

    def start(self) -> None:
        """Start the check in the background."""
        for thread in self._threads:
            thread.start()

    def is_running(self) -> bool:
        """Return whether the check is still running within its time limit."""
        return any(thread.is_alive() for thread in self._threads) and time.monotonic() < self._ends

    def stop(self) -> None:
        """Cancel the requests that are still running."""
        from relnox.system import network

        self._ends = min(self._ends, time.monotonic())
        while (
            any(thread.is_alive() for thread in self._threads) and time.monotonic() < self._ends + _CANCEL_TIMEOUT
        ):
            network.cancel_all()
            time.sleep(_POLL_INTERVAL)

    def _check(self) -> None:
        from relnox.system.network import Deadline

        while self._files and time.monotonic() < self._ends:
            try:
                index, files = self._files.pop()
                deadline = Deadline(self._seconds)
                names = self._publication.check_listing(index, files, deadline=deadline)
                for file in files:
                    if self._download and file.filename in names:
                        self._publication.compare_served(index, file, deadline, limit=0)
            except BaseException:  # noqa: BLE001, S112 - SystemExit too, in this thread: keep the last observation
                continue
