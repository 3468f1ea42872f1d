"""A helper process that kills the programs started by relnox when relnox ends, even if relnox is killed."""

from __future__ import annotations

import atexit
import contextlib
import os
import subprocess
import sys
import threading

_WATCHER_SCRIPT = """\
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group " ;;
    -) groups="${groups%% $group *}${groups#* $group }" ;;
  esac
done
for group in $groups; do kill -9 "-$group"; done
"""
"""Reads the IDs of process groups, and kills the groups when its input is closed, as when relnox is killed."""


class ProcessWatcher:
    """A helper process that kills the programs started by relnox when relnox ends; it is started on first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._groups: set[int] = set()
        self._writing = threading.Lock()

    def add(self, group: int) -> None:
        """Kill a process group when this process ends (POSIX)."""
        if sys.platform != "win32" and self._send_to_watcher("+", group):
            self._groups.add(group)

    def remove(self, group: int) -> None:
        """Stop watching a process group that has ended, since its ID may be reused."""
        if group in self._groups:
            self._groups.discard(group)
            self._send_to_watcher("-", group)

    def _send_to_watcher(self, sign: str, group: int) -> bool:
        """Add (`+`) or remove (`-`) a process group; return False if the helper process cannot be reached."""
        with self._writing, contextlib.suppress(OSError):
            if self._process is None or self._owner != os.getpid():
                self._start_watcher()
            assert self._process is not None  # noqa: S101 - it was started
            assert self._process.stdin is not None  # noqa: S101 - it is a pipe
            self._process.stdin.write(f"{sign} {group}\n".encode())
            return True
        return False

    def _start_watcher(self) -> None:
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHER_SCRIPT],
            cwd="/",
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        atexit.register(self._end_watcher, self._process)

    def _end_watcher(self, watcher: subprocess.Popen[bytes]) -> None:
        """Close the input of the helper process, which then kills the remaining groups, and wait for it."""
        if self._owner == os.getpid() and watcher.stdin is not None:
            watcher.stdin.close()
            watcher.wait()


WATCHER = ProcessWatcher()
"""The helper process of this process."""
