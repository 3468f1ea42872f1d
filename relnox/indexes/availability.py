"""Ask indexes whether they have what packages require: a bounded number of short requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox import network
from relnox.core.availability import Available, admits
from relnox.errors import RelnoxError
from relnox.indexes import client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.version import Version

    from relnox.core.availability import Need
    from relnox.network import Deadline

__all__ = ["LIMIT", "Asked"]

LIMIT = 60.0
"""Seconds for all questions together."""
_ONE = 10.0
"""Seconds for one of them."""


class Asked:
    """Questions to indexes about projects; an index that cannot be reached is asked no further.

    Args:
        deadline: How long all of them may take.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._patience = deadline
        self._unreachable: dict[str, str] = {}

    def find(self, project: str, needs: Sequence[Need], sources: Mapping[str, str]) -> Available:
        """What indexes have of a project, up to the first that has all that is required of it.

        Args:
            project: Normalized name (PEP 503).
            needs: What is required of it.
            sources: Simple APIs by name, in the order in which they are asked.
        """
        versions: set[Version] = set()
        yanked: set[Version] = set()
        asked: list[str] = []
        unreadable: list[tuple[str, str]] = []
        found = Available()
        for name, url in sources.items():
            listing = self._listing(name, url, project)
            if isinstance(listing, str):
                unreadable.append((name, listing))
            else:
                asked.append(name)
                files = [(file.version, file.yanked) for file in listing.values() if file.version is not None]
                versions |= {version for version, is_yanked in files if not is_yanked}
                yanked |= {version for version, is_yanked in files if is_yanked}
            found = Available(
                versions=frozenset(versions),
                yanked=frozenset(yanked - versions),
                asked=tuple(asked),
                unreadable=tuple(unreadable),
            )
            if all(admits(need, found) for need in needs):
                break
        return found

    def _listing(self, name: str, url: str, project: str) -> client.Listing | str:
        """What one index lists of a project, or why that is not known."""
        if name in self._unreachable:
            return self._unreachable[name]
        if not (left := self._patience.left()):
            return "there was no time left to ask"
        try:
            listing = client.listed_files(url, project, network.Deadline(min(_ONE, left)))
        except network.TransientError as error:
            return self._unreachable.setdefault(name, error.message)
        except RelnoxError as error:
            return error.message
        return f"it redirects {project} to another index" if listing.elsewhere else listing
