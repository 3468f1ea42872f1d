"""One git process that answers many queries of object ids, which is faster than a process for each query."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from relnox.errors import Failed
from relnox.source.git.environment import git_variables

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from pathlib import Path

_BATCH = 100
"""The number of queries to send before their answers are read: git must never wait for a full pipe."""


class ObjectReader:
    """Finds the objects that revisions name, with one `git cat-file` that is started for the first query.

    Objects and refs that are created later are found too. The process ends when the reader is closed, or when
    relnox is killed, since its standard input is closed then.

    Args:
        root: The directory in which git is run.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: subprocess.Popen[bytes] | None = None
        self._querying = threading.Lock()

    def object_ids(self, revisions: Sequence[str]) -> list[str | None]:
        """Return the full id of the object that each revision names, or None if this clone does not have it.

        Args:
            revisions: The revisions, which must not contain line feeds.

        Raises:
            Failed: git ended unexpectedly.
        """
        from relnox.system import process

        with self._querying:
            try:
                if self._process is not None and self._process.poll() is not None:  # ended with an interrupted run
                    self._end()
                if self._process is None:
                    command = ["git", "cat-file", "--batch-check=%(objectname)"]
                    self._process = process.start(command, cwd=self._root, env=git_variables(), has_input=True)
                return [
                    answer
                    for start in range(0, len(revisions), _BATCH)
                    for answer in _query(self._process, revisions[start : start + _BATCH])
                ]
            except BaseException:  # an interruption too: unread answers would be taken for those of later queries
                self._end()
                raise

    def close(self) -> None:
        """End the process."""
        with self._querying:
            self._end()

    def _end(self) -> None:
        from relnox.system import process

        if self._process is not None:
            process.kill(self._process)
            self._process = None


def _query(child: subprocess.Popen[bytes], revisions: Sequence[str]) -> list[str | None]:
    assert child.stdin is not None  # noqa: S101 - it is a pipe
    assert child.stdout is not None  # noqa: S101 - it is a pipe
    try:
        child.stdin.write("".join(f"{revision}\n" for revision in revisions).encode(errors="surrogateescape"))
        child.stdin.flush()
        answers = [child.stdout.readline() for _ in revisions]
    except BrokenPipeError:
        answers = [b""]
    if not all(answers):
        raise Failed(
            "program-failed",
            "git cat-file exited unexpectedly",
            fix="rerun the command; if that does not help, check the repository: git fsck",
        )
    return [None if answer.endswith(b" missing\n") else answer.decode().rstrip("\n") for answer in answers]
