"""What the listing of a project says about the whole project: its status (PEP 792), and its storage."""

from __future__ import annotations

from collections.abc import Iterator

from relnox.core.text import format_size
from relnox.errors import Problem
from relnox.indexes.listings import Listing
from relnox.indexes.targets import Target

_LITTLE_STORAGE = 0.1
"""The part of a project's storage below which what is left is reported."""


def project_status_warnings(
    package: str, listing: Listing, index: Target, storage_limit: int
) -> Iterator[Problem]:
    """Yield warnings if a project is archived, deprecated or in quarantine, or its storage is nearly used up.

    Storage, whose limit is in bytes, counts on indexes with the rules of the public index.
    """
    reason = f" ({listing.reason})" if listing.reason else ""
    if listing.status == "quarantined":
        yield _warning(
            "project-quarantined",
            f"project {package} is quarantined on {index.name}, and cannot be installed{reason}",
            "contact the index operator",
        )
    elif listing.status != "active":
        yield _warning(
            "project-archived",
            f"project {package} is {listing.status} on {index.name}{reason}",
            f"if it is still maintained, change that in the project's settings on {index.name}",
        )
    if index.has_public_rules and storage_limit - listing.size < _LITTLE_STORAGE * storage_limit:
        yield _warning(
            "storage-low",
            f"project {package} has {format_size(listing.size)} on {index.name} (the limit is "
            f"{format_size(storage_limit)})",
            "request a higher limit on the index, and set it: [tool.relnox.check] storage-limit = 20000",
        )


def _warning(code: str, message: str, fix: str) -> Problem:
    return Problem(code, message, fix, level="warning")
