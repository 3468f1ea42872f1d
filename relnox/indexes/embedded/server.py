"""The embedded index: what it is made of, where it is, and what it saw."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Self

from packaging.utils import canonicalize_name

from relnox.indexes.embedded.accounts import Accounts
from relnox.indexes.embedded.faults import Plan
from relnox.indexes.embedded.handler import Handler
from relnox.indexes.embedded.listener import LOOPBACK, Listener, Shared
from relnox.indexes.embedded.minting import Mint
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

_POLL = 0.05


class EmbeddedIndex:
    """An index on this machine, for as long as the `with` statement lasts; what it stores stays.

    It listens on loopback alone, on a free port. Several of them, in one process or many, may share a folder.

    By default it is lenient, for trying things out and for files that no public index would take, local versions
    say: it needs no credentials, and demands of an upload that it is what it says it is and that no file is ever
    replaced. `rules=Rules()` makes it as strict as the public index, for a rehearsal; accounts make it ask who is
    there. Tokens are kept in memory, not in the folder.

    Args:
        folder: Where files are kept; made when it is not there.
        trusted_simple_url: Simple API of the index that has the projects this one does not hold; without it
            they are not found.
        rules: What it demands of uploads beyond that.
        accounts: Who may upload; everybody by default, with any credentials or none.
        upload_token: The password of all uploads, for on loopback every user of this machine can connect; None:
            uploads need no more than `accounts` asks for.
        trusted_publishing: Who gets upload tokens for identity tokens; nobody by default.
        faults: How it misbehaves (`faults.py`); not at all by default.
        seed: What the random ones among the faults are drawn by.
        clock: Tells its time, in seconds since the epoch: of uploads, ages and the log. Waits are real.

    Raises:
        Blocked: The folder can be neither made nor written to.
    """

    def __init__(  # noqa: PLR0913 - each says one thing about an index, by its name
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
        mint = None
        if trusted_publishing is not None:
            accounts = accounts or Accounts()
            mint = Mint(trusted_publishing, accounts, self._store)
        self._shared = Shared(
            store=self._store,
            desk=UploadHandler(self._store, rules, accounts),
            mint=mint,
            trusted_simple_url=trusted_simple_url,
            plan=Plan(faults, seed=seed),
            upload_token=upload_token,
            clock=clock,
            started=clock(),
        )
        self._listener: Listener | None = None

    @property
    def upload_url(self) -> str:
        """Where files are sent."""
        return f"{self._origin}/legacy/"

    @property
    def simple_url(self) -> str:
        """What installers are given as their index."""
        return f"{self._origin}/simple/"

    @property
    def audience_url(self) -> str:
        """Where the audience of identity tokens is told."""
        return f"{self._origin}/_/oidc/audience"

    @property
    def mint_url(self) -> str:
        """Where identity tokens are exchanged."""
        return f"{self._origin}/_/oidc/mint-token"

    @property
    def _origin(self) -> str:
        if self._listener is None:
            raise RuntimeError("the embedded index has an address only inside its with statement")
        return f"http://{LOOPBACK}:{self._listener.server_port}"

    @property
    def log(self) -> tuple[Request, ...]:
        """Every request so far, in the order in which their heads arrived."""
        return self._shared.journal.requests()

    @property
    def uploads(self) -> tuple[Request, ...]:
        """The uploads among them."""
        return tuple(request for request in self.log if request.kind == "upload")

    def misbehave(self, *faults: Rule, seed: int = 0) -> None:
        """Replace its faults; without any it behaves again."""
        self._shared.plan = Plan(faults, seed=seed)

    def delete(self, filename: str) -> None:
        """Delete a file; its name stays burnt until the index is cleared."""
        self._store.delete(filename)

    def yank(self, filename: str, reason: str = "") -> None:
        """Mark a file as yanked (PEP 592)."""
        self._store.yank(filename, reason)

    def set_status(self, project: str, status: Status, reason: str = "") -> None:
        """Say of a project that it is archived, quarantined, deprecated or active (PEP 792)."""
        self._store.projects.set_status(canonicalize_name(project), status, reason)

    def holds_only(self, files: Mapping[str, str]) -> bool:
        """Whether nothing is in it but some of these files, whether it is running or not.

        Args:
            files: SHA-256 (hex) by name.
        """
        return self._store.holds_only(files)

    def clear(self) -> None:
        """Forget every file, whether the index is running or not."""
        self._store.clear()

    def __enter__(self) -> Self:
        self._shared.closing.clear()
        self._listener = Listener(self._shared, Handler)
        threading.Thread(
            target=self._listener.serve_forever, args=(_POLL,), name="embedded index", daemon=True
        ).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None
