"""Fixes for releases that an index does not accept as they are: the next version, a pending publisher."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from relnox.core.planning import fixes
from relnox.core.versions.requested_bump import Bump
from relnox.core.versions.versioning import next_version

if TYPE_CHECKING:
    from relnox.core.release.manifest import Distribution

UPLOAD_WINDOW = timedelta(days=14)
"""How long after its first file PyPI accepts further files of a release (since July 2026)."""


def conflict_hint(file: Distribution) -> str:
    """Return the fix for a name that the index has with different content."""
    post = _post_release(file)
    return (
        f"publish the rebuilt files as a new version ({_bump_to(post)}), or publish the files of the build that "
        "was uploaded first; a file name cannot be reused"
    )


def post_release_hint(file: Distribution) -> str:
    """Return a fix: publish the files again as a post-release, since the release accepts no more files."""
    post = _post_release(file)
    return f"publish all files again as {post}: {_bump_to(post)}"


def next_version_hint(file: Distribution) -> str:
    """Return a fix: publish a file, whose name cannot be used again, as the next version."""
    version = _next_version(file)
    return f"publish it as {version}: {_bump_to(version)}"


def first_release_hint(project: str) -> str:
    """Return a hint for first releases, whose pending publisher has to match the project."""
    name = f"project name {project}" if project else "name of the package as its project name"
    return f"a first release needs a pending publisher with the {name}, not older than 30 days"


def _next_version(file: Distribution) -> str:
    """Return the next version: the next prerelease of a prerelease, otherwise the next patch."""
    return str(next_version(file.version, Bump(part="patch" if file.version.pre is None else "pre")))


def _post_release(file: Distribution) -> str:
    """Return the next post-release; for a dev release, which has none, the next version."""
    if file.version.is_devrelease:
        return _next_version(file)
    return str(next_version(file.version, Bump(part="post", always_increment=True)))


def _bump_to(version: str) -> str:
    return fixes.command("bump", "--to", version)
