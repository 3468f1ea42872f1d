"""The embedded index, which serves a directory on loopback inside a `with` statement."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from relnox.indexes.embedded.handler import Handler
from relnox.indexes.embedded.listener import LOOPBACK, Listener, ServedIndex
from relnox.indexes.embedded.store import Store

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from relnox.indexes.embedded.rules import Rules

_POLL_INTERVAL = 0.05


class EmbeddedIndex(ServedIndex):
    """A package index on this machine that runs inside a `with` statement; its files are kept afterwards.

    The index listens only on loopback, on a free port. Several indexes, in one or more processes, may share a
    directory.

    The index accepts files that PyPI rejects, such as those with local versions. Uploads must be consistent, and
    files cannot be replaced. `rules=Rules()` enforces the rules of PyPI, for a rehearsal.

    Args:
        directory: The directory for the files, which is created if missing.
        trusted_simple_url: The URL of the simple API to redirect to for projects that this index does not have;
            None for no redirects.
        rules: Additional rules for uploads, or None if there are none.
        upload_token: The password that uploads need, since every user of this machine can connect to loopback;
            None for no password.

    Raises:
        Blocked: The directory cannot be created or written to.
    """

    handler: type[Handler] = Handler
    """The class that handles the requests of a connection; subclasses of the index may replace it."""

    def __init__(
        self,
        directory: Path,
        *,
        trusted_simple_url: str | None = None,
        rules: Rules | None = None,
        upload_token: str | None = None,
    ) -> None:
        super().__init__(Store(directory), trusted_simple_url, rules, upload_token)
        self._listener: Listener | None = None

    @property
    def upload_url(self) -> str:
        """The URL of the upload API."""
        return f"{self.origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """The URL of the simple API."""
        return f"{self.origin}/simple/"

    @property
    def origin(self) -> str:
        """The scheme, host and port of the running index."""
        if self._listener is None:
            raise RuntimeError("the embedded index has a URL only inside its with statement")
        return f"http://{LOOPBACK}:{self._listener.server_port}"

    def clear(self) -> None:
        """Delete all files of the index, which need not be running."""
        self.store.clear()

    def __enter__(self) -> Self:
        self._listener = Listener(self, self.handler)
        threading.Thread(
            target=self._listener.serve_forever, args=(_POLL_INTERVAL,), name="embedded index", daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None
