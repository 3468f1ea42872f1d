"""The index that a test controls."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Literal, Self

from packaging.utils import canonicalize_name

from controlled_index.accounts import Accounts
from controlled_index.faults import Plan
from controlled_index.handler import ControlledHandler
from controlled_index.journal import Journal
from controlled_index.minting import TokenIssuer
from relnox.core.records import Record, replace
from relnox.indexes.embedded import EmbeddedIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from controlled_index.faults import Rule
    from controlled_index.journal import Request
    from controlled_index.minting import Publisher
    from relnox.indexes.embedded_store import StoredFile

__all__ = ["ControlledIndex", "Project", "Status"]

Status = Literal["active", "archived", "quarantined", "deprecated"]
"""PEP 792: archived and quarantined projects accept no uploads, and the latter list no files."""


class Project(Record, kw_only=True):
    """A project.

    Attributes:
        owner: The user who created it; None without accounts.
        status: Its status.
        reason: The reason of the status.
    """

    owner: str | None = None
    status: Status = "active"
    reason: str = ""


class ControlledIndex(EmbeddedIndex):
    """An embedded index under the control of a test.

    Only files are in its directory; projects, provenance, yanked files and reserved names are in memory.

    Args:
        directory: The directory for its files.
        trusted_simple_url: As for the embedded index.
        accounts: The accounts that may upload; by default anyone, with or without credentials.
        publishers: The trusted publishers; none by default.
        faults: Rules for fault injection (`faults.py`).
        clock: Returns its time in seconds since the epoch, for uploads, ages and the log. Delays are real.
    """

    handler = ControlledHandler

    def __init__(
        self,
        directory: Path,
        *,
        trusted_simple_url: str | None = None,
        accounts: Accounts | None = None,
        publishers: Sequence[Publisher] = (),
        faults: Sequence[Rule] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(directory, trusted_simple_url=trusted_simple_url)
        self.store.clock = clock
        self.plan = Plan(faults)
        self.started = clock()
        self.closing = threading.Event()
        self.journal = Journal()
        self.projects: dict[str, Project] = {}
        self.provenance: dict[str, bytes] = {}
        self.yanked: dict[str, str] = {}
        self.reserved: set[str] = set()
        self.accounts = Accounts() if publishers else accounts
        self.token_issuer = TokenIssuer(publishers, self.accounts) if self.accounts and publishers else None

    @property
    def log(self) -> tuple[Request, ...]:
        """All requests so far, in the order in which their headers arrived."""
        return self.journal.requests()

    @property
    def uploads(self) -> tuple[Request, ...]:
        """All uploads so far."""
        return tuple(request for request in self.log if request.kind == "upload")

    def misbehave(self, *faults: Rule) -> None:
        """Replace the faults; without arguments remove them."""
        self.plan = Plan(faults)

    def find_project(self, name: str) -> Project | None:
        """Return a project by its normalized name; None if it does not exist."""
        return self.projects.get(name) or (Project() if self.store.files(name) else None)

    def create_project(self, name: str, owner: str | None = None) -> None:
        """Create a project, unless it exists."""
        self.projects.setdefault(canonicalize_name(name), Project(owner=owner))

    def set_status(self, project: str, status: Status, reason: str = "") -> None:
        """Set the status of a project (PEP 792)."""
        name = canonicalize_name(project)
        self.projects[name] = replace(self.projects.get(name, Project()), status=status, reason=reason)

    def delete(self, filename: str) -> None:
        """Delete a file, and reserve its name."""
        self.reserved.add(filename)
        if (file := self.store.find(filename)) is not None:
            shutil.rmtree(file.path.parent)

    def yank(self, filename: str, reason: str = "") -> None:
        """Mark a file as yanked (PEP 592)."""
        self.yanked[filename] = reason

    def files(self, project: str) -> Sequence[StoredFile] | None:
        """Return the files to list for a project; none if it is quarantined."""
        known = self.projects.get(project)
        if known is not None and known.status == "quarantined":
            return []
        return super().files(project) or (None if known is None else [])

    def __enter__(self) -> Self:
        self.closing.clear()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()  # ends faults
        super().__exit__(kind, error, traceback)
