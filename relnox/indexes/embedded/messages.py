"""Messages of PyPI, which clients recognize, without the URL of a help page at their end."""

from __future__ import annotations

__all__ = [
    "DISABLED",
    "NAME_RESERVED",
    "NEW_PROJECT_BY_IDENTITY",
    "READ_ONLY",
    "REJECTED",
    "TOO_MANY_PROJECTS",
    "exists",
    "old_release",
    "too_large",
]

READ_ONLY = "Read-only mode: Uploads are temporarily disabled."
DISABLED = "New uploads are temporarily disabled."
REJECTED = "Invalid or non-existent authentication information."
NAME_RESERVED = "This filename was previously used by a file that has since been deleted. Use a different version."
NEW_PROJECT_BY_IDENTITY = (
    "Non-user identities cannot create new projects. This was probably caused by successfully using a pending "
    "publisher but specifying the project name incorrectly (either in the publisher or in your project's "
    "metadata). Please ensure that both match."
)
TOO_MANY_PROJECTS = "Too many new projects created"


def exists(filename: str, blake2_256: str) -> str:
    """Return the message for a file that exists with different content."""
    return f"File already exists ({filename!r}, with blake2_256 hash {blake2_256!r})."


def too_large(project: str, limit: int) -> str:
    """Return the message for a file that is larger than the project's limit in bytes."""
    return f"File too large. Limit for project {project!r} is {limit >> 20} MB."


def old_release(days: int) -> str:
    """Return the message for a release that accepts no more files, so many days after its first."""
    return f"Uploading new files to releases older than {days} days is not allowed."
