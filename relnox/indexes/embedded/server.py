"""The embedded index: its parts, URLs and requests."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from packaging.utils import canonicalize_name

from relnox.indexes.embedded.accounts import Accounts
from relnox.indexes.embedded.faults import Plan
from relnox.indexes.embedded.handler import Handler
from relnox.indexes.embedded.listener import LOOPBACK, Listener, Shared
from relnox.indexes.embedded.minting import TokenIssuer
from relnox.indexes.embedded.store import Store
from relnox.indexes.embedded.upload import UploadHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from relnox.indexes.embedded.faults import Rule
    from relnox.indexes.embedded.journal import Request
    from relnox.indexes.embedded.minting import TrustedPublishing
    from relnox.indexes.embedded.projects import Status
    from relnox.indexes.embedded.rules import Rules

__all__ = ["EmbeddedIndex"]

_POLL_INTERVAL = 0.05


class EmbeddedIndex:
    """A package index on this machine, running inside a `with` statement; its files persist.

    It listens on loopback only, on a free port. Several of them, in one process or many, may share a folder.

    By default it needs no credentials and accepts files that PyPI would not, such as local versions; uploads must
    be consistent, and files cannot be replaced. `rules=Rules()` enforces the rules of PyPI, for a rehearsal.
    Tokens are stored in memory, not in the folder.

    Args:
        folder: The folder for its files, created if missing.
        trusted_simple_url: Simple API of the index for projects that this one does not have; without it they are
            not found.
        rules: Additional rules for uploads.
        accounts: The accounts that may upload; by default anyone, with or without credentials.
        upload_token: The password of all uploads, since every user of this machine can connect to loopback; None
            to check only `accounts`.
        trusted_publishing: Settings of trusted publishing; by default there is none.
        faults: Rules for fault injection (`faults.py`).
        seed: Seed of random faults.
        clock: Returns its time in seconds since the epoch, for uploads, ages and the log. Delays are real.

    Raises:
        Blocked: The folder cannot be created or written to.
    """

    def __init__(  # noqa: PLR0913 - independent settings
        self,
        folder: Path,
        *,
        trusted_simple_url: str | None = None,
        rules: Rules | None = None,
        accounts: Accounts | None = None,
        upload_token: str | None = None,
        trusted_publishing: TrustedPublishing | None = None,
        faults: Sequence[Rule] = (),
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = Store(folder, clock)
        token_issuer = None
        if trusted_publishing is not None:
            accounts = accounts or Accounts()
            token_issuer = TokenIssuer(trusted_publishing, accounts, self._store)
        self._shared = Shared(
            store=self._store,
            uploads=UploadHandler(self._store, rules, accounts),
            token_issuer=token_issuer,
            trusted_simple_url=trusted_simple_url,
            plan=Plan(faults, seed=seed),
            upload_token=upload_token,
            clock=clock,
            started=clock(),
        )
        self._listener: Listener | None = None

    @property
    def upload_url(self) -> str:
        """URL of the upload API."""
        return f"{self._origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """URL of the simple API."""
        return f"{self._origin}/simple/"

    @property
    def audience_url(self) -> str:
        """URL of the audience of identity tokens."""
        return f"{self._origin}/_/oidc/audience"

    @property
    def mint_url(self) -> str:
        """URL of the exchange of identity tokens."""
        return f"{self._origin}/_/oidc/mint-token"

    @property
    def _origin(self) -> str:
        if self._listener is None:
            raise RuntimeError("the embedded index has a URL only inside its with statement")
        return f"http://{LOOPBACK}:{self._listener.server_port}"

    @property
    def log(self) -> tuple[Request, ...]:
        """All requests so far, in the order in which their headers arrived."""
        return self._shared.journal.requests()

    @property
    def uploads(self) -> tuple[Request, ...]:
        """All uploads so far."""
        return tuple(request for request in self.log if request.kind == "upload")

    def misbehave(self, *faults: Rule, seed: int = 0) -> None:
        """Replace the faults; without arguments remove them."""
        self._shared.plan = Plan(faults, seed=seed)

    def delete(self, filename: str) -> None:
        """Delete a file, and reserve its name until the index is cleared."""
        self._store.delete(filename)

    def yank(self, filename: str, reason: str = "") -> None:
        """Mark a file as yanked (PEP 592)."""
        self._store.yank(filename, reason)

    def set_status(self, project: str, status: Status, reason: str = "") -> None:
        """Set the status of a project (PEP 792)."""
        self._store.projects.set_status(canonicalize_name(project), status, reason)

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Return whether it has only files out of these; it need not be running.

        Args:
            files: SHA-256 (hex) by name.
        """
        return self._store.holds_only(files)

    def clear(self) -> None:
        """Delete all files; the index need not be running."""
        self._store.clear()

    def __enter__(self) -> Self:
        self._shared.closing.clear()
        self._listener = Listener(self._shared, Handler)
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
