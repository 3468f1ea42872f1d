"""Messages of PyPI, which clients recognize, without the URL of a help page at their end."""

from __future__ import annotations

__all__ = [
    "DISABLED",
    "NAME_RESERVED",
    "NEW_PROJECT_BY_IDENTITY",
    "OLD_RELEASE",
    "READ_ONLY",
    "REJECTED",
    "TOO_LARGE",
    "TOO_MANY_PROJECTS",
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
TOO_LARGE = "File too large. Limit for project 'demo' is 100 MB."
OLD_RELEASE = "Uploading new files to releases older than 14 days is not allowed."
