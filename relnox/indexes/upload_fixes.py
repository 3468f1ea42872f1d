"""Fixes for releases that an index does not accept, such as publishing them as the next version."""

from __future__ import annotations

from datetime import timedelta

from relnox.core import fixes
from relnox.core.release.manifest import Distribution
from relnox.core.versions.requested_bump import Bump
from relnox.core.versions.versioning import next_version

UPLOAD_WINDOW = timedelta(days=14)
"""The time after the first file of a release during which PyPI accepts more files for it (since July 2026)."""


def conflict_hint(file: Distribution) -> str:
    """Return the fix for a file whose name exists on the index with different content."""
    post = _post_release(file)
    return (
        f"publish the rebuilt files as a new version ({_format_bump_command(post)}), or publish the files of the "
        "build that was uploaded first; a file name cannot be reused"
    )


def post_release_hint(file: Distribution) -> str:
    """Return the fix for a release that accepts no more files: publish all files again as a post-release."""
    post = _post_release(file)
    return f"publish all files again as {post}: {_format_bump_command(post)}"


def next_version_hint(file: Distribution) -> str:
    """Return a fix for a file whose name is taken: the command that bumps to the next version."""
    version = _next_version(file)
    return f"publish it as {version}: {_format_bump_command(version)}"


def first_release_hint(project: str) -> str:
    """Return a hint that the first release of a project needs a pending publisher with the project's name."""
    name = f"project name {project}" if project else "name of the package as its project name"
    return f"for a first release, add a pending publisher with the {name} (not older than 30 days)"


def _next_version(file: Distribution) -> str:
    """Return the next prerelease if the version of a file is a prerelease, otherwise the next patch version."""
    return str(next_version(file.version, Bump(part="patch" if file.version.pre is None else "pre")))


def _post_release(file: Distribution) -> str:
    """Return the post-release that follows the version of a file, or the next version if that is a dev release."""
    if file.version.is_devrelease:
        return _next_version(file)
    return str(next_version(file.version, Bump(part="post", always_increment=True)))


def _format_bump_command(version: str) -> str:
    return fixes.task_command("bump", "--to", version)
