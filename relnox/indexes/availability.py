"""Requests for the available versions of required projects, with short time limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relnox.core.dependencies.availability import AvailableVersions, is_satisfied
from relnox.errors import RelnoxError
from relnox.indexes import client
from relnox.indexes.concurrency import call_concurrently
from relnox.system import network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.version import Version

    from relnox.core.dependencies.availability import RequiredProject
    from relnox.indexes.listings import Listing
    from relnox.system.network import Deadline

_LIMIT = 60.0
"""The maximum total seconds of all requests."""
_REQUEST_LIMIT = 10.0
"""The maximum seconds to request one project from one index, including retries."""


def find_versions(
    projects: Mapping[str, Sequence[RequiredProject]], sources: Callable[[str], Mapping[str, str]]
) -> dict[str, AvailableVersions]:
    """Return the versions of projects on indexes, by project.

    No further requests are sent to an index that could not be reached.

    Args:
        projects: Maps the normalized name of each project (PEP 503) to the requirements for it.
        sources: Returns the indexes to search for a project, in order: maps their names to the URLs of their
            simple APIs.
    """
    query = _AvailabilitySearch(network.Deadline(_LIMIT))
    versions = call_concurrently(
        lambda project: query.find(project, projects[project], sources(project)), projects
    )
    return dict(zip(projects, versions, strict=True))


class _AvailabilitySearch:
    """Requests with a common time limit, which remember the indexes that could not be reached."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._unreachable: dict[str, str] = {}

    def find(
        self, project: str, requirements: Sequence[RequiredProject], sources: Mapping[str, str]
    ) -> AvailableVersions:
        """Search indexes one by one for versions of a project until all requirements are satisfied."""
        versions: set[Version] = set()
        yanked_versions: set[Version] = set()
        indexes: list[str] = []
        errors: list[tuple[str, str]] = []
        available = AvailableVersions()
        for name, url in sources.items():
            listing = self._try_to_fetch_listing(name, url, project)
            if isinstance(listing, str):
                errors.append((name, listing))
            else:
                indexes.append(name)
                files = [(file.version, file.yanked) for file in listing.values() if file.version is not None]
                versions |= {version for version, is_yanked in files if not is_yanked}
                yanked_versions |= {version for version, is_yanked in files if is_yanked}
            available = AvailableVersions(
                versions=frozenset(versions),
                yanked=frozenset(yanked_versions - versions),
                indexes=tuple(indexes),
                errors=tuple(errors),
            )
            if all(is_satisfied(requirement, available) for requirement in requirements):
                break
        return available

    def _try_to_fetch_listing(self, name: str, url: str, project: str) -> Listing | str:
        """Request the listing of a project, or return an error message as a string.

        Args:
            name: The name of the index.
            url: The URL of its simple API.
            project: The normalized name of the project.
        """
        if name in self._unreachable:
            return self._unreachable[name]
        if not (seconds_left := self._deadline.left()):
            return f"timed out after {_LIMIT:.0f} s"
        try:
            listing = client.fetch_listing(url, project, network.Deadline(min(_REQUEST_LIMIT, seconds_left)))
        except network.TransientError as error:
            return self._unreachable.setdefault(name, error.message)
        except RelnoxError as error:
            return error.message
        return f"it redirects {project} to another index" if listing.redirected else listing
